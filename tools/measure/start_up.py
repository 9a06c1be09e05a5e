"""What does the firmware load before its first reading, and before that is on its way? `make size` prints it, too.

    python -m tools.measure.start_up [--check] [--docs] [LIFE ...]

The firmware runs as it ships on the real 32-bit MicroPython from a ROMFS image, as for firmware_heap, and tells each
import. Bytes are those of the .mpy files, the time is this computer's: the share of the imports in it is what carries
over to a board. --check: exit status 1 when more is loaded than tools/measure/budgets.json says. --docs: the table goes
into docs/size.md.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple

from tools.broker import Broker
from tools.measure.firmware_heap import LIVES, Rom, live
from tools.measure.size import BUDGETS, DOCS

FILES = ", from files"  # as on an ESP32
CHANGED = ", config.json changed"  # which is checked then; else the board has started with it before
KINDS = ("ram", "ram" + CHANGED, "ram" + FILES, "ram, discovery, commands", "flash", "asleep")
HEAP_B = 60_000  # what tells of the imports needs some of it
HEAP_OF_FILES_B = 110_000
MARK = "<!-- start -->"
END = "<!-- /start -->"


class Start(NamedTuple):
    """How a life began. modules, loaded_b: until its first reading was taken, until it was connected to the broker;
    reading_ms: until then; import_part: how much of it the imports took."""

    modules: int
    loaded_b: int
    modules_sent: int
    sent_b: int
    reading_ms: float
    import_part: float


def read(said: str, firmware: Path) -> Start:
    """From what a board with `tell_imports` has printed. Raises ValueError when there is no reading in it."""
    loaded: List[str] = []
    import_us = 0
    at_reading = None
    for line in said.splitlines():
        word, _, rest = line.partition(" ")
        if word == "import" and rest.count(" ") == 1:
            name, own_us = rest.split()
            loaded.append(name)
            import_us += int(own_us)
        elif word == "reading" and rest.isdigit() and at_reading is None:
            at_reading = len(loaded), int(rest), import_us
        elif line.startswith("broker: connected"):
            break
    if at_reading is None:
        raise ValueError("no reading was taken:\n" + said)
    count, reading_us, imported_us = at_reading
    sizes = [_size_b(firmware, name) for name in loaded]
    return Start(
        sum(size > 0 for size in sizes[:count]), sum(sizes[:count]), sum(size > 0 for size in sizes), sum(sizes),
        reading_us / 1000, imported_us / reading_us,
    )  # fmt: skip


def _size_b(firmware: Path, name: str) -> int:
    # 0: of the port, or a folder
    inside = name.replace(".", "/")
    for path in ("%s.mpy", "%s/__init__.mpy", "lib/%s.mpy", "lib/%s/__init__.mpy"):
        if (firmware / (path % inside)).exists():
            return (firmware / (path % inside)).stat().st_size
    return 0


def measure(names: List[str], times: int = 3) -> Dict[str, Start]:
    """Each of these lives, one after the other; of so many times the one whose first reading came first."""
    with tempfile.TemporaryDirectory() as scratch:
        rom = Rom(Path(scratch))
        with Broker(Path(scratch)) as broker:
            starts: Dict[str, Start] = {}
            for name in names:
                is_rom = not name.endswith(FILES)
                heap_b = HEAP_B if is_rom else HEAP_OF_FILES_B
                is_changed = name.endswith(CHANGED)
                config = LIVES[name.replace(FILES, "").replace(CHANGED, "")]
                for _ in range(times):
                    life = live(
                        rom, config, broker.port, heap_b, tell_imports=True, from_files=not is_rom,
                        started_before=not is_changed,
                    )  # fmt: skip
                    start = read(life.said, rom.firmware)
                    if name not in starts or start.reading_ms < starts[name].reading_ms:
                        starts[name] = start
            return starts


def table(starts: Dict[str, Start]) -> str:
    """As Markdown."""
    rows = [
        "| life | modules before the first reading | bytes | until it is connected | bytes | ms until the first reading"
        " here | imports, of these |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, start in starts.items():
        part = "%d %%" % round(100 * start.import_part)
        rows.append("| %s | %d | %d | %d | %d | %.1f | %s |" % (name, *start[:5], part))
    return "\n".join(rows)


def over(starts: Dict[str, Start]) -> List[str]:
    """What loads more than its budget, in words."""
    most = {row["life"]: row for row in json.loads(BUDGETS.read_text())["start_up"]}
    found = []
    for name, start in starts.items():
        if start.loaded_b > most[name]["reading_b"]:
            words = "%s: %d B are loaded before the first reading, at most %d should be"
            found.append(words % (name, start.loaded_b, most[name]["reading_b"]))
        if start.sent_b > most[name]["connected_b"]:
            words = "%s: %d B are loaded before it is connected, at most %d should be"
            found.append(words % (name, start.sent_b, most[name]["connected_b"]))
    return found


def main() -> int:
    args = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    args.add_argument("lives", nargs="*", metavar="LIFE", help="of: %s; all when none is given" % "; ".join(KINDS))
    args.add_argument("--check", action="store_true", help="fail when more is loaded than the budget says")
    args.add_argument("--docs", action="store_true", help="write the table into docs/size.md")
    opts = args.parse_args()
    starts = measure(opts.lives or list(KINDS))
    text = table(starts)
    print(text)
    if opts.docs:
        head, rest = DOCS.read_text().split(MARK)
        DOCS.write_text(head + MARK + "\n" + text + "\n" + END + rest.split(END)[1])
    wrong = over(starts) if opts.check else []
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
