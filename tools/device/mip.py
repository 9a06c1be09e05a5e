"""`make mip`: the library alone, as `mip install` takes it, in build/mip.

package.json             mpremote mip install URL/package.json, mip.install("URL/package.json")
package/6/umqtt/*.json   mip.install("umqtt", index="URL"), which MicroPython before 1.25 needs
file/                    what the index names by its hash
The .mpy files are the shipped form (tools/ship); for a MicroPython that cannot read them the index has the source.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Dict, List, Optional

from tools.build import BuildError
from tools.device.serial_port import ToolError, parser, run_tool
from tools.printable import quoted
from tools.release.package import FIRST, MPY_VERSION, first, library, list_of, place
from tools.release.version import version
from tools.ship import LIBRARY

ROOT = Path(__file__).resolve().parents[2]
HASH_DIGITS = 8  # how much of a file's SHA-256 its name in the index is


def write_index(out: Path, kind: str, files: Dict[str, bytes]) -> None:
    """The part of an index for "6" (.mpy) or "py": every file under its hash, and the lists that name them."""
    rows = []
    for name, data in files.items():
        digest = hashlib.sha256(data).hexdigest()[:HASH_DIGITS]
        rows.append([name, digest])
        path = out / "file" / digest[:2] / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    folder = out / "package" / kind / "umqtt"
    folder.mkdir(parents=True)
    text = json.dumps({"v": 1, "version": version(), "hashes": rows, "deps": []})
    for name in ("latest", version()):
        (folder / (name + ".json")).write_text(text)


def build_package(out: Path, url: str = "") -> List[str]:
    """Fill `out`, replacing what is there; the names of the files to install. Raises ToolError.

    url: where `out` will be served; without it package.json names its files relative to itself.
    """
    try:
        compiled = library()
    except BuildError as error:
        raise ToolError(str(error)) from None
    # a board that compiles them itself can do so for one layer after the other, but not for the merged core at once
    sources = {"umqtt/" + source.name: source.read_bytes() for source in sorted(LIBRARY.glob("*.py"))}
    sources[FIRST + ".py"] = first((LIBRARY / "__init__.py").read_text(), ".py").encode()
    shutil.rmtree(out, ignore_errors=True)
    for target, data in compiled.items():
        (out / place(target, Path())).parent.mkdir(parents=True, exist_ok=True)
        (out / place(target, Path())).write_bytes(data)
    (out / "package.json").write_text(list_of(compiled, url.rstrip("/") + "/" if url else "", Path()))
    write_index(out, str(MPY_VERSION), compiled)
    write_index(out, "py", sources)
    return list(compiled)


def main(argv: Optional[List[str]] = None) -> int:
    options = parser(
        "mip",
        "Build the library as a package for `mip install`, to be served from any web server. Stock firmware freezes an"
        " umqtt of its own, which hides one in /lib. So the package also puts /umqtt/__init__ into the root, where a"
        " board looks first: it leads to /lib/umqtt, and `import umqtt` is ours without a line in boot.py. Where that"
        " file is not, `import sys` and `sys.path.insert(0, '/lib')` must come before the first import of umqtt.",
    )
    options.add_argument("--output", default=str(ROOT / "build" / "mip"), metavar="DIR", help="default: build/mip")
    options.add_argument("--url", default="", help="where it will be served: whole addresses in package.json")
    args = options.parse_args(argv)
    names = build_package(Path(args.output), args.url)
    print("%d files in %s" % (len(names), args.output))
    print("mpremote mip install %s" % quoted(Path(args.output) / "package.json"))
    return 0


if __name__ == "__main__":
    run_tool("mip", main)
