"""Write a comprehension as the loop that it stands for: `x = [f(y) for y in z]` becomes `x = []` and a loop.

A comprehension is a function of its own, which takes 50 bytes of a board's heap for as long as its module is loaded.
Only those go whose place in their statement says that they are computed once, and that nothing that does something is
computed before them.
"""

import ast
from typing import Iterator, List, Optional

from tools.ship.source import FUNCTIONS, bound

COMPREHENSIONS = (ast.ListComp, ast.GeneratorExp)
TAKES_ALL = ("join", "sum", "tuple", "list", "min", "max", "sorted", "set")  # of a generator
PLAIN = (ast.Name, ast.Attribute, ast.Constant)  # what is only read


def comprehensions_to_loops(tree: ast.Module) -> None:
    """Change the functions in `tree`, but for generators, which keep their locals while they wait."""
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        own = [
            node for node in ast.walk(function) if isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await, *FUNCTIONS))
        ]
        if own == [function]:
            _Function(function)


class _Function:
    def __init__(self, function: ast.FunctionDef):
        self.names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} | set(bound(function))
        function.body = self._block(function.body)

    def _block(self, body: List[ast.stmt]) -> List[ast.stmt]:
        out: List[ast.stmt] = []
        for statement in body:
            for field in ("body", "orelse", "finalbody"):
                inner = getattr(statement, field, None)
                if inner and isinstance(inner, list):
                    setattr(statement, field, self._block(inner))
            for handler in getattr(statement, "handlers", ()):
                handler.body = self._block(handler.body)
            out += [*self._before(statement), statement]
        return out

    def _before(self, statement: ast.stmt) -> List[ast.stmt]:
        """The loops that stand in front of a statement, from which they are gone."""
        field = {ast.For: "iter", ast.If: "test"}.get(type(statement), "value")
        value = getattr(statement, field, None)
        if not isinstance(value, ast.expr) or isinstance(statement, ast.AugAssign) and not _is_read(statement.target):
            return []
        loops: List[ast.stmt] = []
        while True:
            found = next(_first(value), None)
            if found is None:
                return loops
            name = self._fresh("made")
            loops += self._loop(found, name)
            value = _Put(found, ast.Name(name, ast.Load())).visit(value)
            setattr(statement, field, value)

    def _loop(self, made: ast.expr, name: str) -> List[ast.stmt]:
        element = made.elt  # type: ignore
        append = ast.Attribute(ast.Name(name, ast.Load()), "append", ast.Load())
        body: List[ast.stmt] = [ast.Expr(ast.Call(append, [element], []))]
        renamed = {}
        for generator in reversed(made.generators):  # type: ignore
            for condition in reversed(generator.ifs):
                body = [ast.If(condition, body, [])]
            body = [ast.For(generator.target, generator.iter, body, [])]
            for node in ast.walk(generator.target):
                if isinstance(node, ast.Name):
                    renamed[node.id] = self._fresh(node.id)
        loop = _Renamed(renamed, made.generators[0].iter).visit(body[0])  # type: ignore
        start = ast.Assign([ast.Name(name, ast.Store())], ast.List([], ast.Load()))
        return self._block([ast.copy_location(start, made), ast.copy_location(loop, made)])

    def _fresh(self, name: str) -> str:
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name


def _first(value: ast.expr) -> Iterator[ast.expr]:
    """The comprehension in `value` that is computed first, when nothing before it does something."""
    if isinstance(value, ast.ListComp):
        yield value
    elif isinstance(value, ast.Call):
        if not isinstance(value.func, PLAIN) or isinstance(value.func, ast.Attribute) and not _is_read(value.func):
            yield from _first(value.func.value if isinstance(value.func, ast.Attribute) else value.func)
            return
        called = getattr(value.func, "attr", None) or getattr(value.func, "id", None)
        only = value.args[0] if len(value.args) == 1 and not value.keywords else None
        if isinstance(only, ast.GeneratorExp) and called in TAKES_ALL:
            yield only
        else:
            yield from _first_of(value.args)
    elif isinstance(value, (ast.Tuple, ast.List)):
        yield from _first_of(value.elts)
    elif isinstance(value, ast.BinOp):
        yield from _first_of([value.left, value.right])
    elif isinstance(value, ast.Compare):
        yield from _first_of([value.left, *value.comparators][:2])
    elif isinstance(value, ast.BoolOp):
        yield from _first(value.values[0])
    elif isinstance(value, ast.UnaryOp):
        yield from _first(value.operand)


def _first_of(values: List[ast.expr]) -> Iterator[ast.expr]:
    for value in values:
        found = next(_first(value), None)
        if found is not None:
            yield found
        if found is not None or not _is_read(value):
            return


def _is_read(value: ast.AST) -> bool:
    return all(isinstance(node, (*PLAIN, ast.expr_context)) for node in ast.walk(value))


class _Put(ast.NodeTransformer):
    def __init__(self, old: ast.expr, new: ast.expr):
        self.old = old
        self.new = new

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(self.new, node) if node is self.old else self.generic_visit(node)


class _Renamed(ast.NodeTransformer):
    """The names of a comprehension are its own; what it goes through first is computed outside of it."""

    def __init__(self, names: dict, outside: Optional[ast.expr]):
        self.names = names
        self.outside = outside

    def visit(self, node: ast.AST) -> ast.AST:
        return node if node is self.outside else super().visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node
