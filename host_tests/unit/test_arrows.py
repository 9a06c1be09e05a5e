"""Import arrows point down only: who may import what of ours, as docs/architecture.md has it, and who may know the world."""

import re

HERE = __file__.replace("\\", "/").rsplit("/", 1)[0]
LIB = HERE + "/../../firmware/lib/umqtt/"

MAY = {
    "wire": (),
    "session": ("wire",),
    "engine": ("session", "wire"),
    "transport": ("tls",),
    "client": ("engine", "session", "tls", "transport", "wire"),
    "simple": ("client", "transport", "wire"),
    "robust": ("client", "simple"),
    "tls": ("wire",),
    "reconnect": ("wire",),
    "routes": ("wire",),
    "stream": ("wire",),
    "store": ("wire",),
    "outbox": ("wire",),
    "aio": ("engine", "transport", "wire", "session"),
}
# what reaches outside: the only modules that may name it
WORLD = {
    "socket": ("transport",),
    "select": ("transport",),
    "ssl": ("tls",),
    "tls": ("tls",),
    "network": (),
    "machine": (),
    "errno": ("transport", "tls", "client"),
    "random": ("reconnect", "robust"),
    "os": ("store", "outbox", "reconnect"),
    "uos": (),
}


def modules():
    import os

    return sorted(n[:-3] for n in os.listdir(LIB) if n.endswith(".py"))


def imports(name):
    with open(LIB + name + ".py") as f:
        text = f.read()
    ours = []
    theirs = []
    for line in text.split("\n"):
        line = line.strip()
        m = re.match(r"from umqtt import (.*)", line)
        if m:
            ours += [w.strip() for w in m.group(1).split("#")[0].split(",")]
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
            theirs += [w.strip().split(" ")[0] for w in m.group(1).split("#")[0].split(",")]
    return ours, theirs


def test_every_module_is_in_the_table():
    known = [n for n in modules() if n not in MAY]
    assert not known, "put %s into docs/architecture.md and into MAY" % known
    assert "wire" in modules()


def test_arrows_point_down_only():
    for name in modules():
        for other in imports(name)[0]:
            assert other in MAY[name], "%s imports %s" % (name, other)


def test_only_the_module_that_may_knows_the_world():
    for name in modules():
        for other in imports(name)[1]:
            assert name in WORLD.get(other, (name,)), "%s imports %s" % (name, other)


def test_the_library_knows_nothing_of_the_firmware():
    for name in modules():
        for other in imports(name)[1]:
            assert other not in ("app", "config", "wifi", "power", "health", "sensors"), (name, other)


def test_the_table_is_the_one_of_the_architecture_page():
    with open(HERE + "/../../docs/architecture.md") as f:
        text = f.read()
    for name in ("wire", "session", "engine", "transport", "client"):
        assert "| `%s` |" % name in text, name
