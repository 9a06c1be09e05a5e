"""What durability costs, as the table of docs/durability.md: `python -m tools.measure.wear [--docs] [READINGS]`.

Exit status: 0, 2 there is no MicroPython.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "host_tests"))

import run_mpy  # noqa: E402

PAGE = ROOT / "docs" / "durability.md"
BETWEEN = re.compile(r"(<!-- measured by `make wear` -->\n).*?(<!-- end -->)", re.S)


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("readings", nargs="?", default="3000")
    args.add_argument("--docs", action="store_true", help="write the table into docs/durability.md")
    opts = args.parse_args()
    micropython = run_mpy.interpreter()
    if not micropython:
        print("No MicroPython: run `make setup`.", file=sys.stderr)
        return 2
    program = ROOT / "host_tests" / "power" / "wear.py"
    command = [micropython, "-X", "heapsize=64m", str(program), opts.readings]
    table = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
    print(table, end="")
    if opts.docs:
        PAGE.write_text(BETWEEN.sub(lambda match: match.group(1) + table + match.group(2), PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
