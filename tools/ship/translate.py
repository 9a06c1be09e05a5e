"""Tell a traceback of a board in the source's names.

    File "umqtt.client", line 1, in __rpow__
    File "firmware/lib/umqtt/client.py", lines 275 to 293, in MQTTClient._ready

Line numbers are not on the board (they would cost the core 770 B of heap), so a function's first and last line stand
in their place, and what was written in place within it. The names are those of the source at hand: it must be what the
board was given.
"""

import re
import tempfile
from pathlib import Path
from typing import Dict, List

from tools.ship import FIRMWARE, PACKAGE, read_map, ship_board

# as an .mpy has it, or a frozen module
PLACE = re.compile(r'^(\s*File )"([\w./]+?)(?:\.m?py)?", line \d+(?:, in (\S+))?\s*$')
MISSING = re.compile(r"^(AttributeError: .* attribute )'(\w+)'")


def is_told(text: str) -> bool:
    """Whether the line may be one that a Translator changes. Making one takes a few seconds."""
    return bool(PLACE.match(text) or MISSING.match(text))


class Translator:
    """names: what `ship` wrote, of the library, of the firmware or of both; None: those of the source at hand. Raises
    ShipError when that cannot be shipped."""

    def __init__(self, *names: Dict):
        if not names:
            with tempfile.TemporaryDirectory() as scratch:
                shipped = Path(scratch) / "shipped"
                ship_board(shipped, FIRMWARE)
                names = tuple(read_map(folder) for folder in (shipped / "lib", shipped))
        self.functions: Dict[str, List[Dict]] = {}
        self.within: Dict[str, List[str]] = {}
        self.attributes: Dict[str, List[str]] = {}
        self.folder: Dict[str, str] = {}
        for each in names:
            folder = each["folder"]
            for module, rows in each["functions"].items():
                self.functions[_path(folder, module)] = rows
                self.folder[_path(folder, module)] = folder
            for placed, caller in each["inlined"].items():
                self.within.setdefault(caller, []).append(placed)
            for name, shipped in sorted(each["attributes"].items()):
                self.attributes.setdefault(shipped, []).append(name)

    def line(self, text: str) -> str:
        """One line of what a board said, without its end; unchanged when it names nothing of the library."""
        place = PLACE.match(text)
        module = place[2].replace("/", ".").lstrip(".") if place else ""
        if place and module in self.functions:
            rows = [
                row
                for row in self.functions[module]
                if row["shipped"] == place[3] and row["module"] and not row["is_class"]
            ]
            folder = self.folder[module]
            if rows:
                return place[1] + " or ".join(self._told(folder, row) for row in rows)
            if place[3] in (None, "<module>"):
                return '%s"%s/%s.py", in its top level' % (place[1], folder, _inside(folder, module))
        missing = MISSING.match(text)
        if missing and missing[2] in self.attributes:
            return "%s'%s'" % (missing[1], "' or '".join(self.attributes[missing[2]])) + text[missing.end() :]
        return text

    def _told(self, folder: str, row: Dict) -> str:
        within = self.within.get("%s.%s" % (row["module"], row["name"]), [])
        return '"%s/%s.py", lines %d to %d, in %s%s' % (
            folder,
            row["module"],
            row["first_line"],
            row["last_line"],
            row["name"],
            " (with %s)" % ", ".join(within) if within else "",
        )


def _path(folder: str, module: str) -> str:
    """What a module is imported as."""
    package = PACKAGE + "." if folder.endswith(PACKAGE) else ""
    return package + module.replace("/", ".")


def _inside(folder: str, path: str) -> str:
    """The module that is imported as `path`, as a file in `folder`."""
    return path[len(PACKAGE) + 1 :] if folder.endswith(PACKAGE) else path.replace(".", "/")
