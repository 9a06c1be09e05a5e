"""Rules of the client that no other story is about: what it takes, and that no call leaves anything for the next."""

import sys

from fakes.bench import HOST, pair
from fakes.check import equal, raises, skip
from fakes.folder import Folder
from fakes.packets import CONNECT, DISCONNECT, PUBACK, PUBLISH, PUBREC
from umqtt import stream
from umqtt.client import MQTTClient
from umqtt.errors import ProtocolError
from umqtt.reconnect import Reconnect
from umqtt.store import FileJournal, Store


def up(**named):
    b, c = pair(**named)
    b.accept()
    c.connect()
    return b, c


def test_a_client_takes_the_smallest_buffers_and_one_slot_and_none_smaller():
    MQTTClient("c", HOST, inflight=1, rx_size=16, tx_size=16)
    for named in ({"inflight": 0}, {"rx_size": 15}, {"tx_size": 15}):
        raises(ValueError, MQTTClient, "c", HOST, **named)


def test_a_client_subscribes_to_as_many_filters_as_a_suback_in_its_buffer_has_codes_for():
    b, c = up(rx_size=16)
    raises(ValueError, c.subscribe, [("t%d" % i, 0) for i in range(15)])
    raises(ValueError, c.subscribe, [])
    equal((c.inflight, c.isconnected()), (0, True))


def test_a_topic_that_changes_is_looked_at_for_each_message():
    b, c = up()
    topic = bytearray(b"a")
    b.expect(PUBLISH, topic="a")
    b.expect(PUBLISH, topic="b")
    c.publish(topic, "x")
    topic[0] = ord("b")
    c.publish(topic, "x")
    b.done()


def test_mqtt_31_has_no_flags_in_a_connack_and_those_of_311_are_looked_at():
    for protocol in (3, 4):
        b, c = pair(protocol=protocol)
        b.expect(CONNECT)
        b.raw(b"\x20\2\2\0")
        if protocol == 3:
            c.connect()
        else:
            raises(ProtocolError, c.connect)
        equal(c.isconnected(), protocol == 3)


def test_a_client_that_was_told_to_connect_after_a_disconnect_reconnects_again():
    b, c = pair(reconnect=Reconnect(10, 10))
    b.accept()
    b.expect(DISCONNECT)
    c.connect()
    c.disconnect()
    raises(OSError, c.poll, 1000)
    b.accept()
    c.connect()
    b.cut()
    b.accept()
    c.world.serve(c, 1000)
    equal((c.isconnected(), b.links), (True, 3))
    b.done()


def test_a_message_of_qos_0_that_does_not_wait_tells_of_a_dead_link_and_lets_it_be_made_anew():
    told = []
    b, c = pair(reconnect=Reconnect(10, 10, on_state=lambda up, words: told.append(up)))
    b.accept()
    c.connect()
    b.cut("rst")
    c.world.clock.run_due()
    raises(OSError, c.publish, "t", "x", wait=False)
    equal(told, [True, False])
    b.accept()
    c.world.serve(c, 1000)
    equal((told, c.isconnected()), ([True, False, True], True))


def test_no_call_leaves_the_client_held_for_the_next_one():
    b, c = up()
    clock = c.world.clock
    began_ms = clock.now
    for _ in range(2):
        b.expect(PUBLISH, qos=0)
        c.publish("t", "x", wait=False)
        b.expect(PUBLISH, qos=1)
        c.publish("t", "x", qos=1, wait=False)
        raises(ValueError, c.publish, "t/#", "x")
        raises(ValueError, c.publish, "t", "x", qos=3)
        b.expect(PUBLISH, qos=1)
        raises(OSError, c.publish, "t", "x", qos=1, timeout_ms=0)
    equal(clock.now, began_ms)
    b.done()


def test_what_a_stream_reads_from_cannot_use_the_client_and_hears_so_at_once():
    b, c = up(tx_size=64)
    clock = c.world.clock
    faults = []

    class Reader:
        is_under_way = False

        def readinto(self, buf):
            if self.is_under_way:
                began_ms = clock.now
                faults.append(raises(OSError, c.publish, "other", "x"))
                equal((c.poll(), clock.now), (0, began_ms))
            self.is_under_way = True
            buf[:] = b"y" * len(buf)
            return len(buf)

    b.expect(PUBLISH, topic="t", payload=b"y" * 1000)
    stream.publish(c, "t", Reader(), 1000)
    b.done()
    assert faults and "another call" in str(faults[0]), faults


def test_the_engine_notes_a_message_that_came_while_a_stream_was_read_behind_that():
    with Folder() as d:
        b, c = up(tx_size=64, store=Store(FileJournal(d + "/journal")))
        c.poll(0)
        b.send(PUBLISH, 9, qos=2, topic="in", payload="m")
        c.world.clock.run_due()

        class Reader:
            polls = -1

            def readinto(self, buf):
                self.polls += 1
                if self.polls:
                    equal((c.poll(), len(c.world.inbox)), (0, 1))
                buf[:] = b"y" * len(buf)
                return len(buf)

        reader = Reader()
        b.expect(PUBLISH, topic="t", payload=b"y" * 1000)
        b.expect(PUBREC, pid=9)
        stream.publish(c, "t", reader, 1000)
        assert reader.polls > 0
        c.world.serve(c, 50)  # no other packet comes
        equal(c.world.inbox, [(b"in", b"m", False)])
        b.done()


def test_disconnect_waits_for_a_full_network_and_not_for_longer_than_its_deadline():
    for comes_back in (True, False):
        b, c = up()
        link = c.world.net.links[-1]
        if comes_back:
            b.expect(DISCONNECT)
            c.world.clock.at(50, setattr, link.plan, "buffer", link.plan.buffer)
        link.plan.buffer = 0
        began_ms = c.world.clock.now
        c.disconnect(timeout_ms=400)
        equal(c.world.clock.now - began_ms, 50 if comes_back else 400)
        c.world.clock.sleep_ms(100)
        b.done()


def test_disconnect_leaves_nothing_unsaid_to_the_broker_or_unwritten_in_the_store():
    with Folder() as d:
        b, c = up(store=Store(FileJournal(d + "/journal")))
        b.expect(PUBLISH, qos=1)
        b.send(PUBACK, 1)
        c.publish("t", "x", qos=1)
        b.send(PUBLISH, 7, qos=2, topic="in", payload="y")
        c.poll(100)  # taken; the store has to note it before its PUBREC may leave
        b.expect(PUBREC, pid=7)
        b.expect(DISCONNECT)
        began_ms = c.world.clock.now
        c.disconnect()
        assert c.world.clock.now - began_ms < 10, c.world.clock.now - began_ms
        b.done()
        again = MQTTClient("c1", HOST, store=Store(FileJournal(d + "/journal")))
        again.set_callback(lambda *message: c.world.inbox.append(message))
        equal(again.inflight, 0)
        b.accept(sp=1)
        b.send(PUBLISH, 7, qos=2, topic="in", payload="y", dup=1)
        b.expect(PUBREC, pid=7)
        again.connect()
        again.poll(100)
        again.poll(100)
        equal(c.world.inbox, [(b"in", b"y", False)])
        b.done()


def test_an_older_micropython_is_refused_in_words():
    if sys.implementation.name != "cpython":
        skip("needs CPython's importlib")
    import importlib.util
    import types

    import umqtt.client

    was = sys.implementation
    for version, works in (((1, 21, 0), False), ((1, 22, 0), True)):
        spec = importlib.util.spec_from_file_location("umqtt.client", umqtt.client.__file__)
        module = importlib.util.module_from_spec(spec)
        sys.implementation = types.SimpleNamespace(name="micropython", version=version, cache_tag=was.cache_tag)
        try:
            spec.loader.exec_module(module)
            assert works, version
        except ImportError as e:
            assert not works and "1.22" in str(e), e
        finally:
            sys.implementation = was
