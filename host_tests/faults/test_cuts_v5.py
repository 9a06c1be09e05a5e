"""The cuts of test_cuts with MQTT 5: a window of one message, topic aliases both ways, properties on each message that
comes in."""

from fakes.bench import World  # noqa: F401 - twice: early, and across the tick wrap
from fakes.ctrl_c import CLIENT
from fakes.net import ESP32, ESP8266, Plan
from faults.cuts import ctrl_c_in_a_publish, ctrl_c_in_everything, cuts, survive
from faults.exchanges import EXCHANGES, TALLY, both_ways, lengths, publish_2, receive_2, run, several_in_flight

FILES = CLIENT + ("session.py", "v5.py", "outgoing.py", "aliases.py", "incoming.py")
V5 = {"level": 5, "topic_aliases": True, "properties": {34: 2}}


def test_a_cut_at_every_byte_with_aliases_and_a_window_of_one_loses_and_repeats_nothing():
    for exchange in EXCHANGES:
        for note, plan in cuts(exchange, 1, **V5):
            survive(exchange, note, [plan], **V5)


def test_cuts_by_a_broker_that_forgets_lose_nothing():
    for exchange in EXCHANGES:
        for note, plan in cuts(exchange, 3, **V5):
            if plan.how != "silence":
                survive(exchange, note + ", forgotten", [plan], forget=True, **V5)


def test_a_second_cut_during_the_resume_loses_and_repeats_nothing():
    for exchange in (publish_2, receive_2, several_in_flight):
        out, into = lengths(exchange, **V5)
        for k in range(40, out + 1, 7):
            for j in range(0, out + 1, 5):
                plans = [Plan(cut_out=k), Plan(cut_out=j, how="rst")]
                survive(exchange, "out cut at %d, then at %d" % (k, j), plans, **V5)
        for k in range(12, into + 1, 7):
            for j in range(0, into + 1, 4):
                plans = [Plan(cut_in=k), Plan(cut_in=j, how="rst")]
                survive(exchange, "in cut at %d, then at %d" % (k, j), plans, **V5)


def test_short_reads_and_writes_and_small_buffers():
    for exchange in EXCHANGES:
        for read_max in (0, 1, 3):
            for write_max in (0, 1, 5):
                TALLY["short reads and writes"] += 1
                plan = Plan(read_max=read_max, write_max=write_max, read_again=True, write_again=True)
                run(exchange, [plan], **V5).verdict("%s: %d, %d" % (exchange.__name__, read_max, write_max))
        for buffer in (3, 40):
            for inflight in (1, 8):
                ran = run(
                    exchange, [Plan(buffer=buffer, latency_ms=5)], inflight=inflight, rx_size=64, tx_size=64, **V5
                )
                ran.verdict("%s: buffer %d, slots %d" % (exchange.__name__, buffer, inflight))


def test_a_slow_link_in_both_directions():
    out, into = lengths(both_ways, **V5)
    for k in range(0, out + 1, 5):
        slow = Plan(cut_out=k, read_max=1, write_max=3, read_again=True, latency_ms=40)
        survive(both_ways, "out cut at %d, slow" % k, [slow], **V5)


def test_cuts_as_the_boards_see_them_lose_and_repeat_nothing():
    for exchange in (publish_2, receive_2, several_in_flight, both_ways):
        for note, plan in cuts(exchange, 5, **V5):
            if plan.how != "silence":
                for port in (ESP32, ESP8266):
                    survive(exchange, note, [plan], port=port, **V5)


def test_ctrl_c_at_any_line_of_a_publish_leaves_no_slot_that_can_never_be_sent():
    for named in ({"level": 5}, V5):
        ctrl_c_in_a_publish(FILES, **named)


def test_ctrl_c_at_any_line_leaves_a_session_that_the_next_connection_finishes():
    # _on_ack and the slot that it gives back: as in test_cuts
    for named, plan in (({"level": 5}, {}), (V5, {}), (V5, {"write_max": 3, "read_max": 2})):
        ctrl_c_in_everything(FILES + ("engine.py",), ("_adopt", "_on_ack", "_free_slot"), plan, 13, **named)
