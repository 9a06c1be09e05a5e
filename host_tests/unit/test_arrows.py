"""Import arrows point down only: the table of docs/architecture.md is read and held, and who may know the world
outside."""

import re

SOURCE_FORM_ONLY = "it reads the source"

ROOT = __file__.replace("\\", "/").rsplit("/", 1)[0] + "/../../"
LIB = ROOT + "firmware/lib/umqtt/"

# what reaches outside of the library, and the only modules that may name it
WORLD = {
    "socket": ("transport",),
    "select": ("transport",),
    "ssl": ("tls",),
    "tls": ("tls",),
    "network": (),
    "machine": (),
    "random": ("client", "reconnect", "robust", "simple"),
    "os": ("store", "outbox", "wanted", "recall", "rtc"),
    "app": (),
    "config": (),
    "wifi": (),
    "power": (),
    "health": (),
    "sensors": (),
}


def allowed():
    """{module: set of modules of ours that it may import}, out of the table."""
    may = {}
    with open(ROOT + "docs/architecture.md") as f:
        for line in f.read().split("\n"):
            cols = [c.strip() for c in line.split("|")]
            if len(cols) < 5 or not cols[1].startswith("`"):
                continue
            names = re_all(cols[1])
            parts = cols[3].split(" / ")
            for i in range(len(names)):
                may[names[i]] = re_all(parts[i] if len(parts) == len(names) else cols[3])
    return may


def re_all(text):
    """The words in backticks."""
    return text.split("`")[1::2]


def modules():
    import os

    return sorted(n[:-3] for n in os.listdir(LIB) if n.endswith(".py"))


def imports(name):
    """(ours, theirs): the names of the modules that module `name` imports, wherever in it."""
    with open(LIB + name + ".py") as f:
        text = f.read()
    ours = []
    theirs = []
    for line in text.split("\n"):
        line = line.strip().split("#")[0]
        m = re.match(r"from umqtt import (.*)", line)
        if m:
            ours += [w.strip() for w in m.group(1).split(",")]
            continue
        m = re.match(r"(from|import) umqtt\.([a-z]+)", line)
        if m:
            ours.append(m.group(2))
            continue
        m = re.match(r"from ([a-z_]+) import", line)
        if m:
            theirs.append(m.group(1))
        m = re.match(r"import (.*)", line)
        if m:
            theirs += [w.strip().split(" ")[0] for w in m.group(1).split(",")]
    return ours, theirs


def test_every_module_is_in_the_table():
    may = allowed()
    assert "wire" in may and "client" in may, may
    for name in modules():
        assert name in may, "put %s into the table of docs/architecture.md" % name


def test_arrows_point_down_only():
    may = allowed()
    for name in modules():
        for other in imports(name)[0]:
            assert other in may[name], "%s imports %s" % (name, other)


def test_wire_and_transport_stand_on_nothing_of_ours():
    equal_sets = {"wire": [], "transport": ["tls"]}
    for name in equal_sets:
        for other in imports(name)[0]:
            assert other in equal_sets[name], "%s imports %s" % (name, other)


def test_only_the_module_that_may_knows_the_world():
    for name in modules():
        for other in imports(name)[1]:
            assert name in WORLD.get(other, (name,)), "%s imports %s" % (name, other)
