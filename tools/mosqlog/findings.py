"""What can be wrong with a client: how bad, what it usually means, what to do.

The codes are part of the JSON interface: they are added to, never renamed.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    weight: int         # of one occurrence; the fleet is sorted by the sum
    title: str
    means: str
    do: str


KINDS = {
    "two-devices": Kind(
        50, "two devices with one client id",
        "Each CONNECT with the id throws the other device out, so both come and go for ever. (From "
        "one address only: two devices behind one router, or one that restarts again and again "
        "without closing.)",
        "Give every device an id of its own, for example its MAC address; look for a cloned "
        "configuration or a second copy of the program."),
    "flapping": Kind(
        40, "connects and falls out again and again",
        "Five or more connections within ten minutes broke off. Weak WiFi, a program that crashes "
        "after its CONNECT, or a reconnect loop without a pause.",
        "Look at how the sessions end and what the last packets were; check signal and power "
        "supply; give the client a growing pause between attempts."),
    "keepalive-missed": Kind(
        20, "fell silent: keep-alive missed",
        "Nothing came for one and a half times the keep-alive: power or WiFi lost, a program that "
        "hangs, or one that does not send PINGREQ in time.",
        "If it happens while the device runs, see that its loop is never blocked for longer than "
        "the keep-alive; if it sleeps, let it DISCONNECT first."),
    "late-heartbeat": Kind(
        3, "heartbeat later than its keep-alive",
        "A gap between two packets was longer than the client promised; the broker forgives half "
        "as much again, then it closes.",
        "Send PINGREQ well inside the interval, or CONNECT with a longer one."),
    "taken-over": Kind(
        5, "taken over by a new connection with the same id",
        "Usually the device itself, back before the broker noticed that the old connection was "
        "dead (a reset, or WiFi lost). Old and new address tell.",
        "If it is one device, a shorter keep-alive makes the old connection go earlier; if the "
        "addresses belong to two, give each an id of its own."),
    "closed-without-disconnect": Kind(
        8, "connection closed without DISCONNECT",
        "The device or something between closed the connection: a crash, a reset, a program that "
        "just ends, a router. The last will was sent.",
        "See what came last. A client that leaves on purpose should send DISCONNECT."),
    "socket-error": Kind(
        8, "connection broken by an error",
        "The broker could not read or write the connection; its own words say why.",
        "See the words; TLS errors usually mean certificates or clocks, others the network."),
    "protocol-error": Kind(
        30, "broke the protocol",
        "The client sent what MQTT does not allow, and the broker closed.",
        "A fault in the client: update it, or report the words of the broker to its authors."),
    "malformed": Kind(
        30, "sent a malformed packet",
        "A packet could not be read: a fault of the client, or two threads that write to one "
        "socket.",
        "Update the client; see that one task only writes."),
    "oversize": Kind(
        20, "packet too large",
        "A packet was larger than the broker allows.",
        "Raise max_packet_size (message_size_limit) in mosquitto.conf, or send less at once."),
    "refused-login": Kind(
        15, "CONNECT refused",
        "User, password or id were not accepted, or the broker wants another protocol version.",
        "Compare the credentials with the broker's; the code says which."),
    "not-authorised": Kind(
        15, "put out: not authorised any more",
        "The credentials or the certificate are no longer valid, or a plugin put the client out.",
        "Renew its credentials."),
    "administrative": Kind(
        2, "put out by the administrator", "Somebody or a plugin disconnected the client.",
        "Ask who."),
    "no-memory": Kind(
        10, "put out: the broker had no memory", "The broker reached its memory_limit.",
        "Look at the queues of clients that are away; raise memory_limit."),
    "unfinished-flow": Kind(
        10, "message flow never finished",
        "A QoS 1 or 2 message was not acknowledged to the end, and the session that could have "
        "gone on with it is gone: the message may be lost, or come again as a new one.",
        "Connect with clean session off and an unchanged id, and let the client resume its "
        "messages with their packet ids."),
    "waiting-flow": Kind(
        5, "message flow waits for its end",
        "A QoS 1 or 2 message is not acknowledged to the end; the session is kept, so it goes on "
        "when the client comes back.",
        "If the client is connected all the while, it does not acknowledge: see its loop."),
    "sent-twice": Kind(
        6, "published twice (DUP)",
        "The client repeated a message because it missed the answer. A repeated QoS 1 message is "
        "delivered again to every subscriber; a QoS 2 one only when its session was lost.",
        "Expected now and then at QoS 1: subscribers must bear it. If it is often, the client's "
        "patience is too short or the link bad; QoS 2 avoids the second copy."),
    "resent-by-broker": Kind(
        4, "broker had to send again (DUP)",
        "The client had not acknowledged a message before it went or, up to 1.4, in time.",
        "See why it is slow to acknowledge: it may be busy in its callback."),
    "pid-reused": Kind(
        25, "packet id used again while in flight",
        "A new message went out under the id of one that was not finished: one of them is lost.",
        "A fault in the client's counting of packet ids: update it."),
    "unknown-packet-id": Kind(
        6, "acknowledged what the broker does not know",
        "An ack named a packet id that is not in flight: an ack sent twice, or a session that one "
        "side has lost.",
        "Harmless once after a reconnect; otherwise a fault in the client."),
    "slow-ack": Kind(
        3, "slow to acknowledge",
        "Between a PUBLISH and its last ack lay ten seconds or more.",
        "A busy callback, a full link, or a device that slept with messages open."),
    "denied": Kind(
        10, "publish or subscribe denied",
        "The access list does not allow this topic. Before MQTT 5 the client is not told: the "
        "message is acknowledged and dropped.",
        "Correct the topic, or the acl_file."),
    "dropped": Kind(
        15, "broker drops its messages",
        "The queue for this client is full (max_queued_messages), or messages were too large or "
        "over quota.",
        "Let it receive faster, subscribe to less or with QoS 0, or raise the limits."),
    "misbehaved": Kind(
        5, "the broker complained", "The broker's own words say about what.", "See the words."),
    "session-expired": Kind(
        1, "kept session expired",
        "The client stayed away longer than persistent_client_expiration (or its own expiry).",
        "Nothing, if the device is gone; otherwise a longer expiry."),
    "no-keepalive": Kind(
        2, "keep-alive 0",
        "The client promised nothing: when it vanishes, nobody notices and its last will is not "
        "sent.",
        "CONNECT with a keep-alive, 60 s for example, and send PINGREQ in time."),
}


class Finding:
    """One kind of trouble of one client: how often, when, and a few examples."""

    EXAMPLES = 5
    __slots__ = ("code", "count", "first", "last", "examples")

    def __init__(self, code: str):
        self.code, self.count, self.examples = code, 0, []
        self.first = self.last = None

    def add(self, t: float | None, example: dict[str, object]) -> None:
        """Counts one occurrence. The first two and the latest examples are kept."""
        if not self.count:
            self.first = t
        self.count, self.last = self.count + 1, t
        if example:
            if len(self.examples) == self.EXAMPLES:
                del self.examples[2]
            self.examples.append({"t": t, **example})

    @property
    def weight(self) -> int:
        """Grows with the count, but ten of a small kind do not outweigh a great one for long."""
        return KINDS[self.code].weight * min(self.count, 10)
