"""Whether what the set-up gets things from can be reached: asked first, so that no network is told in words at once and
not after a quarter of an hour of retries."""

from __future__ import annotations

import configparser
import os
import socket
import threading
import urllib.parse
import urllib.request
from pathlib import Path

TIMEOUT_S = 4.0
PYPI = "https://pypi.org/simple"


def why_not(url: str, timeout_s: float = TIMEOUT_S) -> str:
    """Why the server of this address, or the proxy on the way to it, cannot be reached; "" when it can, or when the
    address is no web address. Blocks for timeout_s at most, name look-ups included."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else "http://" + proxy)
    host = parts.hostname or ""
    where = (host, parts.port or (443 if parts.scheme == "https" else 80))
    answers = ["no answer within %d s" % timeout_s]

    def connect() -> None:  # in a thread: nothing cuts a name look-up short
        try:
            socket.create_connection(where, timeout=timeout_s).close()
            answers.append("")
        except OSError as e:
            answers.append(e.strerror or str(e))

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return "%s: %s" % (host, answers[-1]) if answers[-1] else ""


def pip_index() -> str:
    """The address that pip asks; "" when it asks none."""
    if os.environ.get("PIP_NO_INDEX"):
        return ""
    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"]
    found = PYPI
    home = Path(os.path.expanduser("~"))
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf",
             Path(os.environ.get("APPDATA", "/nowhere")) / "pip/pip.ini"]  # fmt: skip
    for path in [*files, Path(os.environ.get("PIP_CONFIG_FILE") or "/nowhere")]:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.getboolean(section, "no-index", fallback=False):
                return ""
            found = parser.get(section, "index-url", fallback=found)
    return found
