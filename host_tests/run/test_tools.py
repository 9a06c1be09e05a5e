"""No module of tools/ touches the private state of another: what a name begins with `_` for holds there, too."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OF_NAMED_TUPLES = ("_replace", "_asdict", "_fields")
# Names that others gave: nothing public does the same.
THEIRS = {
    "tools/children.py": {"_exit"},  # of os
    "tools/prove/noticed.py": {"_exit"},
    "tools/device/sensor_check.py": {"_KEYS", "_NOT_ASLEEP"},  # the contract of a sensor (sensors/README.md)
    "tools/measure/bench_peers.py": {"_addr", "_dns_lookup"},  # mqtt_as's
    "tools/home_assistant/core.py": {"_mqttc", "_sock_close"},  # Home Assistant's and paho's
}


def foreign_names(text):
    """The private names in a module's text that it neither binds nor reads of `self`, and those that it imports."""
    tree = ast.parse(text)
    own = set(OF_NAMED_TUPLES)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            own.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node):
            own.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
    found = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node) and node.attr not in own
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {name.name for name in node.names if is_private(name.name)}
    return found


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def is_own(node):
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def test_no_tool_touches_the_private_state_of_another():
    found = {}
    for path in sorted(ROOT.glob("tools/**/*.py")):
        name = path.relative_to(ROOT).as_posix()
        foreign = foreign_names(path.read_text(encoding="utf-8")) - THEIRS.get(name, set())
        if foreign:
            found[name] = sorted(foreign)
    assert found == {}


def test_the_look_for_foreign_names_sees_them():
    assert foreign_names("from x import _y\nz._w = 1\nz._v()\n") == {"_y", "_w", "_v"}
    assert (
        foreign_names("class A:\n def f(self, other):\n  self._b = other._b\n  return other._replace(c=1)\n") == set()
    )
