"""The build step tools/ship: the shipped library is the source's in fewer bytes, and what it cannot follow it
refuses."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.ship import LIBRARY, ShipError, read_map, ship  # noqa: E402
from tools.ship.names import FRIENDS, KEPT  # noqa: E402
from tools.ship.negations import negate_outside
from tools.ship.numbers import number  # noqa: E402

# Runs in an interpreter of its own: what a program can see of each module. argv: the folder of umqtt, modules.
FACE = """
import inspect, json, sys
sys.path[:0] = [{host_tests!r}, sys.argv[1]]
import fakes.shim
def signature(f):
    if not inspect.isfunction(f) and not (isinstance(f, type) and inspect.isfunction(f.__init__)):
        return "builtin"  # as a class of ours inherits it
    # annotations stay behind
    return str([(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()])
errors = ("MQTTException", "ProtocolError")
face = {{}}
for name in sys.argv[2:]:
    module = __import__("umqtt." + name, None, None, ["x"])
    for word in sorted(vars(module)):
        value = getattr(module, word)
        if word.startswith("_") or inspect.ismodule(value):
            continue
        where = getattr(value, "__module__", "")
        if not (where == "umqtt." + name or word in errors):
            continue
        called = callable(value) and word not in errors
        face[name + "." + word] = signature(value) if called else word if word in errors else repr(value)
        if inspect.isclass(value) and word not in errors:
            for method in sorted(dir(value)):
                if not method.startswith("_") and callable(getattr(value, method)):
                    face["%s.%s.%s" % (name, word, method)] = signature(getattr(value, method))
print(json.dumps(face))
"""
PUBLIC = ("client", "outbox", "publisher", "reconnect", "robust", "routes", "rtc", "simple", "store", "stream")


def face(folder: Path) -> dict:
    script = FACE.format(host_tests=str(ROOT / "host_tests"))
    done = subprocess.run([sys.executable, "-c", script, str(folder), *PUBLIC], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def test_public_names_and_signatures_are_those_of_the_source(shipped_library):
    source = face(LIBRARY.parent)
    there = face(shipped_library)
    assert len(source) > 60
    for name, value in source.items():
        if name.split(".")[-1] not in FRIENDS:
            assert there.get(name) == value, name


def test_the_same_source_ships_as_the_same_bytes(shipped_library, tmp_path):
    ship(tmp_path)
    again = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*.*")}
    assert again == {p.relative_to(shipped_library): p.read_bytes() for p in shipped_library.rglob("*.*")}


def test_no_private_name_of_the_source_is_left_but_those_that_programs_know(shipped_library):
    names = read_map(shipped_library)["attributes"]
    assert len(names) > 40
    assert all(new.startswith("_") for new in names.values()), "a subclass is free with all other names"
    for module in ("client", "simple"):
        tree = ast.parse((shipped_library / "umqtt" / (module + ".py")).read_text())
        used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert not used & names.keys(), "a private name of the source is left"
    assert not set(KEPT) & names.keys()


def test_what_only_internal_modules_have_is_as_private_as_they_are(shipped_library):
    names = read_map(shipped_library)["attributes"]
    assert {"squeeze", "is_wanted", "take_slot", "generation"} <= set(names)
    assert not {"report", "pid", "waiting", "state", "append", "close"} & set(names), "of what programs have, too"


def library(tmp_path: Path, **modules: str) -> Path:
    """A library of one's own: client and what else is given."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in {"client": "class MQTTClient:\n    pass\n", **modules}.items():
        (folder / (name + ".py")).write_text(text)
    return folder


REFUSED = {
    "a name that is put together": ("def f(x, n):\n    return getattr(x, '_on_' + n)\n", "getattr"),
    "a private name as a string": ("class A:\n    _b = 1\n    def f(self):\n        return '_b'\n", "as a string"),
    "hasattr of a private name": ("def f(x):\n    return hasattr(x, '_b')\n", "hasattr"),
    "the dict of an object": ("def f(x):\n    return x.__dict__\n", "__dict__"),
    "code in a string": ("def f(x):\n    return eval(x)\n", "eval"),
    "everything imported": ("from umqtt.client import *\n", r"import \*"),
    "a module as a value": ("from umqtt import client\nx = [client]\n", "as a value"),
    "another module's global set": ("from umqtt import client\nclient.x = 1\n", "is set"),
    "a name that is not there": ("from umqtt.client import nothing\n", "has no nothing"),
    "a module that is not there": ("from umqtt import nothing\n", "there is no umqtt.nothing"),
    "an attribute of nobody's": ("def f(x):\n    return x._nobody\n", "none of our classes"),
    "a name that CPython mangles": ("class A:\n    def __f(self):\n        pass\n", "mangle"),
    "a constant of something unknown": ("from micropython import const\n_A = const(f())\n", "not known"),
    "a wrong line": ("def f(:\n", "a.py:1"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_construct_that_cannot_be_followed_is_refused_in_words(case, tmp_path):
    text, words = REFUSED[case]
    with pytest.raises(ShipError, match=words):
        ship(tmp_path / "out", library(tmp_path, a=text))
    assert not (tmp_path / "out").exists(), "something was written"


def load(tmp_path: Path, **modules: str) -> dict:
    """The shipped client module of such a library, run."""
    ship(tmp_path / "out", library(tmp_path, **modules))
    space: dict = {}
    exec((tmp_path / "out" / "umqtt" / "client.py").read_text(), space)
    return space


LINE = {
    "wire": (
        "from micropython import const\nPUBLISH = const(3)\n_A = const(5)\n"
        "def kind(x, n=0):\n    if n:\n        return n\n    return x + _A\n"
    ),
    "engine": (
        "from umqtt import wire\nfrom umqtt.wire import kind\n"
        "class Engine:\n"
        "    def __init__(self, size):\n        self._size = size\n        x = 2\n        self._x = x\n"
        "    def _more(self):\n        return 'engine'\n"
        "    def _less(self):\n        return kind(wire.PUBLISH) + kind(-5)\n"
    ),
    "client": (
        "from umqtt.engine import Engine\n_A = 7\n"
        "class MQTTClient(Engine):\n"
        "    def __init__(self, x):\n        Engine.__init__(self, x + 1)\n        self.x = x\n"
        "    def _more(self):\n        return 'client ' + super()._more()\n"
        "    def all(self):\n        return self._size, self._x, self.x, self._more(), self._less(), _A\n"
    ),
}


def test_a_line_of_classes_is_one_class_that_does_the_same(tmp_path):
    space = load(tmp_path, **LINE)
    assert space["MQTTClient"].__bases__ == (object,)
    assert space["MQTTClient"](9).all() == (10, 2, 9, "client engine", 8, 7)
    assert str(inspect.signature(space["MQTTClient"])) == "(x)"


def test_constants_are_their_values_everywhere_and_a_merged_module_stays_importable(tmp_path):
    load(tmp_path, **LINE)
    assert "const" not in (tmp_path / "out" / "umqtt" / "client.py").read_text()
    alias = (tmp_path / "out" / "umqtt" / "wire.py").read_text()
    assert "PUBLISH = 3" in alias and "kind" in alias and "_A" not in alias


ONE_OF_TWO = "class %s:\n    def __init__(self):\n        self._%s = '%s'\n    def %s(self):\n        return self._%s\n"
OF_BOTH = (
    "from umqtt.left import Left\nfrom umqtt.right import Right\n"
    "class Both(Left, Right):\n"
    "    def __init__(self):\n        Left.__init__(self)\n        Right.__init__(self)\n"
    "    def all(self):\n        return self.go() + self.run()\n"
)


def test_two_lines_of_classes_with_an_heir_in_common_share_no_attribute_name(tmp_path):
    # as `aio.Awaited` before the client: one object has the attributes of both
    left = ONE_OF_TWO % ("Left", "mine", "left", "go", "mine")
    right = ONE_OF_TWO % ("Right", "own", "right", "run", "own")
    ship(tmp_path / "out", library(tmp_path, left=left, right=right, both=OF_BOTH))
    code = "import sys; sys.path.insert(0, %r)\nfrom umqtt.both import Both\nprint(Both().all())" % str(
        tmp_path / "out"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "leftright\n"


def test_a_lambda_among_many_names_is_not_written_as_one():
    lines = ["def f%d(): return g%d" % (i, i) for i in range(100)] + ["def last(): return lambda: f1"]
    tree = ast.parse("\n".join(lines))
    number(tree)
    compile(ast.unparse(tree), "m", "exec")


def test_a_negated_comparison_is_the_same_one_with_not_outside(tmp_path):
    tree = ast.parse("def f(a, b):\n    return [a is not b, a not in b, 1 < a != b, not a is not b]\n")
    before = {}
    exec(compile(tree, "before", "exec"), before)
    negate_outside(tree)
    assert "is not" not in ast.unparse(tree) and "not in" not in ast.unparse(tree)
    after = {}
    exec(compile(ast.fix_missing_locations(tree), "after", "exec"), after)
    for a, b in ((2, (2, 3)), (4, (2, 3))):
        assert before["f"](a, b) == after["f"](a, b)
