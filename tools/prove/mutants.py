"""Changes of one token that no test notices: makes them at random in a module of the library and runs its tests.

    python -m tools.prove.mutants firmware/lib/umqtt/store.py [MORE ...] [--n N] [--seed SEED] [--tests FILE ...]

A change: another comparison, `and` for `or`, a number one higher, + for -, True for False, a `not` or a statement left
out, None returned. The tests are plain functions (host_tests/unit, story, firmware) and run on CPython in a process of
their own that ends at the first failure; without --tests those that are listed for the module in TESTS. The last line:
`N changes, N noticed, N not`; exit status 1 when under 97 % are. Prints each that was not noticed.
"""

import argparse
import ast
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator, List, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HOST = ROOT / "host_tests"
LIB = ROOT / "firmware" / "lib" / "umqtt"
ENOUGH = 0.97
LIMIT_S = 60  # of processor time: a change can make a loop endless

DURABLE = ["unit/test_outbox.py", "unit/test_store.py", "unit/test_rtc.py"]
TESTS = {
    "store": ["unit/test_store.py", "unit/test_outbox.py", "unit/test_rtc.py"],
    "outbox": DURABLE,
    "wanted": DURABLE,
    "recall": ["unit/test_store.py", "unit/test_outbox.py"],
    "rtc": ["unit/test_rtc.py", "unit/test_outbox.py"],
    "routes": ["unit/test_routes.py"],
}

COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COUNTED = {ast.Add: ast.Sub, ast.Sub: ast.Add}


class Change(NamedTuple):
    line: int
    words: str
    source: str  # of the whole module, changed


def _replaced(source: str, node: ast.AST, by: str) -> str:
    lines = source.splitlines(keepends=True)
    at, end = node.lineno - 1, node.end_lineno - 1
    head = lines[at].encode()[: node.col_offset].decode()
    tail = lines[end].encode()[node.end_col_offset :].decode()
    return "".join(lines[:at]) + head + by + tail + "".join(lines[end + 1 :])


def _variants(node: ast.AST) -> Iterator[tuple]:
    """(words, text) of each change that can be made to one node."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in COMPARED:
                node.ops[i] = COMPARED[type(op)]()
                yield "the comparison", "(%s)" % ast.unparse(node)
                node.ops[i] = op
    elif isinstance(node, ast.BoolOp):
        op = node.op
        node.op = ast.Or() if isinstance(op, ast.And) else ast.And()
        yield "and / or", "(%s)" % ast.unparse(node)
        node.op = op
    elif isinstance(node, ast.BinOp) and type(node.op) in COUNTED:
        op = node.op
        node.op = COUNTED[type(op)]()
        yield "+ / -", "(%s)" % ast.unparse(node)
        node.op = op
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not", "(%s)" % ast.unparse(node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "True / False", str(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "a number + 1", str(node.value + 1)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "returned None", "return None"
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.Raise, ast.Delete)) or (
        isinstance(node, ast.Expr) and not isinstance(node.value, (ast.Constant, ast.Yield))
    ):
        yield "the statement removed", "pass"


def changes(source: str) -> List[Change]:
    """All changes that can be made to `source`; imports, annotations and signatures stay."""
    found = []
    skipped = set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            skipped.update(ast.walk(node))
        for part in ("returns", "annotation"):
            if getattr(node, part, None):
                skipped.update(ast.walk(getattr(node, part)))
    lines = source.splitlines()
    for node in ast.walk(tree):
        if node not in skipped:
            for words, text in _variants(node):
                where = "%s: %s" % (words, lines[node.lineno - 1].strip())
                found.append(Change(node.lineno, where, _replaced(source, node, text)))
    return found


def _run(folder: Path, tests: List[Path]) -> None:
    # in a child: ends with 0 when no test fails
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(folder), str(HOST)]
    import fakes.shim  # noqa: F401
    from fakes.check import Skip

    for file in tests:
        sys.path.insert(0, str(file.parent))
        module = __import__(file.stem)
        for name in [n for n in vars(module) if n.startswith("test_")]:
            try:
                getattr(module, name)()
            except Skip:
                pass


def noticed(module: Path, source: str, tests: List[Path]) -> bool:
    """Whether a test fails when `module` has this source."""
    with tempfile.TemporaryDirectory() as tmp:
        package = Path(tmp) / "umqtt"
        package.mkdir()
        for file in module.parent.glob("*.py"):
            if file != module:
                (package / file.name).symlink_to(file)
        (package / module.name).write_text(source)
        child = os.fork()
        if not child:
            try:
                os.environ["TMPDIR"] = tmp
                _run(Path(tmp), tests)
                os._exit(0)
            except BaseException:
                os._exit(1)
        return os.waitpid(child, 0)[1] != 0


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("modules", nargs="+", type=Path, metavar="FILE")
    args.add_argument("--n", type=int, default=60, help="changes to each module (60); 0: all")
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--tests", nargs="+", default=[], metavar="FILE", help="below host_tests")
    opts = args.parse_args()
    total = missed = 0
    for module in (m.resolve() for m in opts.modules):
        tests = [HOST / t for t in opts.tests or TESTS.get(module.stem, [])]
        if not tests:
            args.error("which tests are those of %s? --tests FILE" % module.name)
        source = module.read_text()
        if noticed(module, source, tests):
            print("%s: its tests fail as it is" % module.name, file=sys.stderr)
            return 2
        possible = changes(source)
        random.Random(opts.seed).shuffle(possible)
        chosen = possible[: opts.n or None]
        began = time.monotonic()
        for change in chosen:
            total += 1
            if not noticed(module, change.source, tests):
                missed += 1
                print("%s:%d: %s" % (module.name, change.line, change.words), flush=True)
        took_s = time.monotonic() - began
        print("%s: %d of %d changes tried, %.0f s" % (module.name, len(chosen), len(possible), took_s), flush=True)
    print("%d changes, %d noticed, %d not" % (total, total - missed, missed))
    return 0 if total - missed >= ENOUGH * total else 1


if __name__ == "__main__":
    sys.exit(main())
