"""Where a broker does not do what MQTT 3.1.1 says, check by check: the clause, and what the client does about it.

`make interop` holds this list against what happens: a failed check that is not here is a failure of the run, and one
that is here and passes is told.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import List, Optional


@dataclass(frozen=True)
class Deviation:
    """brokers: a pattern of their names. always: False where it depends on chance whether the check sees it."""

    brokers: str
    checks: str
    broker_does: str
    client_does: str
    always: bool = True


DEVIATIONS: List[Deviation] = []


def deviation(broker: str, check: str) -> Optional[Deviation]:
    """The entry for a broker and a check; None when it should pass."""
    for d in DEVIATIONS:
        if fnmatch.fnmatch(broker, d.brokers) and check in d.checks.split():
            return d
    return None
