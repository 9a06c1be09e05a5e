"""Make one class of a line of classes: the board pays for each class, and for each step through super()."""

import ast
from collections import Counter
from typing import Dict, List, Optional

from tools.ship.merge import Library, Unit
from tools.ship.source import FUNCTIONS, Function, bound


def fold(library: Library) -> None:
    """Each class of a merged module that has one subclass, there, and no other user goes into that subclass."""
    for name in library.groups:
        _fold_within(library, library.units[name])


def _fold_within(library: Library, unit: Unit) -> None:
    public = library.importable(unit.name)
    again = True
    while again:
        again = False
        classes = {statement.name: statement for statement in unit.tree.body if isinstance(statement, ast.ClassDef)}
        every = [
            (owner, node)
            for owner in library.units.values()
            for node in ast.walk(owner.tree)
            if isinstance(node, (ast.ClassDef, ast.Name))
        ]
        uses = Counter(node.id for _, node in every if isinstance(node, ast.Name))
        for base in classes.values():
            heirs = [
                (owner, node) for owner, node in every if isinstance(node, ast.ClassDef) and _has_base(node, base.name)
            ]
            if base.name in public or len(heirs) != 1 or heirs[0][0] is not unit:
                continue
            heir = heirs[0][1]
            if len(heir.bases) != 1 or _used_elsewhere(uses[base.name], base.name, heir):
                continue
            _into(base, heir)
            unit.tree.body.remove(base)
            again = True
            break


def _has_base(node: ast.ClassDef, name: str) -> bool:
    return any(isinstance(base, ast.Name) and base.id == name for base in node.bases)


def _used_elsewhere(uses: int, name: str, heir: ast.ClassDef) -> bool:
    """Whether the class, which is named so often, is named anywhere but as `Base.method(self, ...)` in its heir."""
    return uses != 1 + len([node for node in ast.walk(heir) if _call_up(node, name) and not _is_super(node)])


def _call_up(node: ast.AST, base: str) -> bool:
    """`Base.method(self, ...)` or `super().method(...)`."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner = node.func.value
    return _is_super(node) or (isinstance(owner, ast.Name) and owner.id == base)


def _is_super(node: ast.Call) -> bool:
    owner = node.func.value  # type: ignore
    return isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name) and owner.func.id == "super"


def _into(base: ast.ClassDef, heir: ast.ClassDef) -> None:
    own = {s.name: s for s in heir.body if isinstance(s, FUNCTIONS)}
    hidden: Dict[str, str] = {}  # overridden methods that are still called: their new names
    methods = {s.name: s for s in base.body if isinstance(s, FUNCTIONS)}
    for function in own.values():
        for call in [node for node in ast.walk(function) if _call_up(node, base.name)]:
            name = call.func.attr  # type: ignore
            if name not in methods:
                continue  # of a class further down, or a builtin one
            arguments = call.args if _is_super(call) else call.args[1:]  # type: ignore
            if not _put_in_place(function, call, methods[name], arguments):  # type: ignore
                hidden[name] = "_%s_of_%s" % (name.strip("_"), base.name.split(".")[-1].lower())
                call.func = ast.Attribute(ast.Name("self", ast.Load()), hidden[name], ast.Load())  # type: ignore
                call.args = arguments  # type: ignore
    for name, new in hidden.items():
        methods[name].name = new
    kept: List[ast.stmt] = []
    names = set(own)
    for statement in base.body:
        if isinstance(statement, FUNCTIONS):
            if statement.name in names:
                continue
        elif isinstance(statement, ast.Pass):
            continue
        kept.append(statement)
    heir.body = kept + [s for s in heir.body if not isinstance(s, ast.Pass)]
    heir.bases = base.bases


def _put_in_place(caller: Function, call: ast.Call, method: Function, arguments: List[ast.expr]) -> bool:
    """Write the body of `method` in place of a statement that calls it. False when it is no such case: it returns
    something or from amidst, or its arguments are not plain."""
    at = _statement(caller, call)
    parameters = [a.arg for a in method.args.args[1:]]
    if at is None or call.keywords or len(arguments) != len(parameters) or method.args.defaults:
        return False
    if any(isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom)) for node in ast.walk(method)):
        return False
    names = bound(method)
    taken = set(bound(caller))
    new: Dict[str, ast.expr] = {}
    first: List[ast.stmt] = []
    stored = {node.id for node in ast.walk(method) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    for parameter, argument in zip(parameters, arguments):
        plain = isinstance(argument, ast.Constant) or (isinstance(argument, ast.Name) and argument.id in taken)
        if plain and parameter not in stored and not _is_stored(caller, argument):
            new[parameter] = argument
        else:
            fresh = _fresh(parameter, taken)
            new[parameter] = ast.Name(fresh, ast.Load())
            first.append(ast.Assign([ast.Name(fresh, ast.Store())], argument))
    for name in names:
        if name not in parameters and name != "self":
            new[name] = ast.Name(_fresh(name, taken), ast.Load())
    body = [_Substitute(new).visit(statement) for statement in method.body]
    index = caller.body.index(at)
    caller.body[index : index + 1] = first + body
    return True


def _statement(caller: Function, call: ast.Call) -> Optional[ast.stmt]:
    for statement in caller.body:
        if isinstance(statement, ast.Expr) and statement.value is call:
            return statement
    return None


def _is_stored(function: Function, argument: ast.expr) -> bool:
    return isinstance(argument, ast.Name) and any(
        isinstance(node, ast.Name) and node.id == argument.id and not isinstance(node.ctx, ast.Load)
        for node in ast.walk(function)
    )


def _fresh(name: str, taken: set) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


class _Substitute(ast.NodeTransformer):
    def __init__(self, new: Dict[str, ast.expr]):
        self.new = new

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.new:
            return node
        there = self.new[node.id]
        if isinstance(there, ast.Constant):
            return ast.Constant(there.value)
        return ast.Name(there.id, node.ctx)  # type: ignore

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        if node.name in self.new:
            node.name = self.new[node.name].id  # type: ignore
        return node
