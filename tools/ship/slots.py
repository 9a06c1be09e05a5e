"""Let locals that are never needed at the same time share a name, and so a slot of the frame.

MicroPython gives each local name of a function a word of its frame, and takes a frame of more than 11 words from the
heap at every call. With one name for each meaning a readable function has more words than it needs at any moment.
"""

import ast
from typing import Dict, List, NamedTuple, Optional, Set

from tools.ship.source import FUNCTIONS, all_arguments, bound

# A scope of its own, which may see a local whenever it runs.
SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Names = Set[str]


def share_slots(tree: ast.AST) -> None:
    """In every function of `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            to = _Liveness(node).shared()
            for statement in node.body:
                _Renamed(to).visit(statement)
            node.body = _WithoutMoves().visit(ast.Module(node.body, [])).body or [ast.Pass()]


class _Loop(NamedTuple):
    """What is needed where `break` and `continue` go."""

    after: Names
    again: Names


class _Liveness:
    """Goes backwards through a function: `needed` are the names whose values are read later."""

    def __init__(self, function: ast.AST):
        self.function = function
        self.locals = bound(function)
        self.arguments = [argument.arg for argument in all_arguments(function.args)]  # type: ignore
        self.apart: Dict[str, Names] = {name: set() for name in self.locals}
        # what an exception thrown now would need: within try, the handlers' names
        self.needed_if_raised: Names = set()

    def shared(self) -> Dict[str, str]:
        """{name: the one whose slot it shares}."""
        at_entry = self._block(self.function.body, set(), [])  # type: ignore
        for argument in self.arguments:
            self._keep_apart(argument, at_entry | set(self.arguments))
        for name in self._seen_elsewhere():
            self._keep_apart(name, set(self.locals))
        slots: List[Names] = [{argument} for argument in self.arguments]
        owners = list(self.arguments)
        to: Dict[str, str] = {}
        for name in [local for local in self.locals if local not in self.arguments]:
            for i in range(len(slots)):
                if not self.apart[name] & slots[i]:
                    slots[i].add(name)
                    to[name] = owners[i]
                    break
            else:
                slots.append({name})
                owners.append(name)
        return to

    def _seen_elsewhere(self) -> Names:
        """Locals that are not only read and written by this function's own statements."""
        seen: Names = set()
        for node in ast.walk(self.function):
            if isinstance(node, SCOPES) and node is not self.function:
                seen.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
                seen.add(getattr(node, "name", ""))
            elif isinstance(node, ast.ExceptHandler):
                seen.add(node.name or "")  # deleted when the handler ends
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                seen.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
            elif isinstance(node, ast.Delete):
                seen.update(n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))
            elif isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
                seen.add(node.target.id)
        return seen & set(self.locals)

    def _keep_apart(self, name: str, others: Names) -> None:
        for other in others - {name}:
            self.apart[name].add(other)
            self.apart[other].add(name)

    def _block(self, body: List[ast.stmt], needed: Names, loops: List[_Loop]) -> Names:
        for statement in reversed(body):
            needed = self._statement(statement, needed | self.needed_if_raised, loops)
        return needed | self.needed_if_raised

    def _statement(self, node: ast.stmt, needed: Names, loops: List[_Loop]) -> Names:
        if isinstance(node, (ast.Return, ast.Raise)):
            return self._read(node)
        if isinstance(node, ast.Break):
            return loops[-1].after
        if isinstance(node, ast.Continue):
            return loops[-1].again
        if isinstance(node, ast.Try):
            return self._try(node, needed, loops)
        if isinstance(node, (ast.With, ast.AsyncWith)):
            was, self.needed_if_raised = self.needed_if_raised, self.needed_if_raised | needed
            needed = self._block(node.body, needed, loops)  # __exit__ may let it go on behind
            self.needed_if_raised = was
            for item in reversed(node.items):
                if item.optional_vars:
                    needed = self._write(item.optional_vars, needed)
                needed = needed | self._read(item)
            return needed
        if isinstance(node, ast.If):
            return (
                self._block(node.body, needed, loops) | self._block(node.orelse, needed, loops) | self._read(node.test)
            )
        if isinstance(node, (ast.While, ast.For, ast.AsyncFor)):
            return self._loop(node, needed, loops)
        # a simple statement: reads, then writes
        return self._write(node, needed) | self._read(node)

    def _try(self, node: ast.Try, needed: Names, loops: List[_Loop]) -> Names:
        was = self.needed_if_raised
        at_final = self._block(node.finalbody, needed | was, loops)
        if node.finalbody:
            self.needed_if_raised = was | at_final  # return, break and continue come by there, too
        handlers = set(self.needed_if_raised)
        for handler in node.handlers:
            body = self._block(handler.body, at_final, loops)
            handlers |= body | (self._read(handler.type) if handler.type else set())
        at_else = self._block(node.orelse, at_final, loops)
        self.needed_if_raised = handlers
        at_start = self._block(node.body, at_else, loops)
        self.needed_if_raised = was
        return at_start

    def _loop(self, node: ast.stmt, needed: Names, loops: List[_Loop]) -> Names:
        after = needed
        at_end = self._block(node.orelse, after, loops)  # type: ignore
        again: Names = set(at_end)
        while True:
            # until a turn needs nothing more than was known
            inside = self._block(node.body, again, [*loops, _Loop(after, again)])  # type: ignore
            if isinstance(node, (ast.For, ast.AsyncFor)):
                head = self._write(node.target, inside | at_end) | at_end | self._read(node.target)
            else:
                head = inside | at_end | self._read(node.test)  # type: ignore
            if head <= again:
                break
            again = again | head
        return again | self._read(node.iter) if isinstance(node, (ast.For, ast.AsyncFor)) else again

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
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        if "super" in names:
            names.update(self.arguments[:1])  # super() reads self
        return names & self.apart.keys()


class _Renamed(ast.NodeTransformer):
    def __init__(self, to: Dict[str, str]):
        self.to = to

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.to.get(node.id, node.id)
        return node


class _WithoutMoves(ast.NodeTransformer):
    """Takes away `x = x` and `x = x = y`, which two names of one slot leave."""

    def visit_Assign(self, node: ast.Assign) -> Optional[ast.AST]:
        has_it = {node.value.id} if isinstance(node.value, ast.Name) else set()
        targets = []
        for target in node.targets:
            if isinstance(target, ast.Name):
                if target.id in has_it:
                    continue
                has_it.add(target.id)
            targets.append(target)
        node.targets = targets
        return node if targets else None

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    visit_For = visit_While = visit_Try = visit_With = visit_ExceptHandler = visit_If  # type: ignore
