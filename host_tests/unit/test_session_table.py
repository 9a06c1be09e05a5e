"""Every cell of the state table in session.py: each state with each event, the unlisted ones too (a VIOLATION that
changes nothing).

The table is parsed out of the module's comment, so that it cannot say one thing and the code do another.
"""

import fakes.shim  # noqa: F401
from fakes.check import equal, raises
from umqtt.errors import ProtocolError
from umqtt.session import Session
from umqtt.wire import IN_USE

SOURCE_FORM_ONLY = "shipped, session and client are one class"

SOURCE = __file__.replace("\\", "/").rsplit("/", 1)[0] + "/../../firmware/lib/umqtt/session.py"

# the first byte of the packet that a slot sends
STATE = {"FREE": 0, "W_PUBACK": 0x32, "W_PUBREC": 0x34, "W_PUBCOMP": 0x62, "W_SUBACK": 0x82, "W_UNSUBACK": 0xA2}
ACKS = {"PUBACK": 0x40, "PUBREC": 0x50, "PUBCOMP": 0x70, "SUBACK": 0x90, "UNSUBACK": 0xB0}
ACTION = {"IGNORE": 0, "PUBREL": 0x62, "PUBCOMP": 0x70, "DONE": 0}  # the answer's first byte
SENT = 8
PID = 41


def table():
    """(side, state, event) -> (next, action)."""
    cells = {}
    with open(SOURCE) as file:
        for line in file.read().split('"""')[1].split("\n"):
            words = line.split()
            if len(words) >= 4 and words[0] in ("out", "in") and words[1] in list(STATE) + ["ABSENT", "HELD"]:
                cells[(words[0], words[1], words[2])] = (words[3], words[4] if len(words) > 4 else "-")
    return cells


CELLS = table()


def slot(state, staged=True):
    """A session of 3 whose slot 0 is in `state`."""
    session = Session(3)
    if state == "FREE":
        return session
    b0 = STATE["W_PUBREC" if state == "W_PUBCOMP" else state]
    topic, body = (b"topic", b"payload") if b0 < 0x40 else (b"", b"\0\1f\1" if b0 == 0x82 else b"\0\1f")
    slot = reserve(session, b0, topic, body, PID)
    assert slot is session._packet_slots[0]
    if staged:
        send(session)
    if state == "W_PUBCOMP":
        equal(session._on_ack(0x50, PID), ACTION["PUBREL"])
    equal(state_of(session), state)
    return session


def reserve(session, b0, topic=b"t", body=b"x", pid=0):
    if pid:
        session.pid = pid - 1
    session._draft[1:IN_USE] = b0, topic, body
    return session._take_slot()


def send(session):
    """What is next in turn leaves, as engine.stage has it; its id."""
    slot = session._packet_slots[session._slots_sent]
    slot[1] |= SENT
    session._slots_sent += 1
    return slot[0]


def state_of(session):
    """The state of slot 0."""
    pid, b0, _, _ = session._packet_slots[0]
    return [name for name in STATE if STATE[name] == (b0 & ~SENT if pid else 0)][0]


def picture(session):
    return (
        [list(slot) for slot in session._packet_slots],
        sorted(session._held_packet_ids),
        session.inflight,
        session._slots_sent,
    )


def test_the_table_is_there_and_names_known_things():
    assert len(CELLS) > 25, len(CELLS)
    for side, state, event in CELLS:
        nxt, action = CELLS[(side, state, event)]
        assert nxt in STATE or nxt in ("ABSENT", "HELD"), nxt


def test_every_state_with_every_ack():
    for state in STATE:
        for ack in ACKS:
            session = slot(state)
            before = picture(session)
            nxt, action = CELLS.get(("out", state, ack), (state, "VIOLATION"))
            note = "%s + %s" % (state, ack)
            session._suback_codes = b"\1"
            if action == "VIOLATION":
                raises(ProtocolError, session._on_ack, ACKS[ack], PID)
                equal(picture(session), before, note)
                continue
            equal(session._on_ack(ACKS[ack], PID), ACTION[action], note)
            if state == "FREE":
                equal(picture(session), before, note)
                continue
            equal(state_of(session), nxt, note)
            if nxt == "FREE":
                equal((session.inflight, session._slots_sent), (0, 0), note)
                equal(session._packet_slots[0][2:], [b"", b""], note + " keeps nothing alive")
            if nxt == "W_PUBCOMP":
                equal(session._packet_slots[0][2:], [b"", b""], note + ": the message is the broker's now")


def test_an_ack_for_what_was_never_sent_is_answered_as_for_a_free_slot():
    for state in STATE:
        if state in ("FREE", "W_PUBCOMP"):
            continue
        for ack in ACKS:
            session = slot(state, staged=False)
            before = picture(session)
            nxt, action = CELLS[("out", "FREE", ack)]
            equal(session._on_ack(ACKS[ack], PID), ACTION[action], "%s + %s" % (state, ack))
            equal(picture(session), before)


def test_a_late_ack_is_ignored_however_few_slots_there_are():
    for inflight in (1, 2, 3):
        session = Session(inflight)
        for ack in ("PUBACK", "PUBREC", "PUBCOMP"):
            before = picture(session)
            equal(session._on_ack(ACKS[ack], PID), ACTION[CELLS[("out", "FREE", ack)][1]])
            equal(picture(session), before)


def test_reservations_begin_in_the_states_of_the_table():
    for event, state in (
        ("reserve1", "W_PUBACK"),
        ("reserve2", "W_PUBREC"),
        ("subscribe", "W_SUBACK"),
        ("unsub", "W_UNSUBACK"),
    ):
        equal(CELLS[("out", "FREE", event)][0], state)


def test_every_state_resumed_by_a_broker_that_remembers_and_by_one_that_forgot():
    for present in (True, False):
        for state in ("W_PUBACK", "W_PUBREC", "W_PUBCOMP"):
            session = slot(state)
            equal(session._slots_sent, 1)
            session._resume(present)
            nxt, action = CELLS[("out", state, "resume%d" % present)]
            note = "%s + resume%d" % (state, present)
            equal(state_of(session), nxt, note)
            if nxt == "FREE":
                equal((session.inflight, session._slots_sent), (0, 0), note)
                continue
            equal((session.inflight, session._slots_sent, session._packet_slots[0][0]), (1, 0, PID), note)
            equal(bool(session._packet_slots[0][1] & SENT), action != "PUBLISH", note + ": DUP")


def test_subscriptions_under_way_are_sent_again_on_either_resume():
    for present in (True, False):
        for state in ("W_SUBACK", "W_UNSUBACK"):
            session = slot(state)
            session._resume(present)
            equal((session.inflight, session._slots_sent, state_of(session)), (1, 0, state))


def test_incoming_qos_2():
    equal(CELLS[("in", "ABSENT", "hold")][0], "HELD")
    for present, event in ((True, "resume1"), (False, "resume0")):
        session = Session(1)
        equal(max(session._held_packet_ids), 0)
        session._held_packet_ids[3] = 7
        session._resume(present)
        equal(7 in session._held_packet_ids, CELLS[("in", "HELD", event)][0] == "HELD")
    for state in ("HELD", "ABSENT"):
        session = Session(1)
        if state == "HELD":
            session._held_packet_ids[3] = 7
        equal(session._on_ack(0x62, 7), ACTION[CELLS[("in", state, "PUBREL")][1]])
        equal(7 in session._held_packet_ids, False)


def test_what_is_to_be_sent_comes_in_the_order_of_reservation_even_when_packet_slots_are_reused():
    session = Session(3)
    for pid in (11, 12, 13):
        reserve(session, 0x32, pid=pid)
        equal(send(session), pid)
    equal(session._on_ack(0x40, 12), ACTION["DONE"])
    reserve(session, 0x34, body=b"x", pid=14)
    equal(send(session), 14)
    session._resume(True)
    equal([send(session), send(session), send(session)], [11, 13, 14])
    equal(session._slots_sent, session.inflight)


def test_a_waiting_message_keeps_its_place_when_one_before_it_is_acknowledged():
    session = Session(4)
    for pid in (11, 12, 13):
        reserve(session, 0x32, pid=pid)
    send(session), send(session)
    equal(session._on_ack(0x40, 11), ACTION["DONE"])
    equal((session._slots_sent, session.inflight), (1, 2))
    equal(send(session), 13)


def test_ids_run_from_1_to_65535_and_skip_those_in_flight():
    session = Session(3)
    session.pid = 65534
    equal(reserve(session, 0x32, body=b"")[0], 65535)
    equal(reserve(session, 0x32, body=b"")[0], 1)
    session.pid = 65534
    equal(reserve(session, 0x32, body=b"")[0], 2)


def test_a_slot_given_back_before_it_was_sent_is_not_counted_as_to_be_sent():
    for state in ("W_PUBACK", "W_PUBREC", "W_SUBACK", "W_UNSUBACK"):
        session = slot(state, staged=False)
        equal((session.inflight, session._slots_sent), (1, 0))
        session._free_slot(0)
        equal((session.inflight, session._slots_sent), (0, 0), state)
        reserve(session, 0x32, body=b"x")
        equal((session.inflight, session._slots_sent), (1, 0), state)


def test_a_pubrec_for_a_message_about_to_be_repeated_turns_the_repetition_into_its_pubrel():
    session = slot("W_PUBREC")
    session._resume(True)
    equal((session.inflight, session._slots_sent), (1, 0))
    equal(session._on_ack(0x50, PID), ACTION["PUBREL"])
    equal((state_of(session), session._packet_slots[0][0]), ("W_PUBCOMP", PID))
