"""Random programs do the same as source and shipped: locals that share a slot, functions written where they are
called, generators, try, loops."""

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.ship import ship  # noqa: E402
from tools.ship.slots import share_slots  # noqa: E402

NAMES = "abcdefg"
INPUTS = ((0, 0), (1, 2), (3, -1))
ROUNDS = 200  # a loop that goes on longer is no test
KINDS = ["=", "=", "=", "+=", "note", "if", "while", "for", "try", "leave", "tuple", "yield"]
names = st.sampled_from(NAMES)
simple = st.one_of(names, st.integers(-2, 2).map(str))


def indented(lines):
    return ["    " + line for line in lines]


@st.composite
def expressions(draw, calls):
    left, right = draw(simple), draw(simple)
    kind = draw(st.sampled_from(["%s", "%s + %s", "%s - %s", "%s < %s", "%s or %s", "f", "%s and %s"]))
    if kind == "f":
        return calls.pop() % (left, right) if calls else left
    return kind % ((left, right)[: kind.count("%s")])


@st.composite
def blocks(draw, depth, inside_loop, calls, yields):
    """Lines of a block; each of `calls` is used at most once in the program."""
    lines = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(KINDS))
        value = draw(expressions(calls))
        if kind == "=":
            lines.append("%s = %s" % (draw(names), value))
        elif kind == "+=":
            lines.append("%s += %s" % (draw(names), value))
        elif kind == "tuple":
            lines.append("%s, %s = %s, %s" % (draw(names), draw(names), value, draw(simple)))
        elif kind == "yield" and yields:
            lines.append("%s = yield %s" % (draw(names), value))
        elif kind == "leave":
            words = ["return " + value, "return"] if not yields else ["return"]
            words += ["break", "continue"] if inside_loop else []
            lines += ["if %s:" % draw(simple), "    " + draw(st.sampled_from(words))]
        elif depth and kind == "if":
            lines += ["if %s:" % value, *indented(draw(blocks(depth - 1, inside_loop, calls, yields)))]
            if draw(st.booleans()):
                lines += ["else:", *indented(draw(blocks(depth - 1, inside_loop, calls, yields)))]
        elif depth and kind == "while":
            test = ["log.append(0)", "if len(log) > %d:" % ROUNDS, "    raise OverflowError"]
            body = draw(blocks(depth - 1, True, calls, yields))
            lines += ["while %s:" % value, *indented(test + body)]
        elif depth and kind == "for":
            body = draw(blocks(depth - 1, True, calls, yields))
            lines += ["for %s in (%s, %s):" % (draw(names), value, draw(simple)), *indented(body)]
        elif depth and kind == "try":
            lines += ["try:", *indented(draw(blocks(depth - 1, inside_loop, calls, yields)))]
            lines += ["    if %s > 1:" % draw(simple), "        raise ValueError"]
            handler, final = draw(st.sampled_from([(True, False), (True, True), (False, True)]))
            if handler:
                caught = draw(st.sampled_from(["ValueError", "ValueError as g"]))
                lines += ["except %s:" % caught, *indented(draw(blocks(depth - 1, inside_loop, calls, yields)))]
            if final:
                lines += ["finally:", "    log.append(%s)" % draw(simple)]
        else:
            lines.append("log.append(%s)" % value)
    return lines


def function(head, lines, read_at_the_end):
    return [head, *indented(["c = d = e = f = g = 5", *lines, "log.append((%s,))" % read_at_the_end])]


@st.composite
def functions(draw):
    yields = draw(st.booleans())
    return "\n".join(function("def run(a, b, log):", draw(blocks(3, False, [], yields)), draw(names))) + "\n"


def outcome(run, a, b):
    """All that can be seen of a run."""
    log = []
    try:
        result = run(a, b, log)
        if hasattr(result, "send"):
            got = [next(result)]
            for sent in range(20):
                got.append(result.send(sent))
            result = got
    except StopIteration:
        result = "end"
    except (ValueError, TypeError, OverflowError, NameError) as e:
        result = type(e).__name__
    return repr(result), repr(log)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(functions())
def test_a_function_whose_locals_share_slots_does_the_same(text):
    tree = ast.parse(text)
    share_slots(tree)
    spaces = {}, {}
    exec(text, spaces[0])
    exec(compile(ast.fix_missing_locations(tree), "shared", "exec"), spaces[1])
    for a, b in INPUTS:
        was = outcome(spaces[0]["run"], a, b)
        assume(was[0] != repr("UnboundLocalError"))  # a name that was never written: no program has that
        assert was == outcome(spaces[1]["run"], a, b), ast.unparse(tree)


@st.composite
def libraries(draw):
    """A client with a private function and two private methods, each called at one place or not at all."""
    calls = ["self._f(%s, %s, log)", "_h(%s, %s, log)", "self._g(%s, %s, log)"]
    yields = draw(st.booleans())
    lines = ["class MQTTClient:"]
    run = draw(blocks(2, False, calls, yields))
    if calls:
        run.append(draw(st.sampled_from(["%s", "a = %s", "if %s: c = 1", "return %s"])) % (calls.pop() % ("b", "a")))
    lines += indented(function("def run(self, a, b, log):", run, draw(names)))
    lines += indented(function("def _f(self, a, b, log):", draw(blocks(2, False, [], False)), draw(names)))
    lines += indented(function("def _g(self, a, b, log, h=3):", draw(blocks(1, False, calls, False)), draw(names)))
    lines += function("def _h(a, b, log):", draw(blocks(1, False, [], False)), draw(names))
    return "\n".join(lines) + "\n"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(libraries())
def test_a_library_whose_functions_are_written_in_place_does_the_same(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("library")
    (folder / "source").mkdir()
    (folder / "source" / "client.py").write_text(text)
    ship(folder, folder / "source")
    shipped = (folder / "umqtt" / "client.py").read_text()
    spaces = {}, {}
    exec(text, spaces[0])
    exec(shipped, spaces[1])
    for a, b in INPUTS:
        was, now = (outcome(space["MQTTClient"]().run, a, b) for space in spaces)
        assume(was[0] not in (repr("UnboundLocalError"), repr("OverflowError")))
        assert was == now, shipped


RARE = {
    "an exception's name is deleted when its handler ends": (
        "def run(a, b, log):\n    for i in (a, b):\n        try:\n            if log:\n"
        "                raise ValueError\n        except ValueError as e:\n            log.append(1)\n"
        "        if log:\n            log.append(c)\n        c = i + 1\n        log.append(i)\n    return a, b\n"
    ),
    "finally reads what was there before a return": (
        "def run(a, b, log):\n    c = a\n    try:\n        d = b + 1\n        return d\n"
        "    finally:\n        log.append(c)\n"
    ),
    "super() reads self": (
        "class A:\n    def get(self, log):\n        return len(log)\n"
        "class B(A):\n    def get(self, log):\n        for i in log:\n            log = [i]\n"
        "        return super().get(log)\n"
        "def run(a, b, log):\n    log.append(a)\n    return B().get(log)\n"
    ),
    "a function within sees a local whenever it runs": (
        "def run(a, b, log):\n    c = a\n    f = lambda: c\n    d = b + 1\n    log.append(d)\n    return f()\n"
    ),
    "a with statement may let an exception go": (
        "class Quiet:\n    def __enter__(self):\n        return self\n"
        "    def __exit__(self, *e):\n        return True\n"
        "def run(a, b, log):\n    c = a\n    with Quiet():\n        d = b + 1\n        c = d // 0\n    return c\n"
    ),
}


@pytest.mark.parametrize("case", sorted(RARE))
def test_what_reads_or_writes_a_local_unseen_is_known(case):
    tree = ast.parse(RARE[case])
    share_slots(tree)
    spaces = {}, {}
    exec(RARE[case], spaces[0])
    exec(compile(ast.fix_missing_locations(tree), "shared", "exec"), spaces[1])
    for a, b in INPUTS:
        assert outcome(spaces[0]["run"], a, b) == outcome(spaces[1]["run"], a, b), ast.unparse(tree)
