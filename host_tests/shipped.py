"""build/shipped: a checkout whose library is the shipped form, so that the same tests run on both.

    folder = make()          # firmware/lib/umqtt/*.mpy, firmware/, host_tests/, names.json

In the tests private names are those that they have there: each is written out (x._name) and found in the map that the
build makes. fakes/, dropin/ and firmware/ know none: what they stand for are programs, with private names of their own.

A test of one layer below the client says SOURCE_FORM_ONLY = "why" in a line of its own: shipped, the layers are one.
"""

import ast
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.build import PACKAGE, build_library  # noqa: E402
from tools.ship import read_map  # noqa: E402

SHIPPED = ROOT / "build" / "shipped"
AS_THEY_ARE = ("fakes", "dropin", "firmware")
SOURCE_FORM_ONLY = re.compile(r'^SOURCE_FORM_ONLY = "(.*)"$', re.M)


def make(into: Path = SHIPPED) -> Path:
    """Fill `into`, replacing it as a whole; returns it. Raises tools.build.BuildError."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".shipped-", dir=str(into.parent)) as scratch:
        new = Path(scratch) / "new"
        built = Path(scratch) / "library"
        build_library(built)
        names = read_map(built)["attributes"]
        (new / "firmware" / "lib").mkdir(parents=True)
        shutil.copyfile(built / "names.json", new / "names.json")
        shutil.move(str(built / "mpy" / PACKAGE), str(new / "firmware" / "lib" / PACKAGE))
        for source in sorted([*ROOT.glob("firmware/**/*.py"), *ROOT.glob("host_tests/**/*.py")]):
            path = source.relative_to(ROOT)
            if path.parts[:3] == ("firmware", "lib", PACKAGE):
                continue
            text = source.read_text()
            if path.parts[0] == "host_tests" and path.parts[1] not in AS_THEY_ARE:
                text = with_names(text, names)
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_text(text)
        for source in [*ROOT.glob("firmware/*.json"), *ROOT.glob("docs/*.md")]:  # which tests read
            (new / source.relative_to(ROOT)).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, new / source.relative_to(ROOT))
        shutil.rmtree(into, ignore_errors=True)
        new.rename(into)
    return into


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
