"""`make stubs`: the types of the library as a package for pip, so that an editor knows it outside this clone.

    python -m tools.release.stubs [FOLDER]        umqtt_node_stubs-VERSION-py3-none-any.whl in build/stubs

mypy's stubgen writes the signatures and docstrings of the library's public modules, flit_core packs them. The package's
folder is umqtt-stubs, which checkers prefer to the `umqtt` that the stubs of a board bring (micropython-esp32-stubs).
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List

from tools.release.version import version
from tools.ship import LIBRARY, UMQTT

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = "umqtt-node-stubs"
# No program imports these either; their classes that a program sees are shown by the clients.
NOT_PUBLIC = (*UMQTT.internal, "engine", "transport", "upstream", "wire")
EPOCH = "1577836800"  # 2020: the time of every file in the wheel, so that the same source makes the same bytes
PROJECT = """\
[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"

[project]
name = "%s"
version = "%s"
description = "Types of umqtt, the MQTT client of umqtt-node for MicroPython"
readme = "README.md"
requires-python = ">=3.9"
license = "MIT"
license-files = ["LICENSE"]
classifiers = ["Typing :: Stubs Only", "Programming Language :: Python :: Implementation :: MicroPython"]

[tool.flit.module]
name = "umqtt-stubs"
"""
README = """\
Types and docstrings of `umqtt`, the MQTT client of umqtt-node for MicroPython: for editors, pyright and mypy. It goes
beside the stubs of your board (`micropython-esp32-stubs`, `micropython-esp8266-stubs`), and takes the place of the
`umqtt` that those have.
"""


class StubsError(Exception):
    """Why there are no stubs, in words."""


def run(folder: Path, *arguments: str) -> None:
    """This Python with these arguments, in `folder`. Raises StubsError with what it says."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(os.environ, SOURCE_DATE_EPOCH=EPOCH), text=True)  # fmt: skip
    if done.returncode:
        raise StubsError("%s: %s" % (" ".join(arguments[:2]), done.stdout.strip()))


def tidy(text: str) -> str:
    """A stub without private classes and without what only the checker of the source needs."""
    lines = text.split("\n")
    for node in reversed(ast.parse(text).body):
        private = isinstance(node, ast.ClassDef) and node.name.startswith("_")
        for_checker = isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "TYPE_CHECKING"
        if private or for_checker:
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines)


def with_arguments(aio: str, client: str) -> str:
    """The stub of the client for asyncio with the arguments of the client of `client`: it hands them on, which no
    checker could follow. Raises StubsError."""
    known = re.search(r"def __init__\(self, (client_id: .*?)\) -> None", client)
    handed_on = re.search(r"def __init__\(self, \*args, (\w.*?), \*\*named\)", aio)
    if not known or not handed_on:
        raise StubsError("client.py: no constructor with client_id, or aio.py: none with *args and **named")
    imports = "from umqtt.hints import DurableStore, TLSContext\nfrom umqtt.reconnect import Reconnect\n"
    arguments = "def __init__(self, %s, *, %s)" % (known.group(1), handed_on.group(1))
    return imports + aio.replace(handed_on.group(0), arguments)


def write_stubs(into: Path) -> List[str]:
    """Fill `into` with the stubs of the public modules; their names. Raises StubsError."""
    modules = [path for path in sorted(LIBRARY.glob("*.py")) if path.stem not in NOT_PUBLIC]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        # of the package as a whole: of a file alone it does not know whose module it is
        options = ("--no-import", "--include-docstrings", "--export-less", "-q", "-o", scratch)
        run(out, "-c", "from mypy.stubgen import main; main()", *options, str(LIBRARY))
        for path in modules:
            (into / (path.stem + ".pyi")).write_text(tidy((out / LIBRARY.name / (path.stem + ".pyi")).read_text()))
    shutil.copy(LIBRARY / "hints.pyi", into)
    (into / "aio.pyi").write_text(with_arguments((into / "aio.pyi").read_text(), (into / "client.pyi").read_text()))
    return sorted(path.stem for path in into.glob("*.pyi"))


def build(into: Path) -> Path:
    """The wheel, in `into`. Raises StubsError."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch)
        (project / "umqtt-stubs").mkdir()
        write_stubs(project / "umqtt-stubs")
        (project / "pyproject.toml").write_text(PROJECT % (DISTRIBUTION, version()))
        (project / "README.md").write_text(README)
        shutil.copy(ROOT / "LICENSE", project)
        run(project, "-c", "from flit_core.buildapi import build_wheel; build_wheel('.')")
        (wheel,) = project.glob("*.whl")
        shutil.copy(wheel, into)
    return into / wheel.name


def main() -> int:
    p = argparse.ArgumentParser(prog="make stubs", description="The library's types as a package for pip.")
    p.add_argument("into", nargs="?", type=Path, default=ROOT / "build" / "stubs", help="default: build/stubs")
    try:
        wheel = build(p.parse_args().into)
    except StubsError as e:
        print("stubs: %s" % e, file=sys.stderr)
        return 1
    print("pip install %s" % wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
