"""Do the tests notice a changed token? python -m tools.prove.mutants FILE ... [--sample N] [--micropython] [--docs]

One token of FILE (of firmware/) is changed at a time: a comparison, a number, True or False, and or or, plus or minus,
a statement left out. The tests of unit/, story/, dropin/ and firmware/ that run the line run on CPython with the
changed file, the quickest first and for some seconds, until one is red; a change that none notices survives and is
listed. A process that has compiled all forks for each change, which costs some tens of milliseconds; a test that has
noticed a change once is asked first the next time. --micropython tries what survives there, too: for the core, of
which CPython cannot show all. --docs notes the figures in docs/testing.md. A change that makes no difference stands in
equivalents.txt, with the reason.
Exit status: 0 when no more than 3 in 100 survive in each file, 1 else.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import hashlib
import io
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterable

from host_tests import run_mpy
from tools.prove.noticed import LAYERS, NO_END

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
MOST_SURVIVE = 0.03
MOST_S = 2.5  # of tests for one change
MOST_TRACED_S = 10  # of tests for one function, to know which lines they run
EQUIVALENTS = Path(__file__).with_name("equivalents.txt")
CALLS = ROOT / ".cache" / "mutants"  # what each test file calls, under its digest
PAGE = ROOT / "docs" / "testing.md"
BEGIN, END = "<!-- make mutants DOCS=1 -->\n", "<!-- end -->\n"
HEADING = "| file | changes | tried | noticed | equivalent |\n|---|--:|--:|--:|---|\n"
ON_MICROPYTHON = ("story/test_meeting.py", "story/test_no_memory.py", "unit/test_wire.py")  # what CPython does not show
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
SUMS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult}


def places(tree: ast.AST) -> list[tuple[int, int, str]]:
    """(index of the node in ast.walk, line, what is changed there) for everything that can be."""
    not_run = {
        id(part) for n in ast.walk(tree) if isinstance(n, ast.Assign) and is_for_hosts(n) for part in ast.walk(n)
    }
    found = []
    for i, node in enumerate(ast.walk(tree)):
        if id(node) in not_run:
            continue
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


def is_for_hosts(node: ast.Assign) -> bool:
    """Whether a board does nothing with it: TYPE_CHECKING, and the _KEYS of a driver, which are `make config`'s."""
    name = getattr(node.targets[0], "id", "")
    return name == "TYPE_CHECKING" or name == "_KEYS" and isinstance(node.value, ast.Call)


def is_call(node: ast.AST) -> bool:
    """Whether it is a statement that calls something, other than print."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    return not (isinstance(node.value.func, ast.Name) and node.value.func.id == "print")


def drawn(every: list[tuple[int, int, str]], text_of: list[str], seed: int) -> list[tuple[int, int, str]]:
    """The places in an order of chance that a change elsewhere in the file leaves as it is: a larger sample has the
    smaller one in it."""
    seen: dict[str, int] = {}
    order = []
    for index, line, what in every:
        words = "%d %s %s" % (seed, what, text_of[line - 1])
        seen[words] = seen.get(words, 0) + 1
        order.append((digest("%s %d" % (words, seen[words])), (index, line, what)))
    return [place for _, place in sorted(order)]


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


class Child:
    """tools.prove.noticed, ready for questions. At most as many as there are processors."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.prove.noticed", "serve"], cwd=ROOT, env=environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def ask(self, name: str, tests: list[dict], **what: object) -> Any:
        """What noticed.answer says about the file `name`; NO_END when it comes to no end."""
        assert self.process.stdin and self.process.stdout
        wanted = [[t["path"], t["test"], t["start"], t["s"]] for t in tests]
        self.process.stdin.write(json.dumps({"file": str(ROOT / name), "tests": wanted, **what}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def called_by_tests() -> list[dict]:
    """Every test with what it calls, measured once for each text of a test file."""
    CALLS.mkdir(parents=True, exist_ok=True)
    found = []
    for path in sorted(p for layer in LAYERS for p in (ROOT / "host_tests" / layer).glob("test_*.py")):
        kept = CALLS / ("%s-%s.json" % (path.stem, digest(path.read_text())))
        if not kept.exists():
            done = subprocess.run(
                [sys.executable, "-m", "tools.prove.noticed", "calls", str(path)], cwd=ROOT, env=environment(),
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            if done.returncode:
                continue  # it wants pytest, which is no help here; or it was in the making, and is asked again
            kept.write_text(done.stdout)
        for test in json.loads(kept.read_text()):
            found.append({**test, "path": str(path)})
    return found


def environment() -> dict[str, str]:
    return dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(ROOT))


class Lines:
    """Which tests run which lines of one file."""

    def __init__(self, child: Child, name: str, source: str, tests: list[dict]) -> None:
        inside = Path(name).relative_to("firmware").as_posix() + ":"
        self.stem = Path(name).stem[:6]  # diagno: of diagnosis, and of diagnostics
        tests = [t for t in tests if t["start"] != "wrap" or "ticks_" in source]
        importing = {t["path"] for t in tests if any(c.startswith(inside) for c in t["calls"])}
        at_import = sorted((t for t in tests if t["path"] in importing), key=lambda t: (t["start"] != "early", t["s"]))
        tests = [t for t in tests if any(c.startswith(inside) for c in t["calls"])]
        left_s = {c: float(MOST_TRACED_S) for t in tests for c in t["calls"] if c.startswith(inside)}
        self.tests = []
        for test in sorted(tests, key=lambda t: (self._is_of_others(t), t["start"] != "early", t["s"])):
            wanting = [c for c in test["calls"] if left_s.get(c, 0) > 0]
            for function in wanting:
                left_s[function] -= test["s"]
            if wanting:
                self.tests.append(test)
        chosen = {(t["path"], t["test"], t["start"]) for t in self.tests}
        self.others = [t for t in at_import if (t["path"], t["test"], t["start"]) not in chosen]
        self.run_by: dict[int, set[int]] = {}  # {line: places in self.tests}
        for i, lines in enumerate(lines_run(child, name, source, self.tests)):
            for line in range(source.count("\n") + 2) if lines is None else lines:
                self.run_by.setdefault(line, set()).add(i)
        self.statements = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.stmt)]
        self.source = source.splitlines()

    def wanted(self, line: int) -> list[dict]:
        """The tests that run this line, the quickest first and from early on first, as many as run in MOST_S. For one
        that runs at the import only, all, and first those that run a line which has a name that it binds."""
        around = [n for n in self.statements if n.lineno <= line <= (n.end_lineno or 0)]
        inner = around[-1]  # ast.walk goes from the outside in
        inside = any(isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)) and n is not inner for n in around)
        if inside:
            kept = [self.tests[i] for i in self._running(header(inner))]
        else:
            names = {n.id for n in ast.walk(inner) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            known = re.compile(r"\b(%s)\b" % "|".join(sorted(names) or ["-"]))
            first = self._running(i for i, text in enumerate(self.source, 1) if known.search(text))
            kept = [self.tests[i] for i in first + [i for i in range(len(self.tests)) if i not in set(first)]]
            kept += self.others
        left_s = float(MOST_S)
        found = []
        for test in sorted(kept, key=self._is_of_others):
            left_s -= test["s"]
            if left_s < 0 and found:
                break
            found.append(test)
        return found

    def _is_of_others(self, test: dict) -> bool:
        """Not one that has the file's name in its own, or in that of its file: those are asked first."""
        # a word that begins so: led is in many a word
        return "_" + self.stem not in test["path"].rpartition("/")[2] + test["test"]

    def _running(self, lines: Iterable[int]) -> list[int]:
        return sorted(set().union(*(self.run_by.get(line, set()) for line in lines)))


def lines_run(child: Child, name: str, source: str, tests: list[dict]) -> list[list[int] | None]:
    """As noticed.lines_run has them, of each test: traced once for each text of `name` and of the test's file."""
    found: dict[tuple[str, str, str], list[int] | None] = {}
    for path in sorted({t["path"] for t in tests}):
        kept = CALLS / ("lines-%s-%s.json" % (Path(path).stem, digest(source + Path(path).read_text())))
        known = json.loads(kept.read_text()) if kept.exists() else {}
        missing = [t for t in tests if t["path"] == path and "%s %s" % (t["test"], t["start"]) not in known]
        answer = child.ask(name, missing, lines=True) if missing else []
        for test, lines in zip(missing, [None] * len(missing) if answer == NO_END else answer):
            known["%s %s" % (test["test"], test["start"])] = lines
        if missing:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(known))
        for each, lines in known.items():
            found[(path, *each.split())] = lines
    return [found[t["path"], t["test"], t["start"]] for t in tests]


class Noticed:
    """Which test noticed which change in an earlier round: it is asked first. A change that none noticed is not tried
    again while its tests' files are as they were. So a round after a few new tests costs little."""

    def __init__(self) -> None:
        self.path = CALLS / "noticed.json"
        self.by: dict[str, list[str]] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def first(self, source: str, tests: list[dict]) -> list[dict]:
        known = self.by.get(digest(source))
        return sorted(tests, key=lambda t: [t["test"], t["start"]] != known)

    def note(self, source: str, tests: list[dict], test: dict | None) -> None:
        self.by[digest(source)] = [test["test"], test["start"]] if test else ["", self._of(tests)]

    def has_survived(self, source: str, tests: list[dict]) -> bool:
        return self.by.get(digest(source)) == ["", self._of(tests)]

    def _of(self, tests: list[dict]) -> str:
        texts = {path: digest(Path(path).read_text()) for path in {t["path"] for t in tests}}
        return digest(json.dumps([[texts[t["path"]], t["test"], t["start"]] for t in tests]))

    def keep(self) -> None:
        others = json.loads(self.path.read_text()) if self.path.exists() else {}  # of a round beside this one
        self.path.write_text(json.dumps({**others, **self.by}))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def header(statement: ast.stmt) -> range:
    """Its lines, without those of the statements in it."""
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    return range(statement.lineno, max(last, statement.lineno) + 1)


def notices(child: Child, source: str, name: str, tests: list[dict]) -> dict | None:
    """Which of the tests fails with `source` as the file `name`, the first when they come to no end. It fails alone,
    too: one that fails because of a test before it has noticed nothing."""
    while tests:
        at = child.ask(name, tests, text=source)
        if at is None:
            return None
        if at == NO_END:
            return tests[0]
        if len(tests) == 1 or child.ask(name, tests[at : at + 1], text=source) is not None:
            return tests[at]
        tests = tests[at + 1 :]
    return None


class Board:
    """A checkout in a folder of its own, for MicroPython: there a callback comes between two byte-codes, memory ends,
    and letters decode that are none."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="mutants-")
        self.root = Path(self.folder.name)
        for name in ("firmware", "host_tests"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.files = [self.root / "host_tests" / name for name in ON_MICROPYTHON]

    def notices(self, name: str, source: str) -> bool:
        """Whether one of ON_MICROPYTHON fails with `source` as the file `name`."""
        real = (ROOT / name).read_text()
        (self.root / name).write_text(source)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return any(run_mpy.run_file(run_mpy.interpreter(), path, "", "early")[1] for path in self.files)
        finally:
            (self.root / name).write_text(real)


def equivalents() -> dict[tuple[str, str, str], str]:
    """{(file, change, source line): why it makes no difference}."""
    found = {}
    for row in EQUIVALENTS.read_text().splitlines():
        if row and row[0] != "#":
            name, what, rest = row.split(" | ", 2)
            line, reason = rest.rsplit(" | ", 1)  # the line may have one of its own
            found[name, what, line] = reason
    return found


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
    parser.add_argument(
        "--micropython",
        action="store_true",
        help="try what survives on %s there, too: 20 s each" % ", ".join(ON_MICROPYTHON),
    )
    parser.add_argument("--docs", action="store_true", help="note the figures in docs/testing.md")
    wanted = parser.parse_args()
    tests = called_by_tests()
    reasons = equivalents()
    noticed = Noticed()
    bad = False
    ready: queue.SimpleQueue[Child] = queue.SimpleQueue()
    children = [Child() for _ in range(wanted.jobs)]
    for child in children:
        ready.put(child)
    board = Board() if wanted.micropython else None
    for name in wanted.files:
        source = (ROOT / name).read_text()
        tree = ast.parse(source)
        text_of = [line.strip() for line in source.splitlines()]
        for line in sorted({line for file, _, line in reasons if file == name} - set(text_of)):
            print("equivalents.txt has a line that %s has no more: %s" % (name, line), flush=True)
        every = places(tree)
        tried = every
        if 0 < wanted.sample < len(every):
            tried = sorted(drawn(every, text_of, wanted.seed)[: wanted.sample])
        lines = Lines(children[0], name, source, tests)

        def is_noticed(place: tuple[int, int, str]) -> bool:
            index, line, what = place
            text = mutant(tree, index, what)  # noqa: B023
            of_line = sorted(lines.wanted(line), key=lambda t: (t["path"], t["test"], t["start"]))  # noqa: B023
            if noticed.has_survived(text, of_line):
                return False
            child = ready.get()
            try:
                test = notices(child, text, name, noticed.first(text, lines.wanted(line)))  # noqa: B023
            finally:
                ready.put(child)
            noticed.note(text, of_line, test)
            return bool(test)

        survived, same = 0, []
        with ThreadPoolExecutor(wanted.jobs) as pool:
            for (index, line, what), is_seen in zip(tried, pool.map(is_noticed, tried)):
                reason = reasons.get((name, what, text_of[line - 1]), "")
                if is_seen:
                    continue
                if reason:
                    same.append(reason)
                    continue
                if board and board.notices(name, mutant(tree, index, what)):
                    continue
                survived += 1
                unseen = "" if lines.wanted(line) else " (no test runs it)"
                print("%s:%d: %s: %s%s" % (name, line, what, text_of[line - 1], unseen), flush=True)
        noticed.keep()
        different = len(tried) - len(same)
        print("%s: %d of %d noticed, %d equivalent" % (name, different - survived, different, len(same)), flush=True)
        if wanted.docs:
            note_in_page(name, len(every), len(tried), different - survived, same)
        bad = bad or survived > MOST_SURVIVE * max(different, 1)
    for child in children:
        child.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
