"""Rules of the client that no other story is about: what it takes, and that no call leaves anything for the next."""

import sys

from fakes.bench import HOST, pair
from fakes.check import equal, raises, skip
from fakes.folder import Folder
from fakes.packets import DISCONNECT, PUBACK, PUBLISH, PUBREC, SUBACK, SUBSCRIBE
from umqtt import stream
from umqtt.client import MQTTClient
from umqtt.reconnect import Reconnect
from umqtt.store import FileJournal, Store


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def test_a_client_takes_the_smallest_buffers_and_one_slot_and_none_smaller():
    MQTTClient("c", HOST, inflight=1, rx_size=16, tx_size=16)
    for named in ({"inflight": 0}, {"rx_size": 15}, {"tx_size": 15}):
        raises(ValueError, MQTTClient, "c", HOST, **named)


def test_a_client_subscribes_to_as_many_filters_as_a_suback_in_its_buffer_has_codes_for():
    broker, client = up(rx_size=16)
    raises(ValueError, client.subscribe, [("t%d" % i, 0) for i in range(15)])
    raises(ValueError, client.subscribe, [])
    equal((client.inflight, client.isconnected()), (0, True))


def test_a_topic_that_changes_is_looked_at_for_each_message():
    broker, client = up()
    topic = bytearray(b"a")
    broker.expect(PUBLISH, topic="a")
    broker.expect(PUBLISH, topic="b")
    client.publish(topic, "x")
    topic[0] = ord("b")
    client.publish(topic, "x")
    broker.done()


def test_a_client_that_was_told_to_connect_after_a_disconnect_reconnects_again():
    broker, client = pair(reconnect=Reconnect(10, 10))
    broker.accept()
    broker.expect(DISCONNECT)
    client.connect()
    client.disconnect()
    raises(OSError, client.poll, 1000)
    broker.accept()
    client.connect()
    broker.cut()
    broker.accept()
    client.world.serve(client, 1000)
    equal((client.isconnected(), broker.links), (True, 3))
    broker.done()


def test_a_message_of_qos_0_that_does_not_wait_tells_of_a_dead_link_and_lets_it_be_made_anew():
    told = []
    broker, client = pair(reconnect=Reconnect(10, 10, on_state=lambda up, words: told.append(up)))
    broker.accept()
    client.connect()
    broker.cut("rst")
    client.world.clock.run_due()
    raises(OSError, client.publish, "t", "x", wait=False)
    equal(told, [True, False])
    broker.accept()
    client.world.serve(client, 1000)
    equal((told, client.isconnected()), ([True, False, True], True))


def test_no_call_leaves_the_client_held_for_the_next_one():
    broker, client = up()
    clock = client.world.clock
    began_ms = clock.now
    for _ in range(2):
        broker.expect(PUBLISH, qos=0)
        client.publish("t", "x", wait=False)
        broker.expect(PUBLISH, qos=1)
        client.publish("t", "x", qos=1, wait=False)
        raises(ValueError, client.publish, "t/#", "x")
        raises(ValueError, client.publish, "t", "x", qos=3)
        broker.expect(PUBLISH, qos=1)
        raises(OSError, client.publish, "t", "x", qos=1, timeout_ms=0)
    equal(clock.now, began_ms)
    broker.done()


def test_what_a_stream_reads_from_cannot_use_the_client_and_hears_so_at_once():
    broker, client = up(tx_size=64)
    clock = client.world.clock
    faults = []

    class Reader:
        is_under_way = False

        def readinto(self, buf):
            if self.is_under_way:
                began_ms = clock.now
                faults.append(raises(OSError, client.publish, "other", "x"))
                equal((client.poll(), clock.now), (0, began_ms))
            self.is_under_way = True
            buf[:] = b"y" * len(buf)
            return len(buf)

    broker.expect(PUBLISH, topic="t", payload=b"y" * 1000)
    stream.publish(client, "t", Reader(), 1000)
    broker.done()
    assert faults and "another call" in str(faults[0]), faults


def test_the_engine_notes_a_message_that_came_while_a_stream_was_read_behind_that():
    with Folder() as folder:
        broker, client = up(tx_size=64, store=Store(FileJournal(folder + "/journal")))
        client.poll(0)
        broker.send(PUBLISH, 9, qos=2, topic="in", payload="m")
        client.world.clock.run_due()

        class Reader:
            polls = -1

            def readinto(self, buf):
                self.polls += 1
                if self.polls:
                    equal((client.poll(), len(client.world.inbox)), (0, 1))
                buf[:] = b"y" * len(buf)
                return len(buf)

        reader = Reader()
        broker.expect(PUBLISH, topic="t", payload=b"y" * 1000)
        broker.expect(PUBREC, pid=9)
        stream.publish(client, "t", reader, 1000)
        assert reader.polls > 0
        client.world.serve(client, 50)  # no other packet comes
        equal(client.world.inbox, [(b"in", b"m", False)])
        broker.done()


def test_disconnect_waits_for_a_full_network_and_not_for_longer_than_its_deadline():
    for comes_back in (True, False):
        broker, client = up()
        link = client.world.net.links[-1]
        if comes_back:
            broker.expect(DISCONNECT)
            client.world.clock.at(50, setattr, link.plan, "buffer", link.plan.buffer)
        link.plan.buffer = 0
        began_ms = client.world.clock.now
        client.disconnect(timeout_ms=400)
        equal(client.world.clock.now - began_ms, 50 if comes_back else 400)
        client.world.clock.sleep_ms(100)
        broker.done()


def test_disconnect_leaves_nothing_unsaid_to_the_broker_or_unwritten_in_the_store():
    with Folder() as folder:
        broker, client = up(store=Store(FileJournal(folder + "/journal")))
        broker.expect(PUBLISH, qos=1)
        broker.send(PUBACK, 1)
        client.publish("t", "x", qos=1)
        broker.send(PUBLISH, 7, qos=2, topic="in", payload="y")
        client.poll(100)  # taken; the store has to note it before its PUBREC may leave
        broker.expect(PUBREC, pid=7)
        broker.expect(DISCONNECT)
        began_ms = client.world.clock.now
        client.disconnect()
        assert client.world.clock.now - began_ms < 10, client.world.clock.now - began_ms
        broker.done()
        again = MQTTClient("c1", HOST, store=Store(FileJournal(folder + "/journal")))
        again.set_callback(lambda *message: client.world.inbox.append(message))
        equal(again.inflight, 0)
        broker.accept(sp=1)
        broker.send(PUBLISH, 7, qos=2, topic="in", payload="y", dup=1)
        broker.expect(PUBREC, pid=7)
        again.connect()
        again.poll(100)
        again.poll(100)
        equal(client.world.inbox, [(b"in", b"y", False)])
        broker.done()


def test_disconnect_writes_what_a_callback_wants_remembered_and_says_goodbye_where_it_can():
    for is_up in (True, False):
        with Folder() as folder:
            broker, client = up(store=Store(FileJournal(folder + "/journal")))
            client.set_callback(lambda topic, payload, retained: payload)
            broker.send(PUBLISH, topic="in", payload="remember")
            client.poll(100)
            if is_up:
                broker.expect(DISCONNECT)
            else:
                broker.cut("rst")
                raises(OSError, client.world.serve, client, 10)
            began_ms = client.world.clock.now
            client.disconnect()
            equal(client.world.clock.now - began_ms, 0)
            broker.done()
            equal(Store(FileJournal(folder + "/journal")).state, b"remember")


def test_a_journal_of_another_client_id_has_its_subscriptions_made_though_the_broker_knows_this_one():
    with Folder() as folder:
        broker, client = up(store=Store(FileJournal(folder + "/journal")))
        broker.expect(SUBSCRIBE)
        broker.reply(SUBACK)
        client.subscribe("a")
        broker.expect(DISCONNECT)
        client.disconnect()
        for client_id, is_asked in (("c1", False), ("c2", True), ("c2", False)):
            again = MQTTClient(client_id, HOST, store=Store(FileJournal(folder + "/journal")))
            broker.accept(sp=1)
            if is_asked:
                broker.expect(SUBSCRIBE, filters=[("a", 0)])
                broker.reply(SUBACK)
            again.connect()
            broker.expect(DISCONNECT)
            again.disconnect()
            broker.done()


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
        except ImportError as error:
            assert not works and "1.22" in str(error), error
        finally:
            sys.implementation = was
