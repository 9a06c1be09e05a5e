"""Do the tests notice a changed token? python -m tools.prove.mutants FILE ... [--every N] [--tests PATH ...]

One token of FILE (firmware/*.py) is changed at a time: a comparison, a number, True or False, and or or, plus or minus,
a statement left out. The test files run on a copy of the tree; a change that none of them fails at survives and is
listed.
Exit status: 0 when no more than 3 in 100 survive, 1 else.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_SURVIVE = 0.03
TIMEOUT_S = 240
WORKERS = 2 * (os.cpu_count() or 1)  # they wait for the disk, too
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


def noticed(source: str, name: str, tests: list[str]) -> bool:
    """Whether one of the tests fails with `source` as the file `name`."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as tmp:
        for folder in ("firmware", "host_tests"):
            shutil.copytree(ROOT / folder, Path(tmp) / folder, ignore=shutil.ignore_patterns("__pycache__"))
        (Path(tmp) / "docs").symlink_to(ROOT / "docs")
        (Path(tmp) / name).write_text(source)
        env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
        for test in tests:
            # not pytest, whose start takes longer than the tests
            command = [sys.executable, str(Path(tmp) / "host_tests" / "fakes" / "run_file.py"), str(Path(tmp) / test)]
            try:
                if subprocess.run(command, cwd=tmp, env=env, capture_output=True, timeout=TIMEOUT_S).returncode:
                    return True
            except subprocess.TimeoutExpired:
                return True  # it never ends
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--every", type=int, default=1, help="try each N-th change only")
    parser.add_argument("--first", type=int, default=0, help="begin with this one")
    every = sorted("host_tests/firmware/" + path.name for path in (ROOT / "host_tests/firmware").glob("test_*.py"))
    parser.add_argument("--tests", nargs="+", default=every, metavar="FILE")
    wanted = parser.parse_args()
    bad = False
    for name in wanted.files:
        source = (ROOT / name).read_text()
        tree = ast.parse(source)
        tried = places(tree)[wanted.first :: wanted.every]
        survived = []
        with ThreadPoolExecutor(WORKERS) as pool:
            running = [pool.submit(noticed, mutant(tree, i, what), name, wanted.tests) for i, _, what in tried]
            for (_, line, what), result in zip(tried, running):
                if not result.result():
                    survived.append((line, what))
                    print("%s:%d: %s: %s" % (name, line, what, source.splitlines()[line - 1].strip()), flush=True)
        print("%s: %d of %d noticed" % (name, len(tried) - len(survived), len(tried)), flush=True)
        bad = bad or len(survived) > MOST_SURVIVE * max(len(tried), 1)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
