"""`make stubs`: the types of the library as a package for pip, so that an editor knows it outside this clone.

    python -m tools.release.stubs [FOLDER]        umqtt_node_stubs-VERSION-py3-none-any.whl in build/stubs

mypy's stubgen writes the signatures and docstrings of the library's public modules, flit_core packs them. The package's
folder is umqtt-stubs, which checkers prefer to the `umqtt` that the stubs of a board bring (micropython-esp32-stubs).
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

from tools.release.version import version
from tools.ship import CLIENT_LAYERS, LIBRARY, UMQTT

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = "umqtt-node-stubs"
# No program imports these either; their classes that a program sees are shown by the clients. But a client's bases are
# looked up where they stand.
NOT_PUBLIC = {*UMQTT.internal, "engine", "transport", "upstream", "wire"} - {*CLIENT_LAYERS}
HANDED_TO = {"aio": ("client",), "v5": ("client",), "aio_v5": ("client", "v5", "aio")}
NAMES = (  # of the arguments that are handed on
    "from typing import Any, Callable",
    "from umqtt.hints import DurableStore, Properties, TLSContext",
    "from umqtt.reconnect import Reconnect",
)
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
        for unneeded in [node] if private or for_checker else reversed(_made_when_asked(node)):
            del lines[unneeded.lineno - 1 : unneeded.end_lineno]
    return "\n".join(lines)


def _made_when_asked(node: ast.stmt) -> List[ast.stmt]:
    """A class's `__getattr__`, and the attributes of unknown type that it makes: the class, or its base, declares
    them."""
    body = node.body if isinstance(node, ast.ClassDef) else []
    makers = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == "__getattr__"]
    made = [n for n in body if isinstance(n, ast.AnnAssign) and ast.unparse(n.annotation) == "Incomplete"]
    return [n for n in body if n in makers or makers and n in made]


def constructor(stub: str) -> ast.FunctionDef:
    """That of the client in a stub. Raises StubsError."""
    for node in ast.walk(ast.parse(stub)):
        if not isinstance(node, ast.FunctionDef) or node.name != "__init__":
            continue
        if node.args.vararg or [argument.arg for argument in node.args.args[1:2]] == ["client_id"]:
            return node
    raise StubsError("no constructor with client_id, nor one with *args and **named")


def with_arguments(stub: str, *handed_to: str) -> str:
    """The stub of a client that hands the arguments of its constructor on, which no checker could follow: with those of
    the clients of `handed_to` written out. Raises StubsError."""
    by_place: Dict[str, str] = {}
    by_name: Dict[str, str] = {}
    client = next(node for node in ast.parse(stub).body if isinstance(node, ast.ClassDef) and node.name == "MQTTClient")
    own = constructor(stub) if "*args" in stub else None  # else it has that of its bases
    for text in (*handed_to, *([stub] if own else ())):
        of = constructor(text).args
        defaults: List[Optional[ast.expr]] = [None] * (len(of.args) - len(of.defaults)) + list(of.defaults)
        for argument, default in [*zip(of.args, defaults), *zip(of.kwonlyargs, of.kw_defaults)]:
            known = by_place if argument in of.args or argument.arg in by_place else by_name
            known[argument.arg] = ast.unparse(argument) + (" = " + ast.unparse(default) if default else "")
    lines = stub.split("\n")
    arguments = ", ".join([*by_place.values(), "*", *by_name.values()])
    first, behind = (own.lineno - 1, own.end_lineno) if own else [client.body[0].end_lineno] * 2
    lines[first:behind] = ["    def __init__(%s) -> None: ..." % arguments]
    return "\n".join([*NAMES, *lines])


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
    written = {name: (into / (name + ".pyi")).read_text() for name in ("client", "aio", "v5", "aio_v5")}
    for name, handed_to in HANDED_TO.items():
        full = with_arguments(written[name], *[written[other] for other in handed_to])
        (into / (name + ".pyi")).write_text(full)
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
    parser = argparse.ArgumentParser(prog="make stubs", description="The library's types as a package for pip.")
    parser.add_argument("into", nargs="?", type=Path, default=ROOT / "build" / "stubs", help="default: build/stubs")
    try:
        wheel = build(parser.parse_args().into)
    except StubsError as error:
        print("stubs: %s" % error, file=sys.stderr)
        return 1
    print("pip install %s" % wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
