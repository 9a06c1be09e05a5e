"""Read the library's modules: syntax trees without docstrings and annotations, and every construct refused that the
later steps could not follow."""

import ast
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Union

from tools.ship.package import Package

PACKAGE = "umqtt"

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BY_NAME = ("getattr", "setattr", "hasattr", "delattr")
LOOKS_INSIDE = ("eval", "exec", "globals", "locals", "vars", "dir", "compile")


class ShipError(Exception):
    """What in the source cannot be shipped, where, and what to write instead."""


class Origin(NamedTuple):
    """Where a function or class stands in the source: its module, its name with those around it, its lines."""

    module: str
    name: str
    first_line: int
    last_line: int


class Module:
    """One file of the package. `tree` is changed by the steps, `text` never. asked_for: attributes that it asks for by
    a string."""

    def __init__(self, path: Path, name: str, package: Package, copy_of: str = ""):
        self.name = name
        self.path = path
        self.package = package
        self.asked_for: Set[str] = set()
        self.text = path.read_text()
        self.tree = ast.parse(self.text, str(path))
        note_origins(self.tree, copy_of or self.name, "")
        refuse_constructs(self)
        self.tree = _Moved(package).visit(_Bare().visit(self.tree))

    def error(self, node: ast.AST, words: str) -> ShipError:
        return ShipError("%s.py:%d: %s" % (self.name, getattr(node, "lineno", 0), words))


def read(folder: Path, package: Package, without: Sequence[str] = ()) -> Dict[str, Module]:
    """The modules of `folder`, and of the folders in it, by name; not those `without`: files or folders. Raises
    ShipError."""
    found = {}
    try:
        for path in sorted(folder.rglob("*.py")):
            relative = path.relative_to(folder)
            if relative.parts[0] not in without:
                name = relative.with_suffix("").as_posix()
                found[name] = Module(path, name, package)
        return found
    except SyntaxError as error:
        raise ShipError("%s:%s: %s" % (Path(error.filename or "").name, error.lineno, error.msg)) from None


def note_origins(node: ast.AST, module: str, around: str) -> None:
    """Give every function and class below `node` an attribute `origin`; it goes wherever the node goes."""
    for child in ast.iter_child_nodes(node):
        inside = around
        if isinstance(child, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            name = getattr(child, "name", "<lambda>")
            child.origin = Origin(module, around + name, child.lineno, child.end_lineno)  # type: ignore
            inside = around + name + "."
        note_origins(child, module, inside)


def origin(node: ast.AST) -> Optional[Origin]:
    return getattr(node, "origin", None)


def is_private(name: str) -> bool:
    """One leading underscore; `__name__` is Python's, `_` alone is a name for nothing."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def refuse_constructs(module: Module) -> None:
    """Raises ShipError for names that are not written out, so that renaming would miss them."""
    foreign = {
        alias.asname or alias.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    # there a program asks for a name of its own
    program_asks = {
        id(node)
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef) and function.name == "__getattr__"
        for node in ast.walk(function)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and id(node) not in program_asks:
            called = node.func.id
            if called == "__import__":
                names = [
                    part for argument in node.args[3:] for part in ast.walk(argument) if isinstance(part, ast.Constant)
                ]
                module.asked_for.update(part.value for part in names)
            if called in LOOKS_INSIDE:
                raise module.error(node, "%s() could name what is renamed when shipped: write the name out" % called)
            if called in BY_NAME and len(node.args) > 1:
                name = node.args[1]
                public = isinstance(name, ast.Constant) and not is_private(str(name.value))
                root = node.args[0]
                while isinstance(root, (ast.Attribute, ast.Subscript)):
                    root = root.value
                on_foreign = isinstance(root, ast.Name) and root.id in foreign
                if public:
                    module.asked_for.add(str(name.value))  # type: ignore
                elif not on_foreign:
                    words = "%s() with a private or computed name, which is renamed when shipped: write x._name"
                    raise module.error(node, words % called)
        elif isinstance(node, ast.Attribute) and node.attr == "__dict__":
            raise module.error(node, "__dict__ holds names that are renamed when shipped: write them out")
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            raise module.error(node, "import *: name what is imported")
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise module.error(node, "relative import: write from %s" % (module.package.name or "MODULE"))
        elif isinstance(node, ast.Import) and not module.package.is_closed:
            if any(module.package.module(alias.name) is not None for alias in node.names):
                raise module.error(node, "import of our own: write from %s import NAME" % module.package.name)
        name = getattr(node, "attr", None) or getattr(node, "name", None) or getattr(node, "id", None)
        if isinstance(name, str) and name.startswith("__") and not name.endswith("__"):
            raise module.error(node, "%s: CPython would mangle it, MicroPython not: one underscore is enough" % name)


class _Bare(ast.NodeTransformer):
    """Takes away what costs nothing on the board but would be in the way: docstrings, annotations."""

    def _body(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        node.body = [statement for statement in node.body if not _is_text(statement)] or [ast.Pass()]  # type: ignore
        return node

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self.generic_visit(node)
        node.body = [statement for statement in node.body if not _is_text(statement)]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._body(node)

    def visit_FunctionDef(self, node: Function) -> ast.AST:
        node.returns = None
        return self._body(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_Assign(self, node: ast.Assign) -> Optional[ast.AST]:
        is_for_checker = isinstance(node.targets[0], ast.Name) and node.targets[0].id == "TYPE_CHECKING"
        return None if is_for_checker else self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Optional[ast.AST]:
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], self.visit(node.value)), node)

    def visit_If(self, node: ast.If) -> object:
        """`if TYPE_CHECKING:` is for the type checker."""
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse or None
        node.body = node.body or [ast.Pass()]
        return node


class _Moved(ast.NodeTransformer):
    """Imports of other packages come from where the names are in them."""

    def __init__(self, package: Package):
        self.moved = package.moved

    def visit_ImportFrom(self, node: ast.ImportFrom) -> object:
        parts = []
        for alias in node.names:
            home, name = self.moved.get((node.module or "", alias.name), (node.module, alias.name))
            local = alias.asname or alias.name
            there = ast.alias(name, None if name == local else local)
            parts.append(ast.copy_location(ast.ImportFrom(home, [there], node.level), node))
        return parts if any(part.module != node.module for part in parts) else node


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def bound(function: ast.AST) -> List[str]:
    """The names that are local to a function or lambda: arguments, then what it assigns; comprehensions have their
    own."""
    names: List[str] = []
    outside: List[str] = []

    def add(name: str) -> None:
        if name not in names:
            names.append(name)

    def look(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
                add(child.name)
                for decorator in child.decorator_list:
                    look(decorator)
                continue
            if isinstance(child, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
                continue
            if isinstance(child, ast.Name) and isinstance(child.ctx, (ast.Store, ast.Del)):
                add(child.id)
            elif isinstance(child, ast.ExceptHandler) and child.name:
                add(child.name)
            elif isinstance(child, (ast.Import, ast.ImportFrom)):
                for alias in child.names:
                    add((alias.asname or alias.name).split(".")[0])
            elif isinstance(child, (ast.Global, ast.Nonlocal)):
                outside.extend(child.names)
            look(child)

    arguments = function.args  # type: ignore
    for argument in all_arguments(arguments):
        add(argument.arg)
    for statement in function.body if isinstance(function.body, list) else [function.body]:  # type: ignore
        look(ast.Module([statement], []))  # the statement itself counts, too
    return [name for name in names if name not in outside]


def all_arguments(arguments: ast.arguments) -> List[ast.arg]:
    rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]
