"""The connection is cut at every byte of each exchange, in both directions, by FIN, RST and silence; then it is
resumed."""

import sys

from fakes.bench import World  # noqa: F401 - twice: early, and across the tick wrap
from fakes.check import skip
from fakes.ctrl_c import CLIENT, interrupted
from fakes.net import ESP32, ESP8266, UNIX, Plan
from faults.cuts import ctrl_c_in_a_publish, ctrl_c_in_everything, cuts, survive
from faults.exchanges import EXCHANGES, TALLY, Run, both_ways, lengths, publish_2, receive_2, run, several_in_flight


def test_a_cut_at_every_byte_loses_and_repeats_nothing():
    for exchange in EXCHANGES:
        for note, plan in cuts(exchange):
            for port in (UNIX, ESP32, ESP8266) if plan.how != "silence" else (UNIX,):
                survive(exchange, note, [plan], port=port)


def test_a_cut_at_every_byte_by_a_broker_that_forgets_loses_nothing():
    for exchange in EXCHANGES:
        for note, plan in cuts(exchange, 2):
            if plan.how != "silence":
                survive(exchange, note + ", forgotten", [plan], forget=True)


def test_cuts_in_mqtt_31_lose_and_repeat_nothing():
    # 3.1 has no session present: the client goes on as if the broker had kept the session it was asked to keep
    for exchange in EXCHANGES:
        for note, plan in cuts(exchange, 2):
            survive(exchange, note + ", MQTT 3.1", [plan], protocol=3)


def test_a_second_cut_during_the_resume_loses_and_repeats_nothing():
    for exchange in (publish_2, receive_2, several_in_flight):
        out, into = lengths(exchange)
        for k in range(14, out + 1, 5):
            for j in range(0, out + 1, 3):
                survive(exchange, "out cut at %d, then at %d" % (k, j), [Plan(cut_out=k), Plan(cut_out=j, how="rst")])
        for k in range(4, into + 1, 3):
            for j in range(0, into + 1, 2):
                survive(exchange, "in cut at %d, then at %d" % (k, j), [Plan(cut_in=k), Plan(cut_in=j, how="rst")])
                survive(exchange, "in cut at %d, then out at %d" % (k, j), [Plan(cut_in=k), Plan(cut_out=j)])


def test_cuts_of_a_segmented_slow_link():
    for exchange in (both_ways,):
        out, into = lengths(exchange)
        for k in range(0, out + 1, 3):
            survive(
                exchange,
                "out cut at %d, slow" % k,
                [Plan(cut_out=k, read_max=1, write_max=3, read_again=True, latency_ms=40)],
            )
        for k in range(0, into + 1, 3):
            survive(exchange, "in cut at %d, slow" % k, [Plan(cut_in=k, read_max=2, write_again=True, trickle_ms=3)])


def test_every_short_read_and_write():
    for exchange in EXCHANGES:
        for port in (UNIX, ESP32, ESP8266):
            for read_max in (0, 1, 2, 3, 5):
                for write_max in (0, 1, 2, 3, 7):
                    for again in (False, True):
                        TALLY["short reads and writes"] += 1
                        plan = Plan(read_max=read_max, write_max=write_max, read_again=again, write_again=again)
                        ran = run(exchange, [plan], port=port)
                        note = "%s: %d, %d, %s" % (exchange.__name__, read_max, write_max, again)
                        if ran.errors:
                            raise AssertionError("%s: %r" % (note, ran.errors))
                        ran.verdict(note)


def test_small_send_buffers_and_windows():
    for exchange in EXCHANGES:
        for buffer in (3, 10, 40):
            for inflight in (1, 2, 8):
                TALLY["short reads and writes"] += 1
                ran = run(exchange, [Plan(buffer=buffer, latency_ms=5)], inflight=inflight, rx_size=64, tx_size=64)
                ran.verdict("%s: buffer %d, window %d" % (exchange.__name__, buffer, inflight))


def test_ctrl_c_at_any_line_of_a_publish_leaves_no_slot_that_can_never_be_sent():
    ctrl_c_in_a_publish(CLIENT + ("session.py",))


def test_ctrl_c_at_any_line_leaves_a_session_that_the_next_connection_finishes():
    # _on_ack notes what came without a jump, where a board looks for Ctrl-C
    for plan in ({}, {"write_again": True}, {"write_max": 3, "read_max": 2}):
        ctrl_c_in_everything(CLIENT + ("session.py", "engine.py"), ("_adopt", "_on_ack"), plan, 7)


def test_ctrl_c_at_any_line_of_a_stream_gives_its_slot_back():
    if sys.implementation.name != "cpython":
        skip("needs CPython's settrace")
    at = came = 1
    while came:
        run = Run(())
        run.up()
        came = interrupted(lambda: run.stream(1, 200), at, ("stream.py",))
        if not run.client.isconnected() or at % 2:
            run.client.connect()
        run.publish(1)
        run.settle()
        run.verdict("Ctrl-C at line %d" % at)
        at += 1
    assert at > 20, at
