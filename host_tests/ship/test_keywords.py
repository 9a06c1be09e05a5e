"""A program may pass by name what the library's source lets it, whatever form it was given."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.ship import LIBRARY, UMQTT, read_map, ship_board  # noqa: E402


def arguments(function):
    asked = function.args
    return [a.arg for a in (*asked.posonlyargs, *asked.args, *asked.kwonlyargs)]


def functions(tree, prefix=""):
    """{name of a function or method: its arguments}."""
    found = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.setdefault(prefix + node.name, []).append(arguments(node))
        elif isinstance(node, ast.ClassDef):
            for name, each in functions(node, prefix + node.name + ".").items():
                found.setdefault(name, []).extend(each)
    return found


@pytest.mark.parametrize("form", ["library", "board"])
def test_what_a_program_passes_by_name_keeps_its_name_when_shipped(shipped_library, tmp_path, form):
    into = shipped_library
    if form == "board":
        ship_board(tmp_path / "board")
        into = tmp_path / "board" / "lib"
    seen = 0
    for file, rows in read_map(into)["functions"].items():
        shipped = functions(ast.parse((into / "umqtt" / (file + ".py")).read_text()))
        for row in rows:
            public = not any(part.startswith("_") and part != "__init__" for part in row["name"].split("."))
            if not row["module"] or row["is_class"] or not public or row["module"] in (*UMQTT.internal, *UMQTT.beneath):
                continue
            if ".<locals>" in row["name"] or row["name"].count(".") > 1:
                continue
            source = functions(ast.parse((LIBRARY / (row["module"] + ".py")).read_text())).get(row["name"])
            if source is None:
                continue  # a lambda
            last = row["shipped"].split(".")[-1]
            there = [each for name, all_of in shipped.items() if name.split(".")[-1] == last for each in all_of]
            assert source[0] in there, (file, row["name"], source[0], there)
            seen += 1
    assert seen > 80, seen
