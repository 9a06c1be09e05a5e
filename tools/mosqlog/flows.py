"""The QoS 1 and 2 messages of a client: which are on their way, which were lost, repeated, slow.

Each function takes the client and an event of it, keeps `client.flows` and `client.delays`, and returns what was found:
(code, time, example) as Finding.add takes them.
"""

from __future__ import annotations

from .events import Ack, Publish, Time
from .model import Client, Delays, Flow

SLOW_ACK_S = 10
WAITING_S = 30  # a flow open for longer at the end of the log is a finding
Found = list[tuple[str, Time, dict[str, object]]]


def published(client: Client, event: Publish) -> Found:
    """A PUBLISH with QoS 1 or 2."""
    key = (event.sent, event.pid)
    flow = client.flows.get(key)
    found: Found = []
    if event.dup:
        example: dict[str, object] = {"pid": event.pid, "qos": event.qos, "topic": event.topic}
        found.append(("resent-by-broker" if event.sent else "sent-twice", event.t, example))
        if flow is not None:
            flow.copies += 1
            return found
    elif flow is not None:
        found.append(("unfinished-flow" if event.sent else "pid-reused", event.t, told(flow)))
    client.flows[key] = Flow.begun(event)
    return found


def acked(client: Client, event: Ack) -> Found:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP."""
    # PUBREL goes the way of its PUBLISH, the others against it.
    key = (event.sent, event.pid) if event.name == "PUBREL" else (not event.sent, event.pid)
    flow = client.flows.get(key)
    if flow is None:
        return []
    found: Found = []
    if event.name == "PUBREL" and flow.step == "PUBREL":
        flow.copies += 1
        if event.sent:
            found.append(
                ("resent-by-broker", event.t, {"pid": event.pid, "qos": 2, "topic": flow.topic, "packet": "PUBREL"})
            )
    last = "PUBACK" if flow.qos == 1 else "PUBCOMP"
    if event.name != last and not (event.code and event.code >= 128):
        flow.step = event.name
        return found
    del client.flows[key]
    if event.t is not None and flow.t is not None:
        delay_s = max(0, event.t - flow.t)
        delays = client.delays.get(flow.sent)
        if delays is None:
            delays = client.delays[flow.sent] = Delays()
        delays.add(delay_s, flow.topic, flow.t)
        if delay_s >= SLOW_ACK_S:
            found.append(("slow-ack", event.t, {**told(flow), "delay_s": delay_s}))
    return found


def lost(client: Client, t: Time) -> Found:
    """The session that could have gone on with them is gone."""
    found: Found = [("unfinished-flow", t, told(flow)) for flow in client.flows.values()]
    client.flows.clear()
    return found


def waiting(client: Client, last: Time) -> Found:
    """Those that wait at the end of the log."""
    away = client.session is None
    return [
        ("waiting-flow", flow.t, told(flow, away=away))
        for flow in client.flows.values()
        if away or (last or 0) - (flow.t or 0) > WAITING_S
    ]


def told(flow: Flow, **more: object) -> dict[str, object]:
    return {
        "pid": flow.pid,
        "qos": flow.qos,
        "topic": flow.topic,
        "sent": flow.sent,
        "last": flow.step,
        "copies": flow.copies,
        "since": flow.t,
        **more,
    }
