"""Make one module of each group's: every use of a global says whose it is, constants become their values, then the
modules stand one behind the other.

A global is called `module.name` from here on (a dot cannot occur in a name of Python's); `names` gives it the name
that ships. What the library imports from MicroPython keeps its name.
"""

import ast
from collections import Counter
from typing import Dict, List, NamedTuple, Optional, Set, Tuple, Union

from tools.ship.keys import number_keys
from tools.ship.package import Package
from tools.ship.source import FUNCTIONS, Module, ShipError, bound, is_private

Value = Union[int, str, bytes, tuple]
COPY = "@"  # module@unit


class Unit(NamedTuple):
    """One module that ships. exports: the name that others import -> the global; it must be importable by that."""

    name: str
    tree: ast.Module
    imports: List[ast.stmt]  # of MicroPython's modules
    exports: Dict[str, str]


class Library:
    """All modules, those of a group merged into its last. units: what ships, by name; aliases: for each other module of
    a group the names that a program may still import from it, and their globals. groups: {its last: all of it}."""

    def __init__(self, modules: Dict[str, Module], package: Package):
        self.modules = modules
        self.package = package
        self.groups = self._grouped()
        number_keys(modules)
        self.merged = {name: target for target, group in self.groups.items() for name in group}
        self.globals = {name: _own_globals(module) for name, module in modules.items()}
        self.foreign: Dict[str, Dict[str, ast.stmt]] = {name: {} for name in modules}
        self.constants: Dict[str, Value] = {}
        self.public_constants: Dict[str, Dict[str, Value]] = {name: {} for name in modules}
        self.units: Dict[str, Unit] = {}
        self.aliases: Dict[str, Dict[str, str]] = {}
        self._reexported: Dict[str, Dict[str, str]] = {name: {} for name in modules}
        order = [*self.merged, *(name for name in modules if name not in self.merged)]
        self.rebound = {other: _rebound(m.tree) for other, m in modules.items()}
        links = {name: _Links(self, modules[name]) for name in modules}
        for name in order:
            links[name].read_imports()
        self.constant_names = {
            other: {_const_name(statement) for statement in m.tree.body} - {None} for other, m in modules.items()
        }
        for name in order:
            links[name].qualify()
        for name in order:
            self._take_constants(modules[name])
        for name in order:
            modules[name].tree = _Inline(self.constants).visit(modules[name].tree)
        self._make_units(order)

    def home(self, module: str) -> str:
        """The unit that has the globals of `module`."""
        return self.merged.get(module, module)

    def _grouped(self) -> Dict[str, List[str]]:
        """{the last of a group: all that are there}. One of several groups is copied into each."""
        count = Counter(name for group in self.package.groups for name in group)
        groups = {}
        for group in self.package.groups:
            present = [name for name in group if name in self.modules]
            for i, name in enumerate(present[:-1]):
                if count[name] > 1:
                    present[i] = name + COPY + present[-1]
            if present:
                groups[present[-1]] = present
        for name in [other for group in groups.values() for other in group if COPY in other]:
            source = name.split(COPY)[0]
            self.modules[name] = Module(self.modules[source].path, name, self.package, source)
        for name in count:
            if count[name] > 1 and name not in groups:
                self.modules.pop(name, None)
        return groups

    def rivals(self, unit: str) -> Set[str]:
        """The units that are never loaded together with `unit`: they have copies of the same modules."""

        def sources(name: str) -> Set[str]:
            copies = {n.split(COPY)[0] for n in self.groups.get(name, ()) if COPY in n}
            return copies | {name} if copies else copies

        return {other for other in self.groups if other != unit and sources(other) & sources(unit)}

    def seen_from(self, importer: str, module: str) -> str:
        """`module`, or the copy of it that `importer` is merged with."""
        copy = module + COPY + self.merged.get(importer, "")
        return copy if copy in self.modules else module

    def importable(self, unit: str) -> Set[str]:
        """The globals of a unit that programs may import, of other modules' names too."""
        if unit == self.first:
            return set(self.units[unit].exports.values())
        members = self.groups.get(unit, [unit])
        signposts = {symbol for name in members for symbol in self.aliases.get(name, {}).values()}
        return signposts | set(self.units[unit].exports.values())

    def exported(self, module: str) -> Set[str]:
        """The globals of `module` that a program may import."""
        if self.package.exports is not None:
            return self.globals[module] & set(self.package.exports.get(module, ()))
        if module in self.package.internal:
            return set()
        return {name for name in self.globals[module] if not is_private(name)}

    @property
    def first(self) -> str:
        """The unit of the first group, which is loaded whenever any is."""
        return next(iter(self.groups), "")

    def is_ours(self, path: str) -> bool:
        """Whether `path` is imported of this package."""
        module = self.package.module(path)
        if module is None or not self.package.is_closed:
            return module is not None
        return any(other.split(COPY)[0] == module or other.startswith(module + "/") for other in self.modules)

    def meant(self, path: str, name: str, importer: str) -> Tuple[str, str]:
        """`from path import name` in module `importer`: the module, and its global; "" for the module itself."""
        folder = self.seen_from(importer, self.package.module(path) or "")
        inside = "%s/%s" % (folder, name) if folder else name
        if folder and folder in self.modules and inside not in self.modules:
            return folder, name
        if folder and folder not in self.modules and any(other.split(COPY)[0] == folder for other in self.modules):
            raise ShipError("%s.py imports %s, of which each life of a board has a copy" % (importer, folder))
        return inside, ""

    def symbol(self, module: str, name: str) -> Optional[str]:
        """The global that `from umqtt.module import name` means; None when there is none."""
        if name in self.globals[module]:
            return "%s.%s" % (module, name)
        return self._reexported[module].get(name)

    def reexport(self, module: str, name: str, symbol: str) -> None:
        self._reexported[module][name] = symbol

    def drop_empty(self) -> None:
        """Internal modules of which nothing is left do not ship."""
        for name in list(self.units):
            is_ours = self.package.is_closed or name in self.package.internal
            if is_ours and not self.units[name].tree.body and not self.units[name].exports:
                del self.units[name]

    def _take_constants(self, module: Module) -> None:
        # NAME = const(...) at the top of a module
        kept: List[ast.stmt] = []
        for statement in module.tree.body:
            name = _const_name(statement)
            if name is None:
                kept.append(statement)
                continue
            value = self._evaluate(module, statement.value.args[0])  # type: ignore
            if name in self.constants:
                raise module.error(statement, "%s is a constant already: MicroPython refuses a second" % name)
            self.constants[name] = value
            short = name.split(".", 1)[1]
            is_public = short in self.exported(module.name) if self.package.is_closed else not is_private(short)
            if is_public:
                self.public_constants[module.name][short] = value
                if self.home(module.name) == module.name:
                    kept.append(ast.Assign([ast.Name(name, ast.Store())], literal(value)))
        module.tree.body = kept

    def _evaluate(self, module: Module, expression: ast.expr) -> Value:
        known = ast.Expression(_Inline(self.constants).visit(expression))
        try:
            return eval(compile(ast.fix_missing_locations(known), module.name, "eval"), {"__builtins__": {}})
        except Exception as error:
            raise module.error(expression, "const() of something that is not known here: %s" % error) from None

    def _make_units(self, order: List[str]) -> None:
        for target, group in self.groups.items():
            self._merge(target, group)
        for name in order:
            if name in self.groups:
                continue
            names = {other: "%s.%s" % (name, other) for other in self.exported(name)}
            if self.package.is_closed or name not in self.package.internal:
                names.update(self._errors(name))
            if name in self.merged:
                self.aliases[name] = names
            else:
                tree = self.modules[name].tree
                self.units[name] = Unit(name, tree, list(self.foreign[name].values()), names)

    def _merge(self, target: str, group: List[str]) -> None:
        body: List[ast.stmt] = []
        imports: Dict[str, ast.stmt] = {}
        same: Dict[str, str] = {}  # NAME = a builtin, in two modules
        for name in group:
            for local, statement in self.foreign[name].items():
                if local in imports and ast.dump(imports[local]) != ast.dump(statement):
                    raise ShipError("%s.py imports another %s than the modules before it" % (name, local))
                imports[local] = statement
            for statement in self.modules[name].tree.body:
                twin = _is_builtin_alias(statement)
                if twin and twin in same:
                    _Rename({statement.targets[0].id: same[twin]}).over(self.modules.values())  # type: ignore
                    continue
                if twin:
                    same[twin] = statement.targets[0].id  # type: ignore
                body.append(statement)
        exports = {other: "%s.%s" % (target, other) for other in self.exported(target)}
        exports.update(self._errors(target))
        self.units[target] = Unit(target, ast.Module(body, []), list(imports.values()), exports)

    def _errors(self, module: str) -> Dict[str, str]:
        """Exceptions of ours that `module` imports are names of it too: programs catch them by either."""
        if self.package.is_closed:
            return {}
        return {
            name: symbol
            for name, symbol in self._reexported[module].items()
            if not is_private(name) and self._is_error(symbol)
        }

    def _is_error(self, symbol: str) -> bool:
        module, name = symbol.split(".")
        for statement in self.modules[module].tree.body:
            if isinstance(statement, ast.ClassDef) and statement.name == symbol:
                bases = [base.id for base in statement.bases if isinstance(base, ast.Name)]
                return any(
                    base.endswith(("Error", "Exception")) or "." in base and self._is_error(base) for base in bases
                )
        return False


class _Links(ast.NodeTransformer):
    """Finds what each name of a module means."""

    def __init__(self, library: Library, module: Module):
        self.library = library
        self.module = module
        self.modules: Dict[str, str] = {}  # local name -> module of ours
        self.symbols: Dict[str, str] = {}  # local name -> global
        self.local: List[Set[str]] = []  # names of the functions around
        self.class_names: Set[str] = set()
        self.lazy: Dict[str, str] = {}  # local name -> optional module that the function around imports
        self.late: List[Dict[str, str]] = []  # constants that the functions around import: local name -> global

    def read_imports(self) -> None:
        tree = self.module.tree
        package = self.library.package
        lazy = _Lazy(self.library, self.module.name)
        lazy.visit(tree)
        kept: List[ast.stmt] = []
        for statement in [*tree.body, *lazy.found]:
            if not isinstance(statement, (ast.Import, ast.ImportFrom)):
                kept.append(statement)
            elif isinstance(statement, ast.ImportFrom) and self.library.is_ours(statement.module or ""):
                self._ours(statement)
            elif isinstance(statement, ast.Import) and self.library.is_ours(statement.names[0].name):
                for alias in statement.names:
                    if alias.name not in self.library.modules:
                        raise self.module.error(statement, "write from FOLDER import MODULE")
                    self.modules[alias.asname or alias.name] = package.module(alias.name) or ""
            else:
                for alias in statement.names:
                    one = (
                        ast.Import([alias])
                        if isinstance(statement, ast.Import)
                        else ast.ImportFrom(statement.module, [alias], 0)
                    )
                    local = alias.asname or alias.name
                    self.library.foreign[self.module.name][local] = one
        tree.body = kept
        for name in self.library.globals[self.module.name]:
            self.symbols[name] = "%s.%s" % (self.module.name, name)

    def _ours(self, statement: ast.ImportFrom) -> None:
        for alias in statement.names:
            local = alias.asname or alias.name
            there, name = self.library.meant(statement.module or "", alias.name, self.module.name)
            if there not in self.library.modules:
                words = "there is no %s" % self.library.package.path(there)
                raise self.module.error(statement, words)
            if not name:
                self.modules[local] = there
                continue
            symbol = self._find(statement, there, name)
            if "." in symbol:
                self.symbols[local] = symbol
                self.library.reexport(self.module.name, local, symbol)

    def _find(self, node: ast.AST, there: str, name: str) -> str:
        if name in self.library.rebound[there] and self.library.home(there) != self.library.home(self.module.name):
            words = "%s.%s is set while the program runs, and would be imported as it is at the start: import %s in the"
            words += " function that reads it"
            raise self.module.error(node, words % (there, name, there))
        symbol = self.library.symbol(there, name)
        if symbol:
            return symbol
        foreign = self.library.foreign[there].get(name)
        if not foreign:
            raise self.module.error(node, "%s has no %s" % (self.library.package.path(there), name))
        self.library.foreign[self.module.name].setdefault(name, foreign)
        return name

    def qualify(self) -> None:
        self.module.tree = self.visit(self.module.tree)

    def _late_constant(self, name: str) -> str:
        """The global of a constant that a function around imports as `name`; "" for any other name."""
        for names, late in zip(reversed(self.local), reversed(self.late)):
            if name in late:
                return late[name]
            if name in names:
                break
        return ""

    def _is_local(self, name: str) -> bool:
        return any(name in names for names in self.local) or name in self.class_names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        constant = self._late_constant(node.id)
        if constant:
            if not isinstance(node.ctx, ast.Load):
                words = "%s is a constant of %s: give the variable another name"
                raise self.module.error(node, words % (node.id, constant.split(".")[0]))
            return ast.copy_location(ast.Name(constant, node.ctx), node)
        if not self._is_local(node.id):
            if node.id in self.symbols:
                return ast.copy_location(ast.Name(self.symbols[node.id], node.ctx), node)
            if node.id in self.modules:
                raise self.module.error(node, "the module %s as a value: name what is used of it" % node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        base = node.value
        if isinstance(base, ast.Name) and base.id in self.modules and not self._is_local(base.id):
            if not isinstance(node.ctx, ast.Load):
                raise self.module.error(node, "another module's global is set: call a function of it")
            return ast.copy_location(ast.Name(self._find(node, self.modules[base.id], node.attr), ast.Load()), node)
        self.generic_visit(node)
        if isinstance(base, ast.Name) and node.attr in self.library.globals.get(self.lazy.get(base.id, ""), ()):
            there = self.lazy[base.id]
            symbol = "%s.%s" % (there, node.attr)
            if node.attr in self.library.constant_names[there]:
                return ast.copy_location(ast.Name(symbol, ast.Load()), node)
            node.attr = symbol
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self.symbols.get(name, name) for name in node.names]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        self._defaults(node.args)
        if not self._is_local(node.name):
            node.name = self.symbols.get(node.name, node.name)
        names = set(bound(node))
        modules, constants = self._imported_within(node)
        was, self.lazy = self.lazy, {**self.lazy, **modules}
        self._inside(node, names, lambda: [self.visit(statement) for statement in node.body], "body", constants)
        self.lazy = was
        return node

    def _imported_within(self, function: ast.FunctionDef) -> Tuple[Dict[str, str], Dict[str, str]]:
        """The modules of ours that a function imports itself, and the constants, which need no import; another name
        becomes its global."""
        modules: Dict[str, str] = {}
        constants: Dict[str, str] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in self.library.modules:
                        local = alias.asname or alias.name
                        modules[local] = alias.name
                        alias.name = self.library.home(alias.name)
                        alias.asname = None if local == alias.name else local
            if not isinstance(node, ast.ImportFrom) or not self.library.is_ours(node.module or ""):
                continue
            for alias in list(node.names):
                there, name = self.library.meant(node.module or "", alias.name, self.module.name)
                if name in self.library.constant_names.get(there, ()):
                    constants[alias.asname or name] = "%s.%s" % (there, name)
                    node.names.remove(alias)
                elif not name:
                    modules[alias.asname or alias.name] = there
                elif self.library.symbol(there, name):
                    alias.asname = alias.asname or alias.name
                    alias.name = str(self.library.symbol(there, name))
                    node.module = self.library.package.path(self.library.home(there))
                if not name and self.library.home(there) != there:
                    alias.asname = alias.asname or alias.name
                    alias.name = self.library.home(there)
        return modules, constants

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self._defaults(node.args)
        self._inside(node, set(bound(node)), lambda: self.visit(node.body), "body")
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.bases = [self.visit(base) for base in node.bases]
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        if not self._is_local(node.name):
            node.name = self.symbols.get(node.name, node.name)
        was, self.class_names = self.class_names, set(class_level(node))
        node.body = [self.visit(statement) for statement in node.body]
        self.class_names = was
        return node

    def visit_ListComp(self, node: ast.AST) -> ast.AST:
        names = {
            other.id
            for generator in node.generators  # type: ignore
            for other in ast.walk(generator.target)
            if isinstance(other, ast.Name)
        }
        self.local.append(names)
        self.late.append({})
        self.generic_visit(node)
        self.late.pop()
        self.local.pop()
        return node

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def visit_Import(self, node: ast.AST) -> ast.AST:
        if not node.names:  # type: ignore - constants alone
            return ast.copy_location(ast.Pass(), node)
        # within try or if at the top of a module
        for alias in node.names:  # type: ignore
            local = alias.asname or alias.name
            if not self._is_local(local) and local in self.symbols:
                alias.asname = self.symbols[local]
        return node

    visit_ImportFrom = visit_Import

    def _defaults(self, arguments: ast.arguments) -> None:
        arguments.defaults = [self.visit(default) for default in arguments.defaults]
        arguments.kw_defaults = [default and self.visit(default) for default in arguments.kw_defaults]

    def _inside(
        self, node: ast.AST, names: Set[str], visit: object, field: str, constants: Optional[Dict[str, str]] = None
    ) -> None:
        self.local.append(names)
        self.late.append(constants or {})
        was, self.class_names = self.class_names, set()
        setattr(node, field, visit())  # type: ignore
        self.class_names = was
        self.local.pop()
        self.late.pop()


class _Lazy(ast.NodeTransformer):
    """Takes imports of modules that are merged with this one out of functions: they are always there. Of an open
    package's first group all are."""

    def __init__(self, library: Library, module: str):
        self.library = library
        self.module = module
        self.home = library.home(module)
        self.found: List[ast.stmt] = []
        self.depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        node.body = node.body or [ast.Pass()]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Optional[ast.AST]:
        if not self.depth or not self.library.is_ours(node.module or ""):
            return node
        modules = [self.library.meant(node.module or "", alias.name, self.module)[0] for alias in node.names]
        return self._taken(node, modules)

    def visit_Import(self, node: ast.Import) -> Optional[ast.AST]:
        modules = [self.library.package.module(alias.name) for alias in node.names]
        return self._taken(node, [module for module in modules if module]) if self.depth else node

    def _taken(self, node: ast.AST, modules: List[str]) -> Optional[ast.AST]:
        always = self.library.first if not self.library.package.is_closed else ""
        homes = {self.library.home(module) for module in modules}
        if not homes & {self.home if self.home in self.library.groups else "", always}:
            return node
        self.found.append(node)  # type: ignore
        return None


class _Inline(ast.NodeTransformer):
    """Constants become their values."""

    def __init__(self, constants: Dict[str, Value]):
        self.constants = constants

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.constants and isinstance(node.ctx, ast.Load):
            return ast.copy_location(literal(self.constants[node.id]), node)
        return node


class _Rename(ast.NodeTransformer):
    def __init__(self, names: Dict[str, str]):
        self.names = names

    def over(self, modules: object) -> None:
        for module in modules:  # type: ignore
            self.visit(module.tree)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node


def literal(value: Value) -> ast.expr:
    """The value as it is written; a negative number is an operation, so that it binds as one."""
    if isinstance(value, tuple):
        return ast.Tuple([literal(item) for item in value], ast.Load())
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def bound_name(statement: ast.stmt) -> str:
    """What an import of one name binds."""
    alias = statement.names[0]  # type: ignore
    return (alias.asname or alias.name).split(".")[0]


def class_level(node: ast.ClassDef) -> List[str]:
    """The names that a class body binds: methods and attributes of the class."""
    names: List[str] = []
    for statement in node.body:
        if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            names.append(statement.name)
        elif isinstance(statement, ast.Assign):
            names += [n.id for target in statement.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return names


def _own_globals(module: Module) -> Set[str]:
    """What a module binds itself at its top, in `try` and `if` too; not what it imports there without condition."""
    statements = [
        statement for statement in module.tree.body if not isinstance(statement, (ast.Import, ast.ImportFrom))
    ]
    names = set(bound(_as_function(statements)))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            names.update(node.names)
    return names


def _as_function(body: List[ast.stmt]) -> ast.FunctionDef:
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.FunctionDef("module", nothing, body or [ast.Pass()], [])


def _const_name(statement: ast.stmt) -> Optional[str]:
    if (
        isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Name)
        and statement.value.func.id == "const"
    ):
        return statement.targets[0].id
    return None


def _rebound(tree: ast.Module) -> Set[str]:
    """The globals that functions of a module set."""
    return {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}


def _is_builtin_alias(statement: ast.stmt) -> Optional[str]:
    """`_len = len`: the builtin's name."""
    if (
        isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and is_private(statement.targets[0].id.split(".")[-1])
        and isinstance(statement.value, ast.Name)
        and "." not in statement.value.id
    ):
        return statement.value.id
    return None
