"""Give every private name one that the boards have in their ROM already: a new one would cost its text and 7 bytes of
a pool that grows in large steps.

Attributes keep a leading underscore. Each private name of the source becomes one and the same over the whole package;
two may become the same only when no object can have both.
"""

import ast
from collections import Counter
from pathlib import Path
from typing import Dict, Iterable, List, Set

from tools.ship.closed import internal_attributes, own_attributes
from tools.ship.merge import Library, Unit, bound_name, class_level, literal
from tools.ship.rom import port_names
from tools.ship.source import FUNCTIONS, ShipError, all_arguments, bound, is_private, origin

ROM_NAMES = Path(__file__).with_name("rom_names.txt")
# Of Reconnect and Store: for the client alone, and of no other class.
FRIENDS = ("turn", "lost", "up", "pause_left_ms", "window")
ANYWHERE = "*"  # no function's name
KEPT = ("_send_str", "_recv_len")  # micropython-lib's: its users' subclasses call them


def rom_names(*kinds: str) -> List[str]:
    """The names of these kinds in rom_names.txt, kind after kind."""
    lines = [line.split() for line in ROM_NAMES.read_text().splitlines() if not line.startswith("#")]
    return [name for kind in kinds for of_kind, name in lines if of_kind == kind]


def rename(library: Library) -> Dict[str, str]:
    """Rename all over the units, whose trees are then ready to be written out. Returns the attributes' map. Raises
    ShipError."""
    attributes = _attributes(library)
    for unit in library.units.values():
        _Attributes(attributes).visit(unit.tree)
    tables = {name: _Table(unit) for name, unit in library.units.items()}
    symbols = {name: _symbols(unit.tree) for name, unit in library.units.items()}
    units_with = Counter(symbol for used in symbols.values() for symbol in used)
    finals: Dict[str, str] = {}  # global -> its name in its unit
    for name, unit in library.units.items():
        finals.update(_own_globals(library, unit, tables[name], symbols[name], units_with))
    keywords = _keywords(library, finals)
    for name, unit in library.units.items():
        there = _imported(library, unit, tables[name], finals, symbols[name])
        mine = {symbol: finals[symbol] for symbol in finals if library.home(symbol.split(".")[0]) == name}
        local = {**mine, **there}
        _Globals(local, finals).visit(unit.tree)
        _rename_arguments(library, unit, tables[name], keywords, _for_programs(library, unit, finals))
        unit.tree.body[:0] = _import_statements(library, unit, there, finals)
        used = {node.id for node in ast.walk(unit.tree) if isinstance(node, ast.Name)}
        unit.tree.body[:0] = _joined(statement for statement in unit.imports if bound_name(statement) in used)
    _make_aliases(library, finals)
    _refuse_circles(library)
    for unit in library.units.values():
        ast.fix_missing_locations(unit.tree)
    return attributes


def _attributes(library: Library) -> Dict[str, str]:
    """{private attribute: its ROM name}; what finds none keeps its own."""
    roots = _roots(library)
    own_names = own_attributes(library) if library.package.is_closed else internal_attributes(library)
    uses: Counter = Counter()
    owners: Dict[str, Set[str]] = {}  # attribute -> lines of classes whose objects can have it
    fixed: Dict[str, Set[str]] = {}  # the same of those that keep their names
    set_elsewhere: Set[str] = set()  # by whom is not known
    of_class: Set[str] = set()

    def is_ours(name: str) -> bool:
        return name in own_names or not library.package.is_closed and (is_private(name) or name in FRIENDS)

    def look(node: ast.AST, line: str, own: str) -> None:
        # own: what the object itself is called here
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                root = roots.get(child.name, child.name)
                for name in class_level(child):
                    if not is_ours(name):
                        fixed.setdefault(name, set()).add(root)
                    else:
                        owners.setdefault(name, set()).add(root)
                        of_class.add(name)
                        uses[name] += 1
                look(child, root, "")
                continue
            if isinstance(child, ast.Attribute):
                uses[child.attr] += 1
                of = owners if is_ours(child.attr) else fixed
                if isinstance(child.value, ast.Name) and child.value.id == own and line:
                    of.setdefault(child.attr, set()).add(line)
                elif isinstance(child.ctx, ast.Store) and not is_ours(child.attr):
                    set_elsewhere.add(child.attr)
            inside = own
            if isinstance(child, FUNCTIONS) and line and not own and child.args.args:
                inside = child.args.args[0].arg
            look(child, line, inside)

    for unit in library.units.values():
        look(unit.tree, "", "")
    for unit in library.units.values():
        imported = {alias.asname or alias.name for statement in unit.imports for alias in statement.names}
        for node in ast.walk(unit.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
                if node.attr in owners:
                    raise ShipError("%s: ._%s of MicroPython's %s is also an attribute of ours, and would be renamed"
                                    % (unit.name, node.attr[1:], node.value.id))  # fmt: skip
                continue
            if isinstance(node, ast.Attribute) and is_ours(node.attr) and node.attr not in owners:
                raise ShipError("%s: ._%s is an attribute of none of our classes" % (unit.name, node.attr[1:]))
            if isinstance(node, ast.Constant) and node.value in owners and is_private(str(node.value)):
                raise ShipError(
                    "%s: the private name %r as a string, which is renamed when shipped: write x.%s"
                    % (unit.name, node.value, node.value)
                )
    closed = ("any", "closed") if library.package.is_closed else ()
    for_class = rom_names(*closed, "class", "asyncio", "mip")
    for_instances = rom_names(*closed, "instance", "class", "asyncio", "mip")
    taken: Dict[str, Set[str]] = {}  # ROM name -> lines of classes that have it
    to: Dict[str, str] = {}
    # the core's first: every program loads it
    core = {n.attr for n in ast.walk(library.units[library.first].tree) if isinstance(n, ast.Attribute)}
    order = sorted(
        owners, key=lambda name: (name not in core, name not in of_class, -len(owners[name]), -uses[name], name)
    )
    for name in order:
        if name in KEPT:
            continue
        for new in for_class if name in of_class else for_instances:
            has = taken.get(new, set()) | fixed.get(new, set())
            if not has & owners[name] and new not in set_elsewhere:
                taken.setdefault(new, set()).update(owners[name])
                to[name] = new
                break
    return to


def _roots(library: Library) -> Dict[str, str]:
    """Class -> a class of ours that stands for its line: all that have an heir in common, for an object of that has the
    attributes of each."""
    bases = {
        node.name: [b.id for b in node.bases if isinstance(b, ast.Name)]
        for unit in library.units.values()
        for node in ast.walk(unit.tree)
        if isinstance(node, ast.ClassDef)
    }
    line = {name: name for name in bases}
    for name in bases:
        for base in bases[name]:
            if base in bases:
                joined = line[base]
                line = {other: line[name] if of == joined else of for other, of in line.items()}
    return line


class _Attributes(ast.NodeTransformer):
    def __init__(self, to: Dict[str, str]):
        self.to = to

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = self.to.get(node.attr, node.attr)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        names = [name for name in class_level(node) if name in self.to]
        for statement in node.body:
            if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
                statement.name = self.to.get(statement.name, statement.name)
        in_body = _NamesOf({name: self.to[name] for name in names})
        for statement in node.body:
            if not isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
                in_body.visit(statement)
        return node


class _NamesOf(ast.NodeTransformer):
    def __init__(self, to: Dict[str, str]):
        self.to = to

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.to.get(node.id, node.id)
        return node


class _Table:
    """The names that a unit's file has anyhow; using one of them again costs nothing at all."""

    def __init__(self, unit: Unit):
        counts: Counter = Counter()
        self.words: Set[str] = set()  # what a global must not be called
        for node in ast.walk(unit.tree):
            if isinstance(node, ast.Attribute) and "." not in node.attr:
                counts[node.attr] += 1
            elif isinstance(node, ast.Name):
                self.words.add(node.id)
            elif isinstance(node, ast.arg):
                self.words.add(node.arg)
            elif isinstance(node, (*FUNCTIONS, ast.ClassDef)) or isinstance(node, ast.ExceptHandler) and node.name:
                self.words.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                self.words.update(alias.asname or alias.name for alias in node.names)
        self.words.update(bound_name(statement) for statement in unit.imports)
        self.words.update(unit.exports)
        present = sorted((name for name in counts if not name.startswith("_")), key=lambda name: (-counts[name], name))
        self.in_rom = port_names().union(rom_names("any", "closed"))
        self.candidates = present + [name for name in rom_names("any") if name not in counts]

    def take(self, source_name: str, is_seen: bool = False) -> str:
        """A name for a global of this unit; its own when there is no other. is_seen: other units have that name, too,
        and may have no other use for it: then the ROM's come first."""
        for name in sorted(self.candidates, key=lambda name: is_seen and name not in self.in_rom):
            if name not in self.words:
                self.words.add(name)
                return name
        while source_name in self.words:
            source_name += "_"
        self.words.add(source_name)
        return source_name


def _own_globals(
    library: Library, unit: Unit, table: _Table, symbols: List[str], units_with: Dict[str, int]
) -> Dict[str, str]:
    """symbols: of this unit; units_with: how many units use each."""
    finals = {symbol: name for name, symbol in unit.exports.items() if library.home(symbol.split(".")[0]) == unit.name}
    for symbol in symbols:
        if symbol not in finals and library.home(symbol.split(".")[0]) == unit.name:
            finals[symbol] = table.take(symbol.split(".")[1], units_with[symbol] > 1)
    return finals


def _imported(
    library: Library, unit: Unit, table: _Table, finals: Dict[str, str], symbols: List[str]
) -> Dict[str, str]:
    """Global of another unit -> its name here; symbols: those of this unit."""
    names = {s: name for name, s in unit.exports.items() if library.home(s.split(".")[0]) != unit.name}
    for symbol in symbols:
        if symbol in names or library.home(symbol.split(".")[0]) == unit.name:
            continue
        if symbol not in finals:
            raise ShipError("%s: nothing defines %s" % (unit.name, symbol))
        there = finals[symbol]
        if there in table.words:
            there = table.take(there)
        table.words.add(there)
        names[symbol] = there
    return names


def _symbols(tree: ast.AST) -> List[str]:
    """The globals that are used in a tree, in the order of their first use."""
    found: List[str] = []
    for node in ast.walk(tree):
        names: List[str] = []
        if isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Global):
            names = node.names
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.asname or "" for alias in node.names]
        found += [name for name in names if "." in name and name not in found]
    return found


class _Globals(ast.NodeTransformer):
    """to: what globals are called here; there: in their own units, as an imported module's attribute has it."""

    def __init__(self, to: Dict[str, str], there: Dict[str, str]):
        self.to = to
        self.there = there

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self.there.get(node.attr, node.attr)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.to.get(node.id, node.id)
        return node

    def _named(self, node: ast.AST) -> ast.AST:
        node.name = self.to.get(node.name, node.name)  # type: ignore
        return self.generic_visit(node)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _named

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self.to.get(name, name) for name in node.names]
        return node

    def visit_Import(self, node: ast.AST) -> ast.AST:
        for alias in node.names:  # type: ignore
            alias.name = self.there.get(alias.name, alias.name)
            if alias.asname in self.to:
                alias.asname = self.to[alias.asname]
                if alias.asname == alias.name:
                    alias.asname = None
        return node

    visit_ImportFrom = visit_Import


def _keywords(library: Library, finals: Dict[str, str]) -> Dict[str, Set[str]]:
    """{name of a function: the arguments that somebody passes by name}; under ANYWHERE those of all functions."""
    passed: Dict[str, Set[str]] = {ANYWHERE: set()}
    for unit in library.units.values():
        for node in ast.walk(unit.tree):
            names = {keyword.arg for keyword in node.keywords if keyword.arg} if isinstance(node, ast.Call) else None
            if names:
                called = str(getattr(node.func, "attr", None) or getattr(node.func, "id", None))  # type: ignore
                passed.setdefault(finals.get(called, called), set()).update(names)
                passed[ANYWHERE] |= names
    return passed


def _for_programs(library: Library, unit: Unit, finals: Dict[str, str]) -> Set[str]:
    """The final names of a unit's globals that programs may call, by whatever module they import them."""
    members = library.groups.get(unit.name, [unit.name])
    above = [module for module in members if module not in library.package.beneath]
    symbols = {"%s.%s" % (module, name) for module in above for name in library.exported(module)}
    return set(unit.exports) | {finals[symbol] for symbol in symbols if symbol in finals}


def _rename_arguments(
    library: Library, unit: Unit, table: _Table, keywords: Dict[str, Set[str]], for_programs: Set[str]
) -> None:
    """The compiler keeps the names of functions and of their arguments, but not those of locals. Those that a program
    may pass by name stay."""
    anywhere = keywords[ANYWHERE] if library.package.is_closed else set()

    def look(node: ast.AST, private: bool, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                look(child, child.name not in for_programs, False)
            elif isinstance(child, (*FUNCTIONS, ast.Lambda)):
                name = getattr(child, "name", "<lambda>")
                hidden = private or inside or library.package.is_closed or _is_hidden(child, for_programs)
                if hidden:
                    _short_arguments(child, table, keywords.get(name, set()) | anywhere)
                look(child, False, True)
                _short_names(child, table)
            else:
                look(child, private, inside)

    look(unit.tree, False, False)


def _is_hidden(function: ast.AST, for_programs: Set[str]) -> bool:
    """Whether no program calls it: a lambda, a private method or a global that is not exported."""
    source = origin(function)
    if isinstance(function, ast.Lambda) or source is None:
        return True
    last = source.name.split(".")[-1]
    if "." in source.name:
        return is_private(last) and last not in KEPT
    return function.name not in for_programs  # type: ignore


def _short_arguments(function: ast.AST, table: _Table, by_keyword: Set[str]) -> None:
    arguments = function.args  # type: ignore
    used = _words_in(function)
    free = (name for name in table.candidates if name not in used)
    to: Dict[str, str] = {}
    for argument in all_arguments(arguments):
        named = argument.arg in by_keyword or argument in arguments.kwonlyargs
        if argument.arg == "self" or named or argument.arg in table.candidates:
            continue
        new = next(free, None)
        if new:
            to[argument.arg] = new
            argument.arg = new
    _in_scope(function, to)


def _in_scope(function: ast.AST, to: Dict[str, str]) -> None:
    """Rename locals of a function, within the functions in it too unless they have such a local of their own."""
    body = function.body if isinstance(function.body, list) else [function.body]  # type: ignore
    for statement in body:
        _Locals(to).visit(statement)


class _Locals(ast.NodeTransformer):
    def __init__(self, to: Dict[str, str]):
        self.to = to

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.to.get(node.id, node.id)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self.to.get(name, name) for name in node.names]
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node.name = self.to.get(node.name, node.name) if node.name else None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.to.get(node.name, node.name)
        return self._within(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._within(node)

    def _within(self, node: ast.AST) -> ast.AST:
        was = self.to
        self.to = {name: new for name, new in was.items() if name not in bound(node)}
        self.generic_visit(node)
        self.to = was
        return node


def _short_names(function: ast.AST, table: _Table) -> None:
    """The functions nested in a function: locals of it, but the compiler keeps their names."""
    nested = [node.name for node in bound_functions(function)]
    free = (name for name in table.candidates if name not in _words_in(function))
    to = dict(zip((node for node in nested if node not in table.candidates), free))
    _in_scope(function, to)


def bound_functions(function: ast.AST) -> List[ast.FunctionDef]:
    body = function.body if isinstance(function.body, list) else []  # type: ignore
    return [node for node in body if isinstance(node, ast.FunctionDef)]


def _words_in(function: ast.AST) -> Set[str]:
    words: Set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            words.add(node.id)
        elif isinstance(node, (ast.Lambda, *FUNCTIONS)):
            words.update(argument.arg for argument in all_arguments(node.args))
        if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler)) and node.name:
            words.add(node.name)
    return words


def _joined(statements: Iterable[ast.stmt]) -> List[ast.stmt]:
    """Imports from one module in one statement; plain ones first."""
    plain: List[ast.alias] = []
    parts: Dict[str, List[ast.alias]] = {}
    for statement in statements:
        if isinstance(statement, ast.Import):
            plain += statement.names
        elif isinstance(statement, ast.ImportFrom):
            parts.setdefault(statement.module or "", []).extend(statement.names)
    out: List[ast.stmt] = [ast.Import([alias]) for alias in plain]
    return out + [ast.ImportFrom(module, names, 0) for module, names in parts.items()]


def _import_statements(library: Library, unit: Unit, there: Dict[str, str], finals: Dict[str, str]) -> List[ast.stmt]:
    statements = []
    for symbol, local in sorted(there.items()):
        name = finals[symbol]
        alias = ast.alias(name, None if name == local else local)
        home = library.home(symbol.split(".")[0])
        statements.append(ast.ImportFrom(library.package.path(home), [alias], 0))
    return _joined(statements)


def _refuse_circles(library: Library) -> None:
    """Merging may make of a line of imports a circle, in which a module finds another half made."""
    of: Dict[str, Set[str]] = {}
    for name, unit in library.units.items():
        paths = [statement.module or "" for statement in unit.tree.body if isinstance(statement, ast.ImportFrom)]
        of[name] = {str(library.package.module(path)) for path in paths} & library.units.keys()
    while of:
        free = [name for name, needs in of.items() if not needs & of.keys()]
        if not free:
            raise ShipError("merged, these import each other in a circle: %s" % ", ".join(sorted(of)))
        for name in free:
            del of[name]


def _make_aliases(library: Library, finals: Dict[str, str]) -> None:
    """A small file for each core module that is merged: what a program may import from it. It costs only who does."""
    for name, names in library.aliases.items():
        aliases = [
            ast.alias(finals[symbol], None if finals[symbol] == public else public)
            for public, symbol in sorted(names.items())
            if symbol in finals
        ]
        values: List[ast.stmt] = [
            ast.Assign([ast.Name(public, ast.Store())], literal(value))
            for public, value in sorted(library.public_constants[name].items())
        ]
        if aliases:  # nobody imports one that has constants alone
            home = library.package.path(library.home(name))
            body: List[ast.stmt] = [ast.ImportFrom(home, aliases, 0)]
            tree = ast.Module(body + values, [])
            library.units[name] = Unit(name, ast.fix_missing_locations(tree), [], dict.fromkeys(names, ""))
