"""Import arrows point down only: the table of docs/architecture.md is read and held, and who may know the world
outside."""

import re

SOURCE_FORM_ONLY = "it reads the source"

ROOT = __file__.replace("\\", "/").rsplit("/", 1)[0] + "/../../"
LIB = ROOT + "firmware/lib/umqtt/"

# what reaches outside of the library, and the only modules that may name it
WORLD = {
    "socket": ("roaming", "transport"),
    "select": ("roaming", "transport", "upstream"),
    "ssl": ("tls",),
    "tls": ("tls",),
    "network": (),
    "machine": (),
    "random": ("client", "reconnect", "roaming", "robust", "simple", "request", "aio_request"),
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
    with open(ROOT + "docs/architecture.md") as file:
        for line in file.read().split("\n"):
            cols = [cell.strip() for cell in line.split("|")]
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

    return sorted(name[:-3] for name in os.listdir(LIB) if name.endswith(".py"))


def imports(name):
    """(ours, theirs): the names of the modules that module `name` imports, wherever in it."""
    with open(LIB + name + ".py") as file:
        text = file.read()
    ours = []
    theirs = []
    if "\nif TYPE_CHECKING:" in text:  # an import for the type checker is none
        before, after = text.split("\nif TYPE_CHECKING:")
        lines = after.split("\n")
        while lines and (not lines[0] or lines[0][0] == " "):
            lines.pop(0)
        text = before + "\n" + "\n".join(lines)
    for line in text.split("\n"):
        line = line.strip().split("#")[0]
        found = re.match(r"from umqtt import (.*)", line)
        if found:
            ours += [name.strip() for name in found.group(1).split(",")]
            continue
        found = re.match(r"(from|import) umqtt\.([a-z0-9_]+)", line)
        if found:
            ours.append(found.group(2))
            continue
        found = re.match(r"from ([a-z_]+) import", line)
        if found:
            theirs.append(found.group(1))
        found = re.match(r"import (.*)", line)
        if found:
            theirs += [name.strip().split(" ")[0] for name in found.group(1).split(",")]
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
    equal_sets = {"errors": [], "wire": ["errors"], "transport": ["errors", "tls"]}
    for name in equal_sets:
        for other in imports(name)[0]:
            assert other in equal_sets[name], "%s imports %s" % (name, other)


def test_only_the_module_that_may_knows_the_world():
    for name in modules():
        for other in imports(name)[1]:
            assert name in WORLD.get(other, (name,)), "%s imports %s" % (name, other)


# Who may touch the private names of another object: the halves of a client, of an outbox and of the drop-in that are
# imported only by who needs them, and the verbs of a client for all others.
FRIENDS = (
    "addons",
    "connection",
    "roaming",
    "takeback",
    "one_by_one",
    "journaling",
    "journaling_v5",
    "wanted",
    "recall",
    "rtc",
    "upstream",
    "v5",
    "handshake",
    "incoming",
    "outgoing",
    "received",
    "aliases",
    "authentication",
    "fallback",
    "inbox_v5",
    "options",
)
FRIENDS += ("request", "inbox", "aio_v5", "aio_subscribe", "aio_request", "received_by_task", "in_line")
# The verbs of journaling.KeptSession for a store.
KEPT = ("_in_flight", "_held_ids", "_subscriptions", "_restore", "_hold", "_release", "_pending")


def foreign_names(text):
    """[(object, private name)] that a source touches and that are not its own."""
    found = []
    for line in text.split("\n"):
        line = line.split("#")[0]
        while True:
            match = re.search(r"([A-Za-z_]+)\._([a-z][a-z_]*)(\(self)?", line)
            if not match:
                break
            if match.group(1) != "self" and not match.group(3):  # Base._method(self): a subclass's own
                found.append((match.group(1), "_" + match.group(2)))
            line = line[line.find(match.group(0)) + len(match.group(0)) :]
    return found


def test_nobody_touches_another_objects_private_state_but_by_the_verbs_that_are_written_down():
    import os

    sources = {LIB + name + ".py": name for name in modules() if name not in FRIENDS}
    for name in os.listdir(ROOT + "firmware"):
        if name.endswith(".py"):
            sources[ROOT + "firmware/" + name] = name
    for path in sources:
        with open(path) as file:
            text = file.read()
        listed = re_all(text.split('"""')[1]) if sources[path] in ("engine", "aio") else []
        for owner, private in foreign_names(text):
            # engine's docstring lists all that the generators use of their client, aio's all of asyncio's core,
            # journaling's class all of the store's
            assert private in listed or owner in ("s", "session") and private in KEPT, "%s touches %s.%s" % (
                sources[path],
                owner,
                private,
            )


def test_the_look_for_foreign_names_sees_them():
    equal = foreign_names("        self._a = client._b + x._c + Base._d(self)  # y._d\n")
    assert equal == [("client", "_b"), ("x", "_c")], equal


# The classes of the client, the lowest first: each is the base of the next.
LINE = ("session", "keepalive", "turns", "link", "connecting", "polling", "waiting", "client")
# What a class says that those above it have, and calls.
CALLED_UP = {"keepalive": ["_send_ping"]}


def depth(name, loaded):
    """How many imports of ours are under way at once when module `name` is imported; `loaded`: those that are there."""
    loaded.append(name)
    deepest = 0
    with open(LIB + name + ".py") as file:
        for line in file.read().split("\n"):
            found = re.match(r"from umqtt import ([^#(]*)", line)
            inner = [word.strip() for word in found.group(1).split(",")] if found else []
            found = re.match(r"(from|import) umqtt\.([a-z0-9_]+)", line)
            for other in inner + ([found.group(2)] if found else []):
                if other not in loaded and other in modules():
                    deepest = max(deepest, depth(other, loaded))
    return 1 + deepest


def test_imports_of_the_source_nest_no_deeper_than_a_stack_bears():
    for name in modules():
        if name not in LINE[:-1]:  # no program imports those by themselves
            assert depth(name, []) <= 5, (name, depth(name, []))  # aio_v5, aio, client, session, wire


def members(text):
    """(methods, has, uses) of the class of a file: names of its methods; all that it defines, declares or sets; all
    that it takes of `self`."""
    methods = []
    has = []
    uses = []
    for line in text.split("\n"):
        line = line.split("  #")[0]
        m = re.match(r"    (async )?def ([a-zA-Z_0-9]+)\(", line)
        if m:
            methods.append(m.group(2))
        m = re.match(r"    ([a-zA-Z_0-9]+) = ([a-zA-Z_0-9]+)$", line)
        if m and m.group(2) in methods:
            methods.append(m.group(1))  # a second name of it
        m = re.match(r"    ([a-zA-Z_0-9]+)(:| = )", line)
        while m:  # a = b = None
            has.append(m.group(1))
            line = line[len(m.group(0)) :] if m.group(2) == " = " else ""
            m = re.match(r"([a-zA-Z_0-9]+)( = )", line)
        while True:
            m = re.search(r"self\.([a-zA-Z_0-9]+)( = )?", line)
            if not m:
                break
            (has if m.group(2) else uses).append(m.group(1))
            line = line[line.find(m.group(0)) + len(m.group(0)) :]
    return methods, has, uses


def read(name):
    with open(LIB + name + ".py") as f:
        return f.read()


def test_a_class_of_the_client_uses_only_itself_and_the_classes_beneath_it():
    known = []
    for name in LINE:
        methods, has, uses = members(read(name))
        known += methods + has
        for used in uses:
            assert used in known or used[:2] == "__", "%s uses self.%s, which no class down to it has" % (name, used)


def test_a_class_of_the_client_calls_up_only_where_that_is_written_down():
    above = []
    for name in reversed(LINE):
        methods, has, _ = members(read(name))
        calls_up = [one for one in has if one in above and one not in methods]
        assert sorted(calls_up) == CALLED_UP.get(name, []), "%s declares %s of a class above it" % (name, calls_up)
        above += methods


def test_each_class_of_the_client_is_the_base_of_the_next():
    base = ""
    for name in LINE:
        (line,) = [line for line in read(name).split("\n") if line[:6] == "class "]
        assert line.split("(")[1:] == ([base + "):"] if base else []), "%s: %s" % (name, line)
        base = line[6:].split("(")[0].rstrip(":")


def test_the_look_for_members_sees_them():
    text = """
    _up: "Callable"
    a = b = None
    def f(self):
        self.c = self.d + self._up()
    g = f
"""
    assert members(text) == (["f", "g"], ["_up", "a", "b", "c", "g"], ["d", "_up"]), members(text)
