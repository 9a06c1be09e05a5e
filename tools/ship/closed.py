"""Which attributes of a closed package may change their names: those of its own classes, as long as nothing else can
have one of that name. What the ports' modules, the library and the objects of drivers have keeps it, wherever it
stands: who owns an attribute is not known from its use."""

import ast
from pathlib import Path
from typing import Dict, Iterable, Set, Tuple

from tools.ship.merge import Library, bound_name, class_level
from tools.ship.rom import port_names
from tools.ship.source import FUNCTIONS, is_private


def public_names(folder: Path) -> Set[str]:
    """Every name without an underscore that the sources in `folder` give a function, a class or an attribute."""
    names: Set[str] = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                names.add(node.name)
                names.update(class_level(node) if isinstance(node, ast.ClassDef) else ())
    return {name for name in names if not is_private(name)}


def entries(programs: Iterable[Path]) -> Dict[str, Tuple[str, ...]]:
    """{module: what these programs, which are not shipped, import of it}."""
    found: Dict[str, Tuple[str, ...]] = {}
    for program in programs:
        for node in ast.walk(ast.parse(program.read_text())):
            if isinstance(node, ast.ImportFrom):
                module, names = node.module or "", tuple(alias.name for alias in node.names)
            elif isinstance(node, ast.Attribute) and _is_import(node.value):
                module, names = node.value.args[0].value, (node.attr,)  # type: ignore
            else:
                continue
            module = module.replace(".", "/")
            found[module] = found.get(module, ()) + names
    return found


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__"


def signposts(library: Path) -> Dict[Tuple[str, str], Tuple[str, str]]:
    """{(module, name): where it is} in the shipped `library`: a module that is merged into another is a file of one
    import there, which costs 200 B of heap."""
    moved: Dict[Tuple[str, str], Tuple[str, str]] = {}
    for path in library.glob("*.py"):
        body = ast.parse(path.read_text()).body
        if all(isinstance(statement, (ast.ImportFrom, ast.Assign)) for statement in body):
            for statement in body:
                for alias in statement.names if isinstance(statement, ast.ImportFrom) else ():
                    here = "%s.%s" % (library.name, path.stem), alias.asname or alias.name
                    moved[here] = statement.module or "", alias.name  # type: ignore
    return moved


def own_attributes(library: Library) -> Set[str]:
    """The attributes whose names may change."""
    found: Set[str] = set()
    fixed = port_names() | library.package.kept
    for module in library.modules.values():
        fixed |= module.asked_for
    for unit in library.units.values():
        foreign = {bound_name(statement) for statement in unit.imports}
        used = [
            node for node in ast.walk(unit.tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        ]
        fixed |= {node.attr for node in used if node.value.id in foreign}  # type: ignore
    for names, is_fixed in owned(library).values():
        if is_fixed:
            fixed |= names
        found |= names
    return {name for name in found - fixed if not name.startswith("__")}


def internal_attributes(library: Library) -> Set[str]:
    """Of an open package: the attributes that only classes of its internal modules have, which no program sees."""
    internal: Set[str] = set()
    fixed = set(port_names())
    for name, (names, _) in owned(library).items():
        (internal if name.split(".")[0] in library.package.internal else fixed).update(names)
    return {name for name in internal - fixed if not is_private(name) and not name.startswith("__")}


def owned(library: Library) -> Dict[str, Tuple[Set[str], bool]]:
    """{class: the attributes of its objects; whether they are fixed, for it has a base that is not ours}."""
    classes = [n for unit in library.units.values() for n in ast.walk(unit.tree) if isinstance(n, ast.ClassDef)]
    ours = {node.name for node in classes}
    found = {}
    for node in classes:
        names = set(class_level(node))
        for method in node.body:
            if isinstance(method, FUNCTIONS) and method.args.args:
                names |= _stored(method, method.args.args[0].arg)
        strange = any(not (isinstance(base, ast.Name) and base.id in ours) for base in node.bases)
        found[node.name] = names, strange
    return found


def _stored(method: ast.AST, own: str) -> Set[str]:
    return {
        node.attr
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == own
    }
