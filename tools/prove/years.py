"""Weeks of virtual time for the whole firmware: python -m tools.prove.years [--days 45] [--seed 1] [KIND ...]

Each way to run a node (ram, flash, rtc, rtc-sleep, flash-sleep) lives so many days on a virtual clock, with the
firmware's own modules, a network, a broker and a board that are fakes (host_tests/firmware/years.py), while WiFi, the
name server, the time server, the broker, the link, the sensor, the radio and the power fail at random. A line for each:
readings taken, received, dropped and told, lost, repeated, out of order, and whether anything was stuck.

Exit status: 0 nothing lost, repeated or stuck; 1 else.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("flash", "rtc-sleep", "flash-sleep", "ram", "rtc")  # the longest first
SLEEPER_INTERVAL_S = 300
MUST_BE_0 = ("lost", "repeated", "out of order", "stuck", "violations")


def live(kind: str, days: float, seed: int, protocol: int) -> dict:
    """The verdict over one life. Runs in a process of its own: the fakes stand in for modules."""
    sys.path[:0] = [str(ROOT / "host_tests" / "firmware"), str(ROOT / "host_tests"), str(ROOT / "firmware" / "lib")]
    import years

    keys = {"interval_s": SLEEPER_INTERVAL_S} if kind.endswith("sleep") else {}
    life = years.Life(kind, seed, protocol=protocol, **keys)
    try:
        return life.live(days).verdict()
    finally:
        life.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="of %s; all when none is given" % ", ".join(KINDS))
    parser.add_argument("--days", type=float, default=45, help="of virtual time (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what fails when (%(default)s)")
    parser.add_argument("--protocol", type=int, choices=(4, 5), default=4, help="5: MQTT 5 (%(default)s)")
    wanted = parser.parse_args()
    strange = [kind for kind in wanted.kinds if kind not in KINDS]
    if strange:
        parser.error("%s is none of %s" % (strange[0], ", ".join(KINDS)))
    began_s = time.monotonic()
    bad = 0
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        lives = [
            (kind, pool.submit(live, kind, wanted.days, wanted.seed, wanted.protocol)) for kind in wanted.kinds or KINDS
        ]
        for kind, running in lives:
            verdict = running.result()
            bad += sum(verdict[name] for name in MUST_BE_0)
            print(
                "%-11s %s" % (kind, ", ".join("%s %d" % (name, count) for name, count in verdict.items())), flush=True
            )
    print("%g days, seed %d, %d s: %s" % (
        wanted.days, wanted.seed, time.monotonic() - began_s, "0 lost, 0 repeated, 0 stuck" if not bad else "FAILED",
    ))  # fmt: skip
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
