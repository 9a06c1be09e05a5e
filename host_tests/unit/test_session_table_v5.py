"""The rows that MQTT 5 adds to the state table in session.py: each state with each event, driven through a client and a
scripted broker; the unlisted acks with a reason code, too."""

from fakes.bench5 import connected5
from fakes.check import equal, raises
from fakes.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
)
from umqtt.errors import MQTTException, ProtocolError

SOURCE_FORM_ONLY = "it reads the source and looks into slots"

SOURCE = __file__.replace("\\", "/").rsplit("/", 1)[0] + "/../../firmware/lib/umqtt/session.py"
STATES = {0: "FREE", 0x32: "W_PUBACK", 0x34: "W_PUBREC", 0x62: "W_PUBCOMP", 0x82: "W_SUBACK", 0xA2: "W_UNSUBACK"}
SIDES = ("out5", "in5", "window", "end5")
ACKS = {"PUBACK": PUBACK, "PUBREC": PUBREC, "PUBCOMP": PUBCOMP, "PUBREL": PUBREL, "SUBACK": SUBACK}
ACKS["UNSUBACK"] = UNSUBACK
SENT = 8
TAKEN_OVER = 0x8E
QUOTA = 0x97
UNKNOWN_ID = 0x92
TOPIC = "a/long/topic"


def table():
    """{(side, state, event): (next, action)}"""
    cells = {}
    with open(SOURCE) as file:
        for line in file.read().split('"""')[1].split("\n"):
            words = line.split()
            if len(words) >= 5 and words[0] in SIDES:
                cells[tuple(words[:3])] = (words[3], words[4])
    return cells


CELLS = table()


class Rows:
    """Those of one side: with Rows(side) as rows: rows(state, event) is (next, action); each must be asked for."""

    def __init__(self, side):
        self.side = side
        self.left = [key for key in CELLS if key[0] == side]

    def __enter__(self):
        return self

    def __exit__(self, kind, fault, trace):
        assert kind or not self.left, "not driven: %r" % self.left

    def __call__(self, state, event):
        """None when it is not listed."""
        key = self.side, state, event
        if key in self.left:
            self.left.remove(key)
        return CELLS.get(key)


def in_state(state, receive_maximum=20, **named):
    """A broker and a client whose packet 1 is in this state."""
    broker, client = connected5(props=[(33, receive_maximum), (34, 5)], topic_aliases=True, **named)
    if state in ("W_PUBACK", "W_PUBREC", "W_PUBCOMP"):
        qos = 1 if state == "W_PUBACK" else 2
        broker.expect(PUBLISH, qos=qos, pid=1)
        client.publish(TOPIC, "payload", qos=qos, wait=False)
    if state == "W_PUBCOMP":
        says(broker, PUBREC)
        broker.expect(PUBREL, pid=1)
        client.world.serve(client, 20)
    if state == "W_SUBACK":
        broker.expect(SUBSCRIBE, pid=1)
        client.subscribe("f", 1, wait=False)
    if state == "W_UNSUBACK":
        broker.expect(UNSUBSCRIBE, pid=1)
        client.unsubscribe("f", wait=False)
    broker.done()
    equal(state_of(client), state)
    return broker, client


def state_of(client):
    slot = client._packet_slots[0]
    return STATES[slot[1] & ~SENT if slot[0] else 0]


def says(broker, kind, reason=0, pid=1):
    named = {"codes": (reason,)} if kind in (SUBACK, UNSUBACK) else {"reason": reason} if reason else {}
    broker.send(kind, pid, **named)


def test_the_table_is_there():
    assert len(CELLS) == 24, len(CELLS)


def test_every_state_with_every_ack_that_says_no():
    with Rows("out5") as rows:
        for state in STATES.values():
            for name in ("PUBACK", "PUBREC", "PUBCOMP", "SUBACK", "UNSUBACK"):
                row = rows(state, name + "!")
                if row or name in ("PUBACK", "PUBREC"):  # the others as without a reason code: test_session_table
                    drive(state, name, row)


def drive(state, name, row):
    note = "%s + %s!" % (state, name)
    broker, client = in_state(state)
    ended = []
    client.on_ended = lambda packet_id, codes: ended.append((packet_id, codes))
    reason = UNKNOWN_ID if name == "PUBCOMP" else QUOTA
    says(broker, ACKS[name], reason)
    if not row:
        broker.expect(DISCONNECT, reason=0x82)
        broker.expect_end()
        raises(ProtocolError, client.world.serve, client, 20)
        broker.done()
        equal((state_of(client), ended), (state, []), note)
        return
    client.world.serve(client, 20)
    broker.done()
    to, action = row
    equal(state_of(client), to, note)
    told = {"IGNORE": [], "DONE": [(1, b"")], "REFUSED": [(1, bytes((reason,)))]}[action]
    equal(ended, [(1, b"")] if name == "UNSUBACK" else told, note)
    equal(client._granted_qos, {}, note)
    if action == "REFUSED" and name[:3] == "PUB":
        equal(raises(MQTTException, client._outgoing.raise_refusal, 1).args[0], reason, note)
    equal((client.inflight, client._slots_sent), (0, 0), note)


def test_a_pubrel_that_says_no_is_answered():
    with Rows("in5") as rows:
        for state in ("HELD", "ABSENT"):
            broker, client = in_state("FREE")
            if state == "HELD":
                broker.send(PUBLISH, qos=2, pid=7, topic="t", payload="x")
                broker.expect(PUBREC, pid=7)
                client.world.serve(client, 20)
            equal(rows(state, "PUBREL!"), ("ABSENT", "PUBCOMP"))
            says(broker, PUBREL, UNKNOWN_ID, 7)
            broker.expect(PUBCOMP, pid=7)
            client.world.serve(client, 20)
            broker.done()
            equal(7 in client._held_packet_ids, False)


def test_a_full_window_lets_pass_what_is_no_message_and_opens_with_the_end_of_one():
    with Rows("window") as rows:
        for event in ("publish", "subscribe", "resume1", "PUBACK", "PUBREC", "PUBREC!", "PUBCOMP"):
            to, _ = rows("FULL", event)
            first = {"PUBREC": "W_PUBREC", "PUBREC!": "W_PUBREC", "PUBCOMP": "W_PUBCOMP"}.get(event, "W_PUBACK")
            broker, client = in_state(first, 1)
            client.publish("next", "waits", qos=1, wait=False)
            client.world.serve(client, 20)
            broker.done()  # it stays in its slot
            if event == "publish":
                client.publish("third", "waits, too", qos=2, wait=False)
            elif event == "subscribe":
                broker.expect(SUBSCRIBE)
                client.subscribe("f", 1, wait=False)
            elif event == "resume1":
                broker.cut()
                raises(OSError, client.world.serve, client, 20)
                broker.expect(CONNECT)
                broker.send(CONNACK, sp=1, props=[(33, 1)])
                broker.expect(PUBLISH, pid=1, dup=1, topic=TOPIC)
                client.connect()
            else:
                says(broker, ACKS[event.rstrip("!")], QUOTA if event[-1] == "!" else 0)
                if to == "OPEN":
                    broker.expect(PUBLISH, topic="next", dup=0)
                else:
                    broker.expect(PUBREL, pid=1)
            client.world.serve(client, 20)
            broker.done()
            equal(client._slots_sent, 2 if event == "subscribe" else 1, event)


def test_a_session_that_another_device_took_goes_on_and_one_that_expired_begins_anew():
    with Rows("end5") as rows:
        for state in ("W_PUBACK", "W_PUBREC", "W_PUBCOMP"):
            for event in ("taken", "expired"):
                to, action = rows(state, event)
                broker, client = in_state(state, session_expiry_s=0 if event == "expired" else 100)
                if event == "taken":
                    broker.send(DISCONNECT, reason=TAKEN_OVER)
                    equal(raises(MQTTException, client.world.serve, client, 20).args[0], TAKEN_OVER)
                else:
                    broker.cut()
                    raises(OSError, client.world.serve, client, 20)
                broker.expect(CONNECT)
                broker.send(CONNACK, sp=1 if event == "taken" else 0, props=[(34, 5)])
                if "PUBLISH" in action:
                    # whole, for the alias ended with its connection
                    broker.expect(PUBLISH, pid=1, topic=TOPIC, dup=1 if "DUP" in action else 0)
                elif action == "PUBREL":
                    broker.expect(PUBREL, pid=1)
                client.connect()
                client.world.serve(client, 20)
                broker.done()
                equal(state_of(client), to, "%s + %s" % (state, event))
