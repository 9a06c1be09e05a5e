"""`c.sock` is what programs know from micropython-lib: it has a mode, is read and written by subclasses, polled, closed
again, and replaced."""

import struct

from dropin.peers import stages
from fakes.bench import HOST, World  # noqa: F401 - twice: early, and across the tick wrap
from fakes.check import equal, raises
from fakes.packets import CONNACK, CONNECT, PINGREQ, PINGRESP, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, encode


def ours():
    return next(iter(stages()))


def test_sock_can_be_closed_after_a_connect_that_failed():
    for s in stages():
        s.w.net.peers.clear()
        c = s.client()
        raises(OSError, c.connect)
        c.sock.close()
        s.w.net.serve(HOST, 1883, s.b)
        s.b.expect(CONNECT)
        s.b.send(CONNACK, code=5)
        raises(s.MQTTException, c.connect)
        c.sock.close()
        s.b.accept()
        s.b.expect(PUBLISH, payload="x")
        c.connect()
        c.publish(b"t", b"x")
        s.b.done()


def test_sock_that_is_closed_by_the_program_is_a_link_that_is_down():
    for s in stages():
        c = s.connected()
        c.sock.close()
        c.sock.close()
        raises(OSError, c.publish, b"t", b"x")
        s.b.accept()
        c.connect()
        s.b.expect(PUBLISH, payload="x")
        c.publish(b"t", b"x")
        s.b.done()


def test_setblocking_false_holds_for_one_wait_msg():
    for s in stages():
        c = s.connected()
        start = s.w.clock.now
        c.sock.setblocking(False)
        equal(c.wait_msg(), None)
        equal(s.w.clock.now, start)
        s.b.wait(5000)
        s.b.send(PUBLISH, payload="x")
        equal(c.wait_msg(), 0x30)
        equal(s.w.clock.now, start + 5000)


def test_settimeout_ends_wait_msg_and_loses_nothing():
    for s in stages():
        c = s.connected()
        start = s.w.clock.now
        for _ in range(2):  # it stays until a packet comes
            c.sock.settimeout(7.5)
            raises(OSError, c.wait_msg)
        equal(s.w.clock.now, start + 15000)
        s.b.wait(1000)
        s.b.send(PUBLISH, payload="x")
        equal(c.wait_msg(), 0x30)
        equal(s.inbox, [(b"t", b"x")])
        c.sock.settimeout(None)
        s.b.wait(100000)
        s.b.send(PUBLISH, payload="y")
        s.b.auto_ping = True
        while len(s.inbox) < 2:
            c.wait_msg()
        s.b.done()


def test_settimeout_outlasts_the_pings_of_the_library():
    s = ours()
    s.b.auto_ping = True
    c = s.connected(keepalive=10)
    start = s.w.clock.now
    c.sock.settimeout(100)
    raises(OSError, c.wait_msg)
    equal(s.w.clock.now, start + 100000)


def test_a_timeout_given_to_connect_is_that_of_the_socket():
    for s in stages():
        s.b.accept()
        c = s.client()
        c.connect(True, 5)
        start = s.w.clock.now
        raises(OSError, c.wait_msg)
        equal(s.w.clock.now, start + 5000)


def test_wait_msg_returns_none_for_the_answer_to_ping_alone():
    s = ours()
    s.b.auto_ping = True
    c = s.connected(keepalive=10)
    s.b.wait(60000)
    s.b.send(PUBLISH, payload="x")
    equal(c.wait_msg(), 0x30)
    pings = len([p for p in s.b.got if p.kind == PINGREQ])
    assert pings > 3, pings
    c.ping()
    equal(c.wait_msg(), None)
    s.b.wait(60000)
    s.b.send(PUBLISH, payload="y")
    equal(c.wait_msg(), 0x30)
    c.ping()
    s.w.clock.run_due()
    equal(c.check_msg(), None)


def test_a_subclass_may_take_an_ack_apart_itself():
    for s in stages():

        class Own(s.Client):
            def subscribe(self, topic, qos=0):
                self.pid += 1
                self.sock.write(encode(SUBSCRIBE, self.pid, filters=[(topic, qos)]))
                while self.wait_msg() != 0x90:
                    pass
                return self.sock.read(4)

            def publish(self, topic, msg):
                self.pid += 1
                head = bytearray(b"\x32\0\0\0")
                head[1] = 4 + len(topic) + len(msg)
                self.sock.write(head, 2)
                self._send_str(topic)
                self.sock.write(struct.pack("!H", self.pid))
                self.sock.write(msg)
                while self.wait_msg() != 0x40:
                    pass
                assert self.sock.read(1) == b"\2"
                return self.sock.read(2)

        s.b.accept()
        c = Own("cid", HOST)
        inbox = []
        c.set_callback(lambda topic, msg: inbox.append(msg))
        c.connect()
        s.b.expect(SUBSCRIBE, pid=1, filters=[("a/#", 1)])
        s.b.send(PUBLISH, payload="before")
        s.b.send(SUBACK, 1, codes=(1,))
        equal(c.subscribe("a/#", 1), b"\x03\x00\x01\x01")
        s.b.expect(PUBLISH, pid=2, qos=1, topic="a/b", payload="x")
        s.b.send(PUBACK, 2)
        s.b.send(PUBLISH, payload="behind")
        equal(c.publish(b"a/b", b"x"), b"\0\2")
        equal(c.wait_msg(), 0x30)
        equal(inbox, [b"before", b"behind"])
        s.b.done()


def test_an_ack_is_read_once_and_not_for_the_packet_behind_it():
    s = ours()
    c = s.connected()
    s.b.send(PUBACK, 77)
    equal(c.wait_msg(), 0x40)
    s.b.send(PUBLISH, payload="x")
    equal(c.wait_msg(), 0x30)
    c.sock.setblocking(False)
    equal(c.sock.read(1), None)
    s.b.raw(b"abc")
    equal(c.sock.read(2), b"ab")
    c.sock.settimeout(3)
    start = s.w.clock.now
    raises(OSError, c.sock.read, 2)
    equal(s.w.clock.now, start + 3000)


def test_a_subclass_may_read_packets_itself():
    for s in stages():

        class Own(s.Client):
            def wait_msg(self):
                first = self.sock.read(1)
                if first is None:
                    return None
                length = self._recv_len()
                body = self.sock.read(length)
                at = 2 + (body[0] << 8 | body[1])
                self.cb(body[2:at], body[at:])
                return first[0]

        s.b.accept()
        c = Own("cid", HOST)
        inbox = []
        c.set_callback(lambda topic, msg: inbox.append((topic, msg)))
        c.connect()
        s.b.wait(400)
        s.b.send(PUBLISH, topic="t", payload="x" * 200)
        equal(c.wait_msg(), 0x30)
        c.sock.setblocking(False)
        equal(c.wait_msg(), None)
        equal(inbox, [(b"t", b"x" * 200)])


def test_a_subclass_may_poll_its_sock_before_each_look():
    for s in stages():
        c = s.connected()
        p = s.w.net.select.poll()
        p.register(c.sock, 1)
        s.b.wait(300)
        s.b.send(PUBLISH, payload="x")
        turns = 0
        while not s.inbox:
            if p.poll(100):
                c.check_msg()
            turns += 1
        equal(turns, 3)


def test_upstream_sock_answers_what_a_poll_asks_of_its_stream():
    s = ours()
    c = s.connected()
    equal(c.sock.ioctl(3, 1 | 4), 4)
    s.b.send(PUBLISH, payload="x")
    s.w.clock.run_due()
    equal((c.sock.ioctl(3, 1 | 4), c.sock.ioctl(3, 1), c.sock.ioctl(3, 4)), (5, 1, 4))
    equal((c.sock.ioctl(10, 0), c.sock.ioctl(4, 0)), (s.w.net.sockets[-1].fileno(), 0))
    c.disconnect()
    for call, args in ((c.sock.ioctl, (3, 1)), (c.sock.read, (1,)), (c.sock.write, (b"x",))):
        raises(OSError, call, *args)


def test_upstream_write_waits_for_room_and_for_what_is_older():
    s = ours()
    c = s.connected()
    plan = s.w.net.links[-1].plan
    room = plan.buffer

    def callback(topic, msg):
        plan.buffer = 0
        s.w.clock.at(50, setattr, plan, "buffer", room)
        c.publish(b"older", b"x")

    c.set_callback(callback)
    s.b.send(PUBLISH, payload="x")
    c.wait_msg()
    s.b.expect(PUBLISH, topic="older")
    s.b.expect(PUBLISH, topic="own")
    own = encode(PUBLISH, topic="own", payload="y")
    equal(c.sock.write(own), len(own))
    s.w.clock.run_due()
    s.b.done()
    plan.buffer = 7
    plan.latency_ms = 3
    s.b.expect(PUBLISH, topic="own")
    equal(c.sock.write(own + b"not this", len(own)), len(own))
    s.w.clock.sleep_ms(10)
    s.b.done()


def test_upstream_write_counts_as_a_sign_of_life():
    s = ours()
    c = s.connected(keepalive=10)
    s.w.clock.sleep_ms(5000)
    s.b.expect(PUBLISH, topic="own")
    s.b.reply(PUBLISH, topic="in", payload="x")
    c.sock.write(encode(PUBLISH, topic="own", payload="y"))
    equal(c.wait_msg(), 0x30)
    s.w.clock.sleep_ms(4000)
    equal(c.check_msg(), None)
    s.b.done()


class Stub:
    """As micropython-lib's own test has it: no readinto, no connect, nothing to poll."""

    closed = 0

    def __init__(self, incoming):
        self.incoming = incoming
        self.written = b""

    def ready(self):  # for the fake select; the real one asks the stream
        return 1 | 4

    def write(self, buf, length=None):
        self.written += bytes(buf if length is None else buf[:length])

    def read(self, n):
        got, self.incoming = self.incoming[:n], self.incoming[n:]
        return got

    def setblocking(self, blocking):
        pass

    def close(self):
        self.closed += 1


def test_a_stream_with_read_write_setblocking_and_close_is_enough():
    for s in stages():
        for topic, head in ((b"abcd", b"\x82\x09\0\1\0\4"), (b"a" * 123, b"\x82\x80\x01\0\1\0\x7b")):
            c = s.client()
            c.set_callback(lambda topic, msg: None)
            c.sock = Stub(encode(SUBACK, 1, codes=(0,)))
            c.subscribe(topic)
            equal(c.sock.written, head + topic + b"\0", s.name)
        inbox = []
        c = s.client()
        c.set_callback(lambda topic, msg: inbox.append(msg))
        c.sock = Stub(encode(PUBLISH, topic="t", payload="x" * 300) + encode(PINGRESP))
        equal(c.wait_msg(), 0x30)
        c.ping()
        equal(c.wait_msg(), None)
        equal(inbox, [b"x" * 300])
        raises(OSError, c.wait_msg)
    c = next(iter(stages("robust"))).client()
    c.sock = stub = Stub(encode(PUBACK, 1))
    c.publish("t", "x", qos=1)
    equal(stub.written, encode(PUBLISH, 1, topic="t", payload="x", qos=1))


def test_upstream_takes_over_a_stream_once_and_closes_it_and_the_one_before_it():
    s = ours()
    c = s.connected()
    old = s.w.net.sockets[-1]
    stub = c.sock = Stub(encode(PUBLISH, topic="t", payload="x") * 2)
    equal((c.wait_msg(), c.wait_msg()), (0x30, 0x30))
    equal((old.closed, stub.closed, len(s.inbox)), (True, 0, 2))
    equal(c.sock.ioctl(3, 1), 1)
    c.sock.close()
    equal(stub.closed, 1)


class WithoutNumber(Stub):
    def readinto(self, buf, n):
        got = self.read(n)
        buf[: len(got)] = got
        return len(got)


def test_upstream_stream_without_a_number_says_so():
    s = ours()
    c = s.connected()
    c.sock = WithoutNumber(encode(PUBLISH, topic="t", payload="x"))
    equal(c.wait_msg(), 0x30)
    equal(c.sock.ioctl(10, 0), -1)


def test_upstream_stream_that_cannot_be_asked_is_always_ready():
    from umqtt.upstream import Plain

    plain = Plain(Stub(b""))
    equal((plain.ioctl(3, 5), plain.ioctl(4, 5)), (5, 0))
