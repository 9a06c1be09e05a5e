"""`python -m tools.ship`: see the package's words."""

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Optional

from tools.build import BuildError, build_library
from tools.ship import LIBRARY, ROOT, ShipError
from tools.ship.translate import Translator


def main() -> int:
    args = argparse.ArgumentParser(prog="ship", description="Make of the library's source what a board loads.")
    args.add_argument("into", nargs="?", type=Path, default=ROOT / "build" / "ship", help="default: build/ship")
    args.add_argument("--source", type=Path, default=LIBRARY, help="folder of the modules; default: the library's")
    args.add_argument("--traceback", nargs="?", const="-", metavar="FILE", help="tell a board's traceback, of FILE or"
                      " standard input, in the source's names")  # fmt: skip
    args.add_argument("--names", type=Path, metavar="FILE", help="names.json of what the board has; default: made of"
                      " the source at hand")  # fmt: skip
    opts = args.parse_args()
    if opts.traceback:
        return traceback(opts.traceback, opts.names)
    try:
        files = build_library(opts.into, opts.source)
    except (ShipError, BuildError) as error:
        print("ship: %s" % error, file=sys.stderr)
        return 1
    print("%d modules, %d bytes of .mpy in %s" % (len(files), sum(file.stat().st_size for file in files), opts.into))
    return 0


def traceback(path: str, names: Optional[Path]) -> int:
    try:
        translator = Translator(*([json.loads(names.read_text())] if names else []))
        with open(path) if path != "-" else contextlib.nullcontext(sys.stdin) as lines:
            for line in lines:
                print(translator.line(line.rstrip("\n")))
    except (OSError, ValueError, ShipError) as error:
        print("ship: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
