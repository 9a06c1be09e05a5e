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
    for stage in stages():
        stage.world.net.peers.clear()
        client = stage.client()
        raises(OSError, client.connect)
        client.sock.close()
        stage.world.net.serve(HOST, 1883, stage.broker)
        stage.broker.expect(CONNECT)
        stage.broker.send(CONNACK, code=5)
        raises(stage.MQTTException, client.connect)
        client.sock.close()
        stage.broker.accept()
        stage.broker.expect(PUBLISH, payload="x")
        client.connect()
        client.publish(b"t", b"x")
        stage.broker.done()


def test_sock_that_is_closed_by_the_program_is_a_link_that_is_down():
    for stage in stages():
        client = stage.connected()
        client.sock.close()
        client.sock.close()
        raises(OSError, client.publish, b"t", b"x")
        stage.broker.accept()
        client.connect()
        stage.broker.expect(PUBLISH, payload="x")
        client.publish(b"t", b"x")
        stage.broker.done()


def test_setblocking_false_holds_for_one_wait_msg():
    for stage in stages():
        client = stage.connected()
        start = stage.world.clock.now
        client.sock.setblocking(False)
        equal(client.wait_msg(), None)
        equal(stage.world.clock.now, start)
        stage.broker.wait(5000)
        stage.broker.send(PUBLISH, payload="x")
        equal(client.wait_msg(), 0x30)
        equal(stage.world.clock.now, start + 5000)


def test_settimeout_ends_wait_msg_and_loses_nothing():
    for stage in stages():
        client = stage.connected()
        start = stage.world.clock.now
        for _ in range(2):  # it stays until a packet comes
            client.sock.settimeout(7.5)
            raises(OSError, client.wait_msg)
        equal(stage.world.clock.now, start + 15000)
        stage.broker.wait(1000)
        stage.broker.send(PUBLISH, payload="x")
        equal(client.wait_msg(), 0x30)
        equal(stage.inbox, [(b"t", b"x")])
        client.sock.settimeout(None)
        stage.broker.wait(100000)
        stage.broker.send(PUBLISH, payload="y")
        stage.broker.auto_ping = True
        while len(stage.inbox) < 2:
            client.wait_msg()
        stage.broker.done()


def test_settimeout_outlasts_the_pings_of_the_library():
    stage = ours()
    stage.broker.auto_ping = True
    client = stage.connected(keepalive=10)
    start = stage.world.clock.now
    client.sock.settimeout(100)
    raises(OSError, client.wait_msg)
    equal(stage.world.clock.now, start + 100000)


def test_a_timeout_given_to_connect_is_that_of_the_socket():
    for stage in stages():
        stage.broker.accept()
        client = stage.client()
        client.connect(True, 5)
        start = stage.world.clock.now
        raises(OSError, client.wait_msg)
        equal(stage.world.clock.now, start + 5000)


def test_wait_msg_returns_none_for_the_answer_to_ping_alone():
    stage = ours()
    stage.broker.auto_ping = True
    client = stage.connected(keepalive=10)
    stage.broker.wait(60000)
    stage.broker.send(PUBLISH, payload="x")
    equal(client.wait_msg(), 0x30)
    pings = len([packet for packet in stage.broker.got if packet.kind == PINGREQ])
    assert pings > 3, pings
    client.ping()
    equal(client.wait_msg(), None)
    stage.broker.wait(60000)
    stage.broker.send(PUBLISH, payload="y")
    equal(client.wait_msg(), 0x30)
    client.ping()
    stage.world.clock.run_due()
    equal(client.check_msg(), None)


def test_a_subclass_may_take_an_ack_apart_itself():
    for stage in stages():

        class Own(stage.Client):
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

        stage.broker.accept()
        client = Own("cid", HOST)
        inbox = []
        client.set_callback(lambda topic, msg: inbox.append(msg))
        client.connect()
        stage.broker.expect(SUBSCRIBE, pid=1, filters=[("a/#", 1)])
        stage.broker.send(PUBLISH, payload="before")
        stage.broker.send(SUBACK, 1, codes=(1,))
        equal(client.subscribe("a/#", 1), b"\x03\x00\x01\x01")
        stage.broker.expect(PUBLISH, pid=2, qos=1, topic="a/b", payload="x")
        stage.broker.send(PUBACK, 2)
        stage.broker.send(PUBLISH, payload="behind")
        equal(client.publish(b"a/b", b"x"), b"\0\2")
        equal(client.wait_msg(), 0x30)
        equal(inbox, [b"before", b"behind"])
        stage.broker.done()


def test_an_ack_is_read_once_and_not_for_the_packet_behind_it():
    stage = ours()
    client = stage.connected()
    stage.broker.send(PUBACK, 77)
    equal(client.wait_msg(), 0x40)
    stage.broker.send(PUBLISH, payload="x")
    equal(client.wait_msg(), 0x30)
    client.sock.setblocking(False)
    equal(client.sock.read(1), None)
    stage.broker.raw(b"abc")
    equal(client.sock.read(2), b"ab")
    client.sock.settimeout(3)
    start = stage.world.clock.now
    raises(OSError, client.sock.read, 2)
    equal(stage.world.clock.now, start + 3000)


def test_a_subclass_may_read_packets_itself():
    for stage in stages():

        class Own(stage.Client):
            def wait_msg(self):
                first = self.sock.read(1)
                if first is None:
                    return None
                length = self._recv_len()
                body = self.sock.read(length)
                at = 2 + (body[0] << 8 | body[1])
                self.cb(body[2:at], body[at:])
                return first[0]

        stage.broker.accept()
        client = Own("cid", HOST)
        inbox = []
        client.set_callback(lambda topic, msg: inbox.append((topic, msg)))
        client.connect()
        stage.broker.wait(400)
        stage.broker.send(PUBLISH, topic="t", payload="x" * 200)
        equal(client.wait_msg(), 0x30)
        client.sock.setblocking(False)
        equal(client.wait_msg(), None)
        equal(inbox, [(b"t", b"x" * 200)])


def test_a_subclass_may_poll_its_sock_before_each_look():
    for stage in stages():
        client = stage.connected()
        poller = stage.world.net.select.poll()
        poller.register(client.sock, 1)
        stage.broker.wait(300)
        stage.broker.send(PUBLISH, payload="x")
        turns = 0
        while not stage.inbox:
            if poller.poll(100):
                client.check_msg()
            turns += 1
        equal(turns, 3)


def test_upstream_sock_answers_what_a_poll_asks_of_its_stream():
    stage = ours()
    client = stage.connected()
    equal(client.sock.ioctl(3, 1 | 4), 4)
    stage.broker.send(PUBLISH, payload="x")
    stage.world.clock.run_due()
    equal((client.sock.ioctl(3, 1 | 4), client.sock.ioctl(3, 1), client.sock.ioctl(3, 4)), (5, 1, 4))
    equal((client.sock.ioctl(10, 0), client.sock.ioctl(4, 0)), (stage.world.net.sockets[-1].fileno(), 0))
    client.disconnect()
    for call, args in ((client.sock.ioctl, (3, 1)), (client.sock.read, (1,)), (client.sock.write, (b"x",))):
        raises(OSError, call, *args)


def test_upstream_write_waits_for_room_and_for_what_is_older():
    stage = ours()
    client = stage.connected()
    plan = stage.world.net.links[-1].plan
    room = plan.buffer

    def callback(topic, msg):
        plan.buffer = 0
        stage.world.clock.at(50, setattr, plan, "buffer", room)
        client.publish(b"older", b"x")

    client.set_callback(callback)
    stage.broker.send(PUBLISH, payload="x")
    client.wait_msg()
    stage.broker.expect(PUBLISH, topic="older")
    stage.broker.expect(PUBLISH, topic="own")
    own = encode(PUBLISH, topic="own", payload="y")
    equal(client.sock.write(own), len(own))
    stage.world.clock.run_due()
    stage.broker.done()
    plan.buffer = 7
    plan.latency_ms = 3
    stage.broker.expect(PUBLISH, topic="own")
    equal(client.sock.write(own + b"not this", len(own)), len(own))
    stage.world.clock.sleep_ms(10)
    stage.broker.done()


def test_upstream_write_counts_as_a_sign_of_life():
    stage = ours()
    client = stage.connected(keepalive=10)
    stage.world.clock.sleep_ms(5000)
    stage.broker.expect(PUBLISH, topic="own")
    stage.broker.reply(PUBLISH, topic="in", payload="x")
    client.sock.write(encode(PUBLISH, topic="own", payload="y"))
    equal(client.wait_msg(), 0x30)
    stage.world.clock.sleep_ms(4000)
    equal(client.check_msg(), None)
    stage.broker.done()


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

    def read(self, size_b):
        got, self.incoming = self.incoming[:size_b], self.incoming[size_b:]
        return got

    def setblocking(self, blocking):
        pass

    def close(self):
        self.closed += 1


def test_a_stream_with_read_write_setblocking_and_close_is_enough():
    for stage in stages():
        for topic, head in ((b"abcd", b"\x82\x09\0\1\0\4"), (b"a" * 123, b"\x82\x80\x01\0\1\0\x7b")):
            client = stage.client()
            client.set_callback(lambda topic, msg: None)
            client.sock = Stub(encode(SUBACK, 1, codes=(0,)))
            client.subscribe(topic)
            equal(client.sock.written, head + topic + b"\0", stage.name)
        inbox = []
        client = stage.client()
        client.set_callback(lambda topic, msg: inbox.append(msg))
        client.sock = Stub(encode(PUBLISH, topic="t", payload="x" * 300) + encode(PINGRESP))
        equal(client.wait_msg(), 0x30)
        client.ping()
        equal(client.wait_msg(), None)
        equal(inbox, [b"x" * 300])
        raises(OSError, client.wait_msg)
    client = next(iter(stages("robust"))).client()
    client.sock = stub = Stub(encode(PUBACK, 1))
    client.publish("t", "x", qos=1)
    equal(stub.written, encode(PUBLISH, 1, topic="t", payload="x", qos=1))


def test_upstream_takes_over_a_stream_once_and_closes_it_and_the_one_before_it():
    stage = ours()
    client = stage.connected()
    old = stage.world.net.sockets[-1]
    stub = client.sock = Stub(encode(PUBLISH, topic="t", payload="x") * 2)
    equal((client.wait_msg(), client.wait_msg()), (0x30, 0x30))
    equal((old.closed, stub.closed, len(stage.inbox)), (True, 0, 2))
    equal(client.sock.ioctl(3, 1), 1)
    client.sock.close()
    equal(stub.closed, 1)


class WithoutNumber(Stub):
    def readinto(self, buf, size_b):
        got = self.read(size_b)
        buf[: len(got)] = got
        return len(got)


def test_upstream_stream_without_a_number_says_so():
    stage = ours()
    client = stage.connected()
    client.sock = WithoutNumber(encode(PUBLISH, topic="t", payload="x"))
    equal(client.wait_msg(), 0x30)
    equal(client.sock.ioctl(10, 0), -1)


def test_upstream_stream_that_cannot_be_asked_is_always_ready():
    from umqtt.upstream import Plain

    plain = Plain(Stub(b""))
    equal((plain.ioctl(3, 5), plain.ioctl(4, 5)), (5, 0))
