"""What does the end of a session say of its client, and a takeover of its devices?"""

from __future__ import annotations

from typing import Callable

from . import rhythm
from .events import Time
from .model import Client, Session, host
from .slow_broker import SlowBroker, missed_early_s

FLAP_ENDS, FLAP_WINDOW_S = 5, 600
TWIN_WINDOW_S = 600  # of takeovers back and forth between two addresses
ROW_WINDOW_S = 600  # of four takeovers in a row from one address

_END_FINDINGS = {
    "closed": "closed-without-disconnect",
    "timeout": "keepalive-missed",
    "protocol-error": "protocol-error",
    "malformed": "malformed",
    "oversize": "oversize",
    "not-authorised": "not-authorised",
    "no-memory": "no-memory",
    "administrative": "administrative",
    "error": "socket-error",
}


class Verdicts:
    """Judges ends that were nobody else's: neither a storm's nor the broker's own."""

    def __init__(self, find: Callable[..., object], slow_broker: SlowBroker):
        self._find, self._slow_broker = find, slow_broker

    def ended(self, client: Client, session: Session, t: Time, how: str, words: str, heard: Time) -> None:
        """The finding of an end that was nobody else's."""
        code = _END_FINDINGS.get(how)
        if code is None:
            return
        example: dict[str, object] = {"address": session.address}
        if t is not None and session.start is not None:
            example["after_s"] = max(0, t - session.start)
        if t is not None and heard is not None and (session.start is None or heard > session.start):
            example["silent_s"] = max(0, t - heard)
        if session.keepalive_s:
            example["keepalive_s"] = session.keepalive_s
        if session.will is not None:
            example["will"] = session.will
        if words:
            example["words"] = words
        self._slow_broker.missed(client.id, t, missed_early_s(session, how, t, heard), session.keepalive_s)
        self._find(client, code, t, example)
        if how in rhythm.BROKE_OFF and t is not None:
            self._flap(client, t)

    def _flap(self, client: Client, t: float) -> None:
        trail = client.trail
        trail.broken.append(t)
        del trail.broken[:-FLAP_ENDS]
        within_s = t - (trail.broken[0] or 0)
        if len(trail.broken) < FLAP_ENDS or not 0 <= within_s <= FLAP_WINDOW_S:
            trail.flapping = False
        elif not trail.flapping:
            trail.flapping = True
            self._find(
                client,
                "flapping",
                t,
                {
                    "ends": FLAP_ENDS,
                    "since": trail.broken[0],
                    "within_s": within_s,
                    "every_s": within_s / (FLAP_ENDS - 1),
                },
            )
        else:  # it goes on: the same occurrence
            finding = client.findings["flapping"]
            finding.last = t
            example = finding.examples[-1]
            ends, since = int(str(example["ends"])) + 1, float(str(example["since"]))
            example.update(ends=ends, within_s=t - since, every_s=(t - since) / (ends - 1))

    def taken_over(self, client: Client, session: Session) -> None:
        """The session begins that took over the one in `client.trail`, which is taken from there."""
        trail = client.trail
        old, trail.taken_over = trail.taken_over, None
        if old is None:
            return
        before, after = host(old.address), host(session.address)
        t = session.start
        self._find(client, "taken-over", t, {"old": old.address, "new": session.address})
        trail.takeovers.append((t, before, after))
        del trail.takeovers[:-4]
        row = trail.takeovers
        back = len(row) >= 2 and row[-2][1] == after != before
        same = len(row) == 4 and len({address for _, *both in row for address in both}) == 1 and after
        since = row[-2][0] if back else row[0][0]
        if t is not None and since is not None and t - since > (TWIN_WINDOW_S if back else ROW_WINDOW_S):
            return
        if back:
            self._find(client, "two-devices", t, {"a": old.address, "b": session.address})
        elif same:
            self._find(client, "never-closes", t, {"a": old.address, "b": session.address})
