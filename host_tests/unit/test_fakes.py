"""The fakes themselves: they behave like MicroPython where a test relies on it."""

from fakes import packets
from fakes.broker import Script, Unexpected
from fakes.check import equal, raises
from fakes.clock import PERIOD_MS, Clock, Stuck, ticks_add, ticks_diff
from fakes.net import POLLIN, POLLOUT, Context, Net, Plan


class Peer:
    def __init__(self):
        self.got = b""
        self.ends = 0

    def opened(self, link):
        self.link = link

    def data(self, link, data):
        self.got += data

    def ended(self, link):
        self.ends += 1


def connected(plan=None):
    clock = Clock()
    net = Net(clock)
    peer = Peer()
    net.serve("h", 1, peer)
    if plan:
        net.plan = plan
    s = net.socket.socket()
    s.connect(("h", 1))
    s.setblocking(False)
    return clock, net, peer, s


def test_ticks_wrap_at_2_to_the_30():
    equal(ticks_add(PERIOD_MS - 1, 2), 1)
    equal(ticks_diff(1, PERIOD_MS - 1), 2)
    equal(ticks_diff(PERIOD_MS - 1, 1), -2)


def test_events_happen_in_order_while_the_client_sleeps():
    c = Clock()
    seen = []
    c.at(20, seen.append, 2)
    c.at(10, seen.append, 1)
    c.at(20, seen.append, 3)
    c.sleep_ms(19)
    equal(seen, [1])
    c.sleep_ms(1)
    equal(seen, [1, 2, 3])


def test_a_wait_for_what_never_comes_is_a_failure():
    clock, net, peer, s = connected()
    p = net.select.poll()
    p.register(s, POLLIN)
    raises(Stuck, p.poll, -1)


def test_a_read_with_nothing_there_is_none_and_with_some_is_short():
    clock, net, peer, s = connected()
    buf = bytearray(4)
    equal(s.readinto(buf, 4), None)
    peer.link.push(b"ab")
    equal(s.readinto(buf, 4), 2)
    equal(bytes(buf), b"ab\0\0")
    raises(OSError, s.recv, 1)


def test_the_end_of_a_stream_comes_after_its_data():
    clock, net, peer, s = connected()
    peer.link.push(b"ab")
    peer.link.fin()
    equal(s.read(1), b"a")
    equal(s.read(10), b"b")
    equal(s.read(10), b"")


def test_writes_after_the_peers_end_succeed_then_fail():
    clock, net, peer, s = connected()
    peer.link.fin()
    equal(s.write(b"x"), 1)
    equal(raises(OSError, s.write, b"x").args[0], 104)
    equal(peer.got, b"")


def test_a_reset_is_an_error_on_read():
    clock, net, peer, s = connected()
    peer.link.rst()
    equal(raises(OSError, s.read, 1).args[0], 104)


def test_a_timeout_loses_what_was_read():
    clock, net, peer, s = connected()
    s.settimeout(0.5)
    peer.link.push(b"ABCD")
    t = clock.now
    equal(raises(OSError, s.read, 10).args[0], 110)
    equal(clock.now - t, 500)
    s.setblocking(False)
    equal(s.read(10), None)
    assert s.misuse


def test_write_takes_an_offset_and_a_count():
    clock, net, peer, s = connected()
    equal(s.write(b"abcdef", 1, 3), 3)
    equal(s.write(b"abcdef", 2), 2)
    clock.run_due()
    equal(peer.got, b"bcdab")
    equal(peer.link.writes, [3, 2])


def test_a_full_send_buffer_gives_a_short_count_then_none():
    clock, net, peer, s = connected(Plan(buffer=5, drained=False))
    equal(s.write(b"abcdefgh"), 5)
    equal(s.write(b"fgh"), None)
    p = net.select.poll()
    p.register(s, POLLOUT)
    equal(p.poll(100), [])


def test_a_cut_at_byte_k_delivers_k_bytes():
    for k in range(4):
        clock, net, peer, s = connected(Plan(cut_out=k))
        equal(s.write(b"abc"), 3)
        clock.run_due()
        equal((peer.got, peer.ends), (b"abc"[:k], 1))
        equal(s.read(1), b"")
        clock, net, peer, s = connected(Plan(cut_in=k))
        peer.link.push(b"abc")
        equal(s.read(9), b"abc"[:k])


def test_an_unanswered_connect_takes_its_timeout():
    clock = Clock()
    net = Net(clock)
    net.plan = Plan(connect_ms=None)
    net.serve("h", 1, Peer())
    s = net.socket.socket()
    s.settimeout(2)
    t = clock.now
    equal(raises(OSError, s.connect, ("h", 1)).args[0], 110)
    equal(clock.now - t, 2000)


def test_a_refused_connect_says_so():
    net = Net(Clock())
    s = net.socket.socket()
    equal(raises(OSError, s.connect, ("nobody", 1)).args[0], 111)


def test_a_tls_stream_holds_records_that_the_raw_socket_does_not_show():
    clock, net, peer, s = connected()
    t = Context().wrap_socket(s, do_handshake_on_connect=False)
    peer.link.push(b"abcd")
    clock.run_due()
    equal(t.read(1), b"a")
    p = net.select.poll()
    p.register(s, POLLIN)
    equal(p.poll(0), [])
    p = net.select.poll()
    p.register(t, POLLIN)
    equal(len(p.poll(0)), 1)


def test_the_codec_knows_the_bytes_of_the_standard():
    for hexed, kind, fields in (
        ("20020100", packets.CONNACK, {"sp": 1, "code": 0}),
        ("320a0003612f62000a686921", packets.PUBLISH, {"topic": "a/b", "pid": 10, "payload": b"hi!", "qos": 1}),
        ("6202000a", packets.PUBREL, {"pid": 10}),
        ("9004000a0180", packets.SUBACK, {"pid": 10, "codes": (1, 128)}),
        ("820b000a0003612f6201000162", packets.SUBSCRIBE, None),
    ):
        raw = bytes.fromhex(hexed)
        if fields is None:
            raises(packets.Malformed, packets.decode, raw)
            continue
        p = packets.decode(raw)
        equal(p.kind, kind)
        for name in fields:
            equal(getattr(p, name), fields[name], name)
        equal(packets.encode(kind, **fields), raw)


def test_the_codec_reads_a_stream_in_any_pieces():
    raw = packets.encode(packets.PUBLISH, topic="a", payload=b"x" * 200) + packets.encode(packets.PINGREQ)
    for step in (1, 2, 7, 1000):
        r = packets.Reader()
        got = []
        for i in range(0, len(raw), step):
            got += r.feed(raw[i : i + step])
        equal([p.kind for p in got], [packets.PUBLISH, packets.PINGREQ])


def test_a_script_refuses_what_it_does_not_expect():
    clock, net, _, _ = connected()
    b = Script(clock)
    net.serve("h", 1, b)
    b.expect(packets.PINGREQ)
    s = net.socket.socket()
    s.connect(("h", 1))
    s.write(packets.encode(packets.DISCONNECT))
    e = raises(Unexpected, b.done)
    assert "DISCONNECT" in str(e) and "PINGREQ" in str(e), e
