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
    b, c = pair(**named)
    b.accept()
    c.connect()
    return b, c


def test_an_idle_client_pings_inside_every_interval():
    b, c = up(keepalive=10)
    for _ in range(20):
        b.expect(PINGREQ)
        b.send(PINGRESP)
    start = c.world.clock.now
    while b.steps:
        c.world.serve(c, 1000)
    last = start
    for t in b.times[1:]:
        assert 5000 <= t - last <= 10000, t - last
        last = t
    b.done()


def test_polling_in_small_steps_pings_as_well():
    b, c = up(keepalive=10)
    b.expect(PINGREQ)
    b.send(PINGRESP)
    for _ in range(110):
        c.poll(0)
        c.world.clock.sleep_ms(100)
    b.done()
    assert b.times[-1] - b.times[0] <= 10000


def no_route(data):
    """A link's `take` without WiFi: writing fails, reading finds nothing."""
    raise OSError(113)


def test_a_ping_that_finds_the_link_broken_says_so_at_once():
    # a sensor was read for long meanwhile: the PINGREQ is due before the wait, or behind it
    for poll_ms in (5000, 500, 0):
        b, c = up(keepalive=20)
        c.world.clock.sleep_ms(16000)
        c.world.link.take = no_route
        e = raises(OSError, c.poll, poll_ms)
        assert "link is down" in str(e), e
        assert not c.isconnected()


def test_a_reconnecting_client_tells_of_a_link_that_a_ping_found_broken():
    for poll_ms in (5000, 0):
        told = []
        w = World(Model)
        c = w.client(keepalive=20, reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append(up)))
        w.serve(c, 10)
        w.clock.sleep_ms(16000)
        w.link.take = no_route
        c.poll(poll_ms)
        w.serve(c, 100)
        equal(told, [True, False, True])


def test_a_busy_receiver_tells_of_a_link_that_its_ping_found_broken():
    told = []
    w = World(Model)
    c = w.client(keepalive=20, reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append((up, error))))
    w.serve(c, 10)
    c.subscribe("t")
    w.clock.sleep_ms(16000)
    w.link.take = no_route
    for _ in range(8):
        w.broker.inject("t", b"x")
    w.serve(c, 200)
    equal([up for up, _ in told], [True, False, True])
    assert "link is down" in told[1][1], told


def test_a_ping_of_the_program_that_finds_the_link_broken_is_told_as_well():
    told = []
    w = World(Model)
    c = w.client(reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append(up)))
    w.serve(c, 10)
    w.link.take = no_route
    c.ping()
    w.serve(c, 100)
    equal(told, [True, False, True])


def test_keepalive_0_means_no_ping():
    b, c = up(keepalive=0)
    c.world.serve(c, 10_000_000)
    b.done()
    assert c.isconnected()


def test_a_missed_pingresp_ends_the_link_before_one_and_a_half_intervals():
    b, c = up(keepalive=10)
    b.expect(PINGREQ)
    t = c.world.clock.now
    e = raises(OSError, c.world.serve, c, 60000)
    equal(c.world.clock.now - t, 12500, "3/4 of the interval, and half of it")
    assert e.args[0] != -1
    assert not c.isconnected()
    equal(c.world.net.open_sockets(), [])
    assert "PINGRESP" in c.diag()["error"], c.diag()


def test_a_half_open_link_is_noticed_though_writes_succeed():
    b, c = up(keepalive=10)
    b.cut("silence")
    t = c.world.clock.now

    def talk():
        for _ in range(100):
            c.publish("t", "x")
            c.world.serve(c, 1000)

    raises(OSError, talk)
    assert c.world.clock.now - t <= 15000, c.world.clock.now - t


def test_a_busy_sender_of_qos_0_is_not_taken_for_dead():
    b, c = up(keepalive=2)
    b.auto_ping = True
    for _ in range(200):
        b.expect(PUBLISH)
    for _ in range(200):
        c.publish("t", "x")
        c.world.serve(c, 100)
    b.done()
    assert c.isconnected()


def test_a_busy_receiver_still_sends_something_in_every_interval():
    b, c = up(keepalive=2)
    b.auto_ping = True
    for _ in range(100):
        b.send(PUBLISH, payload="x")
        b.wait(100)
    c.world.serve(c, 10000)
    equal(len(c.world.inbox), 100)
    last = b.times[0]
    for t in b.times[1:] + [c.world.clock.now]:
        assert t - last <= 2000, t - last
        last = t


def test_a_pingresp_behind_a_pile_of_messages_counts():
    b, c = up(keepalive=10)
    b.expect(PINGREQ)
    b.wait(4000)
    for _ in range(20):
        b.send(PUBLISH, payload="x")
    b.send(PINGRESP)
    c.world.serve(c, 14000)
    assert c.isconnected()
    equal(len(c.world.inbox), 20)


def test_a_callback_that_blocks_for_long_does_not_make_it_lie():
    b, c = up(keepalive=10)
    b.auto_ping = True
    c.set_callback(lambda t, p, r: c.world.clock.sleep_ms(60000))
    b.send(PUBLISH, payload="x")
    c.poll(10)
    c.world.serve(c, 30000)
    assert c.isconnected()
    equal(b.got[-1].kind, PINGREQ)


def test_a_program_that_blocks_after_a_ping_finds_the_answer_that_waits():
    b, c = up(keepalive=10)
    b.expect(PINGREQ)
    b.send(PINGRESP)
    while b.steps:
        c.poll(0)
        c.world.clock.sleep_ms(100)
        if len(b.got) > 1:
            break
    c.world.clock.sleep_ms(60000)
    b.auto_ping = True
    c.world.serve(c, 1000)
    assert c.isconnected()


def test_a_waiting_publish_keeps_the_link_alive():
    b, c = up(keepalive=4, timeout_ms=30000)
    b.auto_ping = True
    b.expect(PUBLISH)
    b.wait(20000)
    b.send(PUBACK, 1)
    c.publish("t", "x", qos=1)
    last = b.times[0]
    for t in b.times[1:]:
        assert t - last <= 4000
        last = t
    b.done()


def test_pings_go_on_across_weeks():
    w = World(auto_ping=True)
    w.broker.accept()
    c = w.client(keepalive=65535)
    c.connect()
    w.serve(c, 3 * (1 << 30))
    assert c.isconnected()
    last = w.broker.times[0]
    for t in w.broker.times[1:]:
        assert t - last <= 65535000, t - last
        last = t


def test_a_large_payload_on_a_slow_link_is_not_taken_for_a_dead_link():
    # 10 bytes a second: the PINGREQ stands behind it for longer than its answer may take
    b, c = up(keepalive=20, timeout_ms=120_000, tx_size=64)
    b.auto_ping = True
    c.world.link.plan.buffer = 10
    c.world.link.plan.latency_ms = 1000
    b.expect(PUBLISH, payload="x" * 400)
    b.send(PUBACK, 1)
    t = c.world.clock.now
    c.publish("t", "x" * 400, qos=1)
    assert c.world.clock.now - t > 40_000
    c.world.serve(c, 60_000)
    assert c.isconnected()
    b.done()


def test_a_network_that_takes_no_more_bytes_ends_the_link_before_one_and_a_half_intervals():
    b, c = up(keepalive=10, timeout_ms=120_000)
    c.world.link.plan.drained = False
    c.world.link.plan.buffer = 10
    c.publish("t", "x" * 100, qos=1, wait=False)
    t = c.world.clock.now
    raises(OSError, c.world.serve, c, 60_000)
    equal(c.world.clock.now - t, 12500)


def test_a_program_that_pings_again_and_again_notices_a_dead_link_as_soon():
    b, c = up(keepalive=10)
    c.world.link.silence()
    t = c.world.clock.now

    def ping_each_second():
        for _ in range(60):
            c.ping()
            c.world.serve(c, 1000)

    raises(OSError, ping_each_second)
    assert c.world.clock.now - t <= 7500, c.world.clock.now - t  # a task that serves looks at the time that it knew


def test_a_pingresp_in_single_bytes_leaves_the_stream_in_step():
    from fakes.packets import encode

    b, c = up(keepalive=10)
    b.expect(PINGREQ)
    b.raw_each(encode(PINGRESP) + encode(PINGRESP) + encode(PUBLISH, topic="t", payload="x"))
    c.world.serve(c, 9000)
    equal(c.world.inbox, [(b"t", b"x", False)])
    b.done()


def test_a_broker_that_answers_pings_but_never_acknowledges_is_noticed_and_the_packet_is_named():
    for keepalive in (20, 0):
        for qos in (1, 2):
            b, c = up(keepalive=keepalive, timeout_ms=5000)
            b.auto_ping = True
            b.expect(PUBLISH, pid=1)
            c.publish("t", "x", qos=qos, wait=False)
            t = c.world.clock.now
            error = raises(OSError, c.world.serve, c, 300_000)
            assert "ack for packet 1" in str(error), error
            assert 30_000 <= c.world.clock.now - t <= 32_000, c.world.clock.now - t
            equal(c.inflight, 1)
            b.accept(sp=1)
            b.expect(PUBLISH, pid=1, dup=1)
            b.send(PUBACK if qos == 1 else PUBREC, 1)
            if qos == 2:
                b.expect(PUBREL, pid=1)
                b.send(PUBCOMP, 1)
            c.connect()
            c.world.serve(c, 100)
            equal(c.inflight, 0)
            b.done()


def test_acks_that_come_late_but_come_are_waited_for():
    b, c = up(keepalive=20, timeout_ms=5000, inflight=2)
    b.auto_ping = True
    for pid in range(1, 6):
        b.expect(PUBLISH, pid=pid)
        c.publish("t", "x", qos=1, wait=False)
        c.world.serve(c, 25_000)
        b.send(PUBACK, pid)
        c.world.serve(c, 100)
    b.done()


def test_a_program_that_only_publishes_qos_0_and_never_polls_notices_a_link_that_is_half_open():
    for prepared in (False, True):
        b, c = up(keepalive=60)
        publish = Publisher(c, "t").publish if prepared else lambda msg: c.publish("t", msg)  # noqa: B023
        c.world.link.end("silence")
        t = c.world.clock.now

        def go_on():
            while True:
                publish(b"x")  # noqa: B023
                c.world.clock.sleep_ms(5000)  # noqa: B023

        error = raises(OSError, go_on)
        assert "PINGRESP" in str(error), error
        assert c.world.clock.now - t < 90_000, c.world.clock.now - t


def test_such_a_program_goes_on_for_ever_on_a_sound_link():
    b, c = up(keepalive=60)
    b.auto_ping = True
    for _ in range(100):
        b.expect(PUBLISH, topic="t")
        c.publish("t", b"x")
        c.world.clock.sleep_ms(5000)
    b.done()
    assert c.isconnected()
