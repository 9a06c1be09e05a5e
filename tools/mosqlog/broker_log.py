"""The broker's own troubles and its life: starts, stops, crashes, what systemd and the kernel say of it."""

from __future__ import annotations

import re
from typing import Callable

from . import events
from .events import Time
from .model import Broker, Restart

ASIDE_S = 2  # a bare "Error: Permission denied." belongs to the error before it
_BARE = re.compile(r"Error: (?!Couldn't open database|Out of memory)(?:[A-Z][\w'/ -]*|Success)\.?")
_FATAL = ("broker-oom", "broker-killed", "broker-crashed", "broker-failed", "host-rebooted")


class BrokerLog:
    """find(code, t, example) notes a finding of the broker and returns the example as it is kept; stopped(t) is
    called when its clients are gone with it."""

    def __init__(
        self,
        broker: Broker,
        find: Callable[[str, Time, dict[str, object]], dict[str, object]],
        stopped: Callable[[Time], None],
    ):
        self.broker = broker
        self._find, self._stopped = find, stopped
        self._last: tuple[Time, str, dict[str, object]] | None = None  # the latest trouble
        self._fatal: tuple[Time, str, str] | None = None  # the latest words of its death
        self._ended_t: Time = None
        self._port: str | None = None  # that it tried to listen on
        self._seen_life = False

    def alive(self) -> None:
        """A line shows that the broker had been running before."""
        self._seen_life = True

    def said(self, event: events.Broker, lull_s: float) -> None:
        """It starts, runs or stops. lull_s: since the line before, which a broker that was killed cannot have outlived
        by more."""
        broker = self.broker
        if event.version not in broker.versions:
            broker.versions.append(event.version)
        if event.state == "starting":
            if broker.up is not None or self._seen_life or self._fatal:
                announced = broker.up is False and self._fatal is None
                away_s = event.t - self._ended_t if event.t is not None and self._ended_t is not None else None
                if broker.up and event.t is not None:
                    away_s = lull_s
                broker.restarts.append(
                    Restart(
                        event.t,
                        event.version,
                        announced,
                        self._fatal[2] if self._fatal else "",
                        away_s if away_s is not None and away_s >= 0 else None,
                    )
                )
            self._stopped(event.t)
            broker.up, broker.started = True, event.t
            self._fatal, self._ended_t = None, None
        elif event.state == "terminating":
            self._stopped(event.t)
            broker.up, self._ended_t = False, event.t
        else:
            broker.up = True

    def trouble(self, event: events.Trouble) -> None:
        """It says that something is wrong with itself."""
        bare = _BARE.fullmatch(event.text) is not None
        if bare and self._last and _near(self._last[0], event.t):
            _, code, example = self._last
            if event.text not in str(example["words"]):
                example["words"] = f"{example['words']} {event.text}"
            return
        example: dict[str, object] = {"words": event.text}
        code = event.code
        if bare and self._port is not None:
            code, example = "broker-port", {"words": event.text, "port": self._port}
        self._last = (event.t, code, self._find(code, event.t, example))

    def host(self, event: events.Host) -> None:
        """The kernel, systemd, the C library or the container says what became of it."""
        fatal = event.code in _FATAL
        if fatal and self._fatal and _near(self._fatal[0], event.t, 60):
            # One death takes several lines; the first to say why is kept.
            if event.code == "broker-oom" and self._fatal[1] != "broker-oom":
                self._fatal = (self._fatal[0], event.code, event.text)
            return
        if fatal:
            self._fatal = (event.t, event.code, event.text)
            if self.broker.up is not False:
                self._ended_t = event.t
                self._stopped(event.t)
                self.broker.up = False
        if event.code != "host-rebooted":
            self._find(event.code, event.t, {"words": event.text})

    def listening(self, event: events.Listening) -> None:
        self._port = event.place
        if event.place.isdecimal():
            self.broker.ports.setdefault(int(event.place), event.kind)

    def quiet(self) -> None:
        """A line of another kind came: what was said before is over."""
        self._port = None


def _near(before: Time, after: Time, within_s: float = ASIDE_S) -> bool:
    return before is None or after is None or abs(after - before) <= within_s
