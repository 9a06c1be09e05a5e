"""The firmware as it ships: merged, renamed, and nothing of it lost on the way."""

import ast
import builtins
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.ship import FIRMWARE, ShipError, read_map, ship_board, ship_firmware  # noqa: E402
from tools.ship.closed import entries  # noqa: E402
from tools.ship.loops import comprehensions_to_loops  # noqa: E402
from tools.ship.translate import Translator  # noqa: E402

MAIN = '__import__("app").run()\n'


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ship") / "board"
    ship_board(folder)
    return folder


def made(tmp_path, **sources):
    """A firmware of these modules, shipped: {name: its text}. `folder__x` is folder/x."""
    source = tmp_path / "firmware"
    (source / "lib" / "umqtt").mkdir(parents=True)
    for name, text in {"boot": "", "main": MAIN, **sources}.items():
        path = source / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    ship_firmware(tmp_path / "out", source)
    return {p.relative_to(tmp_path / "out").as_posix()[:-3]: p.read_text() for p in (tmp_path / "out").rglob("*.py")}


def run(texts, then):
    """What `then`, with the shipped modules importable, leaves in `out`."""
    # of a test before, perhaps: they have the names of the firmware's own
    loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if name.replace(".", "/") in texts}
    before = set(sys.modules)

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            import importlib.machinery

            inside = name.replace(".", "/")
            is_folder = any(key.startswith(inside + "/") for key in texts)
            if inside in texts or is_folder:
                return importlib.machinery.ModuleSpec(name, Finder, is_package=is_folder)
            return None

        create_module = staticmethod(lambda spec: None)

        @staticmethod
        def exec_module(module):
            exec(texts.get(module.__name__.replace(".", "/"), ""), module.__dict__)

    sys.meta_path.insert(0, Finder)
    try:
        names = {"out": []}
        exec(then, names)
        return names["out"]
    finally:
        sys.meta_path.remove(Finder)
        for name in set(sys.modules) - before:
            del sys.modules[name]
        sys.modules.update(loaded)


def test_every_name_that_is_used_is_there(shipped):
    for path in shipped.rglob("*.py"):
        tree = ast.parse(path.read_text())
        bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                bound.add(node.name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                bound.add(node.name)
            elif isinstance(node, ast.alias):
                bound.add((node.asname or node.name).split(".")[0])
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert not used - bound - set(dir(builtins)) - {"__name__"}, path


def test_what_main_and_drivers_are_asked_for_is_there(shipped):
    for module, names in entries([FIRMWARE / "main.py", FIRMWARE / "boot.py"]).items():
        path = shipped / (module + ".py")
        for name in names if path.exists() else ():
            assert "def %s(" % name in path.read_text()
    for driver in (shipped / "sensors").glob("*.py"):
        assert "class Sensor" in driver.read_text(), driver
    text = (shipped / "sensors" / "dht22.py").read_text()
    assert "def read(" in text and "def probe(" in text and "fields" in text


def test_what_every_life_loads_is_one_module(shipped):
    for name in ("node", "power", "retry", "wifi"):
        assert not (shipped / (name + ".py")).exists()


HERE = """
import other

class Here:
    def __init__(self):
        self.mine_alone = 1
        self.ticks_ms = 2

def run():
    h = Here()
    return h.mine_alone, h.ticks_ms, other.f(h)
"""
THERE = """
def f(x):
    x.mine_alone += 4
    return x.mine_alone
"""
MANY = """
class A:
    def __init__(self):
        self.append = 1000
        {}
    def together(self):
        return self.append + {}

def run():
    return A().together()
"""


def test_attributes_of_ours_are_renamed_and_those_of_foreign_objects_are_not(tmp_path):
    texts = made(tmp_path, app=HERE, other=THERE)
    assert "mine_alone" not in "".join(texts.values()) and "ticks_ms" in texts["app"]
    assert run(texts, "import app\nout += app.run()") == [1, 2, 5]


def test_two_attributes_of_one_object_never_get_one_name(tmp_path):
    names = ["self.attribute_number_%d" % i for i in range(150)]
    stores = "; ".join("%s = %d" % (name, i) for i, name in enumerate(names))
    texts = made(tmp_path, app=MANY.format(stores, " + ".join(names)))
    assert run(texts, "import app\nout.append(app.run())") == [1000 + sum(range(150))]


def test_a_function_that_somebody_imports_when_it_runs_stays(tmp_path):
    texts = made(
        tmp_path,
        late="def f():\n    return 7\ndef g():\n    return [f()]\n",
        app="def run():\n    from late import f, g\n    return [f(), g()]\n",
    )
    assert run(texts, "import app\nout += app.run()") == [7, [7]]


def test_what_is_asked_for_by_a_string_keeps_its_name(tmp_path):
    texts = made(
        tmp_path,
        app="class A:\n    limits_of_it = 3\n\ndef run():\n    a = A()\n    return getattr(a, 'limits_of_it', 0), "
        "__import__('sensors.x', None, None, ('Sensor',)).Sensor(2).fields\n",
        sensors__x="class Sensor:\n    def __init__(self, conf):\n        self.fields = conf\n",
    )
    assert run(texts, "import app\nout += app.run()") == [3, 2]


def test_a_function_that_moves_brings_what_it_imports(tmp_path):
    texts = made(
        tmp_path,
        node="from time import time_ns\ndef now():\n    return time_ns() // 1\n",
        app="import node\ndef run():\n    from late import f\n    return f()\n",
        late="import node\ndef f():\n    return node.now()\n",
    )
    assert run(texts, "import app\nout.append(app.run())")[0] > 1


def test_merging_into_a_circle_is_refused(tmp_path):
    with pytest.raises(ShipError, match="circle"):
        made(
            tmp_path,
            wifi="def f():\n    return print('wifi', 1)\ndef g():\n    return f, f\n",
            other="from wifi import g\ndef h():\n    return g(), g\n",
            app="from other import h\ndef run():\n    return h(), h\n",
        )


def test_a_name_made_at_run_time_is_refused_in_words(tmp_path):
    with pytest.raises(ShipError, match=r"app.py:2: getattr\(\) with a private or computed name"):
        made(tmp_path, app="def run(x, name):\n    return getattr(x, name)\n")


def test_a_traceback_of_the_firmware_is_told_in_the_source_s_names(shipped):
    names = read_map(shipped)
    row = next(r for r in names["functions"]["sleeper"] if r["name"] == "Node.measure")
    told = Translator(names).line('  File "sleeper", line 1, in %s' % row["shipped"])
    assert "firmware/node.py" in told and "Node.measure" in told, told
    driver = next(r for r in names["functions"]["sensors/dht22"] if r["name"] == "Sensor.read")
    told = Translator(names).line('  File "sensors.dht22", line 1, in %s' % driver["shipped"])
    assert '"firmware/sensors/dht22.py", lines' in told, told


CONFIG = '''
_KEYS = """
qos|2|0|2|of the readings
led|-1|-1|48|a light
"""
_FOUND = "trials"
_NUMBERED = False

def take():
    got = {"qos": 1, "led": 5, "trials": ()}
    names = [line.split("|")[0] for line in _KEYS.strip().split("\\n")] + _FOUND.split()
    return [got[name] for name in names] if _NUMBERED else got
'''
READS = """
class Node:
    def __init__(self, cfg):
        self.cfg = cfg

def run():
    import config_check
    cfg = config_check.take()
    node = Node(cfg)
    node.cfg["qos"] = 0
    return [cfg["qos"], node.cfg["led"], cfg.get("trials"), len(cfg)]
"""


def test_the_configuration_has_no_keys_on_a_board(tmp_path):
    texts = made(tmp_path, app=READS, config_check=CONFIG)
    assert run(texts, "import app\nout += app.run()") == [0, 5, (), 3]
    assert "trials" not in texts["app"] and "led" not in texts["app"]


@pytest.mark.parametrize(
    "use, words",
    (
        ('cfg["qso"]', "app.py:3: config_check.py has no key qso: is it qos"),
        ("cfg[name]", "app.py:3: a key of cfg that is made at run time"),
        ('cfg.get("qos", 2)', "app.py:3: cfg has all its keys"),
        ('"qos" in cfg', "app.py:3: cfg has all its keys"),
    ),
)
def test_a_key_that_has_no_number_is_refused_in_words(tmp_path, use, words):
    with pytest.raises(ShipError, match=re.escape(words)):
        made(tmp_path, config_check=CONFIG, app='def run(cfg, name="led"):\n    name += ""\n    return %s\n' % use)


def names_of(text):
    """The names that a board makes when it loads the module."""
    tree = ast.parse(text)
    short = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return {text for text in short if len(text) < 11} | {
        name
        for node in ast.walk(tree)
        for name in (
            getattr(node, "attr", None),
            getattr(node, "id", None),
            getattr(node, "name", None),
            getattr(node, "module", None),
        )  # fmt: skip
        if name
    }


LATE = """
def run(kind):
    if kind == "one":
        from seldom import large
        return large()
    if kind == "two":
        from seldom import large, small as little, LIMIT
        return little(), large(), LIMIT
    if kind == "module":
        import seldom
        return seldom.small()
    if kind == "folder":
        from seldomer.inner import large
        return large()
    return "no such kind", "nor such", "nor that one", "a fourth"
"""
SELDOM = """
from micropython import const
LIMIT = const(180)
def large():
    return [small()]
def small():
    return [LIMIT]
"""


def test_a_module_that_is_never_loaded_is_no_name(tmp_path):
    texts = made(tmp_path, app=LATE, seldom=SELDOM, seldomer__inner="def large():\n    return {large}\n")
    assert not {"seldom", "seldomer", "seldomer.inner", "kind"} & names_of(texts["app"])
    then = "import app\nout += [app.run(kind) for kind in ('one', 'two', 'module')] + [len(app.run('folder'))]"
    assert run(texts, then) == [[[180]], ([180], [[180]], 180), [180], 1]


def test_a_constant_that_a_function_imports_is_its_value(tmp_path):
    app = """
def run(keep_it=True):
    if keep_it:
        from probation import LIMIT_S
    from probation import PLACES as places, keep
    import probation

    def nested():
        return LIMIT_S + 1
    return [LIMIT_S, places, keep(), nested(), probation.LIMIT_S]
"""
    consts = "from micropython import const\nLIMIT_S = const(180)\nPLACES = const(3)\n"
    probation = consts + "def keep():\n    return {}, 7\n"
    texts = made(tmp_path, app=app, probation=probation)
    assert run(texts, "import app\nout += app.run()") == [180, 3, ({}, 7), 181, 180]
    assert "LIMIT_S" not in texts["app"]


def test_a_constant_that_a_function_imports_is_not_given_another_value(tmp_path):
    with pytest.raises(ShipError, match=r"app.py:3: LIMIT_S is a constant of probation"):
        made(
            tmp_path,
            app="def run():\n    from probation import LIMIT_S\n    LIMIT_S = 2\n    return LIMIT_S\n",
            probation="from micropython import const\nLIMIT_S = const(180)\n",
        )


COUNTS = "total = 0\ndef said():\n    global total\n    total += 1\n    return [said]\n"


def test_what_another_module_sets_while_it_runs_is_not_imported_as_it_was(tmp_path):
    with pytest.raises(ShipError, match=r"app.py:3: tail.total is set while the program runs"):
        made(tmp_path, tail=COUNTS, app="import tail\ndef run():\n    return tail.total, tail.said()\n")
    app = "def run():\n    import tail\n    before = tail.total\n    tail.said()\n    return [before, tail.total]\n"
    (tmp_path / "late").mkdir()
    assert run(made(tmp_path / "late", tail=COUNTS, app=app), "import app\nout += app.run()") == [0, 1]


LOOPS = """
class Log:
    def __init__(self):
        self.said = []

    def say(self, x):
        self.said.append(x)
        return x

    def plain(self, words):
        made = [self.say(word) + word for word in words if word]
        return made, ",".join(str(len(word)) for word in words), sum(len(w) for w in words)

    def nested(self, rows):
        return [[self.say(x) for x in row if x] for row in rows if row] + [x for row in rows for x in row]

    def in_front(self, words):
        if [w for w in words if w == "b"]:
            for x in [w for w in words if w != "b"]:
                self.say(x)
        elif [w for w in words if w == "z"]:
            return "z"
        return self.said

    def in_order(self, word):
        return self.say("first") + "".join([self.say(c) for c in (word, "last")])

    def perhaps(self, x, words):
        return x and [self.say(w) for w in words]

    def own_names(self, word):
        word = [word for word in (word, 2)] + [word]
        return word, (lambda: [word for x in (1, 2)])()

    def in_a_loop(self, words):
        while [w for w in words if w]:
            words = [w[1:] for w in words]
        return words
"""
ASKS = """
log = Log()
out += [log.plain(["a", "", "bc"]), log.nested([[1, 0], [], [2]]), log.in_front(["a", "b"]), log.in_order("x")]
out += [log.perhaps(0, "ab"), log.perhaps(1, "ab"), log.own_names(5), log.in_a_loop(["abc", "d"]), log.said]
"""


def test_a_comprehension_that_is_a_loop_on_a_board_does_the_same():
    tree = ast.parse(LOOPS)
    comprehensions_to_loops(tree)
    text = ast.unparse(ast.fix_missing_locations(tree))
    assert run({}, text + ASKS) == run({}, LOOPS + ASKS)
    left = [node for node in ast.walk(tree) if isinstance(node, (ast.ListComp, ast.GeneratorExp))]
    # behind what does something, two of them; behind what may end it; in a lambda; in the test of a loop
    assert len(left) == 5, text


ONCE = """
def run():
    from seldom import large, small
    from seldom import small as little
    made = little()
    from seldom import large as again
    out = again()
    del again
    return [made, large(), small(), small(), out]
"""


def test_what_is_imported_and_called_once_needs_no_local(tmp_path):
    texts = made(tmp_path, app=ONCE, seldom=SELDOM)
    assert run(texts, "import app\nout += app.run()") == [[180], [[180]], [180], [180], [[180]]]
    assert re.search(r"__import__\([^)]*\)\)?\.\w+\(\)", texts["app"]), texts["app"]


def test_what_the_library_beside_the_firmware_loads_when_it_runs_is_no_name_before(shipped):
    texts = {path.stem: path.read_text() for path in (shipped / "lib" / "umqtt").glob("*.py")}
    late = [
        (name, ast.unparse(statement))
        for name, text in texts.items()
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef)
        for statement in ast.walk(function)
        if isinstance(statement, (ast.Import, ast.ImportFrom)) and "umqtt" in ast.unparse(statement)
    ]
    assert not late


def test_a_constant_with_two_values_is_refused(tmp_path):
    with pytest.raises(ShipError, match=r"app.py:3: app.STEP_MS is a constant already"):
        made(
            tmp_path,
            app="from micropython import const\nSTEP_MS = const(50)\nSTEP_MS = const(200)\ndef run():\n    pass\n",
        )
