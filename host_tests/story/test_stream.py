"""Payloads larger than the memory, from a reader of known length: whole on the wire, acks between packets only."""

from fakes.bench import World, pair
from fakes.check import equal, raises
from fakes.model import Model
from fakes.net import Plan
from fakes.packets import PUBACK, PUBLISH
from umqtt import stream


class Reader:
    """Gives `data` in pieces of at most `most` bytes."""

    def __init__(self, data, most=1000, fails=False):
        self.data = data
        self.most = most
        self.fails = fails

    def readinto(self, buf):
        count = min(len(buf), self.most, len(self.data))
        if not count and self.fails:
            raise OSError(5)
        buf[:count] = self.data[:count]
        self.data = self.data[count:]
        return count


def up(plan=None, **named):
    broker, client = pair(**named)
    if plan:
        client.world.net.plan = plan
    broker.accept()
    client.connect()
    return broker, client


def pattern(length):
    return bytes([i * 7 >> 3 & 255 for i in range(length)])


def test_any_length_in_any_piece_arrives_whole():
    for length in (0, 1, 255, 256, 257, 5000):
        for most, piece_b, write_max in ((1000, 256, 0), (7, 256, 0), (1000, 1, 0), (100, 64, 13)):
            broker, client = up(Plan(write_max=write_max))
            broker.expect(PUBLISH, qos=0, topic="t", payload=pattern(length))
            equal(stream.publish(client, "t", Reader(pattern(length), most), length, piece_b=piece_b), 0)
            broker.done()
            equal(client._send_blocked, False)


def test_qos_1_waits_for_its_puback_and_frees_its_slot():
    broker, client = up()
    broker.expect(PUBLISH, qos=1, pid=1, topic="t", payload=pattern(3000))
    broker.send(PUBACK, 1)
    equal(stream.publish(client, "t", Reader(pattern(3000)), 3000, qos=1), 1)
    broker.done()
    equal(client.inflight, 0)


def test_a_message_that_comes_meanwhile_is_acknowledged_behind_the_packet():
    broker, client = up(Plan(buffer=100))
    broker.expect(PUBLISH, topic="before")
    broker.send(PUBLISH, 9, topic="in", payload="x", qos=1)
    broker.expect(PUBLISH, topic="t", payload=pattern(20000))
    broker.expect(PUBACK, pid=9)
    client.publish("before", "x")
    stream.publish(client, "t", Reader(pattern(20000)), 20000)
    client.world.serve(client, 100)
    broker.done()
    equal(client.world.inbox, [(b"in", b"x", False)])


def test_a_stream_behind_a_large_message_that_waits_for_the_network_comes_whole():
    broker, client = up(Plan(buffer=100, write_max=50))
    broker.expect(PUBLISH, topic="before", payload=pattern(1000))
    broker.expect(PUBLISH, topic="t", payload=pattern(3000))
    client.publish("before", pattern(1000), qos=1, wait=False)
    stream.publish(client, "t", Reader(pattern(3000)), 3000)
    broker.done()


def test_a_stream_is_not_retained_unless_asked_for_and_a_short_one_waits_for_its_ack():
    for length in (20, 3000):
        for retain in (False, True):
            for qos in (0, 1):
                broker, client = up()
                broker.expect(PUBLISH, qos=qos, retain=retain)
                if qos:
                    broker.send(PUBACK, 1)
                named = {"retain": True} if retain else {}
                stream.publish(client, "t", Reader(pattern(length)), length, qos=qos, **named)
                equal(client.inflight, 0)
                broker.done()


def test_a_stream_without_a_link_or_inside_a_callback_is_an_oserror_and_nothing_is_left():
    broker, client = up()
    faults = []
    client.set_callback(
        lambda *message: faults.append(raises(OSError, stream.publish, client, "t", Reader(pattern(900)), 900))
    )
    broker.send(PUBLISH, topic="in", payload="x")
    client.poll(10)
    assert "callback" in str(faults[0]), faults
    broker.cut("rst")
    client.world.clock.run_due()
    for qos in (0, 1, 0):
        raises(OSError, stream.publish, client, "t", Reader(pattern(900)), 900, qos=qos)
    equal((client.inflight, client.isconnected()), (0, False))


def test_a_reader_that_ends_early_or_raises_closes_the_link():
    for fails, want in ((False, ValueError), (True, OSError)):
        broker, client = up()
        broker.broken = True
        fault = raises(want, stream.publish, client, "t", Reader(b"x" * 700, fails=fails), 5000)
        assert fails or "4300" in str(fault), fault
        assert not client.isconnected()
        equal(client.inflight, 0)


def test_a_reader_without_a_first_piece_leaves_the_link_and_no_slot_behind():
    for qos in (0, 1):
        broker, client = up()
        raises(ValueError, stream.publish, client, "t", Reader(b""), 3000, qos=qos)
        equal((client.inflight, client.isconnected()), (0, True))
        broker.expect(PUBLISH, topic="t", payload="x")
        client.publish("t", "x")
        broker.done()


def test_what_is_published_when_a_stream_has_ended_keeps_the_slot_it_took_over():
    broker, client = up()
    client.on_ended = (
        lambda packet_id, codes: client.publish("next", b"x", qos=1, wait=False) if packet_id == 1 else None
    )
    broker.expect(PUBLISH, qos=1, pid=1, topic="t", payload=pattern(3000))
    broker.send(PUBACK, 1)
    broker.expect(PUBLISH, qos=1, pid=2, topic="next")
    stream.publish(client, "t", Reader(pattern(3000)), 3000, qos=1)
    broker.done()
    assert client.pending(2)
    broker.send(PUBACK, 2)
    client.world.serve(client, 100)
    equal(client.inflight, 0)


def test_wrong_arguments_change_nothing():
    broker, client = up()
    for args, named in (
        (("a/#", Reader(b""), 0), {}),
        (("t", Reader(b""), -1), {}),
        (("t", Reader(b""), 0), {"qos": 2}),
    ):
        raises(ValueError, stream.publish, client, *args, **named)
    equal((client._send_blocked, client.inflight, client.isconnected()), (False, 0, True))
    broker.done()


def test_a_reader_that_has_nothing_yet_ends_the_packet_in_words():
    # EAGAIN of a reader that is a socket must not be taken for the client's own, and its last piece sent twice
    class Slow(Reader):
        def readinto(self, buf):
            if not self.data:
                raise OSError(11)
            return super().readinto(buf)

    broker, client = up()
    fault = raises(OSError, stream.publish, client, "t", Slow(pattern(300)), 600)
    equal(fault.args[0], 11)
    assert not client.isconnected()
    equal(client.world.net.open_sockets(), [])


def test_pieces_of_nothing_are_pieces_of_a_byte():
    broker, client = up()
    broker.expect(PUBLISH, payload=b"abc")
    equal(stream.publish(client, "t", Reader(b"abc"), 3, piece_b=0), 0)
    broker.done()


def test_a_link_that_ends_amidst_is_told_though_the_client_reconnects():
    # the new link has none of the first half, and the reader cannot go back
    from umqtt.reconnect import Reconnect

    for qos in (0, 1):
        world = World(Model)
        client = world.client(reconnect=Reconnect(10, 10))
        world.serve(client, 100)
        world.link.plan = Plan(drained=False, buffer=2000)
        link = world.link
        world.clock.at(50, link.end, "rst")
        raises(OSError, stream.publish, client, "t", Reader(pattern(5000)), 5000, qos=qos)
        equal(client.inflight, 0)
        world.serve(client, 100)
        assert client.isconnected()
        stream.publish(client, "t", Reader(pattern(5000)), 5000, qos=1)
        equal(world.broker.accepted, [("t", pattern(5000), 1)])


def test_what_is_staged_while_it_waits_for_a_slot_leaves_first():
    for big in (False, True):
        broker, client = up(inflight=1, tx_size=64)
        if big:
            client.set_callback(lambda topic, payload, retained: client.publish("big", "y" * 200))
        broker.expect(PUBLISH, pid=1)
        client.publish("a", "b", qos=1, wait=False)
        client.world.clock.run_due()
        client.world.link.plan.write_max = 3
        client.world.link.plan.write_again = True
        broker.send(PUBLISH, 9, topic="in", payload="x", qos=1)
        broker.send(PUBACK, 1)
        if big:
            broker.expect(PUBLISH, topic="big", payload="y" * 200)
        broker.expect(PUBACK, pid=9)
        broker.expect(PUBLISH, pid=2, topic="t", payload=pattern(3000))
        broker.send(PUBACK, 2)
        stream.publish(client, "t", Reader(pattern(3000)), 3000, qos=1)
        broker.done()


def test_a_callback_that_disconnects_while_a_stream_goes_out_is_final():
    from umqtt.reconnect import Reconnect

    for qos in (0, 1):
        world = World(Model)
        client = world.client(reconnect=Reconnect(10, 10))
        world.serve(client, 100)
        client.subscribe("in")
        client.set_callback(lambda topic, payload, retained: client.disconnect())
        world.broker.inject("in", b"x")
        world.link.plan.write_max = 50
        world.link.plan.write_again = True
        raises(OSError, stream.publish, client, "t", Reader(pattern(5000)), 5000, qos=qos)
        equal((client.isconnected(), world.net.open_sockets()), (False, []))
        raises(OSError, client.poll, 100)
        equal(len(world.net.dialled), 1, "nothing connects again by itself")
