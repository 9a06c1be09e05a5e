"""`make package`: what `mip install github:OWNER/REPO` takes from the repository: package.json, and the files it names
in mip/.

    python -m tools.release.package [--repo OWNER/NAME] [--check]

mip/6/umqtt/*.mpy              the library as it is shipped (tools/ship), for each MicroPython that loads .mpy version 6
mip/6/root/umqtt/__init__.mpy  goes into the board's root, so that the umqtt of stock firmware does not hide ours

package.json names them by relative addresses, so that a fork and a tag (@v2.0.0) have their own files. The mip of a
board knows those since MicroPython 1.25; --repo writes whole ones for older boards.
Exit status: 0 done, 1 with --check when the files are not those of this source, 2 called wrongly.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, Iterable, List, Optional

from tools.build import PACKAGE, BuildError, build_library, compile_one
from tools.release.version import is_release, version

ROOT = Path(__file__).resolve().parents[2]
BESIDE_FROZEN = Path(__file__).with_name("beside_frozen.py")
MPY_VERSION = 6  # of MicroPython 1.19 to 1.29
FOLDER = Path("mip", str(MPY_VERSION))
# Seen from the folder that mip installs into, /lib unless it is told another.
FIRST = "../%s/__init__" % PACKAGE


def first(source: str, suffix: str = ".mpy") -> str:
    """The source of FIRST, for a library of files with this suffix; source: of the library's own __init__."""
    return source + BESIDE_FROZEN.read_text().replace(".mpy", suffix)


def library() -> Dict[str, bytes]:
    """The files that mip installs, {path from the folder that it installs into: content}. FIRST is the last: whoever
    installs into the root, beyond which it would be, has all others by then. Raises BuildError."""
    with tempfile.TemporaryDirectory() as scratch:
        files = build_library(Path(scratch))
        found = {"%s/%s" % (PACKAGE, file.name): file.read_bytes() for file in files}
        path = Path(scratch) / "first.py"
        path.write_text(first((Path(scratch) / "py" / PACKAGE / "__init__.py").read_text()))
        compile_one(path, path.with_suffix(".mpy"), PACKAGE)
        found[FIRST + ".mpy"] = path.with_suffix(".mpy").read_bytes()
    return found


def place(target: str, folder: Path = FOLDER) -> str:
    """Where the file lies that goes to `target` on the board: in the repository, or below another folder."""
    return (folder / target.replace("../", "root/")).as_posix()


def list_of(targets: Iterable[str], base: str = "", folder: Path = FOLDER) -> str:
    """package.json for these files. base: what stands before their addresses, "github:OWNER/NAME/"; "" for those that
    are relative to package.json."""
    rows = ",\n".join("  " + json.dumps([target, base + place(target, folder)]) for target in targets)
    head = {"name": "umqtt", "version": version(), "mpy": MPY_VERSION, "deps": []}
    return json.dumps(head, indent=1)[:-2] + ',\n "urls": [\n%s\n ]\n}\n' % rows


def write(root: Path, repo: str = "") -> List[str]:
    """Fill `root`/mip and `root`/package.json, replacing what is there; the names of the files. Raises BuildError."""
    files = library()
    shutil.rmtree(root / FOLDER, ignore_errors=True)
    for target, data in files.items():
        (root / place(target)).parent.mkdir(parents=True, exist_ok=True)
        (root / place(target)).write_bytes(data)
    (root / "package.json").write_text(list_of(files, "github:%s/" % repo if repo else ""))
    return list(files)


def check(root: Path) -> List[str]:
    """What is wrong with the package in `root`, in words. While the source is on the way to a release an older package
    is right. Raises BuildError."""
    try:
        text = (root / "package.json").read_text()
    except FileNotFoundError:
        return ["there is no package.json: `make package`"] if is_release(version()) else []
    package = json.loads(text)
    lost = [url for _, url in package["urls"] if not (root / re.sub("^github:[^/]+/[^/]+/", "", url)).is_file()]
    if lost:
        return ["package.json names %s, which is not there: `make package`" % name for name in lost]
    if not is_release(version()):
        return []
    if package["version"] != version():
        return ["package.json is of %s, the library of %s: `make package`" % (package["version"], version())]
    files = library()
    old = [path for path, data in sorted(files.items()) if not _is_file(root / place(path), data)]
    there = {path.relative_to(root).as_posix() for path in (root / FOLDER).rglob("*") if path.is_file()}
    extra = sorted(there - {place(target) for target in files})
    wrong = [
        "%s is not what the library's source makes: `make package`, or a new __version__" % place(path) for path in old
    ]
    wrong += ["%s is of no module: `make package`" % name for name in extra]
    if not wrong and [target for target, _ in package["urls"]] != list(files):
        wrong.append("package.json does not name the files of mip/: `make package`")
    return wrong


def _is_file(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make package", description="Build what `mip install` takes from the repository."
    )
    parser.add_argument("--repo", default="", metavar="OWNER/NAME", help="write whole addresses, which boards before"
                   " MicroPython 1.25 need")  # fmt: skip
    parser.add_argument("--check", action="store_true", help="only tell whether it is that of this source")
    args = parser.parse_args(argv)
    if args.repo and not re.fullmatch(r"[\w.-]+/[\w.-]+", args.repo):
        parser.error("--repo: OWNER/NAME, as in github.com/OWNER/NAME")
    try:
        if args.check:
            wrong = check(ROOT)
            for words in wrong:
                print("package: " + words, file=sys.stderr)
            return 1 if wrong else 0
        names = write(ROOT, args.repo)
    except BuildError as error:
        print("package: %s" % error, file=sys.stderr)
        return 1
    print("package.json: %s, %d files in %s" % (version(), len(names), FOLDER.as_posix()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
