"""Journals as a client leaves them, without a client: what was in flight, and what is after a start."""

from umqtt import wire
from umqtt.journaling import KeptSession
from umqtt.session import Session
from umqtt.store import FileJournal, Store
from umqtt.wire import IN_USE

QOS_1 = 0x32
QOS_2 = 0x34
PUBREL = 0x62
SENT = 8


def new(path, client_id="c1", server="s", window=4):
    """(store, session, subscriptions) as after a start; the journal grows without a snapshot."""
    store = Store(FileJournal(path, 4096))
    session = KeptSession(Session(max(window, store.window)), store)
    store.resub = store.replay(session, client_id, server)
    return store, session, session._subscriptions()


def put(store, session, qos, topic, payload):
    session.client._draft[1:IN_USE] = 0x30 | qos << 1, wire.text(topic), payload
    slot = session.client._take_slot()
    store.put(slot)
    return slot[0]


def slots(session):
    """[(id, first byte, topic, payload)] in the order of their coming."""
    return [(slot[0], slot[1] & ~SENT, bytes(slot[2][2:]), slot[3]) for slot in session._in_flight()]


def filled(path):
    """A journal with three messages in flight in all states, an incoming id, a subscription, state bytes."""
    store, session, subscriptions = new(path)
    first_id = put(store, session, 2, b"t/a", b"one")
    second_id = put(store, session, 1, b"t/b", b"two")
    third_id = put(store, session, 2, b"t/c", b"three")
    session.client._packet_slots[0][1] |= SENT
    session.client._on_ack(0x50, first_id)
    store.acked(5, first_id)
    store.seen(77, b"effect")
    subscriptions[wire.text("in/#", 1)] = 2
    store.subscribed(wire.text("in/#", 1), 2)
    store.close()
    return first_id, second_id, third_id
