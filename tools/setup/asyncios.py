"""MicroPython's asyncio of other versions than the interpreter's, into .cache/asyncio/VERSION/asyncio: the oldest that
umqtt.aio is for, and the newest. Tests run with each in the frozen one's place; its C part is the interpreter's.

Each file is pinned by its SHA-256; they are fetched here, used as they are, and never part of the project.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path
from typing import Dict, List

import network

ASYNCIOS = Path(__file__).resolve().parents[2] / ".cache" / "asyncio"
SITE = os.environ.get("MICROPYTHON_SOURCE", "https://raw.githubusercontent.com/micropython/micropython")
TIMEOUT_S = 30
EVENT = "5a5f1737ebfd2bd5f8342c21adcc8565cc8316bbcc95d8dbe45bdbb4c90550bc"
LOCK = "9afba3021a5c586b9b1605b8d4c51a31ba31148da870a2b9431e1c7acc39a3cd"
FILES: Dict[str, Dict[str, str]] = {
    "v1.22.0": {
        "__init__": "adee6584b56979ca6ba31a8d4b168c01a2b76611dea36154b98a2f2c2acd4cd6",
        "core": "d46ea3dd783d62656e44abf1d53e29de945eb238b39eb16fe793fbb5d9d1240b",
        "event": EVENT,
        "funcs": "ee21eb888578125707d9a81d0bcf8a3de7ce2de45eaf59a9539788a90e2fcd6f",
        "lock": LOCK,
        "stream": "3e1bf8798ae8e04cc018ae2155a8d272f301d361dea2611d0a9592ae03178a4d",
    },
    "v1.28.0": {
        "__init__": "9e4bf4461fa754d77a16a2b3dd04e62d814a4db7a1f079d4e0edd835d9bc35ef",
        "core": "7e20b32417b47c16b149467cbd047dc77184380ca7f5efad75e65e50ed7121a2",
        "event": EVENT,
        "funcs": "d6cb8867c71875f44356fd1faf628fc9bf3621bebe1c349cf3fa9595fabdfb5f",
        "lock": LOCK,
        "stream": "8d506b5ca027e1196b47b4bfd209e16644241f553ab04b4ea7119dac400d4ee4",
    },
}


def get(say) -> List[str]:  # type: ignore[no-untyped-def]
    """Fetch what is not there yet. Returns "VERSION: why not" for each that cannot be had."""
    lacking = []
    for version, files in FILES.items():
        folder = ASYNCIOS / version / "asyncio"
        if all(is_right(folder / (name + ".py"), sha256) for name, sha256 in files.items()):
            continue
        why = network.why_not(SITE)
        if not why:
            say(".cache/asyncio: getting asyncio of MicroPython %s" % version)
            folder.mkdir(parents=True, exist_ok=True)
            why = next(filter(None, (fetch(version, name, folder, files[name]) for name in files)), "")
        if why:
            lacking.append("%s: %s" % (version, why))
    return lacking


def is_right(path: Path, sha256: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def fetch(version: str, name: str, folder: Path, sha256: str) -> str:
    """Fetch one file; why not, "" when it is there."""
    url = "%s/%s/extmod/asyncio/%s.py" % (SITE, version, name)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as got:
            data = got.read()
    except (OSError, ValueError) as error:
        return "%s: %s" % (url, error)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        return "%s has SHA-256 %s, not the pinned one" % (url, found)
    (folder / (name + ".py")).write_bytes(data)
    return ""
