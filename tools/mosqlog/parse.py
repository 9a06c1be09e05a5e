"""Mosquitto log lines, versions 1.3 to 2.1, as typed events.

    parse(line) -> Event            one line by itself
    Parser().parse(line) -> Event   the lines of one log in order: also knows the lines that only
                                    mean something after another one (filters, the will's topic)

As the oracle of a test: start Mosquitto with `log_type all` to stderr into a file, then

    events = [parse(line) for line in open(path, "rb")]
    assert Publish(t, False, "dev", dup=True, ...) in events      or
    assert [e.pid for e in events if isinstance(e, Ack) and e.name == "PUBREL"] == [7]

Every event is a NamedTuple whose first field is `t`: seconds since 1970, None when the line has no
time. A time without a zone is taken as written (as if it were UTC). `sent` is True for what the
broker sent to the client. Ids, users and topics are str; bytes that are not UTF-8 become lone
surrogates ("surrogateescape") and come back unchanged with `.encode("utf-8", "surrogateescape")`.

Never raises on input, never invents: what is not recognised whole is `Unknown`.
Anchored at the line's end wherever the format allows, because ids and topics hold anything. Two
texts cannot be told apart by anybody: an id that itself contains ` (d0, q0, r0, m0, '`; it is
taken to end before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Callable, NamedTuple, Optional, Union

from . import troubles
from .prefix import Split, Splitter

Time = Optional[float]
LEARN_LINES = 2000  # at the beginning of a log


class Accept(NamedTuple):
    """A TCP connection, no CONNECT yet. `address` is IP (1.x) or IP:PORT (2.x); `port` is 0 where it is not logged
    (0.15)."""

    t: Time
    address: str
    port: int


class Connected(NamedTuple):
    """A CONNECT that passed. `protocol` 3, 4 (3.1.1), 5, None where not logged (to 1.5); `clean` and `keepalive_s` are
    None where that is not logged (before 1.3)."""

    t: Time
    client: str
    address: str
    protocol: int | None
    clean: bool | None
    keepalive_s: int | None
    user: str | None
    bridge: bool


class Will(NamedTuple):
    """The client left a will; its topic follows as WillTopic."""

    t: Time
    client: str | None
    size_b: int
    qos: int
    retain: bool


class WillTopic(NamedTuple):
    """Only from Parser."""

    t: Time
    client: str | None
    topic: str


class Connack(NamedTuple):
    """`code` 0 is accepted. Before 2.1 a refused CONNACK names the address as `client`.
    `session_present` is None in 1.3, which does not log it."""

    t: Time
    client: str
    session_present: bool | None
    code: int


class Publish(NamedTuple):
    """`pid` counts in the client's own space when received, in the broker's when sent.
    `size_b` is None when Mosquitto cut the line; then `topic` is cut too."""

    t: Time
    sent: bool
    client: str
    dup: bool
    qos: int
    retain: bool
    pid: int
    topic: str
    size_b: int | None


class Ack(NamedTuple):
    """`name` PUBACK, PUBREC, PUBREL or PUBCOMP; `code` None where not logged."""

    t: Time
    sent: bool
    name: str
    client: str
    pid: int
    code: int | None


class Control(NamedTuple):
    """`name` SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT or AUTH."""

    t: Time
    sent: bool
    name: str
    client: str


class Filter(NamedTuple):
    """A filter of the SUBSCRIBE (qos 0..2) or UNSUBSCRIBE (qos None). Only from Parser."""

    t: Time
    client: str
    filter: str
    qos: int | None
    denied: bool


class Granted(NamedTuple):
    """A subscription in force. Only from Parser."""

    t: Time
    client: str
    filter: str
    qos: int


class Removed(NamedTuple):
    """A subscription gone. Only from Parser."""

    t: Time
    client: str
    filter: str


class Ended(NamedTuple):
    """A line that ends a connection. `how` is one of HOWS; `address` from 2.1.1 on;
    `detail` is the broker's own reason for `error`. One end may take two lines, and 1.4 and 2.1
    write one for a connection that had ended before: the analyser sorts that out."""

    t: Time
    client: str
    how: str
    address: str | None
    detail: str


class Refused(NamedTuple):
    """A PUBLISH that the broker did not pass on. `why` is denied, too-large or quota."""

    t: Time
    sent: bool
    client: str
    why: str
    qos: int | None
    topic: str | None
    size_b: int | None


class Dropping(NamedTuple):
    """The queue of this client is full; the broker drops its messages from here on."""

    t: Time
    client: str


class UnknownPid(NamedTuple):
    """An ack for a packet id that the broker does not know."""

    t: Time
    client: str
    name: str
    pid: int


class Expired(NamedTuple):
    """A kept session that the broker forgot."""

    t: Time
    client: str


class Violation(NamedTuple):
    """What the client did wrong, before the end that follows. `who` is an id or an address."""

    t: Time
    who: str
    text: str


class Broker(NamedTuple):
    """`state` starting, running or terminating."""

    t: Time
    version: str
    state: str


class Trouble(NamedTuple):
    """An error or warning of the broker about itself. `code` is its finding (findings.KINDS)."""

    t: Time
    code: str
    text: str


class Host(NamedTuple):
    """A line of the kernel, systemd, the C library or the container about the broker. `code` as in Trouble."""

    t: Time
    code: str
    text: str


class Tls(NamedTuple):
    """OpenSSL's words about a connection that is not named: its end follows, or came just before."""

    t: Time
    text: str


class Bridging(NamedTuple):
    """A line about a bridge of this broker. `name` is its name in the configuration, its local or its remote id, None
    where the line does not say; `what` is try, connect, connack, refused, error, unable, idle, backoff, downgrade,
    local (it subscribes on this broker), ready (it does on the other) or note; `address` is host:port of the other
    side, `detail` the reason."""

    t: Time
    name: str | None
    what: str
    address: str | None
    detail: str


class Command(NamedTuple):
    """A command of an administrator to the dynamic security plugin."""

    t: Time
    client: str
    user: str
    command: str
    arguments: dict[str, str]


class Saving(NamedTuple):
    """The broker begins to write its database."""

    t: Time
    path: str


class Listening(NamedTuple):
    """`kind` ipv4, ipv6, websockets or unix; `place` the port or path."""

    t: Time
    kind: str
    place: str


class Plugin(NamedTuple):
    """A plugin's own line about logins (mosquitto-go-auth and others). `refused`: it says no."""

    t: Time
    text: str
    refused: bool


class Foreign(NamedTuple):
    """A line that is not the broker's: another service's, a start script's."""

    t: Time
    text: str


class Detail(NamedTuple):
    """A TAB line whose place is not known."""

    t: Time
    text: str


class Note(NamedTuple):
    """A known line that says nothing about a client."""

    t: Time
    text: str


class Unknown(NamedTuple):
    t: Time
    text: str


Event = Union[
    Accept,
    Connected,
    Will,
    WillTopic,
    Connack,
    Publish,
    Ack,
    Control,
    Filter,
    Granted,
    Removed,
    Ended,
    Refused,
    Dropping,
    UnknownPid,
    Expired,
    Violation,
    Broker,
    Trouble,
    Host,
    Tls,
    Bridging,
    Command,
    Saving,
    Listening,
    Plugin,
    Foreign,
    Detail,
    Note,
    Unknown,
]

Made = Callable[[Time, str, int], Optional[Event]]

HOWS = (
    "clean",
    "closed",
    "timeout",
    "takeover",
    "protocol-error",
    "malformed",
    "oversize",
    "not-authorised",
    "refused",
    "no-memory",
    "administrative",
    "error",
)

# Ends by their last words; the longer before the shorter that it ends with.
_ENDS = (
    (" disconnected, session taken over.", "takeover"),
    (" already connected, closing old connection.", "takeover"),
    (" closed its connection.", "closed"),
    (" has exceeded timeout, disconnecting.", "timeout"),
    (" disconnected due to protocol error.", "protocol-error"),
    (" disconnected due to malformed packet.", "malformed"),
    (" disconnected due to oversize packet.", "oversize"),
    (" disconnected due to oversize payload.", "oversize"),
    (" disconnected due to out of memory.", "no-memory"),
    (" disconnected due to exceeding the receive maximum.", "protocol-error"),
    (" disconnected, not authorised.", "not-authorised"),
    (" disconnected, no longer authorised.", "not-authorised"),
    (" disconnected, bad username or password.", "not-authorised"),
    (" disconnected, bad authentication method.", "refused"),
    (" disconnected, client identifier not valid.", "refused"),
    (" disconnected, client banned.", "refused"),
    (" disconnected, connection rate exceeded.", "refused"),
    (" disconnected, non-matching http origin.", "refused"),
    (" disconnected, server busy.", "refused"),
    (" disconnected, server unavailable.", "refused"),
    (" disconnected, quota exceeded.", "error"),
    (" disconnected, implementation specific error.", "error"),
    (" been disconnected by administrative action.", "administrative"),
    (" disconnected.", "clean"),
)
# The words behind "disconnected: " (2.1, and some distributions' 2.0), in small letters.
_REASONS = {
    "session taken over": "takeover",
    "connection closed by client": "closed",
    "the connection was lost": "closed",
    "exceeded timeout": "timeout",
    "keepalive exceeded": "timeout",
    "keepalive timeout": "timeout",
    "protocol error": "protocol-error",
    "receive maximum exceeded": "protocol-error",
    "exceeding the receive maximum": "protocol-error",
    "malformed packet": "malformed",
    "oversize packet": "oversize",
    "packet too large": "oversize",
    "oversize payload": "oversize",
    "out of memory": "no-memory",
    "not authorised": "not-authorised",
    "not authorized": "not-authorised",
    "no longer authorised": "not-authorised",
    "bad username or password": "not-authorised",
    "bad user name or password": "not-authorised",
    "bad authentication method": "refused",
    "client identifier not valid": "refused",
    "client banned": "refused",
    "banned": "refused",
    "connection rate exceeded": "refused",
    "non-matching http origin": "refused",
    "server busy": "refused",
    "server unavailable": "refused",
    "unsupported protocol version": "refused",
    "administrative action": "administrative",
    "disconnected by administrative action": "administrative",
    "client disconnected": "clean",
    "normal disconnection": "clean",
}
_WORDS_OF_REFUSAL = re.compile(r" disconnected, ([^,]*)\.$")
_ALREADY = re.compile(r" (already connected)")  # beyond doubt a takeover; "session taken over" is not
_NOT_SUPPORTED = re.compile(r"(.*) disconnected due to (.*QoS too high.*?)\.?")
_OTHER_END = re.compile(r"(.*?)( \[[^\[\]]*\])? disconnected: (.+?)\.?")
_BRACKET = re.compile(r"(.*) \[([^\[\]]*:\d+)\]")
_LONG_B = 900  # a shorter line was cut by somebody else than Mosquitto

_ACCEPT = re.compile(r"(\S+?) on port (\d+)\.|(\d+\.\d+\.\d+\.\d+)\.")
_CONNECTED = re.compile(r"from (\S*|.+?) as (.*) \((?:p(\d+), )?c([01]), k(\d+)(?:, u(.*))?\)\.")
_CONNECTED_CUT = re.compile(r"from (\S*) as (.*) \((?:p(\d+), )?c([01]), k(\d+),( u?[^)]*)\$?")  # by an editor
_CONNECTED_OLD = re.compile(r"from (\S+) as ([^(]*)\.()()()()")  # before 1.3: no more than the id
_WILL = re.compile(r"\((\d+) bytes\) \(r([01]), q([0-2])\)\.")
_CONNACK = re.compile(r"(.*) \((?:([01]), )?(\d+)\)")
_PUBLISH = re.compile(r"(.*?) \(d([01]), q([0-2]), r([01]), m(\d+), '(.*)', \.\.\. \((\d+) bytes\)\)")
_PUBLISH_CUT = re.compile(r"(.*?) \(d([01]), q([0-2]), r([01]), m(\d+), '(.*)")
_DENIED_TO = re.compile(r"(.*?) \(q([0-2]), r([01]), '(.*)', \.\.\. \((\d+) bytes\)\)")
_ACK = re.compile(r"(.*) \((?:Mid: ?|m)(\d+)(?:, (?:RC: ?|rc)(\d+))?\)")
_AUTH = re.compile(r"(.*) \(rc\d+, .*\)")
_UNKNOWN_PID = re.compile(r"(?:Warning: )?Received (PUB[A-Z]+) from (.*) for an unknown packet identifier (\d+)\.")
_TOO_LARGE = re.compile(r"outgoing PUBLISH for (.*) \((\d+) bytes\)")
_DROPPING = re.compile(r"being dropped for client (.*)\.")
_BAD_SOCKET = re.compile(r"on client (.*?)(?:: (.*?)|, disconnecting)\.?")
_SOCKET_ERROR = re.compile(r"client (.*), disconnecting\.?")
_EXPIRED = re.compile(r"Expiring (?:persistent )?client (.*) due to timeout\.")
_VERSION = re.compile(r"mosquitto version (\S+)(?: \(build date .*\))? (starting|running|terminating)")
_ASKED = re.compile(r"(.*) \((?:QoS ([0-2])|(denied))\)")
_QOS_FILTER = re.compile(r"([0-2]) (.*)")
_SENTENCES = (  # of a client's or a stranger's mistake; group 1 is who
    re.compile(r"Protocol error from (.*?): .*"),
    re.compile(r"Protocol error from (\S+) CONNECT .*"),
    re.compile(r"Invalid protocol (?:version \d+|\".*\") in CONNECT from (.*)\."),
    re.compile(
        r"(?:Invalid|Too high) (?:Will )?QoS in (?:PUBLISH|CONNECT|subscription command) "
        r"from (.*?)(?:, disconnecting)?\."
    ),
    re.compile(r"Invalid PUBLISH \(QoS=0 and DUP=1\) from (.*), disconnecting\."),
    re.compile(r"(?:Empty|Invalid) (?:un)?subscription string from (.*), disconnecting\."),
    re.compile(r"Bad client (.*) sending multiple CONNECT messages\."),
    re.compile(r"Reused message ID \d+ from (.*) detected\. Clearing from storage\."),
    re.compile(r"Client (.*) has exceeded its receive-maximum quota\. .*"),
    re.compile(r"Client (.*) connected with too large Will payload"),
    re.compile(r"Client connection from (.*?) failed: .*"),
    re.compile(r"Client from (.*) appears to be using TLS to connect to a non-TLS listener\."),
    re.compile(r"Connection from (.*) rejected, .*"),
    re.compile(r"(.*) sent CONNECT with missing keepalive\."),
    re.compile(r"Client (.*?) sent (?:too large packet|topic with invalid UTF-8).*"),
    re.compile(r"Malformed UTF-8 in (?:(?:un)?subscription string|will topic string) from (.*), disconnecting\."),
    re.compile(r"Client (.*) received CONNACK with .*"),
    re.compile(r"Invalid (?:PUBLISH|SUBSCRIBE|subscribe|CONNECT|packet) .*? from (.*?)(?:, disconnecting)?\."),
)
_NOTES = (
    "Config loaded from ",
    "No will message specified.",
    "Info: ",
    "Loading ",
    "Plugin ",
    "plugin:",
    "Restored ",
    "Using default config",
    "Create a configuration file",
    "For more details see ",
    "Bridge ",
    "Reloading config.",
    "Using http_dir ",
    " Username/password checking",
    " TLS-PSK checking",
    " Extended authentication",
    " \u251c",
    " \u2514",
    "password-file: ",
    "You are using the ",
    "Received CONNACK on connection ",
    "lws_",
    "Creating default listener",
    "Binding listener to interface",
    "Configuration file is OK",
    "Dynamic security plugin config not found",
    "  Generated passwords",
    "  Using admin password",
    "Broker: ",
    "Found id for client",
    "Unable to find id for client",
    "http serving file",
    "Starting auth for ",
    "Completing auth for ",
    "Drop message clientid",
    "Persistence ",
    "sqlite: Restored ",
    "OCSP: ",
    "auth-by-env plugin",
    "Please provide a configuration",
    "Unsupported property type",
    "Mosquitto ",
    "Received DISCONNECT (",
    "Note: ",
    "Deleting ",
    "Purging ",
)
_BRIDGE_TRY = re.compile(r"(?:\(step [12]\) )?(.*) \((.*:\d+)\)\.?")
_BRIDGE = (  # the pattern, what it is; group 1 is the name, group 2 the detail
    (re.compile(r"Bridge (.*) sending CONNECT"), "connect"),
    (re.compile(r"Bridge (.*) doing local SUBSCRIBE on topic (.*)"), "local"),
    (re.compile(r"Bridge (.*) sending (?:UN)?SUBSCRIBE .*"), "ready"),
    (re.compile(r"Bridge (.*) sending DISCONNECT"), "note"),
    (re.compile(r"Bridge (.*) next backoff will be (\d+) ms"), "backoff"),
    (re.compile(r"Bridge (.*) connection was stable enough, resetting backoff"), "note"),
    (re.compile(r"Bridge connection (.*) has (exceeded idle timeout), disconnecting\."), "idle"),
    (re.compile(r"Warning: Remote bridge (.*) (does not support MQTT v5\.0).*"), "downgrade"),
    (re.compile(r"Warning: Unable to connect (?:to )?bridge (.*?)\."), "unable"),
    (re.compile(r"Bridge (.*) (failed authentication on local broker)\."), "refused"),
    (re.compile(r"Bridge (.*) (returned application error in authorisation)\."), "refused"),
    (re.compile(r"(Unknown error in authentication) for bridge (.*)\."), "refused"),
    (re.compile(r"()Error creating bridge: (.*?)\.?"), "error"),
    (re.compile(r"()Connection Refused: (.*?)\.?"), "refused"),
    (re.compile(r"Received CONNACK on connection (.*)\."), "connack"),
    (re.compile(r"Client (\S+) received CONNACK ?(?:\((\d+)\))?"), "connack"),
)
_DYNSEC = re.compile(r"dynsec: (.*?)/(.*?) \| (\w+)(?: \| (.*))?")
_SAVING = re.compile(r"Saving in-memory database to (.*?)\.?")
_LISTENING = re.compile(r"Opening (\w+) listen socket on (?:port|path) (.*?)\.?")
_PLUGIN = re.compile(
    r"\|-- |(?:time=\S+ )?level=|auth-plug|Acl is |error: received null username|go-auth|Successfully authenticated|"
    r".*[Nn]ot authenticated|.*[Aa]uthentication (?:failed|error)|Bulk |mosquitto_auth"
)
_PLUGIN_REFUSED = re.compile(
    r"(?i)null username|not authenticated|authentication (?:failed|error)|user .*: (?:false|0\b)|"
    r"auth(?:enticated)?: (?:false|0\b)|wrong password|no backend|unauthori[sz]ed|forbidden|\b40[13]\b"
)
_LIBRARY = re.compile(r"Client .* (?:sending|received) [A-Z]+.*")  # of mosquitto_sub -d, or a bridge
_BEHIND = re.compile(r"(?:\x1b\[[0-9;]*m|[\s,;|\\`']|(?<![\w/.])\"|<[^<>]{0,10}>|\[0?m)+$")  # a copy left it
_OPENSSL = ("OpenSSL Error", "SSL Error", "TLS error")


# Each takes the time, the whole text and where the text behind the head begins.


def _accept(t: Time, text: str, start: int) -> Event | None:
    m = _ACCEPT.fullmatch(text, start)
    return m and Accept(t, m[1] or m[3], int(m[2] or 0))


def _connected(t: Time, text: str, start: int) -> Event | None:
    m = _CONNECTED.fullmatch(text, start) if text.endswith(").") else None
    whole = m is not None
    m = m or _CONNECTED_CUT.fullmatch(text, start) or _CONNECTED_OLD.fullmatch(text, start)
    if not m:
        return None
    if not m[4]:
        return Connected(t, m[2], m[1], None, None, None, None, text[4] == "b")
    user = m[6] if whole else None
    if user and len(user) > 1 and user[0] == user[-1] == "'":
        user = user[1:-1]
    # 1.6 and 2.0 print 1 and 2 for MQTT 3.1 and 3.1.1, 2.1 prints 3 and 4.
    protocol = {1: 3, 2: 4}.get(int(m[3]), int(m[3])) if m[3] else None
    return Connected(t, m[2], m[1], protocol, m[4] == "1", int(m[5]), user, text[4] == "b")


def _will(t: Time, text: str, start: int) -> Event | None:
    m = _WILL.fullmatch(text, start)
    return m and Will(t, None, int(m[1]), int(m[3]), m[2] == "1")


def _connack(t: Time, text: str, start: int) -> Event | None:
    m = _CONNACK.fullmatch(text, start)
    return m and Connack(t, m[1], m[2] == "1" if m[2] else None, int(m[3]))


def _publish(sent: bool) -> Made:
    def made(t: Time, text: str, start: int, new=tuple.__new__) -> Event | None:
        # endswith: a line that was cut could match from every ` (d0, ` on, in vain.
        m = text.endswith(" bytes))") and _PUBLISH.fullmatch(text, start)
        if m:
            client, dup, qos, retain, pid, topic, size = m.groups()
            return new(Publish, (t, sent, client, dup == "1", int(qos), retain == "1", int(pid), topic, int(size)))
        if len(text.encode("utf-8", "surrogateescape")) < _LONG_B:
            return None
        m = _PUBLISH_CUT.fullmatch(text, start)
        return m and Publish(t, sent, m[1], m[2] == "1", int(m[3]), m[4] == "1", int(m[5]), m[6], None)

    return made


def _ack(sent: bool, name: str) -> Made:
    def made(t: Time, text: str, start: int, new=tuple.__new__) -> Event | None:
        m = _ACK.fullmatch(text, start)
        if m:
            client, pid, code = m.groups()
            return new(Ack, (t, sent, name, client, int(pid), code and int(code)))
        return _unknown_pid(t, text, 0)

    return made


def _control(sent: bool, name: str) -> Made:
    def made(t: Time, text: str, start: int) -> Event | None:
        client = text[start:]
        if len(client) > _LONG_B - 100:  # the line is cut, and the id with it
            return None
        m = _AUTH.fullmatch(client) if name == "AUTH" else None
        return Control(t, sent, name, m[1] if m else client) if client else None

    return made


def _unknown_pid(t: Time, text: str, start: int) -> Event | None:
    m = _UNKNOWN_PID.fullmatch(text)
    return m and UnknownPid(t, m[2], m[1], int(m[3]))


def _refused(sent: bool, why: str) -> Made:
    def made(t: Time, text: str, start: int) -> Event | None:
        m = _PUBLISH.fullmatch(text, start)
        if m:
            return Refused(t, sent, m[1], why, int(m[3]), m[6], int(m[7]))
        m = _DENIED_TO.fullmatch(text, start)
        if m:
            return Refused(t, sent, m[1], why, int(m[2]), m[4], int(m[5]))
        if text.endswith(", quota exceeded."):
            return Refused(t, sent, text[start:-17], "quota", None, None, None)
        return None

    return made


def _dropped_large(t: Time, text: str, start: int) -> Event | None:
    return _refused(False, "too-large")(t, text, start + len("PUBLISH from "))


def _dropping_large(t: Time, text: str, start: int) -> Event | None:
    m = _TOO_LARGE.fullmatch(text, start)
    return m and Refused(t, True, m[1], "too-large", None, None, int(m[2]))


def _dropping(t: Time, text: str, start: int) -> Event | None:
    m = _DROPPING.fullmatch(text, start)
    return m and Dropping(t, m[1])


def _bad_socket(t: Time, text: str, start: int) -> Event | None:
    m = _BAD_SOCKET.fullmatch(text, start)
    return m and Ended(t, m[1], "error", None, m[2] or "")


def _socket_error(t: Time, text: str, start: int) -> Event | None:
    m = _SOCKET_ERROR.fullmatch(text, start)
    return m and Ended(t, m[1], "closed", None, "")


def _bridge_try(t: Time, text: str, start: int) -> Event | None:
    m = _BRIDGE_TRY.fullmatch(text, len("Connecting bridge "))
    return m and Bridging(t, m[1], "try", m[2], "")


_BY_HEAD: dict[str, Made] = {  # by the first three words
    "New connection from": _accept,
    "New client connected": _connected,
    "New bridge connected": _connected,
    "Will message specified": _will,
    "Sending CONNACK to": _connack,
    "Received PUBLISH from": _publish(False),
    "Sending PUBLISH to": _publish(True),
    "Denied PUBLISH from": _refused(False, "denied"),
    "Denied PUBLISH to": _refused(True, "denied"),
    "Rejected PUBLISH from": _refused(False, "quota"),
    "Rejected PUBLISH to": _refused(True, "quota"),
    "Dropped too large": _dropped_large,
    "Dropping too large": _dropping_large,
    "Outgoing messages are": _dropping,
    "Bad socket read/write": _bad_socket,
    "Socket error on": _socket_error,
    "Socket read error": _bad_socket,
    "Socket write error": _bad_socket,
    "Connecting bridge (step": _bridge_try,
}
for _name in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"):
    _BY_HEAD["Received " + _name + " from"] = _ack(False, _name)
    _BY_HEAD["Sending " + _name + " to"] = _ack(True, _name)
    _BY_HEAD["Warning: Received " + _name] = _unknown_pid
for _name in ("SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"):
    _BY_HEAD["Received " + _name + " from"] = _control(False, _name)
    _BY_HEAD["Sending " + _name + " to"] = _control(True, _name)


def _message(t: Time, text: str) -> Event | None:
    """The event of a line without its prefix, None when it is not known."""
    end = text.find(" ", text.find(" ", text.find(" ") + 1) + 1)
    made = _BY_HEAD.get(text[:end])
    if made:
        return made(t, text, end + 1) or _other(t, text)
    if text.startswith("Client "):
        return _client(t, text)
    if text.startswith("\t"):
        return Detail(t, text[1:])
    if text.startswith("#011"):  # how rsyslog writes a TAB
        return Detail(t, text[4:])
    return _other(t, text)


def _other(t: Time, text: str) -> Event | None:
    if text.startswith("mosquitto version "):
        m = _VERSION.fullmatch(text)
        return m and Broker(t, m[1], m[2])
    if text.startswith("Expiring "):
        m = _EXPIRED.fullmatch(text)
        return m and Expired(t, m[1])
    if text.startswith("Saving in-memory"):
        m = _SAVING.fullmatch(text)
        return Saving(t, m[1] if m else "")
    if text.startswith("Opening "):
        m = _LISTENING.fullmatch(text)
        return Listening(t, m[1], m[2]) if m else Note(t, text)
    if text.startswith("Connecting bridge "):
        return _bridge_try(t, text, 0)
    if text.startswith("dynsec: "):
        return _command(t, text)
    if text.startswith(_OPENSSL):
        return Tls(t, text)
    return _bridge(t, text) or _violation(t, text) or _trouble(t, text) or _noted(t, text)


def _bridge(t: Time, text: str) -> Event | None:
    for pattern, what in _BRIDGE:
        m = pattern.fullmatch(text)
        if m:
            detail = m[2] if pattern.groups > 1 and m[2] else ""
            return Bridging(t, m[1] or None, what, None, detail)
    return None


def _command(t: Time, text: str) -> Event | None:
    m = _DYNSEC.fullmatch(text)
    if not m:
        return Note(t, text)
    pairs = (part.partition("=") for part in (m[4] or "").split(" | ") if part)
    return Command(t, m[1], m[2], m[3], {name: value for name, _, value in pairs})


def _trouble(t: Time, text: str) -> Event | None:
    code = troubles.of_the_broker(text)
    return Trouble(t, code, _BEHIND.sub("", text)) if code else None


def _noted(t: Time, text: str) -> Event | None:
    if text.startswith(_NOTES) or text.endswith(("support available.", "support NOT available.")) or not text:
        return Note(t, text)
    if _PLUGIN.match(text):
        return Plugin(t, text, bool(_PLUGIN_REFUSED.search(text)))
    return None


def _client(t: Time, text: str) -> Event | None:
    for words, how in _ENDS:
        if text.endswith(words):
            said = _WORDS_OF_REFUSAL.search(words) if how in ("not-authorised", "refused") else _ALREADY.search(words)
            return _ended(t, text[7 : -len(words)], how, said[1] if said else "")
    m = _NOT_SUPPORTED.fullmatch(text, 7)
    if m:
        return _ended(t, m[1], "error", m[2])
    m = _OTHER_END.fullmatch(text, 7)
    if m:
        return _reasoned(t, m[1] + (m[2] or ""), m[3])
    event = _violation(t, text) or _bridge(t, text) or _trouble(t, text)
    if event:
        return event
    if (" negotiated " in text and " cipher " in text) or _LIBRARY.fullmatch(text):
        return Note(t, text)
    return None


def _reasoned(t: Time, who: str, reason: str) -> Event | None:
    how = _REASONS.get(reason.lower())
    if how is None:
        return _ended(t, who, "error", reason)
    return _ended(t, who, how, reason if how in ("not-authorised", "refused") or "maximum" in reason else "")


def _ended(t: Time, who: str, how: str, detail: str) -> Ended | None:
    m = _BRACKET.fullmatch(who)
    if m:
        return Ended(t, m[1], how, m[2], detail)
    return Ended(t, who, how, None, detail) if who or how == "takeover" else None  # 0.15 has empty ids


def _violation(t: Time, text: str) -> Event | None:
    for sentence in _SENTENCES:
        m = sentence.fullmatch(text)
        if m:
            return Violation(t, m[1], text)
    return None


def parse(line: bytes | str) -> Event:
    """The event of one line, its end of line included or not. Never raises, keeps no state."""
    t, text, own = Splitter().split(_text(line))
    return _message(t, text) or _around(t, text, Unknown if own else Foreign)


def _text(line: bytes | str) -> str:
    if isinstance(line, bytes):
        line = line.decode("utf-8", "surrogateescape")
    # NULs: a log truncated while Mosquitto has it open begins with a hole of them.
    return line.rstrip("\r\n").lstrip("\0\ufeff")


# Lines that were glued together: behind the end of a message the next one's time stands without a line's end.
_GLUED = re.compile(
    r"(?<=[.)\w])\s*(?=[12]\d{9}: "
    r"(?:New|Client|Received|Sending|Socket|mosquitto|Will|No will|Saving|Error) )"
)


class Parser:
    """The lines of one log, in order: resolves what depends on the lines before.

    time_format: the `log_timestamp_format` of the broker, None to recognise the usual ones.
    now: when the log was written last, seconds since 1970, for times without a year; None is now.
    Raises ValueError for a time_format that it cannot read.
    """

    def __init__(self, time_format: str | None = None, now: Time = None):
        self.time_format = time_format
        self._prefix = Splitter(time_format, now)
        self._client: str | None = None  # of the CONNECT, SUBSCRIBE or UNSUBSCRIBE
        self._place = ""  # "will", "SUBSCRIBE", "UNSUBSCRIBE" or nowhere
        self._filter = ""  # the last one asked for

    def written(self, now: float) -> None:
        """What follows is from a file written last at `now`, for times without a year."""
        self._prefix.now = now

    @property
    def dated(self) -> bool:
        """False when the log's times are hours without a date, whose days are counted from line to line."""
        return not self._prefix.dateless

    def learn(self, lines: Sequence[str]) -> None:
        """Looks at the first lines of the log for what stands before their messages; parses nothing."""
        self._prefix.learn([_text(line) for line in lines[:LEARN_LINES]])

    def events(self, lines: Iterable[bytes | str]) -> Iterator[Event]:
        """The events of lines. A line in which several were glued together gives several."""
        for line in lines:
            yield from self.all_of(*self.split(line))

    def all_of(self, t: Time, text: str, own: bool) -> Iterator[Event]:
        """The event of a line that split() took apart, or those of several lines that were glued together."""
        event = self.understood(t, text, own)
        if type(event) not in _GLUABLE or not _GLUED.search(text):
            yield event
            return
        first, *others = _GLUED.split(text)
        yield self.understood(t, first, own)
        for line in others:
            yield self.parse(line)

    def parse(self, line: bytes | str) -> Event:
        """The event of the next line. Never raises."""
        return self.understood(*self._prefix.split(_text(line)))

    def split(self, line: bytes | str) -> Split:
        """Takes the prefix off the next line, for understood()."""
        return self._prefix.split(_text(line))

    def elsewhere(self) -> None:
        """A packet that was not passed through here came: filters to come are not of the SUBSCRIBE before it."""
        self._place = ""

    def understood(self, t: Time, text: str, own: bool) -> Event:
        """The event of a line that split() took apart."""
        event = _message(t, text)
        kind = type(event)
        if kind is Publish or kind is Ack:  # nine lines of ten: as little as possible
            return event
        if not own:
            return event if event is not None and kind not in _WEAK else _around(t, text)
        if event is None or kind is Detail:
            return self._in_place(t, text, event) or event or _untidy(t, text) or _around(t, text, Unknown)
        if kind is Control:
            if not event.sent:
                self._place, self._client = event.name, event.client
                self._filter = ""
            elif event.name in ("SUBACK", "UNSUBACK"):
                self._place = ""
        elif kind is Connected:
            self._place, self._client = "", event.client
        elif kind is Will:
            self._place = "will"
            return event._replace(client=self._client)
        return event

    def _in_place(self, t: Time, text: str, detail: Detail | None) -> Event | None:
        place, client = self._place, self._client
        # Some copies of a log have lost their TABs, or have blanks instead.
        asked = detail.text if detail else text.lstrip(" ")
        if place == "will":
            self._place = ""
            return WillTopic(t, client, asked) if detail or asked != text else None
        if place not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return None
        if not detail and self._filter and text.startswith(client + " "):
            rest = text[len(client) + 1 :]
            if place == "UNSUBSCRIBE" and rest == self._filter:
                return Removed(t, client, rest)
            m = place == "SUBSCRIBE" and _QOS_FILTER.fullmatch(rest)
            if m and m[2] == self._filter:
                return Granted(t, client, m[2], int(m[1]))
        if place == "UNSUBSCRIBE":
            self._filter = asked
            return Filter(t, client, asked, None, False) if detail or asked != text else None
        m = _ASKED.fullmatch(asked)
        if not m:
            return None
        self._filter = m[1]
        return Filter(t, client, m[1], m[2] and int(m[2]), bool(m[3]))


_GLUABLE = (Unknown, Foreign, Ended, Violation, Note, Trouble, Broker, Control, Tls)
_WEAK = (Note, Trouble, Plugin, Violation, Detail)  # what other programs' lines look like too


def _around(t: Time, text: str, otherwise: type[Unknown] | type[Foreign] = Foreign) -> Event:
    """A line that is no message of the broker: it may still tell what became of it."""
    code = troubles.of_the_host(text)
    if code:
        return Host(t, code, text)
    if otherwise is Foreign and _PLUGIN.match(text):
        return Plugin(t, text, bool(_PLUGIN_REFUSED.search(text)))
    return otherwise(t, text)


def _untidy(t: Time, text: str) -> Event | None:
    """A message that a copy left something behind: a comma, blanks, a colour, a mark of the page."""
    tidy = _BEHIND.sub("", text)
    return _message(t, tidy) if tidy != text else None
