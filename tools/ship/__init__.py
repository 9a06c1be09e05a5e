"""Make of the library's source what a board loads.

    python -m tools.ship [FOLDER]                 the shipped form as .py and .mpy, and its map, in build/ship
    python -m tools.ship --traceback [FILE]       a board's traceback in the source's names

The source is written for people: modules in layers, a class for each, constants with names, errors in words. A board
pays for each module, class, name and string, so they are merged:
 1. source.py  reads the modules, drops docstrings and annotations, refuses what the next steps could not follow.
 2. merge.py   makes one module of CORE; constants become their values everywhere. umqtt.wire and the others stay
               importable, as files of one line.
 3. fold.py    makes one class of a line of classes; loops.py a loop of a comprehension.
 4. inline.py  writes a private function that is called at one place in that place, while the frame stays small.
 5. late.py    imports by a text what the firmware's functions import; keys.py, before all of this, writes the keys of
               the configuration as numbers.
 6. texts.py   puts the words of errors into one string.
 7. slots.py   lets locals that are never needed together share a slot, which keeps frames off the heap.
 8. names.py   gives private names, arguments of private functions and globals names that are in the boards' ROM.
 9. numbers.py lets the names and locals that are used most have numbers of one byte; negations.py writes `not a is b`
               for `a is not b`, which is an operation less.
Nothing else is changed, and no public name or signature. names.json tells what was called what; run_mpy.py --shipped
and tests read it. To try a source of your own: python -m tools.ship --source firmware/lib/umqtt /tmp/out
"""

import ast
import json
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from tools import built_before
from tools.ship.closed import entries, own_attributes, public_names, signposts
from tools.ship.fold import fold
from tools.ship.frame import frame_of
from tools.ship.inline import SCOPES, inline, inlined
from tools.ship.late import import_by_text
from tools.ship.loops import comprehensions_to_loops
from tools.ship.merge import Library
from tools.ship.names import rename
from tools.ship.negations import negate_outside
from tools.ship.numbers import number, number_locals
from tools.ship.package import Package
from tools.ship.slots import share_slots
from tools.ship.source import PACKAGE, Module, Origin, ShipError, origin, read
from tools.ship.texts import gather

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
LIBRARY = FIRMWARE / "lib" / PACKAGE

# The classes of the client, the lowest first; `fold` makes one of them.
CLIENT_LAYERS = ("turns", "link", "connecting", "polling", "waiting")

# The library: its users know the public names. No program imports those of `internal`: their names, though public
# among ours, are as private ones.
UMQTT = Package(
    PACKAGE,
    groups=(("errors", "wire", "session", "keepalive", "engine", "transport", *CLIENT_LAYERS, "client"),),
    internal=(
        *CLIENT_LAYERS,
        "addons",
        "aio_request",
        "aio_subscribe",
        "aliases",
        "authentication",
        "connection",
        "fallback",
        "handshake",
        "in_line",
        "inbox",
        "inbox_v5",
        "incoming",
        "journaling",
        "journaling_v5",
        "options",
        "outgoing",
        "properties",
        "recall",
        "received_by_task",
        "refusals",
        "roaming",
        "tls",
        "wanted",
    ),
    beneath=("errors", "wire", "session", "keepalive", "engine", "transport"),
)
CORE = UMQTT.groups[0]
# The library beside the firmware, of which a life with a store loads all of these: one module, with signposts for
# programs that know the others.
UMQTT_ON_A_BOARD = UMQTT._replace(
    groups=(
        (*CORE, "connection", "reconnect"),
        ("store", "journaling", "rtc", "outbox"),
        ("properties", "received", "outgoing", "v5"),
    ),
    in_rom=True,
)
# The firmware: nobody knows more of it than main.py does, and the contract of a sensor. The first group is what every
# life of a board loads, the others are the lives: awake with readings in RAM, or where they survive, or asleep.
FIRMWARE_GROUPS = (
    ("retry", "power", "health", "clock", "wifi", "app"),
    ("node", "ram"),
    ("node", "durable"),
    ("node", "durable", "remembered", "sleeper"),
    ("tail", "listening"),
    ("announcement", "announcing"),
)
CONTRACT = frozenset(("fields", "probe", "read", "chip", "address", "bus", "ask", "wrong", "words"))
FOR_DRIVERS = {"i2c": ("OnI2C",), "crc8": ("crc8", "Words")}  # that a user's own driver may import
SOURCE_ONLY = ("boot.py", "main.py")  # MicroPython runs these as source
NOT_FOR_THE_BOARD = ("manifest.py",)  # for freezing into an image

__all__ = [
    "CLIENT_LAYERS",
    "CORE",
    "FIRMWARE",
    "LIBRARY",
    "NOT_FOR_THE_BOARD",
    "SOURCE_ONLY",
    "ShipError",
    "ship",
    "ship_board",
    "ship_firmware",
]


def ship(into: Path, source: Path = LIBRARY, package: Package = UMQTT) -> List[str]:
    """Write the shipped form of the library in `source` to `into`: PACKAGE/*.py and names.json. Returns the modules'
    names. Raises ShipError; then nothing was written."""
    return _ship(into, into / PACKAGE, read(source, package), package)


def ship_board(into: Path, source: Path = FIRMWARE, drivers: Sequence[Path] = ()) -> List[str]:
    """All that a board is given, library and firmware, to `into`/lib and `into`, which is not there yet; of the same
    source it is copied. Returns the firmware's files without .py. Raises ShipError."""
    key = built_before.digest(source, drivers, "for a board")
    if not built_before.copied(key, into):
        ship(into / "lib", source / "lib" / PACKAGE, UMQTT_ON_A_BOARD)
        ship_firmware(into, source, drivers, into / "lib" / PACKAGE)
        built_before.keep(key, into)
    paths = [path.relative_to(into) for path in sorted(into.rglob("*.py"))]
    return [path.with_suffix("").as_posix() for path in paths if path.parts[0] != "lib"]


def ship_firmware(
    into: Path, source: Path = FIRMWARE, drivers: Sequence[Path] = (), library: Optional[Path] = None
) -> List[str]:
    """The same of the firmware's own modules in `source`, and of drivers beside its own, to `into`/*.py. Returns the
    files' names without .py. library: the shipped one, past whose signposts it imports."""
    kept = CONTRACT | public_names(source / "lib" / PACKAGE)
    package = Package(
        "",
        FIRMWARE_GROUPS,
        exports=entries([source / name for name in SOURCE_ONLY]),
        kept=kept,
        moved=signposts(library) if library else {},
        in_rom=True,
    )
    package.exports.update(FOR_DRIVERS)  # type: ignore
    modules = read(source, package, ("lib", *SOURCE_ONLY, *NOT_FOR_THE_BOARD))
    for path in drivers:
        name = "sensors/" + path.stem
        modules[name] = Module(path, name, package)
    asked_for = {name for module in modules.values() for name in module.asked_for}
    for name in modules:
        if "/" in name:  # imported by a name that is made when it runs
            package.exports[name] = tuple(sorted(asked_for))  # type: ignore
    return _ship(into, into, modules, package)


def _ship(into: Path, folder: Path, modules: Dict[str, Module], package: Package) -> List[str]:
    library = Library(modules, package)
    fold(library)
    if package.in_rom:
        for unit in library.units.values():
            comprehensions_to_loops(unit.tree)
    inline(library, frame_of)
    library.drop_empty()
    own_names = own_attributes(library) if package.is_closed else set() if package.in_rom else None
    if package.in_rom:
        import_by_text(library)
    for unit in library.units.values():
        gather(unit.tree, unit.name, own_names)
        share_slots(unit.tree)
    attributes = rename(library)
    for unit in library.units.values():
        number(unit.tree)
        number_locals(unit.tree)
        negate_outside(unit.tree)
        ast.fix_missing_locations(unit.tree)
    texts = {name: ast.unparse(unit.tree) + "\n" for name, unit in sorted(library.units.items())}
    functions = {name: _functions(library.units[name].tree) for name in texts}
    where = "firmware/lib/%s" % package.name if package.name else "firmware"
    names = {"folder": where, "attributes": attributes, "functions": functions, "inlined": _inlined(library)}
    for name, text in texts.items():
        path = folder / (name + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (into / "names.json").write_text(json.dumps(names, indent=1, sort_keys=True) + "\n")
    return list(texts)


def _functions(tree: ast.AST) -> List[Dict[str, object]]:
    """The functions and classes in the order in which the compiler writes them: what each is called, and where it
    stands in the source; one that was made here stands nowhere."""
    rows: List[Dict[str, object]] = []

    def look(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, SCOPES):
                source = origin(child) or Origin("", "", 0, 0)
                shipped = getattr(child, "name", "<%s>" % type(child).__name__.lower())
                rows.append({"shipped": shipped, "is_class": isinstance(child, ast.ClassDef), **source._asdict()})
            look(child)

    look(tree)
    return rows


def _inlined(library: Library) -> Dict[str, str]:
    """{function that was written in place: the one that it went into}, as module.name of the source."""
    found: Dict[str, str] = {}
    for unit in library.units.values():
        for node in ast.walk(unit.tree):
            caller = origin(node)
            for source in inlined(node) if caller else ():  # type: ignore
                found["%s.%s" % (source.module, source.name)] = "%s.%s" % (caller.module, caller.name)  # type: ignore
    return found


def read_map(folder: Path) -> Dict[str, Dict]:
    """The names.json that `ship` wrote."""
    return json.loads((folder / "names.json").read_text())
