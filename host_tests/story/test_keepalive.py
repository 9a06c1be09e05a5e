"""Keep-alive: PINGREQ inside the interval, the PINGRESP deadline, and judging a busy or blocked program rightly."""

from fakes.bench import World, pair
from fakes.check import equal, raises
from fakes.model import Model
from fakes.packets import PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL
from umqtt.publisher import Publisher
from umqtt.reconnect import Reconnect

NOT_ON_ASYNCIO = (
    "test_a_broker_that_answers_pings_but_never_acknowledges_is_noticed_and_the_packet_is_named",  # it is later
    "test_pings_go_on_across_weeks",  # it takes as long
)


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def test_an_idle_client_pings_inside_every_interval():
    broker, client = up(keepalive=10)
    for _ in range(20):
        broker.expect(PINGREQ)
        broker.send(PINGRESP)
    start = client.world.clock.now
    while broker.steps:
        client.world.serve(client, 1000)
    last = start
    for sent_ms in broker.times[1:]:
        assert 5000 <= sent_ms - last <= 10000, sent_ms - last
        last = sent_ms
    broker.done()


def test_polling_in_small_steps_pings_as_well():
    broker, client = up(keepalive=10)
    broker.expect(PINGREQ)
    broker.send(PINGRESP)
    for _ in range(110):
        client.poll(0)
        client.world.clock.sleep_ms(100)
    broker.done()
    assert broker.times[-1] - broker.times[0] <= 10000


def no_route(data):
    """A link's `take` without WiFi: writing fails, reading finds nothing."""
    raise OSError(113)


def test_a_ping_that_finds_the_link_broken_says_so_at_once():
    # a sensor was read for long meanwhile: the PINGREQ is due before the wait, or behind it
    for poll_ms in (5000, 500, 0):
        broker, client = up(keepalive=20)
        client.world.clock.sleep_ms(16000)
        client.world.link.take = no_route
        fault = raises(OSError, client.poll, poll_ms)
        assert "link is down" in str(fault), fault
        assert not client.isconnected()


def test_a_reconnecting_client_tells_of_a_link_that_a_ping_found_broken():
    for poll_ms in (5000, 0):
        told = []
        world = World(Model)
        client = world.client(keepalive=20, reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append(up)))
        world.serve(client, 10)
        world.clock.sleep_ms(16000)
        world.link.take = no_route
        client.poll(poll_ms)
        world.serve(client, 100)
        equal(told, [True, False, True])


def test_a_busy_receiver_tells_of_a_link_that_its_ping_found_broken():
    told = []
    world = World(Model)
    client = world.client(
        keepalive=20, reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append((up, error)))
    )
    world.serve(client, 10)
    client.subscribe("t")
    world.clock.sleep_ms(16000)
    world.link.take = no_route
    for _ in range(8):
        world.broker.inject("t", b"x")
    world.serve(client, 200)
    equal([up for up, _ in told], [True, False, True])
    assert "link is down" in told[1][1], told


def test_a_ping_of_the_program_that_finds_the_link_broken_is_told_as_well():
    told = []
    world = World(Model)
    client = world.client(reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append(up)))
    world.serve(client, 10)
    world.link.take = no_route
    client.ping()
    world.serve(client, 100)
    equal(told, [True, False, True])


def test_keepalive_0_means_no_ping():
    broker, client = up(keepalive=0)
    client.world.serve(client, 10_000_000)
    broker.done()
    assert client.isconnected()


def test_a_missed_pingresp_ends_the_link_before_one_and_a_half_intervals():
    broker, client = up(keepalive=10)
    broker.expect(PINGREQ)
    began_ms = client.world.clock.now
    fault = raises(OSError, client.world.serve, client, 60000)
    equal(client.world.clock.now - began_ms, 12500, "3/4 of the interval, and half of it")
    assert fault.args[0] != -1
    assert not client.isconnected()
    equal(client.world.net.open_sockets(), [])
    assert "PINGRESP" in client.diag()["error"], client.diag()


def test_a_half_open_link_is_noticed_though_writes_succeed():
    broker, client = up(keepalive=10)
    broker.cut("silence")
    began_ms = client.world.clock.now

    def talk():
        for _ in range(100):
            client.publish("t", "x")
            client.world.serve(client, 1000)

    raises(OSError, talk)
    assert client.world.clock.now - began_ms <= 15000, client.world.clock.now - began_ms


def test_a_busy_sender_of_qos_0_is_not_taken_for_dead():
    broker, client = up(keepalive=2)
    broker.auto_ping = True
    for _ in range(200):
        broker.expect(PUBLISH)
    for _ in range(200):
        client.publish("t", "x")
        client.world.serve(client, 100)
    broker.done()
    assert client.isconnected()


def test_a_busy_receiver_still_sends_something_in_every_interval():
    broker, client = up(keepalive=2)
    broker.auto_ping = True
    for _ in range(100):
        broker.send(PUBLISH, payload="x")
        broker.wait(100)
    client.world.serve(client, 10000)
    equal(len(client.world.inbox), 100)
    last = broker.times[0]
    for sent_ms in broker.times[1:] + [client.world.clock.now]:
        assert sent_ms - last <= 2000, sent_ms - last
        last = sent_ms


def test_a_pingresp_behind_a_pile_of_messages_counts():
    broker, client = up(keepalive=10)
    broker.expect(PINGREQ)
    broker.wait(4000)
    for _ in range(20):
        broker.send(PUBLISH, payload="x")
    broker.send(PINGRESP)
    client.world.serve(client, 14000)
    assert client.isconnected()
    equal(len(client.world.inbox), 20)


def test_a_callback_that_blocks_for_long_does_not_make_it_lie():
    broker, client = up(keepalive=10)
    broker.auto_ping = True
    client.set_callback(lambda topic, payload, retained: client.world.clock.sleep_ms(60000))
    broker.send(PUBLISH, payload="x")
    client.poll(10)
    client.world.serve(client, 30000)
    assert client.isconnected()
    equal(broker.got[-1].kind, PINGREQ)


def test_a_program_that_blocks_after_a_ping_finds_the_answer_that_waits():
    broker, client = up(keepalive=10)
    broker.expect(PINGREQ)
    broker.send(PINGRESP)
    while broker.steps:
        client.poll(0)
        client.world.clock.sleep_ms(100)
        if len(broker.got) > 1:
            break
    client.world.clock.sleep_ms(60000)
    broker.auto_ping = True
    client.world.serve(client, 1000)
    assert client.isconnected()


def test_a_waiting_publish_keeps_the_link_alive():
    broker, client = up(keepalive=4, timeout_ms=30000)
    broker.auto_ping = True
    broker.expect(PUBLISH)
    broker.wait(20000)
    broker.send(PUBACK, 1)
    client.publish("t", "x", qos=1)
    last = broker.times[0]
    for sent_ms in broker.times[1:]:
        assert sent_ms - last <= 4000
        last = sent_ms
    broker.done()


def test_pings_go_on_across_weeks():
    world = World(auto_ping=True)
    world.broker.accept()
    client = world.client(keepalive=65535)
    client.connect()
    world.serve(client, 3 * (1 << 30))
    assert client.isconnected()
    last = world.broker.times[0]
    for sent_ms in world.broker.times[1:]:
        assert sent_ms - last <= 65535000, sent_ms - last
        last = sent_ms


def test_a_large_payload_on_a_slow_link_is_not_taken_for_a_dead_link():
    # 10 bytes a second: the PINGREQ stands behind it for longer than its answer may take
    broker, client = up(keepalive=20, timeout_ms=120_000, tx_size=64)
    broker.auto_ping = True
    client.world.link.plan.buffer = 10
    client.world.link.plan.latency_ms = 1000
    broker.expect(PUBLISH, payload="x" * 400)
    broker.send(PUBACK, 1)
    began_ms = client.world.clock.now
    client.publish("t", "x" * 400, qos=1)
    assert client.world.clock.now - began_ms > 40_000
    client.world.serve(client, 60_000)
    assert client.isconnected()
    broker.done()


def test_a_network_that_takes_no_more_bytes_ends_the_link_before_one_and_a_half_intervals():
    broker, client = up(keepalive=10, timeout_ms=120_000)
    client.world.link.plan.drained = False
    client.world.link.plan.buffer = 10
    client.publish("t", "x" * 100, qos=1, wait=False)
    began_ms = client.world.clock.now
    raises(OSError, client.world.serve, client, 60_000)
    equal(client.world.clock.now - began_ms, 12500)


def test_a_program_that_pings_again_and_again_notices_a_dead_link_as_soon():
    broker, client = up(keepalive=10)
    client.world.link.silence()
    began_ms = client.world.clock.now

    def ping_each_second():
        for _ in range(60):
            client.ping()
            client.world.serve(client, 1000)

    raises(OSError, ping_each_second)
    assert client.world.clock.now - began_ms <= 7500, (
        client.world.clock.now - began_ms
    )  # a task that serves looks at the time that it knew


def test_a_pingresp_in_single_bytes_leaves_the_stream_in_step():
    from fakes.packets import encode

    broker, client = up(keepalive=10)
    broker.expect(PINGREQ)
    broker.raw_each(encode(PINGRESP) + encode(PINGRESP) + encode(PUBLISH, topic="t", payload="x"))
    client.world.serve(client, 9000)
    equal(client.world.inbox, [(b"t", b"x", False)])
    broker.done()


def test_a_broker_that_answers_pings_but_never_acknowledges_is_noticed_and_the_packet_is_named():
    for keepalive in (20, 0):
        for qos in (1, 2):
            broker, client = up(keepalive=keepalive, timeout_ms=5000)
            broker.auto_ping = True
            broker.expect(PUBLISH, pid=1)
            client.publish("t", "x", qos=qos, wait=False)
            began_ms = client.world.clock.now
            error = raises(OSError, client.world.serve, client, 300_000)
            assert "ack for packet 1" in str(error), error
            assert 30_000 <= client.world.clock.now - began_ms <= 32_000, client.world.clock.now - began_ms
            equal(client.inflight, 1)
            broker.accept(sp=1)
            broker.expect(PUBLISH, pid=1, dup=1)
            broker.send(PUBACK if qos == 1 else PUBREC, 1)
            if qos == 2:
                broker.expect(PUBREL, pid=1)
                broker.send(PUBCOMP, 1)
            client.connect()
            client.world.serve(client, 100)
            equal(client.inflight, 0)
            broker.done()


def test_acks_that_come_late_but_come_are_waited_for():
    broker, client = up(keepalive=20, timeout_ms=5000, inflight=2)
    broker.auto_ping = True
    for pid in range(1, 6):
        broker.expect(PUBLISH, pid=pid)
        client.publish("t", "x", qos=1, wait=False)
        client.world.serve(client, 25_000)
        broker.send(PUBACK, pid)
        client.world.serve(client, 100)
    broker.done()


def test_a_program_that_only_publishes_qos_0_and_never_polls_notices_a_link_that_is_half_open():
    for prepared in (False, True):
        broker, client = up(keepalive=60)
        publish = Publisher(client, "t").publish if prepared else lambda msg: client.publish("t", msg)  # noqa: B023
        client.world.link.end("silence")
        began_ms = client.world.clock.now

        def go_on():
            while True:
                publish(b"x")  # noqa: B023
                client.world.clock.sleep_ms(5000)  # noqa: B023

        error = raises(OSError, go_on)
        assert "PINGRESP" in str(error), error
        assert client.world.clock.now - began_ms < 90_000, client.world.clock.now - began_ms


def test_such_a_program_goes_on_for_ever_on_a_sound_link():
    broker, client = up(keepalive=60)
    broker.auto_ping = True
    for _ in range(100):
        broker.expect(PUBLISH, topic="t")
        client.publish("t", b"x")
        client.world.clock.sleep_ms(5000)
    broker.done()
    assert client.isconnected()


def test_a_dead_link_is_found_in_its_time_though_the_program_waits_for_an_hour():
    broker, client = up(keepalive=60)
    client.world.link.silence()
    began_ms = client.world.clock.now
    raises(OSError, client.world.serve, client, 3600000)
    equal(client.world.clock.now - began_ms, 45000 + 30000)
