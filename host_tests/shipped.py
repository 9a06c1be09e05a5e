"""build/shipped: a checkout whose library is the shipped form, so that the same tests run on both.

    folder = make()          # firmware/lib/umqtt/*.mpy, firmware/, host_tests/, names.json

The firmware is compiled as for a board, and the fakes with their asserts: MicroPython loads them a thousand times.

In the tests private names are those that they have there: each is written out (x._name) and found in the map that the
build makes. fakes/, dropin/ and firmware/ know none: what they stand for are programs, with private names of their own.

A test of one layer below the client says SOURCE_FORM_ONLY = "why" in a line of its own: shipped, the layers are one.
"""

import ast
import fcntl
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools import built_before  # noqa: E402
from tools.build import PACKAGE, SOURCE_ONLY, build_library, compile_one, module  # noqa: E402
from tools.ship import read_map  # noqa: E402

SHIPPED = ROOT / "build" / "shipped"
AS_THEY_ARE = ("fakes", "dropin", "firmware")
PROGRAMS = ("run_file.py", "device.py")  # started by their path
SOURCE_FORM_ONLY = re.compile(r'^SOURCE_FORM_ONLY = "(.*)"$', re.M)


def make(into: Path = SHIPPED) -> Path:
    """Fill `into`, replacing it as a whole, unless it was made of the same files; returns it. Raises
    tools.build.BuildError."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with open(into.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several workers one makes it, under none that runs from it
        sources = sorted([*ROOT.glob("firmware/**/*.py"), *ROOT.glob("host_tests/**/*.py")])
        read = [*sorted(ROOT.glob("firmware/*.json")), *sorted(ROOT.glob("docs/*.md"))]  # by tests
        names = " ".join(str(path.relative_to(ROOT)) for path in [*sources, *read])
        key = built_before.digest(ROOT / "host_tests", [*ROOT.glob("firmware/**/*.py"), *read], names)
        made_of = into / "made_of"
        if not made_of.exists() or made_of.read_text() != key:
            with tempfile.TemporaryDirectory(prefix=".shipped-", dir=str(into.parent)) as scratch:
                new = Path(scratch) / "new"
                fill(new, Path(scratch) / "library", sources, read)
                (new / "made_of").write_text(key)
                shutil.rmtree(into, ignore_errors=True)
                new.rename(into)
    return into


def fill(new: Path, built: Path, sources: List[Path], read: List[Path]) -> None:
    """Lay the checkout out in `new`; built: an empty folder for the library. Raises tools.build.BuildError."""
    build_library(built)
    names = read_map(built)["attributes"]
    (new / "firmware" / "lib").mkdir(parents=True)
    shutil.copyfile(built / "names.json", new / "names.json")
    shutil.move(str(built / "mpy" / PACKAGE), str(new / "firmware" / "lib" / PACKAGE))
    for source in sources:
        path = source.relative_to(ROOT)
        if path.parts[:3] == ("firmware", "lib", PACKAGE):
            continue
        target = new / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.parts[0] == "firmware" and path.name not in SOURCE_ONLY:
            compile_one(source, target.with_suffix(".mpy"), module(path.relative_to("firmware")))
        elif path.parts[:2] == ("host_tests", "fakes") and path.name not in PROGRAMS:
            compile_one(source, target.with_suffix(".mpy"), str(path), optimize=0)
        elif path.parts[0] == "host_tests" and path.parts[1] not in AS_THEY_ARE:
            target.write_text(with_names(source.read_text(), names))
        else:
            shutil.copyfile(source, target)
    for source in read:
        (new / source.relative_to(ROOT)).parent.mkdir(exist_ok=True)
        shutil.copyfile(source, new / source.relative_to(ROOT))


def with_names(text: str, names: Dict[str, str]) -> str:
    """A test's text with the private names that ship; its lines stay where they are."""
    places = []  # (line, column, name), of attributes and of what a class body binds
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            places.append((node.end_lineno, node.end_col_offset - len(node.attr.encode()), node.attr))
        elif isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    keyword = "def " if isinstance(statement, ast.FunctionDef) else "async def "
                    places.append((statement.lineno, statement.col_offset + len(keyword), statement.name))
                elif isinstance(statement, ast.Assign):
                    places += [(t.lineno, t.col_offset, t.id) for t in statement.targets if isinstance(t, ast.Name)]
    lines = [line.encode() for line in text.split("\n")]
    for line, column, name in sorted(places, reverse=True):
        if name in names:
            old = lines[line - 1]
            lines[line - 1] = old[:column] + names[name].encode() + old[column + len(name.encode()) :]
    return b"\n".join(lines).decode()
