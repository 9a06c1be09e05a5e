"""`make interop`: the client on the real MicroPython against every broker that the set-up can get.

    python -m tools.prove.interop [--brokers NAME,...] [--checks NAME,...] [--jobs N] [--docs] [--keep FOLDER]

Each check runs on boards (32-bit MicroPython, the compiled library) behind a link that keeps every byte, and a witness
reads those bytes: a breach of MQTT 3.1.1 by the client fails the run, whatever the check says. --docs writes the table
of docs/brokers.md; build/interop.json has the details. Exit status: 0 when the client broke no rule and every check
that did not hold is known (tools/prove/deviations.py) as the broker's, 1 else, 2 when nothing could be run.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "setup"))

import brokers as sources  # noqa: E402

from tools.broker import BrokerError  # noqa: E402
from tools.build import build  # noqa: E402
from tools.driven import DeviceError  # noqa: E402
from tools.firmware_process import BoardError, micropython  # noqa: E402
from tools.prove import broker_makes, brokers_page  # noqa: E402
from tools.prove.check_world import Failed, NotOffered, World  # noqa: E402
from tools.prove.checks import CHECKS  # noqa: E402
from tools.prove.deviations import deviation  # noqa: E402
from tools.prove.link import BROKER, CLIENT  # noqa: E402
from tools.prove.witness import judge  # noqa: E402

PASS, BROKER_FAILS, NOT_OFFERED, RED = "pass", "broker", "not offered", "FAILED"


_numbers = itertools.count(1)  # no two runs of a check share a client id: some brokers keep what they should not


@dataclass
class Verdict:
    """What came of one check at one broker."""

    check: str
    kind: str
    words: str = ""
    remarks: List[str] = field(default_factory=list)
    client_breaches: List[str] = field(default_factory=list)
    broker_breaches: List[str] = field(default_factory=list)
    took_s: float = 0.0
    connections: int = 0


@dataclass
class Result:
    """All verdicts at one broker, or why it was skipped."""

    broker: str
    title: str = ""
    origin: str = ""
    skipped: str = ""
    verdicts: List[Verdict] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return sum(verdict.kind == kind for verdict in self.verdicts)

    def red(self) -> List[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.kind == RED]


def library(folder: Path) -> Path:
    """The library as it goes onto a board, compiled into `folder`."""
    build(folder / "firmware")
    return folder / "firmware" / "lib"


def run_check(server: broker_makes.Server, interpreter: str, lib: Path, name: str) -> Verdict:
    """One check; the broker is left running."""
    began_s = time.monotonic()
    verdict = Verdict(name, PASS)
    world = World(server, interpreter, lib, "%s-%d" % (name.replace("_", "-"), next(_numbers)))
    try:
        CHECKS[name][1](world)
    except NotOffered as error:
        verdict.kind, verdict.words = NOT_OFFERED, str(error)
    except (Failed, DeviceError) as error:
        verdict.kind, verdict.words = RED, str(error)
    except Exception as error:  # of the check itself, or of paho: told, and the other checks go on
        verdict.kind = RED
        verdict.words = "%s: %s" % (type(error).__name__, traceback.format_exc().strip().splitlines()[-2:])
    finally:
        world.close()
    verdict.remarks = world.remarks
    verdict.connections = len(world.link.connections)
    seen = judge(world.link.connections, world.was_frozen)
    # of what passed to the independent client only the broker's side is judged
    seen += Counter({told: count for told, count in judge(world.observed()).items() if told.by == BROKER})
    for breach, times in sorted(seen.items(), key=str):
        line = "%s [%s]%s" % (breach.words, breach.clause, " %d times" % times if times > 1 else "")
        (verdict.client_breaches if breach.by == CLIENT else verdict.broker_breaches).append(line)
    known = deviation(server.name, name)
    if verdict.kind == RED and known:
        verdict.kind = BROKER_FAILS
    if verdict.client_breaches:
        verdict.kind = RED
        verdict.words = "THE CLIENT: " + "; ".join(verdict.client_breaches) + (" / " + verdict.words)
    verdict.took_s = time.monotonic() - began_s
    return verdict


def run_broker(name: str, checks: List[str], interpreter: str, lib: Path, folder: Path) -> Result:
    """All checks at one broker."""
    source = sources.SOURCES.get(name)
    result = Result(name, name, source.words() if source else "this machine")
    try:
        with broker_makes.server(name, folder) as server:
            result.title = server.title
            for check in checks:
                if server.process is None or server.process.poll() is not None:
                    server.stop(hard=True)
                    server.start()  # the check before it ended it, or it ended itself
                    if result.verdicts:
                        result.verdicts[-1].remarks.append("the broker ended during this check")
                verdict = run_check(server, interpreter, lib, check)
                if verdict.kind == RED and not verdict.client_breaches:
                    again = run_check(server, interpreter, lib, check)  # a loaded machine is no broker's fault
                    again.remarks.append("failed at first: " + verdict.words)
                    verdict = again if again.kind != RED else verdict
                result.verdicts.append(verdict)
                print(
                    "%-18s %-16s %-11s %5.1f s  %s"
                    % (name, check, verdict.kind, verdict.took_s, verdict.words or "; ".join(verdict.remarks)),
                    flush=True,
                )
    except BrokerError as error:
        if result.verdicts:
            raise
        result.skipped = str(error)
        print("%-18s skipped: %s" % (name, error), flush=True)
    return result


def summary(results: List[Result]) -> List[str]:
    """A line for each broker, and what was seen on the wire."""
    lines = []
    for result in results:
        if result.skipped:
            lines.append("%-24s skipped: %s" % (result.title, result.skipped))
            continue
        lines.append("%-24s %d pass, %d the broker's, %d not offered, %d FAILED" % (
            result.title, result.count(PASS), result.count(BROKER_FAILS), result.count(NOT_OFFERED),
            result.count(RED)))  # fmt: skip
        wire = Counter(breach for verdict in result.verdicts for breach in verdict.broker_breaches)
        lines += ["    on the wire: %s (%d checks)" % item for item in wire.most_common(6)]
        for verdict in result.verdicts:
            known = deviation(result.broker, verdict.check)
            if verdict.kind == PASS and known and known.always:
                lines.append("    %s passes, though it is listed as the broker's fault" % verdict.check)
        lines += ["    FAILED %s: %s" % (verdict.check, verdict.words) for verdict in result.red()]
    return lines


def main() -> int:
    args = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    args.add_argument("--brokers", default=",".join(sources.SOURCES), help="names in .cache/brokers, or mosquitto")
    args.add_argument("--checks", default=",".join(CHECKS))
    args.add_argument("--jobs", type=int, default=2, help="brokers at one time")
    args.add_argument("--docs", action="store_true", help="write the table of docs/brokers.md")
    args.add_argument("--keep", type=Path, help="leave the brokers' folders with their logs here")
    opts = args.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names, checks = opts.brokers.split(","), opts.checks.split(",")
    unknown = sorted(set(names) - set(sources.SOURCES) - {"mosquitto"}) + sorted(set(checks) - set(CHECKS))
    if unknown:
        args.error("not known: %s" % ", ".join(unknown))
    try:
        interpreter: Optional[str] = micropython()
    except BoardError as error:
        interpreter, reason = None, str(error)
    else:
        reason = "there is no MicroPython: `make setup` tries to get one"
    if not interpreter:
        print("interop: " + reason, file=sys.stderr)
        return 2
    folder = opts.keep or Path(tempfile.mkdtemp(prefix="interop-"))
    try:
        lib = library(folder)
        with concurrent.futures.ThreadPoolExecutor(opts.jobs) as pool:
            made = [pool.submit(run_broker, name, checks, interpreter, lib, folder / name) for name in names]
            results = [made_one.result() for made_one in made]
    finally:
        if not opts.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(summary(results)))
    (ROOT / "build").mkdir(exist_ok=True)
    details: List[Dict] = [asdict(result) for result in results]
    (ROOT / "build" / "interop.json").write_text(json.dumps(details, indent=1, ensure_ascii=False))
    if opts.docs:
        brokers_page.write(results)
    ran = [result for result in results if not result.skipped]
    if not ran:
        print("interop: no broker could be run", file=sys.stderr)
        return 2
    return 1 if any(result.red() for result in ran) else 0


if __name__ == "__main__":
    sys.exit(main())
