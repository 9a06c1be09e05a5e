"""Which sensor types are there, and where are their drivers? Those of firmware/sensors, and those that SENSORS=path
names: a file, or a folder of them."""

import os
from pathlib import Path
from typing import Dict, List

from tools.device.serial_port import ToolError

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / "firmware" / "sensors"


def added(text: str) -> List[Path]:
    """The drivers that SENSORS=text names, several with spaces between. Raises ToolError."""
    found: List[Path] = []
    for word in text.split() if not os.path.exists(text) else [text]:
        path = Path(word).expanduser().resolve()
        files = sorted(one for one in path.glob("*.py") if one.name[0] not in "_.") if path.is_dir() else [path]
        if not files or not path.exists() or path.is_file() and path.suffix != ".py":
            raise ToolError("SENSORS: %s is no driver: needed is a file NAME.py, or a folder with some" % word, 2)
        found += files
    for path in found:
        if not path.stem.isidentifier():
            raise ToolError("SENSORS: %s: the name of a driver is its type: letters, digits and _" % path.name, 2)
        if (OURS / path.name).exists() and path.parent != OURS:
            raise ToolError("SENSORS: there is a driver %s already; give yours another name" % path.name, 2)
    return found


def types(text: str = "") -> Dict[str, Path]:
    """Every type, with the file of its driver. Raises ToolError."""
    return {path.stem: path for path in [*sorted(OURS.glob("[a-z]*.py")), *added(text)]}
