"""Put the words of a module into one string: a string object for each would cost 16 bytes and a block or two of heap.

`raise OSError("link is down")` becomes `raise OSError(words(12))`: line 12, counted from 0. Only these words are copied
when they are wanted: a split of all would take 2 kB, which a board in need of an error may not have.
"""

import ast
from collections import Counter
from typing import List, Optional, Set

from tools.ship.rom import port_names
from tools.ship.source import BY_NAME, FUNCTIONS

END = "\n"  # a name that every MicroPython has
BETWEEN = "/"  # another
WORTH = 40  # letters in a list of texts
LEAST = 11  # MicroPython makes names of shorter strings, which cost little more than the call would
RARE = 4  # a short text that may be one of the ROM's
FEW = 4  # texts in a module below which the function costs more than it saves
FUNCTION = """
def words(n):
    at = 0
    while n:
        at = %r.find("\\n", at) + 1
        n -= 1
    return %r[at : %r.find("\\n", at)]
"""


def gather(tree: ast.Module, module: str, own_names: Optional[Set[str]] = None) -> None:
    """Change `tree`, all of `module`, when it has texts enough. own_names: the attributes of a
    closed package, which get names of the ROM. With it every text goes that would be a name, for the code is in ROM."""
    for function in ast.walk(tree):
        if isinstance(function, FUNCTIONS):
            _join_lists(function)
            _join_rows(function)
    rare = _rare(tree) if own_names is None else _names_to_be(tree, own_names)
    finder = _Texts(None, rare)
    finder.visit(tree)
    texts = sorted(set(finder.found), key=finder.found.index)
    if len(texts) < FEW:
        return
    name = module + "._words"
    all_texts = END.join(texts) + END
    _Texts(texts, rare, name).visit(tree)
    function = ast.parse(FUNCTION % ((all_texts,) * 3)).body[0]
    function.name = name  # type: ignore
    tree.body.insert(0, function)


def _join_lists(function: ast.AST) -> None:
    """`reasons = ("no such", "not so")`, which is only indexed or gone through, becomes one text that is split."""
    for statement in ast.walk(function):
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Tuple):
            continue
        target, values = (
            statement.targets[0],
            [element.value for element in statement.value.elts if isinstance(element, ast.Constant)],
        )
        texts = [value for value in values if isinstance(value, str) and BETWEEN not in value and END not in value]
        if len(texts) != len(statement.value.elts) or sum(map(len, texts)) < WORTH or " " not in "".join(texts):
            continue
        if isinstance(target, ast.Name) and len(statement.targets) == 1 and _is_only_indexed(function, target):
            split = ast.Attribute(ast.Constant(BETWEEN.join(texts)), "split", ast.Load())
            statement.value = ast.Call(split, [ast.Constant(BETWEEN)], [])


def _join_rows(function: ast.AST) -> None:
    """`for name, words in (("a", "no such"), ("b", "not so")):` goes through the lines of one text: each row would be a
    tuple on the heap, each text an object."""
    for loop in ast.walk(function):
        if not (isinstance(loop, ast.For) and isinstance(loop.target, ast.Tuple) and isinstance(loop.iter, ast.Tuple)):
            continue
        rows = [_texts_of(row) for row in loop.iter.elts]
        texts = [text for row in rows for text in row]
        if any(len(row) != len(loop.target.elts) for row in rows) or any(BETWEEN in t or END in t for t in texts):
            continue
        if len(rows) < FEW or not all(isinstance(element, ast.Name) for element in loop.target.elts):
            continue
        one = loop.target.elts[0].id  # type: ignore
        lines = ast.Attribute(ast.Constant(END.join(BETWEEN.join(row) for row in rows)), "split", ast.Load())
        parts = ast.Attribute(ast.Name(one, ast.Load()), "split", ast.Load())
        loop.iter = ast.Call(lines, [ast.Constant(END)], [])
        loop.body.insert(0, ast.Assign([loop.target], ast.Call(parts, [ast.Constant(BETWEEN)], [])))
        loop.target = ast.Name(one, ast.Store())


def _texts_of(row: ast.expr) -> List[str]:
    """The texts of a row that has nothing else."""
    values = (
        [element.value for element in row.elts if isinstance(element, ast.Constant)]
        if isinstance(row, ast.Tuple)
        else []
    )
    texts = [value for value in values if isinstance(value, str)]
    return texts if isinstance(row, ast.Tuple) and len(texts) == len(row.elts) else []


def _is_only_indexed(function: ast.AST, target: ast.Name) -> bool:
    indexed = [node.value for node in ast.walk(function) if isinstance(node, ast.Subscript)]
    indexed += [node.iter for node in ast.walk(function) if isinstance(node, ast.For)]
    loads = [node for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    uses = [node for node in loads if node.id == target.id]
    return all(any(node is use for node in indexed) for use in uses)


def _rare(tree: ast.AST) -> Set[str]:
    """Short texts that stand once, and are no name of the module: to make names of them would cost more."""
    counts = Counter(
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {argument.arg for node in ast.walk(tree) if isinstance(node, ast.arguments) for argument in node.args}
    keys = [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript)]
    names |= {key.value for key in keys if isinstance(key, ast.Constant)}
    short = {text for text, node in counts.items() if node == 1 and 1 < len(text) < LEAST and text not in names}
    return {text for text in short if text.islower() and len(text) > RARE and END not in text}


def _names_to_be(tree: ast.AST, own_names: Set[str]) -> Set[str]:
    """Texts that would be a name or an object, and are no name anyhow, of the ROM or of the module."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} - own_names
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            asked = call.args[1:2] if call.func.id in BY_NAME else call.args[3:] if call.func.id == "__import__" else []
            names |= {node.value for argument in asked for node in ast.walk(argument) if isinstance(node, ast.Constant)}
            names |= {keyword.arg for keyword in call.keywords}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if text and END not in text and text not in names and text not in port_names()}


class _Texts(ast.NodeTransformer):
    """Texts that are words: they have a space. all_texts None: `found` is filled, nothing changed."""

    def __init__(self, all_texts: Optional[List[str]], rare: Set[str], name: str = ""):
        self.rare = rare
        self.all_texts = all_texts
        self.name = name
        self.found: List[str] = []

    def _is_words(self, text: str) -> bool:
        return len(text) >= LEAST and " " in text

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        # not its defaults, which are made once
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [
            self.visit(statement) if isinstance(statement, FUNCTIONS) else statement for statement in node.body
        ]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        is_global = isinstance(node.targets[0], ast.Name) and "." in node.targets[0].id
        return node if is_global else self.generic_visit(node)  # a value that stays

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        if all(isinstance(element, ast.Constant) for element in node.elts):
            return node  # one constant
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        text = node.value
        if not isinstance(text, str) or END in text or not (self._is_words(text) or text in self.rare):
            return node
        if self.all_texts is None:
            self.found.append(text)
            return node
        at = self.all_texts.index(text)
        return ast.copy_location(ast.Call(ast.Name(self.name, ast.Load()), [ast.Constant(at)], []), node)
