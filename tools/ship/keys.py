"""Write a key of the configuration as its number: `cfg["qos"]` becomes `cfg[21]`, of a list.

As a dict the configuration takes 2 kB of an ESP8266's heap for its table and the texts of 60 keys, and each key that
the program names is one name more. A key's number is its place in the table `_KEYS` of config_check.py, behind it those
of `_FOUND`; that makes the list once `_NUMBERED` is true. Whatever is called `cfg`, alone or as an attribute, is the
configuration.

The list may be kept on flash, so `_RULES` of config.py becomes the digest of what has made it.
"""

import ast
import difflib
import hashlib
from typing import Dict, List, Sequence

from tools.ship.source import Module, ShipError

CONFIG = "config_check"  # the module with the table
TAKES = "config"  # the one that keeps the list
RULES = "_RULES"
RULES_B = 8
TABLE = "_KEYS"
FOUND = "_FOUND"
SWITCH = "_NUMBERED"
CALLED = "cfg"


def number_keys(modules: Dict[str, Module]) -> None:
    """Change the modules' trees, when config_check.py is among them. Raises ShipError for a key that is none."""
    config = modules.get(CONFIG)
    if config is None:
        return
    constants = _constants(config, (TABLE, FOUND, SWITCH))
    keys = [line.split("|")[0] for line in _text(config, constants[TABLE]).strip().splitlines()]
    keys += _text(config, constants[FOUND]).split()
    constants[SWITCH].value = ast.Constant(True)
    if TAKES in modules:
        digest = hashlib.sha256(config.text.encode()).digest()[:RULES_B]
        _constants(modules[TAKES], (RULES,))[RULES].value = ast.Constant(digest)
    for module in modules.values():
        _Numbered(module, keys).visit(module.tree)


def _constants(module: Module, needed: Sequence[str]) -> Dict[str, ast.Assign]:
    found = {
        statement.targets[0].id: statement
        for statement in module.tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    for name in needed:
        if name not in found:
            raise ShipError("%s.py: there is no %s, which keys.py of tools/ship fills in" % (module.name, name))
    return found


def _text(config: Module, statement: ast.Assign) -> str:
    values = [node.value for node in ast.walk(statement.value) if isinstance(node, ast.Constant)]
    if len(values) != 1 or not isinstance(values[0], str):
        raise config.error(statement, "keys are numbered by this one: write it as one text")
    return values[0]


class _Numbered(ast.NodeTransformer):
    def __init__(self, module: Module, keys: List[str]):
        self.module = module
        self.keys = keys

    def _number(self, node: ast.expr) -> ast.expr:
        key = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(key, str):
            raise self.module.error(node, "a key of cfg that is made at run time: it is a number then, write it out")
        if key not in self.keys:
            closest = difflib.get_close_matches(key, self.keys, 1)
            words = "config_check.py has no key %s" % key + (": is it %s?" % closest[0] if closest else "")
            raise self.module.error(node, words)
        return ast.copy_location(ast.Constant(self.keys.index(key)), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if _is_configuration(node.value):
            node.slice = self._number(node.slice)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.ops[0], (ast.In, ast.NotIn)) and _is_configuration(node.comparators[0]):
            raise self.module.error(node, "cfg has all its keys: ask for the value")
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Attribute) and _is_configuration(node.func.value)):
            return node
        if node.func.attr != "get" or len(node.args) != 1:
            raise self.module.error(node, "cfg has all its keys, None where there is nothing: write cfg.get(KEY)")
        return ast.copy_location(ast.Subscript(node.func.value, self._number(node.args[0]), ast.Load()), node)


def _is_configuration(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name == CALLED
