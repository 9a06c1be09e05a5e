"""Every cell of the state table in session.py: each state with each event, the unlisted ones too (a VIOLATION that
changes nothing).

The table is parsed out of the module's comment, so that it cannot say one thing and the code do another.
"""

import fakes.shim  # noqa: F401
from fakes.check import equal, raises
from umqtt.session import Session

SOURCE = __file__.replace("\\", "/").rsplit("/", 1)[0] + "/../../firmware/lib/umqtt/session.py"

STATE = {"FREE": 0, "W_PUBACK": 4, "W_PUBREC": 5, "W_PUBCOMP": 7, "W_SUBACK": 9, "W_UNSUBACK": 11}
ACKS = {"PUBACK": 4, "PUBREC": 5, "PUBCOMP": 7, "SUBACK": 9, "UNSUBACK": 11}
ACTION = {"VIOLATION": -1, "IGNORE": 0, "PUBREL": 1, "DONE": 2}
PID = 41


def table():
    """(side, state, event) -> (next, action)."""
    cells = {}
    with open(SOURCE) as f:
        for line in f.read().split('"""')[1].split("\n"):
            w = line.split()
            if len(w) >= 4 and w[0] in ("out", "in") and w[1] in list(STATE) + ["ABSENT", "HELD"]:
                cells[(w[0], w[1], w[2])] = (w[3], w[4] if len(w) > 4 else "-")
    return cells


CELLS = table()


def slot(state, staged=True):
    """A session of 3 whose slot 0 is in `state`."""
    s = Session(3)
    if state == "FREE":
        return s
    b0 = {"W_PUBACK": 0x32, "W_PUBREC": 0x34, "W_PUBCOMP": 0x34}.get(state, 0)
    payload = None if state == "W_UNSUBACK" else b"\1" if state == "W_SUBACK" else b"payload"
    topic = [b"f"] if b0 == 0 else b"topic"
    first = "W_PUBREC" if state == "W_PUBCOMP" else state
    i = s.reserve(STATE[first], b0, topic, payload, PID)
    equal(i, 0)
    if staged:
        s.staged(i)
    if state == "W_PUBCOMP":
        equal(s.on_ack(5, PID), ACTION["PUBREL"])
    equal(s.state[0], STATE[state])
    return s


def held(s):
    return [pid for pid in s.held if pid]


def picture(s):
    return (
        list(s.pids),
        bytes(s.state),
        bytes(s.b0),
        bytes(s.todo),
        list(s.topic),
        list(s.payload),
        held(s),
        s.todos,
    )


def test_the_table_is_there_and_names_known_things():
    assert len(CELLS) > 25, len(CELLS)
    for side, state, event in CELLS:
        nxt, action = CELLS[(side, state, event)]
        assert nxt in STATE or nxt in ("ABSENT", "HELD"), nxt


def test_every_state_with_every_ack():
    for state in STATE:
        for ack in ACKS:
            s = slot(state)
            before = picture(s)
            nxt, action = CELLS.get(("out", state, ack), (state, "VIOLATION"))
            note = "%s + %s" % (state, ack)
            equal(s.on_ack(ACKS[ack], PID), ACTION[action], note)
            if state == "FREE":
                equal(picture(s), before, note)
                continue
            equal(s.state[0], STATE[nxt], note)
            if nxt == "FREE":
                equal(s.pids, [0, 0, 0], note)
                equal((s.topic[0], s.payload[0]), (None, None), note + " keeps nothing alive")
            elif action == "VIOLATION":
                equal(picture(s), before, note)
            if nxt == "W_PUBCOMP":
                equal(s.payload[0], None, note + ": the message is the broker's now")


def test_an_ack_for_what_was_never_sent_is_answered_as_for_a_free_slot():
    for state in STATE:
        if state in ("FREE", "W_PUBCOMP"):
            continue
        for ack in ACKS:
            s = slot(state, staged=False)
            before = picture(s)
            nxt, action = CELLS[("out", "FREE", ack)]
            equal(s.on_ack(ACKS[ack], PID), ACTION[action], "%s + %s" % (state, ack))
            equal(picture(s), before)


def test_reservations_begin_in_the_states_of_the_table():
    for event, state in (
        ("reserve1", "W_PUBACK"),
        ("reserve2", "W_PUBREC"),
        ("subscribe", "W_SUBACK"),
        ("unsub", "W_UNSUBACK"),
    ):
        equal(CELLS[("out", "FREE", event)][0], state)


def test_every_state_resumed_by_a_broker_that_remembers_and_by_one_that_forgot():
    for present in (1, 0):
        for state in ("W_PUBACK", "W_PUBREC", "W_PUBCOMP"):
            s = slot(state)
            equal(s.todos, 0)
            s.resume(bool(present))
            nxt, action = CELLS[("out", state, "resume%d" % present)]
            note = "%s + resume%d" % (state, present)
            equal(s.state[0], STATE[nxt], note)
            if nxt == "FREE":
                equal((s.todos, s.oldest(), s.pids[0]), (0, -1, 0), note)
                continue
            equal((s.todos, s.oldest(), s.pids[0]), (1, 0, PID), note)
            equal(bool(s.b0[0] & 8), action != "PUBLISH", note + ": DUP")


def test_subscriptions_under_way_are_sent_again_on_either_resume():
    for present in (True, False):
        for state in ("W_SUBACK", "W_UNSUBACK"):
            s = slot(state)
            s.resume(present)
            equal((s.todos, s.oldest(), s.state[0]), (1, 0, STATE[state]))


def test_incoming_qos_2():
    equal(CELLS[("in", "ABSENT", "hold")][0], "HELD")
    s = Session(1)
    s.hold(7)
    equal(held(s), [7])
    s.resume(True)
    equal(held(s), [7])
    s.release(9)
    equal(held(s), [7])
    s.release(7)
    equal(held(s), [])
    s.release(7)
    s.hold(7)
    s.resume(False)
    equal(held(s), [])


def test_a_full_window_refuses_and_changes_nothing():
    s = Session(2)
    equal(s.reserve(4, 0x32, b"a", b"1"), 0)
    equal(s.reserve(4, 0x32, b"a", b"2"), 1)
    before = picture(s)
    pid = s.pid
    equal(s.reserve(4, 0x32, b"a", b"3"), -1)
    equal(picture(s), before)
    equal(s.pid, pid)


def test_a_window_of_none_is_refused():
    for n in (0, -1):
        raises(ValueError, Session, n)


def test_what_is_to_be_sent_comes_in_the_order_of_reservation_even_when_slots_are_reused():
    s = Session(3)
    for pid in (11, 12, 13):
        s.staged(s.reserve(4, 0x32, b"t", b"x", pid))
    equal(s.on_ack(4, 11), ACTION["DONE"])
    s.staged(s.reserve(5, 0x34, b"t", b"x", 14))  # takes slot 0
    s.resume(True)
    order = []
    while s.oldest() >= 0:
        i = s.oldest()
        order.append(s.pids[i])
        s.staged(i)
    equal(order, [12, 13, 14])
    equal(s.todos, 0)


def test_ids_run_from_1_to_65535_and_skip_those_in_flight():
    s = Session(3)
    s.pid = 65534
    equal(s.pids[s.reserve(4, 0x32, b"", b"")], 65535)
    equal(s.pids[s.reserve(4, 0x32, b"", b"")], 1)
    s.pid = 65534
    equal(s.pids[s.reserve(4, 0x32, b"", b"")], 2)
    assert 0 not in s.pids


def test_a_slot_given_back_before_it_was_sent_is_not_counted_as_to_be_sent():
    for state in ("W_PUBACK", "W_PUBREC", "W_SUBACK", "W_UNSUBACK"):
        s = slot(state, staged=False)
        equal(s.todos, 1)
        s.free(0)
        equal((s.todos, s.oldest(), bytes(s.todo)), (0, -1, b"\0\0\0"), state)
        s.reserve(4, 0x32, b"t", b"x")
        equal(s.todos, 1)


def test_a_pubrec_for_a_message_about_to_be_repeated_makes_its_pubrel_due_at_once():
    s = slot("W_PUBREC")
    s.resume(True)
    equal((s.todos, s.oldest()), (1, 0))
    equal(s.on_ack(5, PID), ACTION["PUBREL"])
    equal((s.todos, s.oldest()), (0, -1))
