"""The packets of clients: counted by client, session and topic, their flows kept, and what a refused one says."""

from __future__ import annotations

from typing import Callable

from . import events, flows
from .clients import Clients
from .condense import Traffic
from .events import Time
from .model import Client, Delays, Session
from .topics import Topics


class Packets:
    """Takes the events that are packets, and the lines about single ones."""

    def __init__(self, clients: Clients, topics: Topics, find: Callable[..., object]):
        self._clients, self._topics, self._find = clients, topics, find

    def publish(self, event: events.Publish) -> None:
        """A PUBLISH, in either direction."""
        t, sent, name, _, qos, _, _, topic_name, size_b = event
        topic = self._topics.get(topic_name) or self._topics.at(topic_name, t)
        size_b = size_b or 0
        if sent:
            client = self._clients.present(name)
            client.last_seen = t
            if client.packets is not None:
                client.packets.append(event)
            client.sent += 1
            client.sent_b += size_b
            topic.sent += 1
            topic.sent_b += size_b
            if client.session:
                client.session.sent += 1
        else:
            client = self._clients.heard(name, event)
            client.received += 1
            client.received_b += size_b
            if client.session:
                client.session.received += 1
            topic.received += 1
            topic.received_b += size_b
            topic.last = t
        if qos:
            for found in flows.published(client, event):
                self._find(client, *found)

    def ack(self, event: events.Ack) -> None:
        """A PUBACK, PUBREC, PUBREL or PUBCOMP."""
        if event.sent:
            client = self._clients.present(event.client)
            client.last_seen = event.t
            if client.packets is not None:
                client.packets.append(event)
        else:
            client = self._clients.heard(event.client, event)
        for found in flows.acked(client, event):
            self._find(client, *found)

    def traffic(self, traffic: Traffic) -> None:
        """What many PUBLISH packets, their acks and PINGREQs come to."""
        client = self._clients.present(traffic.client)
        if traffic.heard:
            if client.session is None:
                self._clients.open(client, Session())
                client.last_heard = None
            if traffic.heard_first is not None:
                if client.last_heard is not None:
                    self._clients.silence(client, traffic.heard_first, traffic.heard_first - client.last_heard)
                client.longest_silence_s = max(client.longest_silence_s, traffic.longest_silence_s)
                for t, silence_s in traffic.silences:
                    self._clients.silence(client, t, silence_s)
                client.last_heard = traffic.heard_last
        client.last_seen = traffic.t
        client.pings += traffic.pings
        for count in traffic.topics:
            self._topics.add(count)
            session = client.session
            if count.sent:
                client.sent += count.count
                client.sent_b += count.size_b
            else:
                client.received += count.count
                client.received_b += count.size_b
            if session:
                session.sent += count.count if count.sent else 0
                session.received += 0 if count.sent else count.count
        for sent, pid in list(client.flows):
            if str(pid) in traffic.opened[sent]:
                self._find(
                    client,
                    "unfinished-flow" if sent else "pid-reused",
                    traffic.opened[sent][str(pid)],
                    flows.told(client.flows.pop((sent, pid))),
                )
        for sent, delays in traffic.delays.items():
            client.delays.setdefault(sent, Delays()).merge(delays)
        for flow, delay_s in traffic.slow:
            self._find(client, "slow-ack", (flow.t or 0) + delay_s, {**flows.told(flow), "delay_s": delay_s})
        for flow in traffic.flows:
            client.flows[flow.sent, flow.pid] = flow

    def lose(self, client: Client, t: Time) -> None:
        """The session that its open flows belong to is gone."""
        for found in flows.lost(client, t):
            self._find(client, *found)

    def asked(self, event: events.Filter) -> None:
        """A filter of a SUBSCRIBE or UNSUBSCRIBE."""
        if event.denied:
            self._find(
                self._clients.present(event.client), "denied", event.t, {"packet": "SUBSCRIBE", "topic": event.filter}
            )

    def granted(self, event: events.Granted) -> None:
        """A subscription in force."""
        self._clients.present(event.client).subscriptions[event.filter] = event.qos

    def removed(self, event: events.Removed) -> None:
        """A subscription gone."""
        self._clients.present(event.client).subscriptions.pop(event.filter, None)

    def refused(self, event: events.Refused) -> None:
        """A PUBLISH that the broker did not pass on."""
        client = self._clients.present(event.client) if event.sent else self._clients.heard(event.client, event)
        self._find(
            client,
            "denied" if event.why == "denied" else "dropped",
            event.t,
            {"packet": "PUBLISH", "sent": event.sent, "why": event.why, "topic": event.topic},
        )

    def dropping(self, event: events.Dropping) -> None:
        """The queue of the client is full."""
        self._find(self._clients.subject(event.client), "dropped", event.t, {"why": "queue full"})

    def unknown_pid(self, event: events.UnknownPid) -> None:
        """An ack for a packet id that the broker does not know."""
        self._find(
            self._clients.heard(event.client, event),
            "unknown-packet-id",
            event.t,
            {"packet": event.name, "pid": event.pid},
        )
