"""`python -m tools.ship`: see the package's words."""

import argparse
import sys
from pathlib import Path

from tools.build import BuildError, build_library
from tools.ship import LIBRARY, ROOT, ShipError


def main() -> int:
    args = argparse.ArgumentParser(prog="ship", description="Make of the library's source what a board loads.")
    args.add_argument("into", nargs="?", type=Path, default=ROOT / "build" / "ship", help="default: build/ship")
    args.add_argument("--source", type=Path, default=LIBRARY, help="folder of the modules; default: the library's")
    opts = args.parse_args()
    try:
        files = build_library(opts.into, opts.source)
    except (ShipError, BuildError) as e:
        print("ship: %s" % e, file=sys.stderr)
        return 1
    print("%d modules, %d bytes of .mpy in %s" % (len(files), sum(f.stat().st_size for f in files), opts.into))
    return 0


if __name__ == "__main__":
    sys.exit(main())
