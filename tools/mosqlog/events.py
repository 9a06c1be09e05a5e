"""What a line of a Mosquitto log can say: the events.

Every event is a NamedTuple whose first field is `t`: seconds since 1970, None when the line has no time. A time without
a zone is taken as written (as if it were UTC). `sent` is True for what the broker sent to the client. Ids, users and
topics are str; bytes that are not UTF-8 become lone surrogates ("surrogateescape") and come back unchanged with
`.encode("utf-8", "surrogateescape")`.
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Union

Time = Optional[float]


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
    """A line of the broker that is not understood."""

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
