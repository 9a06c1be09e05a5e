"""Whether what the set-up gets things from can be reached: asked first, so that no network is told in words at once and
not after a quarter of an hour of retries."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

TIMEOUT_S = 4.0


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
        except OSError as error:
            answers.append(error.strerror or str(error))

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return "%s: %s" % (host, answers[-1]) if answers[-1] else ""


def pip_index(python: str = sys.executable) -> str:
    """The address that this Python's pip asks, in pip's own words: its help shows what is configured; "" when it asks
    none, or when there is no pip. A password in it is masked."""
    told = {}
    for question in ("config list", "download --help"):
        command = [python, "-m", "pip", *question.split()]
        env = dict(os.environ, COLUMNS="10000", PIP_DISABLE_PIP_VERSION_CHECK="1")  # no line of the help is broken
        told[question] = subprocess.run(command, env=env, capture_output=True, text=True).stdout
    for value in re.findall(r"\.no-index='(.*)'", told["config list"]):
        if value.lower() in ("1", "y", "yes", "t", "true", "on"):
            return ""
    found = re.search(r"--index-url <url> .*\(default (\S+)\)", told["download --help"])
    return found.group(1) if found else ""
