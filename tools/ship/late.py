"""Import what a function imports by a text: `from led import Light` becomes `Light = __import__("led").Light`.

A name that an import statement has costs a board 7 bytes of heap once its module is loaded, executed or not; a text
costs nothing before it is used (texts.py). So a life does not pay for the names of what it never loads.
"""

import ast
from collections import Counter
from typing import List, Union

from tools.ship.merge import Library
from tools.ship.source import PACKAGE

IMPORT = "__import__"
LEAF = 1  # fromlist: any, and the module itself comes, not the package around it


def import_by_text(library: Library) -> None:
    """Change the functions of a package's units."""
    for unit in library.units.values():
        _ByText(library).visit(unit.tree)


class _ByText(ast.NodeTransformer):
    def __init__(self, library: Library):
        self.library = library
        self.depth = 0  # of functions

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        uses = Counter(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
        for block in [getattr(n, field, None) for n in ast.walk(node) for field in ("body", "orelse", "finalbody")]:
            for bind, use in zip(block[:-1], block[1:]) if isinstance(block, list) else ():
                if _is_import(bind) and uses[bind.targets[0].id] == 2 and _put(bind, use):  # type: ignore
                    block.remove(bind)  # no local: that may be what takes a frame from the heap
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Union[ast.AST, List[ast.stmt]]:
        module = node.module or ""
        if not self.depth or not self._is_ours(module):
            return node
        if module == PACKAGE and all(alias.name in self.library.modules for alias in node.names):
            return _at(node, [_bind(a.asname or a.name, _imported("%s.%s" % (module, a.name))) for a in node.names])
        # the first name holds the module until its own turn comes: no further local
        first, *rest = [(alias.asname or alias.name, alias.name) for alias in node.names]
        out = [_bind(name, ast.Attribute(ast.Name(first[0], ast.Load()), there, ast.Load())) for name, there in rest]
        if not rest:
            return _at(node, [_bind(first[0], ast.Attribute(_imported(module), first[1], ast.Load()))])
        of_first = ast.Attribute(ast.Name(first[0], ast.Load()), first[1], ast.Load())
        return _at(node, [_bind(first[0], _imported(module)), *out, _bind(first[0], of_first)])

    def visit_Import(self, node: ast.Import) -> Union[ast.AST, List[ast.stmt]]:
        if not self.depth or not all(self._is_ours(alias.name) for alias in node.names):
            return node
        if any("." in alias.name and not alias.asname for alias in node.names):
            return node  # it binds the package around it
        return _at(node, [_bind(alias.asname or alias.name, _imported(alias.name)) for alias in node.names])

    def _is_ours(self, path: str) -> bool:
        return path.split(".")[0] == PACKAGE or self.library.is_ours(path)


def _imported(path: str) -> ast.expr:
    arguments: List[ast.expr] = [ast.Constant(path)]
    if "." in path:
        arguments += [ast.Constant(None), ast.Constant(None), ast.Constant(LEAF)]
    return ast.Call(ast.Name(IMPORT, ast.Load()), arguments, [])


def _is_import(statement: ast.stmt) -> bool:
    value = statement.value.value if isinstance(getattr(statement, "value", None), ast.Attribute) else None  # type: ignore
    return isinstance(statement, ast.Assign) and isinstance(value, ast.Call) and getattr(value.func, "id", "") == IMPORT


def _put(bind: ast.stmt, use: ast.stmt) -> bool:
    """Write what is imported in the place of its name, where the statement behind calls it first of all."""
    call = getattr(use, "value", None)
    is_it = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == bind.targets[0].id  # type: ignore
    if is_it and isinstance(use, (ast.Expr, ast.Return, ast.Assign)):
        call.func = bind.value  # type: ignore
        return True
    return False


def _bind(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _at(place: ast.stmt, statements: List[ast.stmt]) -> List[ast.stmt]:
    return [ast.copy_location(statement, place) for statement in statements]
