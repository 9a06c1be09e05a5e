"""The prepared publisher: the client's packets, one write each, and the client's way when something is in between."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.net import Plan
from fakes.packets import PUBACK, PUBLISH
from umqtt.publisher import Publisher

NOT_ON_ASYNCIO = (
    "test_a_dead_link_is_told_as_the_client_tells_it",  # it looks into the writer
    "test_a_publish_counts_as_a_sign_of_life",  # and this at its times
)


def up(plan=None, **named):
    b, c = pair(**named)
    if plan:
        c.world.net.plan = plan
    b.accept()
    c.connect()
    return b, c


def test_every_length_is_one_packet_and_one_write():
    for size in (300, 128, 0):
        b, c = up(tx_size=600)
        p = Publisher(c, "a/\u00fc", size=size)
        lengths = (50, 0, 1, 117, 118, 119, 120, 121, 122, 123, 129, 130, 50, 300)
        for n in lengths:
            b.expect(PUBLISH, qos=0, dup=0, retain=0, topic="a/\u00fc", payload=b"x" * n)
            equal(p.publish(b"x" * n), 0)
        b.done()
        equal(len(c.world.link.writes), 1 + len(lengths))


def test_a_header_of_three_length_bytes():
    b, c = up()
    p = Publisher(c, "t", True, size=17000)
    for n in (16380, 16381, 16382, 16383, 17000, 3):
        b.expect(PUBLISH, retain=1, topic="t", payload=b"y" * n)
        p.publish(b"y" * n)
    b.done()


def test_text_and_bytearray_go_the_clients_way():
    b, c = up()
    p = Publisher(c, "t")
    for msg in ("21 \u00b0C", bytearray(b"ba"), memoryview(b"mv")):
        b.expect(PUBLISH, topic="t", payload=msg.encode() if isinstance(msg, str) else bytes(msg))
        p.publish(msg)
    b.done()
    raises(ValueError, p.publish, 5)
    raises(ValueError, Publisher, c, "a/#")
    raises(ValueError, Publisher, c, "t", False, -1)


def test_what_is_older_leaves_first():
    b, c = up(plan=Plan(write_again=True))
    p = Publisher(c, "t")
    b.expect(PUBLISH, qos=1, pid=1, topic="q")
    b.expect(PUBLISH, qos=0, topic="t", payload="later")
    b.send(PUBACK, 1)
    c.publish("q", "first", qos=1, wait=False)
    p.publish(b"later")
    while c.inflight:
        c.poll(100)
    b.done()


def test_short_writes_are_finished_before_it_returns():
    for most in (1, 2, 3, 7, 30):
        b, c = up(plan=Plan(write_max=most))
        p = Publisher(c, "topic")
        for msg in (b"0123456789", b"abc", b"9876543210"):
            b.expect(PUBLISH, topic="topic", payload=msg)
            p.publish(msg)
        b.done()


def test_a_dead_link_is_told_as_the_client_tells_it():
    b, c = up()
    p = Publisher(c, "t")
    b.expect(PUBLISH, topic="t", payload="x")
    p.publish(b"x")
    c._socket.close()
    e = raises(OSError, p.publish, b"x")
    assert e.args[0] > 0, e
    assert not c.isconnected()
    raises(OSError, p.publish, b"x")


def test_a_publish_counts_as_a_sign_of_life():
    b, c = up(keepalive=60)
    p = Publisher(c, "t")
    c.world.serve(c, 30000)
    b.expect(PUBLISH, topic="t")
    p.publish(b"x")
    client = getattr(c, "client", c)  # shipped, the name may be a special one, which is not handed on
    equal(client._wrote_ms, c.world.clock.ticks_ms())


def test_qos_1_is_one_write_and_waits_for_its_ack():
    b, c = up()
    p = Publisher(c, "t", True, qos=1)
    for pid in (1, 2, 3):
        b.expect(PUBLISH, qos=1, pid=pid, dup=0, retain=1, topic="t", payload=b"x" * pid)
        b.reply(PUBACK)
        equal(p.publish(b"x" * pid), pid)
    b.done()
    equal(len(c.world.link.writes), 1 + 3)


def test_qos_1_that_finds_the_link_dead_is_finished_on_the_next_one():
    b, c = up(clean_session=False)
    p = Publisher(c, "t", qos=1)
    b.cut("rst")
    c.world.clock.run_due()
    raises(OSError, p.publish, b"x")
    equal(c.inflight, 1)
    b.accept(sp=1)
    b.expect(PUBLISH, qos=1, pid=1, topic="t", payload="x")
    b.reply(PUBACK)
    c.connect()
    while c.inflight:
        c.poll(1000)
    b.done()


def test_qos_1_that_the_network_takes_in_parts_is_one_packet():
    b, c = up(plan=Plan(write_max=9))
    p = Publisher(c, "t", qos=1)
    for pid in (1, 2):
        b.expect(PUBLISH, qos=1, pid=pid, dup=0, topic="t", payload=b"y" * 50)
        b.reply(PUBACK)
        equal(p.publish(b"y" * 50), pid)
    b.done()
