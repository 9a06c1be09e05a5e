"""Let the names that a module uses most, and the locals that a function uses most, have the lowest numbers.

Byte-code names a name by its number in the module's table: one byte below 128, two from there on. The compiler gives
numbers in the order in which it meets the names, those of attributes first, so a module of more than that begins with
the most used ones as attributes, in an expression that is never run. It belongs to the module's body, which the board
forgets after the import.

A local of the first 16 is read or written by one byte, another by two. A bare annotation is no code, but declares a
local, and so gives it the next number.
"""

import ast
from collections import Counter
from typing import Set

from tools.ship.source import FUNCTIONS, all_arguments, bound

SHORT = 128
SHORT_LOCALS = 16
ALWAYS = "__name__"  # a module's is never empty; of a constant the compiler would know


def number(tree: ast.Module) -> None:
    """Put such statements in front of a module that is otherwise ready."""
    counts = _counts(tree)
    everything = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | set(counts)
    if len(everything) <= SHORT:
        return
    often = sorted(filter(str.isidentifier, counts), key=lambda name: (-counts[name], name))[: SHORT - 1]
    chain: ast.expr = ast.Name(ALWAYS, ast.Load())
    for name in often:
        chain = ast.Attribute(chain, name, ast.Load())
    tree.body.insert(0, ast.Expr(ast.BoolOp(ast.Or(), [ast.Name(ALWAYS, ast.Load()), chain])))


def number_locals(tree: ast.Module) -> None:
    """Declare the locals of large functions in the order of their use."""
    for function in ast.walk(tree):
        if isinstance(function, FUNCTIONS):
            arguments = {argument.arg for argument in all_arguments(function.args)}
            counts = Counter(node.id for node in ast.walk(function) if isinstance(node, ast.Name))
            names = [name for name in bound(function) if name not in arguments]
            if len(arguments) + len(names) > SHORT_LOCALS:
                names.sort(key=lambda name: (-counts[name], name))
                most = names[: max(0, SHORT_LOCALS - len(arguments))]
                function.body[:0] = [
                    ast.AnnAssign(ast.Name(name, ast.Store()), ast.Constant(0), None, 1) for name in most
                ]


def _counts(tree: ast.Module) -> Counter:
    """How often the code that stays, that of the functions, uses each name."""
    counts: Counter = Counter()

    def look(node: ast.AST, local: Set[str]) -> None:
        for child in ast.iter_child_nodes(node):
            inside = local
            if isinstance(child, (*FUNCTIONS, ast.Lambda)):
                inside = local | set(bound(child))
                counts.update(argument.arg for argument in all_arguments(child.args))
                counts[getattr(child, "name", "<lambda>")] += 1
            elif isinstance(child, ast.Attribute):
                counts[child.attr] += 1
            elif isinstance(child, ast.Name) and child.id not in local:
                counts[child.id] += 1
            elif isinstance(child, ast.keyword) and child.arg:
                counts[child.arg] += 1
            elif isinstance(child, (ast.Import, ast.ImportFrom)):
                counts.update(alias.name for alias in child.names)
            look(child, inside)

    for statement in tree.body:
        functions = [statement] if isinstance(statement, FUNCTIONS) else []
        if isinstance(statement, ast.ClassDef):
            functions = [each for each in statement.body if isinstance(each, FUNCTIONS)]
        for function in functions:
            look(ast.Module([function], []), set())
    return counts
