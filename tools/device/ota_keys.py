"""Which key has a board for its updates? ota_keys.json of this clone, or the file that OTA_KEYS names, says
so; `make config` writes it."""

import json
import os
import secrets
from pathlib import Path
from typing import Dict

from tools.device.serial_port import ToolError

ROOT = Path(__file__).resolve().parents[2]
KEYS = Path(os.environ.get("OTA_KEYS") or ROOT / "ota_keys.json")  # TOPIC/ID to ota_key; not for git
NEW = "new"  # in the place of an ota_key: make one
ANY_ID = "*"  # boards of a production line, which share a configuration and so a key


def make_key() -> str:
    """64 hexadecimal digits that nobody can guess."""
    return secrets.token_hex(32)


def read_keys(path: Path) -> Dict[str, str]:
    """TOPIC/ID to ota_key. Raises ToolError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(key) for name, key in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise ToolError("cannot read the keys in %s: %s" % (path, error)) from None


def key_of(name: str, known: Dict[str, str]) -> str:
    """The key of the board TOPIC/ID: its own, or that of all under its topic; "" when neither is known."""
    return known.get(name) or known.get("%s/%s" % (name.rpartition("/")[0], ANY_ID)) or ""


def note_key(name: str, key: str, path: Path = KEYS) -> None:
    """Remember the ota_key of the board TOPIC/ID, in a file that only its owner can read. Raises ToolError, OSError."""
    known = read_keys(path)
    if known.get(name) == key:
        return
    known[name] = key
    part = path.with_name(path.name + ".new")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.chmod(part, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        json.dump(known, file, indent=1, sort_keys=True)
    part.replace(path)
