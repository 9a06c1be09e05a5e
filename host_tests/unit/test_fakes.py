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
    sock = net.socket.socket()
    sock.connect(("h", 1))
    sock.setblocking(False)
    return clock, net, peer, sock


def test_ticks_wrap_at_2_to_the_30():
    equal(ticks_add(PERIOD_MS - 1, 2), 1)
    equal(ticks_diff(1, PERIOD_MS - 1), 2)
    equal(ticks_diff(PERIOD_MS - 1, 1), -2)


def test_events_happen_in_order_while_the_client_sleeps():
    clock = Clock()
    seen = []
    clock.at(20, seen.append, 2)
    clock.at(10, seen.append, 1)
    clock.at(20, seen.append, 3)
    clock.sleep_ms(19)
    equal(seen, [1])
    clock.sleep_ms(1)
    equal(seen, [1, 2, 3])


def test_a_wait_for_what_never_comes_is_a_failure():
    clock, net, peer, sock = connected()
    poller = net.select.poll()
    poller.register(sock, POLLIN)
    raises(Stuck, poller.poll, -1)


def test_a_read_with_nothing_there_is_none_and_with_some_is_short():
    clock, net, peer, sock = connected()
    buf = bytearray(4)
    equal(sock.readinto(buf, 4), None)
    peer.link.push(b"ab")
    equal(sock.readinto(buf, 4), 2)
    equal(bytes(buf), b"ab\0\0")
    raises(OSError, sock.recv, 1)


def test_the_end_of_a_stream_comes_after_its_data():
    clock, net, peer, sock = connected()
    peer.link.push(b"ab")
    peer.link.fin()
    equal(sock.read(1), b"a")
    equal(sock.read(10), b"b")
    equal(sock.read(10), b"")


def test_writes_after_the_peers_end_succeed_then_fail():
    clock, net, peer, sock = connected()
    peer.link.fin()
    equal(sock.write(b"x"), 1)
    equal(raises(OSError, sock.write, b"x").args[0], 104)
    equal(peer.got, b"")


def test_a_reset_is_an_error_on_read():
    clock, net, peer, sock = connected()
    peer.link.rst()
    equal(raises(OSError, sock.read, 1).args[0], 104)


def test_a_timeout_loses_what_was_read():
    clock, net, peer, sock = connected()
    sock.settimeout(0.5)
    peer.link.push(b"ABCD")
    began_ms = clock.now
    equal(raises(OSError, sock.read, 10).args[0], 110)
    equal(clock.now - began_ms, 500)
    sock.setblocking(False)
    equal(sock.read(10), None)
    assert sock.misuse


def test_write_takes_an_offset_and_a_count():
    clock, net, peer, sock = connected()
    equal(sock.write(b"abcdef", 1, 3), 3)
    equal(sock.write(b"abcdef", 2), 2)
    clock.run_due()
    equal(peer.got, b"bcdab")
    equal(peer.link.writes, [3, 2])


def test_a_full_send_buffer_gives_a_short_count_then_none():
    clock, net, peer, sock = connected(Plan(buffer=5, drained=False))
    equal(sock.write(b"abcdefgh"), 5)
    equal(sock.write(b"fgh"), None)
    poller = net.select.poll()
    poller.register(sock, POLLOUT)
    equal(poller.poll(100), [])


def test_a_cut_at_byte_k_delivers_k_bytes():
    for k in range(4):
        clock, net, peer, sock = connected(Plan(cut_out=k))
        equal(sock.write(b"abc"), 3)
        clock.run_due()
        equal((peer.got, peer.ends), (b"abc"[:k], 1))
        equal(sock.read(1), b"")
        clock, net, peer, sock = connected(Plan(cut_in=k))
        peer.link.push(b"abc")
        equal(sock.read(9), b"abc"[:k])


def test_an_unanswered_connect_takes_its_timeout():
    clock = Clock()
    net = Net(clock)
    net.plan = Plan(connect_ms=None)
    net.serve("h", 1, Peer())
    sock = net.socket.socket()
    sock.settimeout(2)
    began_ms = clock.now
    equal(raises(OSError, sock.connect, ("h", 1)).args[0], 110)
    equal(clock.now - began_ms, 2000)


def test_a_refused_connect_says_so():
    net = Net(Clock())
    sock = net.socket.socket()
    equal(raises(OSError, sock.connect, ("nobody", 1)).args[0], 111)


def test_a_tls_stream_holds_records_that_the_raw_socket_does_not_show():
    clock, net, peer, sock = connected()
    stream = Context().wrap_socket(sock, do_handshake_on_connect=False)
    peer.link.push(b"abcd")
    clock.run_due()
    equal(stream.read(1), b"a")
    poller = net.select.poll()
    poller.register(sock, POLLIN)
    equal(poller.poll(0), [])
    poller = net.select.poll()
    poller.register(stream, POLLIN)
    equal(len(poller.poll(0)), 1)


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
        packet = packets.decode(raw)
        equal(packet.kind, kind)
        for name in fields:
            equal(getattr(packet, name), fields[name], name)
        equal(packets.encode(kind, **fields), raw)


def test_the_codec_reads_a_stream_in_any_pieces():
    raw = packets.encode(packets.PUBLISH, topic="a", payload=b"x" * 200) + packets.encode(packets.PINGREQ)
    for step in (1, 2, 7, 1000):
        reader = packets.Reader()
        got = []
        for i in range(0, len(raw), step):
            got += reader.feed(raw[i : i + step])
        equal([packet.kind for packet in got], [packets.PUBLISH, packets.PINGREQ])


def test_a_script_refuses_what_it_does_not_expect():
    clock, net, _, _ = connected()
    broker = Script(clock)
    net.serve("h", 1, broker)
    broker.expect(packets.PINGREQ)
    sock = net.socket.socket()
    sock.connect(("h", 1))
    sock.write(packets.encode(packets.DISCONNECT))
    fault = raises(Unexpected, broker.done)
    assert "DISCONNECT" in str(fault) and "PINGREQ" in str(fault), fault
