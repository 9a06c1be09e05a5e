"""The prepared publisher: the client's packets, one write each, and the client's way when something is in between."""

from fakes import bench
from fakes.bench import pair
from fakes.check import equal, raises
from fakes.net import Plan
from fakes.packets import PUBACK, PUBLISH
from umqtt.publisher import Publisher

NOT_ON_ASYNCIO = (
    "test_a_dead_link_is_told_as_the_client_tells_it",  # it looks into the writer
    "test_a_publish_counts_as_a_sign_of_life",  # and this at its times
    "test_a_prepared_message_never_goes_the_clients_way_and_takes_no_time",  # there it does
)


def up(plan=None, **named):
    broker, client = pair(**named)
    if plan:
        client.world.net.plan = plan
    broker.accept()
    client.connect()
    return broker, client


def test_every_length_is_one_packet_and_one_write():
    for size in (300, 128, 0):
        broker, client = up(tx_size=600)
        publisher = Publisher(client, "a/\u00fc", size=size)
        lengths = (50, 0, 1, 117, 118, 119, 120, 121, 122, 123, 129, 130, 50, 300)
        if size == 300 and not bench.on_asyncio:
            client.publish = None  # it is not asked
        for length in lengths:
            broker.expect(PUBLISH, qos=0, dup=0, retain=0, topic="a/\u00fc", payload=b"x" * length)
            equal(publisher.publish(b"x" * length), 0)
        broker.done()
        equal(len(client.world.link.writes), 1 + len(lengths))


def test_a_header_of_three_length_bytes():
    broker, client = up()
    publisher = Publisher(client, "t", True, size=17000)
    for length in (16380, 16381, 16382, 16383, 17000, 3):
        broker.expect(PUBLISH, retain=1, topic="t", payload=b"y" * length)
        publisher.publish(b"y" * length)
    broker.done()


def test_text_and_bytearray_go_the_clients_way():
    broker, client = up()
    publisher = Publisher(client, "t")
    for msg in ("21 \u00b0C", bytearray(b"ba"), memoryview(b"mv")):
        broker.expect(PUBLISH, topic="t", payload=msg.encode() if isinstance(msg, str) else bytes(msg))
        publisher.publish(msg)
    broker.done()
    raises(ValueError, publisher.publish, 5)
    raises(ValueError, Publisher, client, "a/#")
    raises(ValueError, Publisher, client, "t", False, -1)


def test_what_is_older_leaves_first():
    broker, client = up(plan=Plan(write_again=True))
    publisher = Publisher(client, "t")
    broker.expect(PUBLISH, qos=1, pid=1, topic="q")
    broker.expect(PUBLISH, qos=0, topic="t", payload="later")
    broker.send(PUBACK, 1)
    client.publish("q", "first", qos=1, wait=False)
    publisher.publish(b"later")
    while client.inflight:
        client.poll(100)
    broker.done()


def test_short_writes_are_finished_before_it_returns():
    for most in (1, 2, 3, 7, 30):
        broker, client = up(plan=Plan(write_max=most, write_again=most % 2))
        publisher = Publisher(client, "topic")
        for msg in (b"0123456789", b"abc", b"9876543210"):
            broker.expect(PUBLISH, topic="topic", payload=msg)
            publisher.publish(msg)
        broker.done()


def test_a_dead_link_is_told_as_the_client_tells_it():
    broker, client = up()
    publisher = Publisher(client, "t")
    broker.expect(PUBLISH, topic="t", payload="x")
    publisher.publish(b"x")
    client._socket.close()
    fault = raises(OSError, publisher.publish, b"x")
    assert fault.args[0] > 0, fault
    assert not client.isconnected()
    raises(OSError, publisher.publish, b"x")


def test_a_publish_counts_as_a_sign_of_life():
    broker, client = up(keepalive=60)
    publisher = Publisher(client, "t")
    client.world.serve(client, 30000)
    broker.expect(PUBLISH, topic="t")
    publisher.publish(b"x")
    inner = getattr(client, "client", client)  # shipped, the name may be a special one, which is not handed on
    equal(inner._wrote_ms, client.world.clock.ticks_ms())


def test_qos_1_is_one_write_and_waits_for_its_ack():
    broker, client = up()
    publisher = Publisher(client, "t", True, qos=1)
    for pid in (1, 2, 3):
        broker.expect(PUBLISH, qos=1, pid=pid, dup=0, retain=1, topic="t", payload=b"x" * pid)
        broker.reply(PUBACK)
        equal(publisher.publish(b"x" * pid), pid)
    broker.done()
    equal(len(client.world.link.writes), 1 + 3)


def test_qos_1_that_finds_the_link_dead_is_finished_on_the_next_one():
    broker, client = up(clean_session=False)
    publisher = Publisher(client, "t", qos=1)
    broker.cut("rst")
    client.world.clock.run_due()
    raises(OSError, publisher.publish, b"x")
    equal(client.inflight, 1)
    broker.accept(sp=1)
    broker.expect(PUBLISH, qos=1, pid=1, topic="t", payload="x")
    broker.reply(PUBACK)
    client.connect()
    while client.inflight:
        client.poll(1000)
    broker.done()


def test_qos_1_that_the_network_takes_in_parts_is_one_packet():
    broker, client = up(plan=Plan(write_max=9))
    publisher = Publisher(client, "t", qos=1)
    for pid in (1, 2):
        broker.expect(PUBLISH, qos=1, pid=pid, dup=0, topic="t", payload=b"y" * 50)
        broker.reply(PUBACK)
        equal(publisher.publish(b"y" * 50), pid)
    broker.done()


def test_a_prepared_message_never_goes_the_clients_way_and_takes_no_time():
    for qos in (0, 1):
        broker, client = up()
        client.publish = None
        publisher = Publisher(client, "t", size=10, qos=qos)
        for connection in range(2):
            for length in (10, 3, 10):
                began_ms = client.world.clock.now
                broker.expect(PUBLISH, topic="t", payload=b"x" * length, qos=qos)
                if qos:
                    broker.reply(PUBACK)
                publisher.publish(b"x" * length)
                equal(client.world.clock.now, began_ms)
            if not connection:
                broker.cut()
                raises(OSError, client.poll, 100)
                broker.accept(sp=1)
                client.connect()
        equal(len(client.world.link.writes), 1 + 3)
        broker.done()


def test_a_packet_id_of_two_bytes_leaves_whole():
    broker, client = up()
    client.pid = 299
    publisher = Publisher(client, "t", qos=1)
    broker.expect(PUBLISH, qos=1, pid=300)
    broker.send(PUBACK, 300)
    equal(publisher.publish(b"x"), 300)
    broker.done()


def test_a_publisher_has_no_qos_2_and_no_payload_over_64_kib():
    broker, client = up()
    raises(ValueError, Publisher, client, "t", qos=2)
    raises(ValueError, Publisher, client, "t", size=65536)
