"""Write functions that are called at one place in that place, and very small ones wherever they are called: a function
costs a call and 50 bytes of heap.

This takes module functions that no program can import, and private methods that nothing overrides. Names of the
function become locals of the caller. Where the caller is a generator, which keeps its locals while it waits, they are
let go at the end. Nothing of a module that is loaded seldom goes into one that is loaded always.
"""

import ast
import copy
from collections import Counter
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from tools.ship.closed import own_attributes
from tools.ship.merge import Library, Unit, bound_name, class_level
from tools.ship.source import FUNCTIONS, Function, Origin, bound, is_private, origin

STACK_WORDS = 11  # a larger frame comes from the heap at every call (VM_MAX_STATE_ON_STACK of py/objfun.c)
SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DOES = (ast.Call, ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr)  # more than read
NUMBERS = ("len", "ticks_ms", "ticks_add", "ticks_diff", "min", "max")  # functions that return one

FrameOf = Callable[[Function], int]
Result = Callable[[ast.expr], List[ast.stmt]]


FUNCTION_B = 55  # of heap for a function: its object, half a block, its place in a class or module, its name


class _Candidate(NamedTuple):
    """A function that may go, and the block that it stands in."""

    function: Function
    container: List[ast.stmt]
    is_method: bool
    unit: Unit

    @property
    def name(self) -> str:
        return self.function.name


class _Site(NamedTuple):
    """A place that calls a function."""

    function: Function
    caller: Function
    call: ast.Call
    is_method: bool
    home: Unit
    there: Unit  # that of the caller


class _Index:
    """Where each name stands. It is made anew when functions have changed: until then those are `changed`."""

    def __init__(self, library: Library):
        self.library = library
        self.core = library.units[library.first]
        self.uses: Dict[str, Counter] = {}  # by unit
        self.bindings: Dict[str, Counter] = {}
        self.calls: Dict[str, List[Tuple[Function, ast.Call, Unit]]] = {}
        self.changed: Set[int] = set()  # id() of functions
        for unit in library.units.values():
            uses = self.uses[unit.name] = Counter()
            bindings = self.bindings[unit.name] = Counter()
            for node in ast.walk(unit.tree):
                if isinstance(node, (ast.Name, ast.Attribute)):
                    uses[node.id if isinstance(node, ast.Name) else node.attr] += 1
                elif isinstance(node, ast.alias):
                    uses[node.name] += 1  # a function imports it
                elif isinstance(node, FUNCTIONS):
                    bindings[node.name] += 1
                elif isinstance(node, ast.ClassDef):
                    bindings.update(class_level(node))
            for caller, _, _ in _functions(unit.tree):
                for node in _own(caller):
                    if isinstance(node, ast.Call):
                        name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
                        self.calls.setdefault(name, []).append((caller, node, unit))

    def count(self, of: Dict[str, Counter], name: str, unit: Unit) -> int:
        """How often `name` stands in what may be loaded together with `unit`."""
        rivals = self.library.rivals(unit.name)
        return sum(counter[name] for other, counter in of.items() if other not in rivals)

    def sites(self, candidate: _Candidate) -> Optional[List[_Site]]:
        """All places that call the function; None when its name stands anywhere else, or within itself."""
        rivals = self.library.rivals(candidate.unit.name)
        found = [
            _Site(candidate.function, caller, call, candidate.is_method, candidate.unit, unit)
            for caller, call, unit in self.calls.get(candidate.name, ())
            if unit.name not in rivals
            and _calls(call, candidate)
            and caller is not candidate.function
            and self._may_go(candidate.unit, unit)
        ]
        return found if len(found) == self.count(self.uses, candidate.name, candidate.unit) else None

    def _may_go(self, home: Unit, there: Unit) -> bool:
        """Whether a function of `home` may stand in `there`: what is loaded more often takes nothing of what is
        loaded seldom."""
        return there is home or home is self.core or (there is not self.core and not self.library.package.is_closed)


def inline(library: Library, frame_of: FrameOf) -> List[str]:
    """Wherever that does not put the caller's frame on the heap. Returns the functions' names."""
    done: List[str] = []
    refused: Set[str] = set()
    while True:
        index = _Index(library)
        for candidate in [possible for possible in _candidates(library, index) if possible.name not in refused]:
            sites = index.sites(candidate)
            functions = [candidate.function, *(site.caller for site in sites or ())]
            if any(id(function) in index.changed for function in functions):
                continue  # next time
            if sites and _place_everywhere(sites, frame_of):
                candidate.container.remove(candidate.function)
                done.append(candidate.name)
                index.changed.update(map(id, functions))
            else:
                refused.add(candidate.name)
        if not index.changed:
            return done


def inlined(function: Function) -> List[Origin]:
    """What was written in place within a function."""
    return getattr(function, "inlined", [])


def _candidates(library: Library, index: _Index) -> Iterator[_Candidate]:
    own_names = own_attributes(library) if library.package.is_closed else set()
    for unit in library.units.values():
        exported = library.importable(unit.name)
        for function, container, owner in _functions(unit.tree):
            name = function.name
            uses = index.count(index.uses, name, unit)
            is_hidden = (
                (name in own_names or not library.package.is_closed and is_private(name))
                if owner
                else name not in exported
            )
            once = 2 if owner else 1  # a method is counted as a function and as a name of its class
            if not is_hidden or not uses or index.count(index.bindings, name, unit) != once or not _is_plain(function):
                continue
            if uses == 1 or _is_small(function, uses, unit is not index.core):
                yield _Candidate(function, container, owner is not None, unit)


def _is_small(function: Function, sites: int, is_optional: bool) -> bool:
    """Whether the function in all those places takes less than the function and the calls. One of an optional module
    need not: without its functions the module is not loaded."""
    if len(function.body) != 1 or isinstance(function.body[0], ast.Try):
        return False
    statement = function.body[0]
    value = getattr(statement, "value", None)
    if not isinstance(statement, (ast.Return, ast.Expr, ast.Assign)) or value is None:
        return False
    parameters = len(function.args.args)
    return is_optional or sites * (_code_b(value) - 4 - parameters) < FUNCTION_B


def _code_b(value: ast.AST) -> int:
    """About how much byte-code an expression is."""
    sizes = {ast.Attribute: 2, ast.Call: 2, ast.BoolOp: 3, ast.Compare: 2, ast.IfExp: 5, ast.Constant: 2}
    return sum(sizes.get(type(node), 1) for node in ast.walk(value) if isinstance(node, ast.expr))


def _place_everywhere(sites: List[_Site], frame_of: FrameOf) -> bool:
    """In all places or none."""
    if not all(_brings_imports(site) for site in sites):
        return False
    before = [(each.caller, each.caller.body, inlined(each.caller)) for each in sites]
    for site in sites:
        site.call.is_waiting = True  # type: ignore - the caller's next copy has it, too
    for site in sites:
        call = next((node for node in _own(site.caller) if hasattr(node, "is_waiting")), None)
        changed = _in_place(site._replace(call=call)) if isinstance(call, ast.Call) else None
        if not changed or not (_is_generator(changed) or _stays_small(site.caller, changed, frame_of)):
            for caller, body, was_inlined in before:
                caller.body, caller.inlined = body, was_inlined  # type: ignore
            for each in sites:
                del each.call.is_waiting  # type: ignore
            return False
        within = [*inlined(site.function), *filter(None, [origin(site.function)])]
        site.caller.body, site.caller.inlined = changed.body, inlined(site.caller) + within  # type: ignore
    return True


def _brings_imports(site: _Site) -> bool:
    """Let the caller's module import of MicroPython's modules what the function uses. False when a name means
    something else there."""
    if site.home is site.there:
        return True
    names = {node.id for node in ast.walk(site.function) if isinstance(node, ast.Name)} - set(bound(site.function))
    had = {bound_name(statement): statement for statement in site.there.imports}
    for statement in site.home.imports:
        name = bound_name(statement)
        if name not in names:
            continue
        if name in had and ast.dump(had[name]) != ast.dump(statement):
            return False
        if name not in had:
            site.there.imports.append(statement)  # if it is not used in the end it does not ship
    return True


def _stays_small(caller: Function, changed: Function, frame_of: FrameOf) -> bool:
    """One that is on the heap already may grow."""
    return frame_of(changed) <= STACK_WORDS or frame_of(caller) > STACK_WORDS


def _functions(tree: ast.Module) -> Iterator[Tuple[Function, List[ast.stmt], Optional[ast.ClassDef]]]:
    """Each function of the module and its classes, the block that it stands in, its class."""
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            yield statement, tree.body, None
        elif isinstance(statement, ast.ClassDef):
            for method in statement.body:
                if isinstance(method, ast.FunctionDef):
                    yield method, statement.body, statement


def _calls(call: ast.Call, candidate: _Candidate) -> bool:
    if not candidate.is_method:
        return isinstance(call.func, ast.Name) and call.func.id == candidate.name
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr == candidate.name
        and isinstance(call.func.value, ast.Name)
        and "." not in call.func.value.id
    )


def _is_plain(function: Function) -> bool:
    arguments = function.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs:
        return False
    not_plain = (*SCOPES, ast.Global, ast.Nonlocal)
    return not function.decorator_list and not any(
        isinstance(node, not_plain) for statement in function.body for node in ast.walk(statement)
    )


def _own(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of the functions in it."""
    waiting: List[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, SCOPES):
            waiting.extend(ast.iter_child_nodes(node))


def _is_generator(function: Function) -> bool:
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in _own(function))


def _in_place(site: _Site) -> Optional[Function]:
    """The caller, changed; None when the function cannot stand there."""
    values = _arguments(site)
    if values is None:
        return None
    site.call.is_site = True  # type: ignore - copies keep it
    caller = copy.deepcopy(site.caller)
    body = copy.deepcopy(site.function.body)
    del site.call.is_site  # type: ignore
    is_expression = len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None
    if is_expression and _may_move(body[0].value, values):  # type: ignore
        expression = _Values(values).visit(body[0].value)  # type: ignore
        _Replaced(expression).visit(caller)
        return caller
    if _is_generator(site.function) != _is_delegated(site):
        return None
    return _Placed(caller, body, values).done()


def _arguments(site: _Site) -> Optional[Dict[str, ast.expr]]:
    """{parameter: what is passed}."""
    arguments = site.function.args
    parameters = [argument.arg for argument in arguments.args]
    given = list(site.call.args)
    if site.is_method:
        given.insert(0, site.call.func.value)  # type: ignore
    if len(given) > len(parameters) or any(isinstance(argument, ast.Starred) for argument in given):
        return None
    values = dict(zip(parameters, given))
    for keyword in site.call.keywords:
        if keyword.arg not in parameters:
            return None
        values[keyword.arg] = keyword.value  # type: ignore
    defaults = arguments.defaults
    for parameter, default in zip(parameters[len(parameters) - len(defaults) :], defaults):
        values.setdefault(parameter, default)
    return values if len(values) == len(parameters) else None


def _only_reads(value: ast.AST) -> bool:
    return not any(isinstance(node, DOES) for node in ast.walk(value))


def _may_move(expression: ast.expr, values: Dict[str, ast.expr]) -> bool:
    """Whether the values may be read where the parameters stand."""
    for parameter, value in values.items():
        if isinstance(value, (ast.Constant, ast.Name)):
            continue
        times = sum(isinstance(node, ast.Name) and node.id == parameter for node in ast.walk(expression))
        if times > 1 or not _only_reads(value) or not _only_reads(expression):
            return False
    return True


def _is_delegated(site: _Site) -> bool:
    return any(isinstance(node, ast.YieldFrom) and node.value is site.call for node in _own(site.caller))


class _Values(ast.NodeTransformer):
    """Names become other names or, where they are only read, expressions."""

    def __init__(self, values: Dict[str, ast.expr]):
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.values:
            return node
        value = copy.deepcopy(self.values[node.id])
        if isinstance(value, ast.Name):
            value.ctx = node.ctx
        return value

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        if node.name in self.values:
            node.name = self.values[node.name].id  # type: ignore
        return self.generic_visit(node)


class _Replaced(ast.NodeTransformer):
    """The call, or `yield from` it, becomes an expression."""

    def __init__(self, expression: ast.expr):
        self.expression = expression

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return self.expression if _is_site(node) else self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.AST:
        return self.expression if _is_site(node.value) else self.generic_visit(node)


def _is_site(node: Optional[ast.AST]) -> bool:
    return hasattr(node, "is_site")


class _Placed:
    """The statement with the call becomes the function's statements, `return x` an assignment."""

    def __init__(self, caller: Function, body: List[ast.stmt], values: Dict[str, ast.expr]):
        self.caller = caller
        self.locals = bound(caller)
        self.taken = set(self.locals) | {node.id for node in ast.walk(caller) if isinstance(node, ast.Name)}
        self.made: List[str] = []
        self.is_placed = False
        function = ast.FunctionDef("", copy.deepcopy(caller.args), body, [])
        function.args.args = [ast.arg(parameter) for parameter in values]
        function.args.defaults = []
        names = [node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name)]
        stored = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
        self.before: List[ast.stmt] = []
        new: Dict[str, ast.expr] = {}
        for name in bound(function):
            value = values.get(name)
            if name not in stored and self._stays(value):
                new[name] = value  # type: ignore
                continue
            new[name] = ast.Name(self._fresh(name), ast.Load())
            if value is not None:
                self.before.append(ast.Assign([ast.Name(self.made[-1], ast.Store())], value))
        self.body = [_Values(new).visit(statement) for statement in body]

    def done(self) -> Optional[Function]:
        last = _last_statements(self.caller.body)
        for node in [self.caller, *_own(self.caller)]:
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if not isinstance(block, list):
                    continue
                for i, statement in enumerate(block):
                    placed = self._statements(statement, any(statement is each for each in last))
                    if placed is not None:
                        block[i : i + 1] = placed
                        return self.caller
        return None

    def _stays(self, value: Optional[ast.expr]) -> bool:
        """A constant, or a local that the caller does not change meanwhile: it cannot, the function runs."""
        return isinstance(value, ast.Constant) or isinstance(value, ast.Name) and value.id in self.locals

    def _fresh(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        self.made.append(name)
        return name

    def _statements(self, statement: ast.stmt, is_last: bool) -> Optional[List[ast.stmt]]:
        """What stands for `statement` when that begins with the call; else None. is_last: the caller ends behind
        it."""
        field = "test" if isinstance(statement, ast.If) else "exc" if isinstance(statement, ast.Raise) else "value"
        if not isinstance(statement, (ast.If, ast.Expr, ast.Assign, ast.Return, ast.Raise)):
            return None
        value = getattr(statement, field)
        if not _begins_with_site(value):
            return None
        is_all = _is_site(value) or isinstance(value, ast.YieldFrom)
        if is_all and isinstance(statement, ast.Return) and statement.value is not None:
            ends = [] if _always_leaves(self.body) else [ast.Return(ast.Constant(None))]
            return self.before + self.body + ends
        if is_all and is_last and isinstance(statement, ast.Expr):
            return self.before + [_BareReturns().visit(s) for s in self.body]
        after: List[ast.stmt] = []
        result: Result
        if is_all and isinstance(statement, ast.Expr):
            result = _dropped
        elif is_all and isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            result = _assigned(statement.targets[0])
        else:
            answer = self._fresh("answer")
            result = _assigned(ast.Name(answer, ast.Store()))
            setattr(statement, field, _Replaced(ast.Name(answer, ast.Load())).visit(value))
            after = [statement]
        body = _without_returns(self.body, result)
        if body is None:
            return None
        if _is_generator(self.caller):
            body += self._let_go()
        return self.before + body + after

    def _let_go(self) -> List[ast.stmt]:
        """An object in a local of a generator lives until the next one takes its place."""
        held = [name for name in self.made if name != "answer" and _may_hold(name, self.before + self.body)]
        return [ast.Assign([ast.Name(n, ast.Store()) for n in held], ast.Constant(None))] if held else []


class _BareReturns(ast.NodeTransformer):
    """A function whose value nobody takes returns none."""

    def visit_Return(self, node: ast.Return) -> List[ast.stmt]:
        return [*_dropped(node.value or ast.Constant(None)), ast.Return()]


def _last_statements(body: List[ast.stmt]) -> List[ast.stmt]:
    """Behind which the function ends, in the branches of an `if` too."""
    last = body[-1:]
    if last and isinstance(last[0], ast.If):
        return _last_statements(last[0].body) + _last_statements(last[0].orelse)
    return last


def _begins_with_site(value: Optional[ast.expr]) -> bool:
    """Whether nothing is done before the call."""
    while value is not None:
        if _is_site(value):
            return True
        if isinstance(value, ast.UnaryOp):
            value = value.operand
        elif isinstance(value, (ast.Compare, ast.BinOp)):
            value = value.left
        elif isinstance(value, ast.BoolOp):
            value = value.values[0]
        elif isinstance(value, ast.YieldFrom):
            value = value.value
        else:
            return False
    return False


def _dropped(value: ast.expr) -> List[ast.stmt]:
    return [] if _only_reads(value) else [ast.Expr(value)]


def _assigned(target: ast.expr) -> Result:
    def result(value: ast.expr) -> List[ast.stmt]:
        return [ast.Assign([copy.deepcopy(target)], value)]

    return result


def _without_returns(body: List[ast.stmt], result: Result) -> Optional[List[ast.stmt]]:
    """The statements with `return` only where the end follows; None when one stands in a loop, try or with."""
    out: List[ast.stmt] = []
    for i, statement in enumerate(body):
        rest = body[i + 1 :]
        if isinstance(statement, ast.Return):
            return out + result(statement.value or ast.Constant(None))
        if not any(isinstance(node, ast.Return) for node in ast.walk(statement)):
            out.append(statement)
            if isinstance(statement, ast.Raise):
                return out
            continue
        if not isinstance(statement, ast.If):
            return None
        then, other = statement.body, statement.orelse
        if rest and _always_leaves(then):
            other = other + rest
        elif rest and _always_leaves(other):
            then = then + rest
        elif rest:
            return None
        then_out, other_out = _without_returns(then, result), _without_returns(other, result)
        if then_out is None or other_out is None:
            return None
        return [*out, ast.If(statement.test, then_out or [ast.Pass()], other_out)]
    return out + result(ast.Constant(None))


def _always_leaves(body: List[ast.stmt]) -> bool:
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return _always_leaves(last.body) and _always_leaves(last.orelse)
    return isinstance(last, (ast.Return, ast.Raise))


def _may_hold(name: str, statements: List[ast.stmt]) -> bool:
    """Whether the local may be more than a number."""
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign) and not _is_number(node.value):
                targets = [n for target in node.targets for n in ast.walk(target)]
            elif isinstance(node, (ast.For, ast.AsyncFor)):
                targets = list(ast.walk(node.target))
            else:
                continue
            if any(isinstance(n, ast.Name) and n.id == name for n in targets):
                return True
    return False


def _is_number(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return not isinstance(value.value, (str, bytes))
    if isinstance(value, ast.BinOp):
        if isinstance(value.op, (ast.Add, ast.Mult, ast.Mod)):  # of texts, too
            return _is_number(value.left) and _is_number(value.right)
        return True
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id.split(".")[-1].lstrip("_") in NUMBERS
    return isinstance(value, (ast.Compare, ast.UnaryOp))
