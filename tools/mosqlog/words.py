"""Times, sizes and findings in words, for the terminal and the HTML report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from . import events
from .model import Account, Client, Restart, Session, Subject

HOWS = {
    "clean": "disconnected",
    "closed": "closed without DISCONNECT",
    "timeout": "keep-alive missed",
    "takeover": "taken over",
    "protocol-error": "protocol error",
    "malformed": "malformed packet",
    "oversize": "packet too large",
    "not-authorised": "not authorised",
    "refused": "login refused",
    "tls": "TLS failed",
    "denied": "denied by the broker",
    "no-memory": "broker out of memory",
    "administrative": "put out by the administrator",
    "error": "socket error",
    "broker-stopped": "broker stopped",
    "replaced": "end not logged",
    "open": "connected",
}


def shown(text: str) -> str:
    """Printable: control characters and bytes that are not UTF-8 become \\xNN. An id can hold a
    terminal's escape sequences."""
    if text.isprintable():
        return text
    raw = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" for c in raw)


def named(subject: Subject) -> str:
    """The subject's id, printable; a stranger's whom no line names is called so."""
    return shown(subject.id) or "(address not logged)"


def kind(subject: Subject) -> str:
    """What it is: broker, bridge, client, family or stranger."""
    return type(subject).__name__.lower()


def sound(text: str) -> str:
    """Text that can be written as UTF-8: bytes that are not stand as \\xNN."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def moment(t: float | None, day: bool = True) -> str:
    """A time of the log, in the log's own zone (UTC for epoch seconds)."""
    if t is None:
        return "?"
    try:
        text = time.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S", time.gmtime(t))
    except (ValueError, OverflowError, OSError):
        return str(t)
    return text if t == int(t) else f"{text}.{min(round(t % 1 * 1000), 999):03d}"


def span(s: float | None) -> str:
    """Seconds as 1.2 ms, 45 s, 3 min 20 s, 5 h 12 min, 3 d 4 h."""
    if s is None:
        return "?"
    if s < 1:
        return f"{s * 1000:.3g} ms" if s else "0 s"
    if s < 100:
        return f"{s:.3g} s"
    minutes, hours, days = int(s // 60), int(s // 3600), int(s // 86400)
    if minutes < 60:
        return f"{minutes} min {int(s % 60)} s"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def size(b: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if b < 1000 or unit == "GB":
            return f"{b:.3g} {unit}" if b < 1000 else f"{b:.0f} {unit}"
        b /= 1000
    return ""


def rate(per_s: float | None) -> str:
    if per_s is None:
        return ""
    for unit, s in (("s", 1), ("min", 60), ("h", 3600), ("day", 86400)):
        if per_s * s >= 1 or unit == "day":
            return f"{per_s * s:.3g} a {unit}"
    return ""


def duration_s(session: Session, last: float | None) -> float | None:
    """How long it lasted, or has until the end of the log; None when that is not known."""
    end = last if session.end is None else session.end
    if session.start is None or end is None:
        return None
    return max(0, end - session.start)


def restart(restart: Restart) -> str:
    """When and how the broker came back."""
    said = "restarted" if restart.announced else "restarted without having stopped"
    why = f": {shown(restart.why)}" if restart.why else "" if restart.announced else ": killed or crashed"
    at_most = "" if restart.announced or restart.why else "at most "
    away = f" after {at_most}{span(restart.away_s)}" if restart.away_s is not None else ""
    return f"{moment(restart.t)} broker {restart.version} {said}{away}{why}"


def clock(account: Account) -> list[str]:
    """What a reader must know of the log's times; nothing when they are sound."""
    notes = []
    if account.timeless and account.first is None:
        notes.append(
            "No time can be read in this log, so nothing is said about durations. If its lines have times, "
            "--time-format tells how they are written, as log_timestamp_format in mosquitto.conf does."
        )
    if account.steps_back:
        t, back_s = account.steps_back[0]
        more = f", and {len(account.steps_back) - 1} more times" if len(account.steps_back) > 1 else ""
        why = " (summer time ended)" if 3590 <= back_s <= 3610 else ""
        notes.append(
            f"The clock went back by {span(back_s)} at {moment(t)}{why}{more}: the log was put together from "
            f"several, or the host's time was set. Durations across that are not counted."
        )
    return notes


def storm(e: Mapping[str, object]) -> str:
    """An event that hit many at once: the example of a `many-at-once` finding."""
    of = f" of {e['connected']}" if e.get("connected") is not None else ""
    within = f" within {span(_number(e['within_s']))}" if e.get("within_s") else " in the same second"
    hows = _hows_phrase(e)
    return f"{e['clients']}{of} clients{within} ({hows}): {cause(e)}"


def cause(e: Mapping[str, object]) -> str:
    """What a storm was probably due to, with the facts that say so."""
    saved = (
        f"{span(_number(e['saved_before_s']))} after the broker began to save its database"
        if "saved_before_s" in e
        else ""
    )
    told = {
        "saved": f"{saved}: the disk stalls the broker while it saves (it is one thread and then answers nobody)",
        "stalled": "the broker or its host was stalled",
        "silence": "the broker heard nobody: the network before it was gone, or the broker or its host stood still",
        "takeover": "all came back while their old connections were still open: the network was interrupted",
        "one-address": f"all from {shown(str(e.get('address')))}: that host, gateway or program, not single devices",
        "network": "their connections were cut together: a switch, access point, proxy or the broker's network",
        "unknown": "something that they have in common",
    }[str(e.get("cause", "unknown"))]
    facts = []
    if "early" in e:
        facts.append(f'{e["early"]} keep-alives "missed" up to {span(_number(e["early_s"]))} before their time')
    if "connect_waited_s" in e:
        facts.append(f"CONNECTs had waited up to {span(_number(e['connect_waited_s']))}")
    if "lull_s" in e and e.get("cause") != "saved":
        facts.append(f"the log was silent for {span(_number(e['lull_s']))} before")
    if saved and e.get("cause") != "saved":
        facts.append(saved)
    return told + (f" ({'; '.join(facts)})" if facts else "")


def _number(value: object) -> float:
    return float(str(value))


def ends(client: Client) -> str:
    """How its sessions ended, the most frequent first: "3 keep-alive missed, 1 DISCONNECT"."""
    counts = sorted(client.ends.items(), key=lambda x: (-x[1], x[0]))
    return ", ".join(f"{n} {HOWS[how]}" for how, n in counts)


def example(e: Mapping[str, object]) -> str:
    """One example of a finding, without its time."""
    if "cause" in e:
        return storm(e)
    parts = [part for name, part in ((name, phrase(e)) for name, phrase in _PHRASES.items() if name in e) if part]
    return ", ".join(parts)


def _packet_phrase(e: Mapping[str, object]) -> str:
    qos = f" QoS {e['qos']}" if "qos" in e else ""
    return f"{e.get('packet', 'PUBLISH')} {e['pid']}{qos}"


def _words_phrase(e: Mapping[str, object]) -> str:
    times = f" ({e['times']} times)" if "times" in e else ""
    said = f"code {e['connack']}: {shown(str(e['words']))}" if "connack" in e else f'"{shown(str(e["words"]))}"'
    return said + times


def _silent_phrase(e: Mapping[str, object]) -> str:
    keepalive = f" (keep-alive {e['keepalive_s']} s)" if e.get("keepalive_s") else ""
    return f"last packet {span(_number(e['silent_s']))} before{keepalive}"


def _early_phrase(e: Mapping[str, object]) -> str:
    return (
        f'{shown(str(e["client"]))} "missed" its keep-alive of {e["keepalive_s"]} s '
        f"{span(_number(e['early_s']))} before it could have"
    )


def _away_phrase(e: Mapping[str, object]) -> str:
    after = "the broker's restart" if e["after"] == "restart" else "many had fallen out at once"
    away_s, others_s = span(_number(e["away_s"])), span(_number(e["others_s"]))
    return (
        f"{'back' if e['back'] else 'not back'} {away_s} after {after}; half of {e['others']} others within {others_s}"
    )


def _ends_phrase(e: Mapping[str, object]) -> str:
    if "within_s" not in e:
        return f"{e['ends']} ends, one every {span(_number(e['every_s']))}"
    return f"{e['ends']} ends within {span(_number(e['within_s']))}, one every {span(_number(e['every_s']))}"


def _hows_phrase(e: Mapping[str, object]) -> str:
    hows = e["hows"]
    return ", ".join(f"{n} {HOWS.get(how, how)}" for how, n in hows.items()) if isinstance(hows, dict) else ""


def _every_phrase(e: Mapping[str, object]) -> str:
    if isinstance(e.get("ends"), int) or e["every_s"] is None:
        return ""
    return f"every {span(_number(e['every_s']))}"


def _ports_phrase(e: Mapping[str, object]) -> str:
    ports = e["ports"]
    return f"port {', '.join(map(str, ports))}" if isinstance(ports, dict) and ports else ""


def _family_phrase(e: Mapping[str, object]) -> str:
    whose = f"user {shown(str(e['user']))}" if e.get("user") else f"{shown(str(e['address']))}"
    return f"{e['ids']:,} ids like {shown(str(e['stem']))} of {whose}"


def _everybody_phrase(e: Mapping[str, object]) -> str:
    since = f" since the start of {e['version']}" if e.get("version") and e.get("since") is not None else ""
    return (
        f"{e['refused']} logins of {e['clients']} clients, not one let in{since}: the broker's credentials, not "
        f"the devices"
    )


def _address_phrase(e: Mapping[str, object]) -> str:
    return f"from {shown(str(e['address']))}" if e["address"] and "stem" not in e else ""


# The parts of a sentence by the fields of an example, in this order; the whole example is at hand for each.
_PHRASES: dict[str, Callable[[Mapping[str, object]], str]] = {
    "pid": _packet_phrase,
    "packet": lambda e: "" if "pid" in e else str(e["packet"]),
    "topic": lambda e: f"'{shown(str(e['topic']))}'" if e["topic"] is not None else "",
    "sent": lambda e: "to the client" if e["sent"] else "from the client",
    "last": lambda e: f"last seen: {e['last']}",
    "delay_s": lambda e: f"took {span(_number(e['delay_s']))}",
    "gap_s": lambda e: f"silent for {span(_number(e['gap_s']))} with keep-alive {e['keepalive_s']} s",
    "old": lambda e: f"{shown(str(e['old']))} put out by {shown(str(e['new']))}",
    "a": lambda e: f"{shown(str(e['a']))} and {shown(str(e['b']))}",
    "stem": _family_phrase,
    "refused": _everybody_phrase,
    "connections": lambda e: f"{e['connections']} connections",
    "sessions": lambda e: f"{e['sessions']} sessions of {span(_number(e['each_s']))} each",
    "times": lambda e: "" if "words" in e else f"{e['times']} times",
    "id": lambda e: f"as {shown(str(e['id']))}" if e["id"] else "",
    "address": _address_phrase,
    "ports": _ports_phrase,
    "port": lambda e: f"port {e['port']}",
    "after_s": lambda e: f"after {span(_number(e['after_s']))}",
    "silent_s": _silent_phrase,
    "early_s": _early_phrase,
    "away_s": _away_phrase,
    "connect_waited_s": lambda e: f"the CONNECT of {shown(str(e['client']))} was answered "
    f"{span(_number(e['connect_waited_s']))} after its connection",
    "ends": _ends_phrase,
    "hows": _hows_phrase,
    "every_s": _every_phrase,
    "plain": lambda e: shown(str(e["plain"])),
    "words": _words_phrase,
    "will": lambda e: f"its will '{shown(str(e['will']))}' was sent" if e["will"] else "its will was sent",
    "do": lambda e: shown(str(e["do"])),
    "why": lambda e: str(e["why"]),
}


def packet(event: events.Event) -> str:
    """The label of an arrow of the sequence chart."""
    if isinstance(event, events.Publish):
        flags = f"QoS {event.qos}" + (f", id {event.pid}" if event.qos else "")
        flags += (", DUP" if event.dup else "") + (", retain" if event.retain else "")
        b = "cut" if event.size_b is None else f"{event.size_b} B"
        return f"PUBLISH {shown(event.topic)} ({flags}, {b})"
    if isinstance(event, events.Ack):
        code = f", code {event.code}" if event.code else ""
        return f"{event.name} {event.pid}{code}"
    if isinstance(event, events.Connected):
        return f"CONNECT ({'clean' if event.clean else 'keeps its session'}, keep-alive {event.keepalive_s} s)"
    if isinstance(event, events.Connack):
        return "CONNACK" + (" (session present)" if event.session_present else "")
    if isinstance(event, events.Ended):
        return HOWS.get(event.how, event.how) + (f": {shown(event.detail)}" if event.detail else "")
    if isinstance(event, events.Refused):
        return f"PUBLISH {shown(event.topic or '')} ({event.why})"
    if isinstance(event, events.UnknownPid):
        return f"{event.name} {event.pid} (unknown id)"
    return getattr(event, "name", type(event).__name__)
