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
        n = min(len(buf), self.most, len(self.data))
        if not n and self.fails:
            raise OSError(5)
        buf[:n] = self.data[:n]
        self.data = self.data[n:]
        return n


def up(plan=None, **named):
    b, c = pair(**named)
    if plan:
        c.world.net.plan = plan
    b.accept()
    c.connect()
    return b, c


def pattern(n):
    return bytes([i * 7 >> 3 & 255 for i in range(n)])


def test_any_length_in_any_piece_arrives_whole():
    for n in (0, 1, 255, 256, 257, 5000):
        for most, piece_b, write_max in ((1000, 256, 0), (7, 256, 0), (1000, 1, 0), (100, 64, 13)):
            b, c = up(Plan(write_max=write_max))
            b.expect(PUBLISH, qos=0, topic="t", payload=pattern(n))
            equal(stream.publish(c, "t", Reader(pattern(n), most), n, piece_b=piece_b), 0)
            b.done()
            equal(c._send_blocked, False)


def test_qos_1_waits_for_its_puback_and_frees_its_slot():
    b, c = up()
    b.expect(PUBLISH, qos=1, pid=1, topic="t", payload=pattern(3000))
    b.send(PUBACK, 1)
    equal(stream.publish(c, "t", Reader(pattern(3000)), 3000, qos=1), 1)
    b.done()
    equal(c.inflight, 0)


def test_a_message_that_comes_meanwhile_is_acknowledged_behind_the_packet():
    b, c = up(Plan(buffer=100))
    b.expect(PUBLISH, topic="before")
    b.send(PUBLISH, 9, topic="in", payload="x", qos=1)
    b.expect(PUBLISH, topic="t", payload=pattern(20000))
    b.expect(PUBACK, pid=9)
    c.publish("before", "x")
    stream.publish(c, "t", Reader(pattern(20000)), 20000)
    c.world.serve(c, 100)
    b.done()
    equal(c.world.inbox, [(b"in", b"x", False)])


def test_a_reader_that_ends_early_or_raises_closes_the_link():
    for fails, want in ((False, ValueError), (True, OSError)):
        b, c = up()
        b.broken = True
        e = raises(want, stream.publish, c, "t", Reader(b"x" * 700, fails=fails), 5000)
        assert fails or "4300" in str(e), e
        assert not c.isconnected()
        equal(c.inflight, 0)


def test_a_reader_without_a_first_piece_leaves_the_link_and_no_slot_behind():
    for qos in (0, 1):
        b, c = up()
        raises(ValueError, stream.publish, c, "t", Reader(b""), 3000, qos=qos)
        equal((c.inflight, c.isconnected()), (0, True))
        b.expect(PUBLISH, topic="t", payload="x")
        c.publish("t", "x")
        b.done()


def test_what_is_published_when_a_stream_has_ended_keeps_the_slot_it_took_over():
    b, c = up()
    c.on_ended = lambda packet_id, codes: c.publish("next", b"x", qos=1, wait=False) if packet_id == 1 else None
    b.expect(PUBLISH, qos=1, pid=1, topic="t", payload=pattern(3000))
    b.send(PUBACK, 1)
    b.expect(PUBLISH, qos=1, pid=2, topic="next")
    stream.publish(c, "t", Reader(pattern(3000)), 3000, qos=1)
    b.done()
    assert c.pending(2)
    b.send(PUBACK, 2)
    c.world.serve(c, 100)
    equal(c.inflight, 0)


def test_wrong_arguments_change_nothing():
    b, c = up()
    for args, named in (
        (("a/#", Reader(b""), 0), {}),
        (("t", Reader(b""), -1), {}),
        (("t", Reader(b""), 0), {"qos": 2}),
    ):
        raises(ValueError, stream.publish, c, *args, **named)
    equal((c._send_blocked, c.inflight, c.isconnected()), (False, 0, True))
    b.done()


def test_a_reader_that_has_nothing_yet_ends_the_packet_in_words():
    # EAGAIN of a reader that is a socket must not be taken for the client's own, and its last piece sent twice
    class Slow(Reader):
        def readinto(self, buf):
            if not self.data:
                raise OSError(11)
            return super().readinto(buf)

    b, c = up()
    e = raises(OSError, stream.publish, c, "t", Slow(pattern(300)), 600)
    equal(e.args[0], 11)
    assert not c.isconnected()
    equal(c.world.net.open_sockets(), [])


def test_pieces_of_nothing_are_pieces_of_a_byte():
    b, c = up()
    b.expect(PUBLISH, payload=b"abc")
    equal(stream.publish(c, "t", Reader(b"abc"), 3, piece_b=0), 0)
    b.done()


def test_a_link_that_ends_amidst_is_told_though_the_client_reconnects():
    # the new link has none of the first half, and the reader cannot go back
    from umqtt.reconnect import Reconnect

    for qos in (0, 1):
        w = World(Model)
        c = w.client(reconnect=Reconnect(10, 10))
        w.serve(c, 100)
        w.link.plan = Plan(drained=False, buffer=2000)
        link = w.link
        w.clock.at(50, link.end, "rst")
        raises(OSError, stream.publish, c, "t", Reader(pattern(5000)), 5000, qos=qos)
        equal(c.inflight, 0)
        w.serve(c, 100)
        assert c.isconnected()
        stream.publish(c, "t", Reader(pattern(5000)), 5000, qos=1)
        equal(w.broker.accepted, [("t", pattern(5000), 1)])


def test_what_is_staged_while_it_waits_for_a_slot_leaves_first():
    for big in (False, True):
        b, c = up(inflight=1, tx_size=64)
        if big:
            c.set_callback(lambda t, p, r: c.publish("big", "y" * 200))
        b.expect(PUBLISH, pid=1)
        c.publish("a", "b", qos=1, wait=False)
        c.world.clock.run_due()
        c.world.link.plan.write_max = 3
        c.world.link.plan.write_again = True
        b.send(PUBLISH, 9, topic="in", payload="x", qos=1)
        b.send(PUBACK, 1)
        if big:
            b.expect(PUBLISH, topic="big", payload="y" * 200)
        b.expect(PUBACK, pid=9)
        b.expect(PUBLISH, pid=2, topic="t", payload=pattern(3000))
        b.send(PUBACK, 2)
        stream.publish(c, "t", Reader(pattern(3000)), 3000, qos=1)
        b.done()


def test_a_callback_that_disconnects_while_a_stream_goes_out_is_final():
    from umqtt.reconnect import Reconnect

    for qos in (0, 1):
        w = World(Model)
        c = w.client(reconnect=Reconnect(10, 10))
        w.serve(c, 100)
        c.subscribe("in")
        c.set_callback(lambda topic, payload, retained: c.disconnect())
        w.broker.inject("in", b"x")
        w.link.plan.write_max = 50
        w.link.plan.write_again = True
        raises(OSError, stream.publish, c, "t", Reader(pattern(5000)), 5000, qos=qos)
        equal((c.isconnected(), w.net.open_sockets()), (False, []))
        raises(OSError, c.poll, 100)
        equal(len(w.net.dialled), 1, "nothing connects again by itself")
