"""The message of one line, behind its prefix, as an event. Keeps no state.

Anchored at the line's end wherever the format allows, because ids and topics hold anything. Two texts cannot be told
apart by anybody: an id that itself contains ` (d0, q0, r0, m0, '`; it is taken to end before it.
"""

from __future__ import annotations

import re
from typing import Callable, Optional

from . import ends, troubles
from .events import (
    Accept,
    Ack,
    Bridging,
    Broker,
    Command,
    Connack,
    Connected,
    Control,
    Detail,
    Dropping,
    Ended,
    Event,
    Expired,
    Foreign,
    Host,
    Listening,
    Note,
    Plugin,
    Publish,
    Refused,
    Saving,
    Time,
    Tls,
    Trouble,
    Unknown,
    UnknownPid,
    Violation,
    Will,
)

Made = Callable[[Time, str, int], Optional[Event]]
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


def _accept(t: Time, text: str, start: int) -> Event | None:
    match = _ACCEPT.fullmatch(text, start)
    return match and Accept(t, match[1] or match[3], int(match[2] or 0))


def _connected(t: Time, text: str, start: int) -> Event | None:
    match = _CONNECTED.fullmatch(text, start) if text.endswith(").") else None
    whole = match is not None
    match = match or _CONNECTED_CUT.fullmatch(text, start) or _CONNECTED_OLD.fullmatch(text, start)
    if not match:
        return None
    if not match[4]:
        return Connected(t, match[2], match[1], None, None, None, None, text[4] == "b")
    user = match[6] if whole else None
    if user and len(user) > 1 and user[0] == user[-1] == "'":
        user = user[1:-1]
    # 1.6 and 2.0 print 1 and 2 for MQTT 3.1 and 3.1.1, 2.1 prints 3 and 4.
    protocol = {1: 3, 2: 4}.get(int(match[3]), int(match[3])) if match[3] else None
    return Connected(t, match[2], match[1], protocol, match[4] == "1", int(match[5]), user, text[4] == "b")


def _will(t: Time, text: str, start: int) -> Event | None:
    match = _WILL.fullmatch(text, start)
    return match and Will(t, None, int(match[1]), int(match[3]), match[2] == "1")


def _connack(t: Time, text: str, start: int) -> Event | None:
    match = _CONNACK.fullmatch(text, start)
    return match and Connack(t, match[1], match[2] == "1" if match[2] else None, int(match[3]))


def _publish(sent: bool) -> Made:
    def made(t: Time, text: str, start: int, new=tuple.__new__) -> Event | None:
        # endswith: a line that was cut could match from every ` (d0, ` on, in vain.
        match = text.endswith(" bytes))") and _PUBLISH.fullmatch(text, start)
        if match:
            client, dup, qos, retain, pid, topic, size = match.groups()
            return new(Publish, (t, sent, client, dup == "1", int(qos), retain == "1", int(pid), topic, int(size)))
        if len(text.encode("utf-8", "surrogateescape")) < _LONG_B:
            return None
        match = _PUBLISH_CUT.fullmatch(text, start)
        return match and Publish(
            t, sent, match[1], match[2] == "1", int(match[3]), match[4] == "1", int(match[5]), match[6], None
        )

    return made


def _ack(sent: bool, name: str) -> Made:
    def made(t: Time, text: str, start: int, new=tuple.__new__) -> Event | None:
        match = _ACK.fullmatch(text, start)
        if match:
            client, pid, code = match.groups()
            return new(Ack, (t, sent, name, client, int(pid), code and int(code)))
        return _unknown_pid(t, text, 0)

    return made


def _control(sent: bool, name: str) -> Made:
    def made(t: Time, text: str, start: int) -> Event | None:
        client = text[start:]
        if len(client) > _LONG_B - 100:  # the line is cut, and the id with it
            return None
        match = _AUTH.fullmatch(client) if name == "AUTH" else None
        return Control(t, sent, name, match[1] if match else client) if client else None

    return made


def _unknown_pid(t: Time, text: str, start: int) -> Event | None:
    match = _UNKNOWN_PID.fullmatch(text)
    return match and UnknownPid(t, match[2], match[1], int(match[3]))


def _refused(sent: bool, why: str) -> Made:
    def made(t: Time, text: str, start: int) -> Event | None:
        match = _PUBLISH.fullmatch(text, start)
        if match:
            return Refused(t, sent, match[1], why, int(match[3]), match[6], int(match[7]))
        match = _DENIED_TO.fullmatch(text, start)
        if match:
            return Refused(t, sent, match[1], why, int(match[2]), match[4], int(match[5]))
        if text.endswith(", quota exceeded."):
            return Refused(t, sent, text[start:-17], "quota", None, None, None)
        return None

    return made


def _dropped_large(t: Time, text: str, start: int) -> Event | None:
    return _refused(False, "too-large")(t, text, start + len("PUBLISH from "))


def _dropping_large(t: Time, text: str, start: int) -> Event | None:
    match = _TOO_LARGE.fullmatch(text, start)
    return match and Refused(t, True, match[1], "too-large", None, None, int(match[2]))


def _dropping(t: Time, text: str, start: int) -> Event | None:
    match = _DROPPING.fullmatch(text, start)
    return match and Dropping(t, match[1])


def _bad_socket(t: Time, text: str, start: int) -> Event | None:
    match = _BAD_SOCKET.fullmatch(text, start)
    return match and Ended(t, match[1], "error", None, match[2] or "")


def _socket_error(t: Time, text: str, start: int) -> Event | None:
    match = _SOCKET_ERROR.fullmatch(text, start)
    return match and Ended(t, match[1], "closed", None, "")


def _bridge_try(t: Time, text: str, start: int) -> Event | None:
    match = _BRIDGE_TRY.fullmatch(text, len("Connecting bridge "))
    return match and Bridging(t, match[1], "try", match[2], "")


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


def event_of(t: Time, text: str) -> Event | None:
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
        match = _VERSION.fullmatch(text)
        return match and Broker(t, match[1], match[2])
    if text.startswith("Expiring "):
        match = _EXPIRED.fullmatch(text)
        return match and Expired(t, match[1])
    if text.startswith("Saving in-memory"):
        match = _SAVING.fullmatch(text)
        return Saving(t, match[1] if match else "")
    if text.startswith("Opening "):
        match = _LISTENING.fullmatch(text)
        return Listening(t, match[1], match[2]) if match else Note(t, text)
    if text.startswith("Connecting bridge "):
        return _bridge_try(t, text, 0)
    if text.startswith("dynsec: "):
        return _command(t, text)
    if text.startswith(_OPENSSL):
        return Tls(t, text)
    return _bridge(t, text) or _violation(t, text) or _trouble(t, text) or _noted(t, text)


def _bridge(t: Time, text: str) -> Event | None:
    for pattern, what in _BRIDGE:
        match = pattern.fullmatch(text)
        if match:
            detail = match[2] if pattern.groups > 1 and match[2] else ""
            return Bridging(t, match[1] or None, what, None, detail)
    return None


def _command(t: Time, text: str) -> Event | None:
    match = _DYNSEC.fullmatch(text)
    if not match:
        return Note(t, text)
    pairs = (part.partition("=") for part in (match[4] or "").split(" | ") if part)
    return Command(t, match[1], match[2], match[3], {name: value for name, _, value in pairs})


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
    event = ends.ended(t, text) or _violation(t, text) or _bridge(t, text) or _trouble(t, text)
    if event:
        return event
    if (" negotiated " in text and " cipher " in text) or _LIBRARY.fullmatch(text):
        return Note(t, text)
    return None


def _violation(t: Time, text: str) -> Event | None:
    for sentence in _SENTENCES:
        match = sentence.fullmatch(text)
        if match:
            return Violation(t, match[1], text)
    return None


def around(t: Time, text: str, otherwise: type[Unknown] | type[Foreign] = Foreign) -> Event:
    """A line that is no message of the broker: it may still tell what became of it."""
    code = troubles.of_the_host(text)
    if code:
        return Host(t, code, text)
    if otherwise is Foreign and _PLUGIN.match(text):
        return Plugin(t, text, bool(_PLUGIN_REFUSED.search(text)))
    return otherwise(t, text)


def untidied(t: Time, text: str) -> Event | None:
    """A message that a copy left something behind: a comma, blanks, a colour, a mark of the page."""
    tidy = _BEHIND.sub("", text)
    return event_of(t, tidy) if tidy != text else None
