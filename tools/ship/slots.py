"""Let locals that are never needed at the same time share a name, and so a slot of the frame.

MicroPython gives each local name of a function a word of its frame, and takes a frame of more than 11 words from the
heap at every call. With one name for each meaning a readable function has more words than it needs at any moment.
"""

import ast
from typing import Dict, List, NamedTuple, Set

from tools.ship.source import FUNCTIONS, all_arguments, bound

# Within these the order in which names are used is not that of the text, or others may see them: left as they are.
NOT_FOLLOWED = (
    *FUNCTIONS, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Yield,
    ast.YieldFrom, ast.Await, ast.Try, ast.With, ast.AsyncWith, ast.AsyncFor, ast.NamedExpr, ast.Import, ast.ImportFrom,
    ast.Global, ast.Nonlocal, ast.Delete,
)  # fmt: skip

Names = Set[str]


def share_slots(tree: ast.AST) -> None:
    """In every function of `tree` that can be followed."""
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS) and not any(
            isinstance(n, NOT_FOLLOWED) for s in node.body for n in ast.walk(s)
        ):
            to = _Liveness(node).shared()
            if to:
                for statement in node.body:
                    _Renamed(to).visit(statement)


class _Loop(NamedTuple):
    """What is needed where `break` and `continue` go."""

    after: Names
    again: Names


class _Liveness:
    """Goes backwards through a function: `needed` are the names whose values are read later."""

    def __init__(self, function: ast.AST):
        self.function = function
        self.locals = bound(function)
        self.arguments = [a.arg for a in all_arguments(function.args)]  # type: ignore
        self.apart: Dict[str, Names] = {name: set() for name in self.locals}

    def shared(self) -> Dict[str, str]:
        """{name: the one whose slot it shares}."""
        at_entry = self._block(self.function.body, set(), [])  # type: ignore
        for argument in self.arguments:
            self._keep_apart(argument, at_entry | set(self.arguments))
        slots: List[Names] = [{argument} for argument in self.arguments]
        owners = list(self.arguments)
        to: Dict[str, str] = {}
        for name in self._in_order_of_appearance():
            for i in range(len(slots)):
                if not self.apart[name] & slots[i]:
                    slots[i].add(name)
                    to[name] = owners[i]
                    break
            else:
                slots.append({name})
                owners.append(name)
        return to

    def _in_order_of_appearance(self) -> List[str]:
        return [name for name in self.locals if name not in self.arguments]

    def _keep_apart(self, name: str, others: Names) -> None:
        for other in others - {name}:
            self.apart[name].add(other)
            self.apart[other].add(name)

    def _block(self, body: List[ast.stmt], needed: Names, loops: List[_Loop]) -> Names:
        for statement in reversed(body):
            needed = self._statement(statement, needed, loops)
        return needed

    def _statement(self, node: ast.stmt, needed: Names, loops: List[_Loop]) -> Names:
        if isinstance(node, (ast.Return, ast.Raise)):
            return self._read(node)
        if isinstance(node, ast.Break):
            return loops[-1].after
        if isinstance(node, ast.Continue):
            return loops[-1].again
        if isinstance(node, ast.If):
            return (
                self._block(node.body, needed, loops)
                | self._block(node.orelse, needed, loops)
                | self._read(node.test)
            )
        if isinstance(node, (ast.While, ast.For)):
            return self._loop(node, needed, loops)
        # a simple statement: reads, then writes
        return self._write(node, needed) | self._read(node)

    def _loop(self, node: ast.stmt, needed: Names, loops: List[_Loop]) -> Names:
        after = needed
        at_end = self._block(node.orelse, after, loops)  # type: ignore
        again: Names = set(at_end)
        while True:
            # until a turn needs nothing more than was known
            inside = self._block(node.body, again, [*loops, _Loop(after, again)])  # type: ignore
            if isinstance(node, ast.For):
                head = self._write(node.target, inside | at_end) | at_end | self._read(node.target)
            else:
                head = inside | at_end | self._read(node.test)  # type: ignore
            if head <= again:
                break
            again = again | head
        return again | self._read(node.iter) if isinstance(node, ast.For) else again

    def _write(self, node: ast.AST, needed: Names) -> Names:
        """What is needed before the names in `node` are written; they are kept apart from what is needed after."""
        written = {
            n.id
            for n in ast.walk(node)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and n.id in self.apart
        }
        # a[i], i = ...: read amidst the writing
        amidst: Names = set()
        for target in getattr(node, "targets", []) or [getattr(node, "target", node)]:
            amidst |= self._read(target)
        for name in written:
            self._keep_apart(name, needed | (amidst if len(written) > 1 else set()))
        if isinstance(node, ast.AugAssign):
            return needed | written
        return needed - written

    def _read(self, node: ast.AST) -> Names:
        return {
            n.id
            for n in ast.walk(node)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in self.apart
        }


class _Renamed(ast.NodeTransformer):
    def __init__(self, to: Dict[str, str]):
        self.to = to

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.to.get(node.id, node.id)
        return node
