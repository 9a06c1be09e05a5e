"""What can be wrong with a client: how bad, what it usually means, what to do.

The codes are part of the JSON interface: they are added to, never renamed.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    weight: int  # of one occurrence; the fleet is sorted by the sum
    title: str
    means: str
    do: str


KINDS = {
    "two-devices": Kind(
        50,
        "two devices with one client id",
        "Each CONNECT with the id throws the other device out, so both come and go for ever: the id "
        "was taken over back and forth between two addresses.",
        "Give every device an id of its own, for example its MAC address; look for a cloned "
        "configuration or a second copy of the program.",
    ),
    "never-closes": Kind(
        25,
        "connects anew without closing the old connection",
        "The same address took its own id over again and again within ten minutes: one program that "
        "opens a new connection and leaves the old one open, or that restarts. (Behind a router or a "
        "container's gateway it could also be two programs with one id.)",
        "Let the client close a connection before it opens the next, and wait longer for CONNACK; look "
        "for a second copy of the program on that host.",
    ),
    "flapping": Kind(
        40,
        "connects and falls out again and again",
        "Five or more connections within ten minutes broke off.",
        "How they ended says why: see the other findings of this client. Give it a growing pause between attempts.",
    ),
    "like-clockwork": Kind(
        30,
        "falls out like clockwork",
        "Its connections all last equally long, or end in one rhythm: that is a timer, not the "
        "network. Usual timers: the client's own reconnect or restart, a watchdog, a proxy's or "
        "router's time limit for idle connections, a short-lived program run again and again.",
        "Look for this number of seconds in the program, its watchdog, proxies and routers between.",
    ),
    "silent-after-connect": Kind(
        30,
        "falls silent right after its CONNECT",
        "Each time the keep-alive ran out without another packet: the client connects, and then its "
        "program hangs, sleeps or never sends PINGREQ (or nothing of it gets through).",
        "See that its loop runs and calls the MQTT client often enough; a sleeping device should "
        "DISCONNECT first or ask for a longer keep-alive.",
    ),
    "new-id-each-time": Kind(
        20,
        "makes itself a new id each time",
        "Ids that differ only in a random part come from one place, one after the other: one device or "
        "program that forgets its id. It has no session to come back to, and with clean session off "
        "the broker keeps a queue for each id that never returns.",
        "Give it a fixed client id; set persistent_client_expiration in mosquitto.conf against the "
        "sessions left behind.",
    ),
    "keepalive-missed": Kind(
        20,
        "fell silent: keep-alive missed",
        "Nothing came for one and a half times the keep-alive: power or WiFi lost, a program that "
        "hangs, or one that does not send PINGREQ in time.",
        "If it happens while the device runs, see that its loop is never blocked for longer than "
        "the keep-alive; if it sleeps, let it DISCONNECT first.",
    ),
    "late-heartbeat": Kind(
        3,
        "heartbeat later than its keep-alive",
        "A gap between two packets was longer than the client promised; the broker forgives half "
        "as much again, then it closes.",
        "Send PINGREQ well inside the interval, or CONNECT with a longer one.",
    ),
    "taken-over": Kind(
        5,
        "taken over by a new connection with the same id",
        "Usually the device itself, back before the broker noticed that the old connection was "
        "dead (a reset, or WiFi lost). Old and new address tell.",
        "If it is one device, a shorter keep-alive makes the old connection go earlier; if the "
        "addresses belong to two, give each an id of its own.",
    ),
    "back-late": Kind(
        10,
        "came back long after the others",
        "The broker's restart or the network's outage hit many at once, and most of them were back by then: the rest "
        "of its absence is this device's own.",
        "See what it waits for: a pause between two attempts that grows too long, a name or an address that it keeps, "
        "weak WiFi, a program that gave up until something restarted it.",
    ),
    "closed-without-disconnect": Kind(
        8,
        "connection closed without DISCONNECT",
        "The device or something between closed the connection: a crash, a reset, a program that "
        'just ends, a router. (To 1.6 the broker\'s "Socket error" can also be a fault that it does not '
        "name.) If the client left a will, the broker sent it.",
        "See what came last. A client that leaves on purpose should send DISCONNECT.",
    ),
    "socket-error": Kind(
        8,
        "connection broken by an error",
        "The broker could not read or write the connection; its own words say why.",
        "See the words; TLS errors usually mean certificates or clocks, others the network.",
    ),
    "protocol-error": Kind(
        30,
        "broke the protocol",
        "The client sent what MQTT does not allow, and the broker closed.",
        "A fault in the client: update it, or report the words of the broker to its authors.",
    ),
    "malformed": Kind(
        30,
        "sent a malformed packet",
        "A packet could not be read: a fault of the client, or two threads that write to one socket.",
        "Update the client; see that one task only writes.",
    ),
    "oversize": Kind(
        20,
        "packet too large",
        "A packet was larger than the broker allows.",
        "Raise max_packet_size (message_size_limit) in mosquitto.conf, or send less at once.",
    ),
    "refused-login": Kind(
        15,
        "login refused",
        "User, password or id were not accepted, or the broker wants another protocol version. From "
        "2.0 on a client without user and password is refused unless allow_anonymous is true.",
        "Compare the credentials with the broker's (password_file, plugin, allow_anonymous); the words say which.",
    ),
    "everybody-refused": Kind(
        80,
        "every login is refused",
        "Not one of several clients got in: the broker's side is wrong (password file, plugin, "
        "allow_anonymous, a new version's defaults), not the devices.",
        "Look at what was changed on the broker: after 1.6 -> 2.0 set allow_anonymous or a password_file; "
        "see that the broker can read it and that the plugin or its back end answers.",
    ),
    "not-authorised": Kind(
        15,
        "put out: not authorised any more",
        "The credentials or the certificate are no longer valid, or a plugin put the client out.",
        "Renew its credentials.",
    ),
    "administrative": Kind(
        2, "put out by the administrator", "Somebody or a plugin disconnected the client.", "Ask who."
    ),
    "no-memory": Kind(
        10,
        "put out: the broker had no memory",
        "The broker reached its memory_limit.",
        "Look at the queues of clients that are away; raise memory_limit.",
    ),
    "unfinished-flow": Kind(
        10,
        "message flow never finished",
        "A QoS 1 or 2 message was not acknowledged to the end, and the session that could have "
        "gone on with it is gone: the message may be lost, or come again as a new one.",
        "Connect with clean session off and an unchanged id, and let the client resume its "
        "messages with their packet ids.",
    ),
    "waiting-flow": Kind(
        5,
        "message flow waits for its end",
        "A QoS 1 or 2 message is not acknowledged to the end; the session is kept, so it goes on "
        "when the client comes back.",
        "If the client is connected all the while, it does not acknowledge: see its loop.",
    ),
    "sent-twice": Kind(
        6,
        "published twice (DUP)",
        "The client repeated a message because it missed the answer. A repeated QoS 1 message is "
        "delivered again to every subscriber; a QoS 2 one only when its session was lost.",
        "Expected now and then at QoS 1: subscribers must bear it. If it is often, the client's "
        "patience is too short or the link bad; QoS 2 avoids the second copy.",
    ),
    "resent-by-broker": Kind(
        4,
        "broker had to send again (DUP)",
        "The client had not acknowledged a message before it went or, up to 1.4, in time.",
        "See why it is slow to acknowledge: it may be busy in its callback.",
    ),
    "pid-reused": Kind(
        25,
        "packet id used again while in flight",
        "A new message went out under the id of one that was not finished: one of them is lost.",
        "A fault in the client's counting of packet ids: update it.",
    ),
    "unknown-packet-id": Kind(
        6,
        "acknowledged what the broker does not know",
        "An ack named a packet id that is not in flight: an ack sent twice, or a session that one side has lost.",
        "Harmless once after a reconnect; otherwise a fault in the client.",
    ),
    "slow-ack": Kind(
        3,
        "slow to acknowledge",
        "Between a PUBLISH and its last ack lay ten seconds or more.",
        "A busy callback, a full link, or a device that slept with messages open.",
    ),
    "denied": Kind(
        10,
        "publish or subscribe denied",
        "The access list does not allow this topic. Before MQTT 5 the client is not told: the "
        "message is acknowledged and dropped.",
        "Correct the topic, or the acl_file.",
    ),
    "dropped": Kind(
        15,
        "broker drops its messages",
        "The queue for this client is full (max_queued_messages), or messages were too large or over quota.",
        "Let it receive faster, subscribe to less or with QoS 0, or raise the limits.",
    ),
    "misbehaved": Kind(5, "the broker complained", "The broker's own words say about what.", "See the words."),
    "port-check": Kind(
        0,
        "connects and closes without a word of MQTT, regularly",
        "A health check or watchdog (of a container, a supervisor, a monitor) that only looks whether the "
        "port is open. Harmless.",
        "Nothing; connection_messages false keeps it out of the log, or let the check speak MQTT.",
    ),
    "no-connect": Kind(
        3,
        "connections that never became MQTT sessions",
        "Something opens the port and goes without a valid CONNECT: a port scanner, a browser, a client "
        "with another protocol or TLS setting, or (to 1.6, which does not say so) a refused login.",
        "If the address is not yours, close the port to it (firewall, bind_address); else see what runs there.",
    ),
    "tls-failed": Kind(
        15, "TLS handshake failed", "The words say why, and on whose side.", "See the words for what to do."
    ),
    "bridge-refused": Kind(
        40,
        "bridge: the other broker refuses it",
        "The far broker answered the CONNECT with no.",
        "Compare remote_username, remote_password and remote_clientid with what the far broker expects.",
    ),
    "bridge-unreachable": Kind(
        40,
        "bridge: the other broker cannot be reached",
        "The connection could not be made.",
        "Check address, DNS, firewall and whether the far broker runs and listens there.",
    ),
    "bridge-closed-at-once": Kind(
        40,
        "bridge: closed by the far end right after CONNECT, or without an answer to it",
        "The far end took the connection and closed it without a word: its limit of connections or sockets, a "
        "refused login (to 1.6), a MQTT version or TLS setting that it does not like, an id that is in use.",
        "Read the far broker's log at that moment; try try_private false and another bridge_protocol_version.",
    ),
    "bridge-lost": Kind(
        15,
        "bridge: the connection was lost",
        "The bridge stood and its connection ended.",
        "See the words and the far broker's log; keepalive_interval decides how soon it is noticed.",
    ),
    "bridge-tls": Kind(
        40,
        "bridge: TLS handshake failed",
        "OpenSSL's words say why.",
        "Check bridge_cafile, the name in the far certificate, bridge_certfile and the clocks.",
    ),
    "bridge-address": Kind(
        40,
        "bridge: its address is a port number",
        "The broker took a port for the host: in mosquitto.conf `address host port` is written with a blank.",
        "Write `address host:port` with a colon.",
    ),
    "bridge-downgraded": Kind(
        1, "bridge: the far end has no MQTT 5", "It goes on with 3.1.1.", "Set bridge_protocol_version mqttv311."
    ),
    "many-at-once": Kind(
        60,
        "many clients fell out at once",
        "They have in common the broker, its host or the network before it: it is not the devices.",
        "See the cause that is named; look at the host's load, disk and network at that moment.",
    ),
    "broker-slow": Kind(
        50,
        "the broker or its host is slow",
        'A CONNECT was answered long after the connection was accepted, or a keep-alive "missed" before its '
        "time was over: the broker, which is one thread, did not get round to it. Usual reasons: an "
        "authentication plugin or back "
        "end that takes its time, a disk that stalls while the database is saved, a host without CPU or memory.",
        "Measure the plugin's back end; put the database on a faster disk or save it less often; look at the load.",
    ),
    "broker-sockets": Kind(
        100,
        "the broker is out of sockets",
        "The limit of open files is reached: nobody new gets in.",
        "Raise it: LimitNOFILE= in the systemd unit (systemctl edit mosquitto), ulimits in compose, ulimit "
        "-n; it must exceed "
        "the number of connections. Then restart the broker.",
    ),
    "broker-tcpd": Kind(
        60,
        "connections denied by tcpd",
        "hosts.allow / hosts.deny forbid the address; when the broker is out of sockets (ulimit -n), 1.4 says "
        "the same.",
        "Check hosts.allow and hosts.deny, and the limit of open files.",
    ),
    "broker-limit": Kind(
        60,
        "the broker's own limit of connections is reached",
        "max_connections of the listener is used up.",
        "Raise max_connections, or find who holds so many.",
    ),
    "broker-port": Kind(
        100,
        "the broker cannot listen on its port",
        "Another program (often a second Mosquitto) has the port, the address is not this host's, or the port "
        "needs rights (below 1024).",
        "Look who has it: ss -ltnp; stop the other one, or choose another listener.",
    ),
    "broker-database": Kind(
        90,
        "the broker cannot save its database",
        "Retained messages, kept sessions and their queues will be lost when it stops.",
        "Give the broker's user the right to write in persistence_location (the folder too: it writes a .new file "
        "there), look at free space and at the container's volume.",
    ),
    "broker-database-lost": Kind(
        90,
        "the broker could not read its database",
        "The file is damaged or of another version: retained messages and kept sessions are not there.",
        "Keep a copy of the file, restore a backup or let the broker begin with a new one; look for full "
        "disks and power "
        "cuts.",
    ),
    "broker-certificates": Kind(
        80,
        "certificates or keys of the broker",
        "It cannot load or use them: TLS does not work as configured.",
        "Check paths, rights (the broker's user must read the key), and that certificate and key belong together.",
    ),
    "broker-plugin": Kind(
        80,
        "a plugin of the broker",
        "It was not loaded, or failed: logins and rights depend on it.",
        "Check its path, that it was built for this Mosquitto version, and its own options.",
    ),
    "broker-memory": Kind(
        90,
        "the broker is out of memory",
        "memory_limit or the host's memory is used up.",
        "Limit the queues (max_queued_messages, persistent_client_expiration), look for large retained messages.",
    ),
    "broker-file-rights": Kind(
        3,
        "owner and rights of files of the broker",
        "A later version will refuse such a file.",
        "chown and chmod it as the words say.",
    ),
    "broker-files": Kind(
        50,
        "files of the broker",
        "It cannot open a file.",
        "Give the broker's user the right to read it (and to write logs); the words name the file.",
    ),
    "broker-passwords": Kind(
        50,
        "password or access list file",
        "Entries in it are not valid and are left out.",
        "Make the entries anew with mosquitto_passwd; the words name them.",
    ),
    "broker-local-only": Kind(
        80,
        "the broker listens on this machine only",
        "2.0 without a listener in its configuration: nobody else can connect.",
        "Add `listener 1883` and either a password_file or allow_anonymous true to mosquitto.conf.",
    ),
    "broker-root": Kind(
        1, "the broker runs as root", "A fault in it would have all rights.", "Let it run as user mosquitto."
    ),
    "broker-deprecated": Kind(
        1,
        "options that are deprecated or without effect",
        "They work differently, or not at all, in this version.",
        "Adapt mosquitto.conf.",
    ),
    "broker-configuration": Kind(
        90,
        "the broker's configuration",
        "It does not understand or accept it, and often does not start.",
        "Correct the line that is named; `mosquitto -c FILE --test-config` (2.1) checks it.",
    ),
    "broker-loop": Kind(
        40,
        "the broker's loop reports an error",
        "A connection could not be watched: a fault in the broker or its system.",
        "Update Mosquitto; look at the limit of open files.",
    ),
    "broker-oom": Kind(
        100,
        "the kernel killed the broker: out of memory",
        "The host had no memory left. Queues for clients that are away and large retained messages fill the broker's.",
        "Limit them (max_queued_messages, max_queued_bytes, persistent_client_expiration, memory_limit); give "
        "the host more.",
    ),
    "broker-crashed": Kind(
        100,
        "the broker crashed",
        "A fault in the broker or a plugin, not in the devices.",
        "Update Mosquitto and its plugins; report the words to their authors.",
    ),
    "broker-killed": Kind(
        90,
        "the broker was killed",
        "Somebody or something (the service manager, the container, a watchdog) ended it.",
        "See the words and the journal around that time.",
    ),
    "broker-failed": Kind(
        90,
        "the broker ended with an error",
        "It stopped by itself or did not start.",
        "The broker's own lines before say why; start it by hand with -v to see them.",
    ),
    "plugin-refuses": Kind(
        15,
        "the authentication plugin refuses logins",
        "Its own words say which.",
        "Check the user in the plugin's back end; a client without user and password is refused by most plugins.",
    ),
    "broker-error": Kind(40, "errors of the broker", "Its own words, as they are.", "See the words."),
    "broker-warning": Kind(5, "warnings of the broker", "Its own words, as they are.", "See the words."),
    "session-expired": Kind(
        1,
        "kept session expired",
        "The client stayed away longer than persistent_client_expiration (or its own expiry).",
        "Nothing, if the device is gone; otherwise a longer expiry.",
    ),
    "no-keepalive": Kind(
        2,
        "keep-alive 0",
        "The client promised nothing: when it vanishes, nobody notices and its last will is not sent.",
        "CONNECT with a keep-alive, 60 s for example, and send PINGREQ in time.",
    ),
}


class Finding:
    """One kind of trouble of one subject: how often, when, and a few examples."""

    EXAMPLES = 5
    __slots__ = ("code", "count", "first", "last", "examples")

    def __init__(self, code: str):
        self.code, self.count = code, 0
        self.examples: list[dict[str, object]] = []
        self.first: float | None = None
        self.last: float | None = None

    def add(self, t: float | None, example: dict[str, object], distinct: bool = False) -> dict[str, object]:
        """Counts one occurrence and returns its example as it is kept. The first two and the latest are; when they
        are to be distinct, one with the same words stands for all of them (`times`, and `until` the latest)."""
        if not self.count:
            self.first = t
        self.count, self.last = self.count + 1, t
        if distinct:
            for kept in self.examples:
                if kept.get("words") == example.get("words"):
                    kept["times"] = kept.get("times", 1) + 1  # type: ignore[operator]
                    kept["until"] = t
                    return kept
        kept = {"t": t, **example}
        if example:
            if len(self.examples) == self.EXAMPLES:
                del self.examples[2]
            self.examples.append(kept)
        return kept

    @property
    def weight(self) -> int:
        """Grows with the count, but ten of a small kind do not outweigh a great one for long."""
        return KINDS[self.code].weight * min(self.count, 10)
