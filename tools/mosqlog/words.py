"""Times, sizes and findings in words, for the terminal and the HTML report."""

from __future__ import annotations

import time

from . import parse
from .model import Client, Restart, Session

HOWS = {
    "clean": "DISCONNECT", "closed": "closed without DISCONNECT", "timeout": "keep-alive missed",
    "takeover": "taken over", "protocol-error": "protocol error", "malformed": "malformed packet",
    "oversize": "packet too large", "not-authorised": "not authorised",
    "no-memory": "broker out of memory", "administrative": "put out by the administrator",
    "error": "socket error", "broker-stopped": "broker stopped", "replaced": "end not logged",
    "open": "connected",
}


def shown(text: str) -> str:
    """Printable: control characters and bytes that are not UTF-8 become \\xNN. An id can hold a
    terminal's escape sequences."""
    if text.isprintable():
        return text
    raw = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else
                   f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" for c in raw)


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
    return text if t == int(t) else f"{text}.{int(t % 1 * 1000):03d}"


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
    said = "restarted" if restart.announced else \
        "restarted without having stopped: killed or crashed"
    return f"{moment(restart.t)} broker {restart.version} {said}"


def ends(client: Client) -> str:
    """How its sessions ended, the most frequent first: "3 keep-alive missed, 1 DISCONNECT"."""
    counts = sorted(client.ends.items(), key=lambda x: (-x[1], x[0]))
    return ", ".join(f"{n} {HOWS[how]}" for how, n in counts)


def example(e: dict[str, object]) -> str:
    """One example of a finding, without its time."""
    parts = []
    if "pid" in e:
        qos = f" QoS {e['qos']}" if "qos" in e else ""
        parts.append(f"{e.get('packet', 'PUBLISH')} {e['pid']}{qos}")
    elif "packet" in e:
        parts.append(str(e["packet"]))
    if e.get("topic") is not None:
        parts.append(f"'{shown(str(e['topic']))}'")
    if "sent" in e:
        parts.append("to the client" if e["sent"] else "from the client")
    if "last" in e:
        parts.append(f"last seen: {e['last']}")
    if "delay_s" in e:
        parts.append(f"took {span(e['delay_s'])}")
    if "gap_s" in e:
        parts.append(f"silent for {span(e['gap_s'])} with keep-alive {e['keepalive_s']} s")
    if "old" in e:
        parts.append(f"{shown(str(e['old']))} put out by {shown(str(e['new']))}")
    if "a" in e:
        parts.append(f"{shown(str(e['a']))} and {shown(str(e['b']))}")
    if e.get("address"):
        parts.append(f"from {shown(str(e['address']))}")
    if "after_s" in e:
        parts.append(f"after {span(e['after_s'])}")
    if "silent_s" in e:
        keepalive = f" (keep-alive {e['keepalive_s']} s)" if e.get("keepalive_s") else ""
        parts.append(f"last packet {span(e['silent_s'])} before{keepalive}")
    if "ends" in e:
        parts.append(f"{e['ends']} within {span(e['within_s'])}")
    if "connack" in e:
        parts.append(f"code {e['connack']}: {shown(str(e['words']))}")
    elif "words" in e:
        parts.append(f"\"{shown(str(e['words']))}\"")
    if "why" in e:
        parts.append(str(e["why"]))
    return ", ".join(parts)


def packet(event: parse.Event) -> str:
    """The label of an arrow of the sequence chart."""
    if isinstance(event, parse.Publish):
        flags = f"QoS {event.qos}" + (f", id {event.pid}" if event.qos else "")
        flags += (", DUP" if event.dup else "") + (", retain" if event.retain else "")
        b = "cut" if event.size_b is None else f"{event.size_b} B"
        return f"PUBLISH {shown(event.topic)} ({flags}, {b})"
    if isinstance(event, parse.Ack):
        code = f", code {event.code}" if event.code else ""
        return f"{event.name} {event.pid}{code}"
    if isinstance(event, parse.Connected):
        return (f"CONNECT ({'clean' if event.clean else 'keeps its session'}, "
                f"keep-alive {event.keepalive_s} s)")
    if isinstance(event, parse.Connack):
        return "CONNACK" + (" (session present)" if event.session_present else "")
    if isinstance(event, parse.Ended):
        return HOWS.get(event.how, event.how) + (f": {shown(event.detail)}" if event.detail else "")
    if isinstance(event, parse.Refused):
        return f"PUBLISH {shown(event.topic or '')} ({event.why})"
    if isinstance(event, parse.UnknownPid):
        return f"{event.name} {event.pid} (unknown id)"
    return getattr(event, "name", type(event).__name__)
