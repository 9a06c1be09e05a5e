"""Do the tests notice a changed token? python -m tools.prove.mutants FILE ... [--sample N] [--seed N] [--docs]

One token of FILE (of firmware/) is changed at a time: a comparison, a number, True or False, and or or, plus or minus,
a statement left out. The tests of unit/, story/, dropin/ and firmware/ that call the function run on CPython with the
changed file, the quickest first and for some seconds, until one is red; a change that none notices survives and is
listed. --docs notes the figures in docs/testing.md. A change that makes no difference stands in equivalents.txt, with
the reason.
Exit status: 0 when no more than 3 in 100 survive in each file, 1 else.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
LAYERS = ("unit", "story", "dropin", "firmware")
MOST_SURVIVE = 0.03
LEAST_CPU_S = 20
MOST_S = 6  # of tests for one change, measured when they were profiled
TIMES_SLOWER = 10  # than it was when it was measured, in CPU seconds: the test never ends
TIMEOUT_S = 1800  # a process that waits for ever, on however busy a machine
NO_END = -1  # in place of a test's number
EQUIVALENTS = Path(__file__).with_name("equivalents.txt")
CALLS = ROOT / ".cache" / "mutants"  # what each test file calls, under its digest
PAGE = ROOT / "docs" / "testing.md"
BEGIN, END = "<!-- make mutants DOCS=1 -->\n", "<!-- end -->\n"
HEADING = "| file | changes | tried | noticed | equivalent |\n|---|--:|--:|--:|---|\n"
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
SUMS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult}


def places(tree: ast.AST) -> list[tuple[int, int, str]]:
    """(index of the node in ast.walk, line, what is changed there) for everything that can be."""
    found = []
    for i, node in enumerate(ast.walk(tree)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
            found.append((i, line, "comparison"))
        elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int)):
            found.append((i, line, "True/False" if isinstance(node.value, bool) else "number + 1"))
        elif isinstance(node, ast.BoolOp):
            found.append((i, line, "and/or"))
        elif isinstance(node, ast.BinOp) and type(node.op) in SUMS and not isinstance(node.left, ast.Constant):
            found.append((i, line, "sum"))
        elif isinstance(node, (ast.Assign, ast.AugAssign, ast.Raise)) or is_call(node):
            found.append((i, line, "statement left out"))
    return found


def is_call(node: ast.AST) -> bool:
    """Whether it is a statement that calls something, other than print."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    return not (isinstance(node.value.func, ast.Name) and node.value.func.id == "print")


class Removal(ast.NodeTransformer):
    """`pass` in the place of one statement."""

    def __init__(self, target: ast.AST) -> None:
        self.target = target

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(ast.Pass(), node) if node is self.target else self.generic_visit(node)


def mutant(tree: ast.AST, index: int, what: str) -> str:
    """The source with that one change."""
    tree = copy.deepcopy(tree)
    for i, node in enumerate(ast.walk(tree)):
        if i != index:
            continue
        if isinstance(node, ast.Compare):
            node.ops[0] = COMPARISONS[type(node.ops[0])]()
        elif isinstance(node, ast.Constant):
            node.value = not node.value if isinstance(node.value, bool) else node.value + 1
        elif isinstance(node, ast.BoolOp):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        elif isinstance(node, ast.BinOp):
            node.op = SUMS[type(node.op)]()
        else:
            tree = Removal(node).visit(tree)
        break
    return ast.unparse(tree)


def called_by_tests() -> list[dict]:
    """Every test with what it calls, measured once for each text of a test file."""
    CALLS.mkdir(parents=True, exist_ok=True)
    found = []
    for path in sorted(p for layer in LAYERS for p in (ROOT / "host_tests" / layer).glob("test_*.py")):
        kept = CALLS / ("%s-%s.json" % (path.stem, hashlib.sha256(path.read_bytes()).hexdigest()[:16]))
        if not kept.exists():
            done = subprocess.run(
                [sys.executable, "-m", "tools.prove.noticed", "calls", str(path)], cwd=ROOT, env=environment(),
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            kept.write_text(done.stdout.strip() or "[]")  # one that wants pytest is no help here
        for test in json.loads(kept.read_text()):
            found.append({**test, "path": str(path)})
    return found


def environment() -> dict[str, str]:
    return dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(ROOT))


def function_at(tree: ast.AST, line: int) -> str:
    """The innermost function around a line; "" at the top of the module or of a class, where any test may notice."""
    around = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
              and n.lineno < line <= (n.end_lineno or 0)]  # fmt: skip
    return max(around, key=lambda n: n.lineno).name if around else ""


def wanted_tests(tests: list[dict], name: str, function: str, by_clock: bool) -> list[dict]:
    """Those that call it, the quickest first and from early on first, as many as run in MOST_S; across the wrap of the
    ticks where the file knows them."""
    inside = Path(name).relative_to("firmware").as_posix() + ":"
    found = [t for t in tests if any(c == inside + function if function else c.startswith(inside) for c in t["calls"])]
    found = [t for t in found if by_clock or t["start"] != "wrap"]
    left_s = float(MOST_S)
    kept = []
    for test in sorted(found, key=lambda t: (t["start"] != "early", t["s"])):
        left_s -= test["s"]
        if left_s < 0:
            break
        kept.append(test)
    return kept


def notices(source: str, name: str, tests: list[dict]) -> str:
    """Which of the tests fails with `source` as the file `name`, or "". It fails alone, too: one that fails because of
    a test before it has noticed nothing."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as tmp:
        text = Path(tmp) / "text"
        text.write_text(source)
        while tests:
            at = first_red(text, name, tests, tmp)
            if at is None:
                return ""
            if at == NO_END:
                return "no end"
            if len(tests) == 1 or first_red(text, name, tests[at : at + 1], tmp) is not None:
                return tests[at]["test"]
            tests = tests[at + 1 :]
    return ""


def first_red(text: Path, name: str, tests: list[dict], folder: str) -> int | None:
    """The index of the first test that fails; NO_END when one goes on for ever."""
    wanted = Path(folder) / "tests"
    wanted.write_text(json.dumps([[t["path"], t["test"], t["start"]] for t in tests]))
    cpu_s = max(LEAST_CPU_S, TIMES_SLOWER * sum(t["s"] for t in tests))
    command = [sys.executable, "-m", "tools.prove.noticed", "run", name, str(text), str(wanted), str(int(cpu_s))]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=dict(environment(), TMPDIR=folder), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, timeout=TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return NO_END
    if not done.returncode:
        return None
    return NO_END if done.returncode < 0 else int(done.stdout or 0)  # 0: not even that far


def equivalents() -> dict[tuple[str, str, str], str]:
    """{(file, change, source line): why it makes no difference}."""
    rows = [line.split(" | ") for line in EQUIVALENTS.read_text().splitlines() if line and line[0] != "#"]
    return {(name, what, line): reason for name, what, line, reason in rows}


def note_in_page(name: str, changes: int, tried: int, seen: int, same: list[str]) -> None:
    """The row of one file; those of the others stay."""
    text = PAGE.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    rows = {row.split("`")[1]: row for row in text[begin:end].splitlines() if row.startswith("| `")}
    words = "; ".join(sorted(set(same)))
    rows[name] = "| `%s` | %d | %d | %d | %s |" % (name, changes, tried, seen, words)
    PAGE.write_text(text[:begin] + HEADING + "".join(rows[key] + "\n" for key in sorted(rows)) + text[end:])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--sample", type=int, default=0, help="try so many of a file's changes; default: all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--docs", action="store_true", help="note the figures in docs/testing.md")
    wanted = parser.parse_args()
    tests = called_by_tests()
    reasons = equivalents()
    bad = False
    for name in wanted.files:
        source = (ROOT / name).read_text()
        tree = ast.parse(source)
        lines = [line.strip() for line in source.splitlines()]
        every = places(tree)
        tried = every
        if 0 < wanted.sample < len(every):
            tried = sorted(random.Random(wanted.seed).sample(every, wanted.sample))
        survived, same = 0, []
        with ThreadPoolExecutor(wanted.jobs) as pool:
            running = [
                pool.submit(
                    notices,
                    mutant(tree, i, what),
                    name,
                    wanted_tests(tests, name, function_at(tree, line), "ticks_" in source),
                )
                for i, line, what in tried
            ]
            for (_, line, what), result in zip(tried, running):
                reason = reasons.get((name, what, lines[line - 1]), "")
                if result.result():
                    continue
                if reason:
                    same.append(reason)
                    continue
                survived += 1
                print("%s:%d: %s: %s" % (name, line, what, lines[line - 1]), flush=True)
        different = len(tried) - len(same)
        print("%s: %d of %d noticed, %d equivalent" % (name, different - survived, different, len(same)), flush=True)
        if wanted.docs:
            note_in_page(name, len(every), len(tried), different - survived, same)
        bad = bad or survived > MOST_SURVIVE * max(different, 1)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
