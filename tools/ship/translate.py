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
from typing import Dict, List, Optional

from tools.ship import LIBRARY, PACKAGE, read_map, ship

# as an .mpy has it, or a frozen module
PLACE = re.compile(r'^(\s*File )"(?:[^"]*/)?%s[./](\w+?)(?:\.m?py)?", line \d+(?:, in (\S+))?\s*$' % PACKAGE)
MISSING = re.compile(r"^(AttributeError: .* attribute )'(\w+)'")
FOLDER = "firmware/lib/%s" % PACKAGE


def is_told(text: str) -> bool:
    """Whether the line may be one that a Translator changes. Making one takes a second."""
    return bool(PLACE.match(text) or MISSING.match(text))


class Translator:
    """names: what `ship` wrote; None: that of the source at hand. Raises ShipError when that cannot be shipped."""

    def __init__(self, names: Optional[Dict] = None):
        if names is None:
            with tempfile.TemporaryDirectory() as scratch:
                ship(Path(scratch), LIBRARY)
                names = read_map(Path(scratch))
        self.functions: Dict[str, List[Dict]] = names["functions"]
        self.within: Dict[str, List[str]] = {}
        for placed, caller in names["inlined"].items():
            self.within.setdefault(caller, []).append(placed)
        self.attributes: Dict[str, List[str]] = {}
        for name, shipped in sorted(names["attributes"].items()):
            self.attributes.setdefault(shipped, []).append(name)

    def line(self, text: str) -> str:
        """One line of what a board said, without its end; unchanged when it names nothing of the library."""
        place = PLACE.match(text)
        if place:
            rows = [
                row
                for row in self.functions.get(place[2], ())
                if row["shipped"] == place[3] and row["module"] and not row["is_class"]
            ]
            if rows:
                return place[1] + " or ".join(self._told(row) for row in rows)
            if place[3] in (None, "<module>"):
                return '%s"%s/%s.py", in its top level' % (place[1], FOLDER, place[2])
        missing = MISSING.match(text)
        if missing and missing[2] in self.attributes:
            return "%s'%s'" % (missing[1], "' or '".join(self.attributes[missing[2]])) + text[missing.end() :]
        return text

    def _told(self, row: Dict) -> str:
        name = "%s.%s" % (row["module"], row["name"])
        within = self.within.get(name, [])
        return '"%s/%s.py", lines %d to %d, in %s%s' % (
            FOLDER,
            row["module"],
            row["first_line"],
            row["last_line"],
            row["name"],
            " (with %s)" % ", ".join(within) if within else "",
        )
