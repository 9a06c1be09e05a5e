"""The other MQTT clients for MicroPython that `make bench` measures beside ours, unpacked into .cache/peers/NAME.

They are packages of PyPI, each file pinned by its SHA-256; they are fetched here, used as they are, and never part of
the project. The old ones have no setup.py, so pip cannot take them: their file is looked up in the index that pip asks.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import network

PEERS = Path(__file__).resolve().parents[2] / ".cache" / "peers"
TIMEOUT_S = 60


class File(NamedTuple):
    """A file of a package in the index."""

    package: str
    name: str
    sha256: str


# Each peer's files; the first is the peer itself, the others what it imports.
FILES: Dict[str, Tuple[File, ...]] = {
    # micropython-lib's of 2017, which many boards have frozen in
    "umqtt.simple-1.3.4": (
        File(
            "micropython-umqtt.simple",
            "micropython-umqtt.simple-1.3.4.tar.gz",
            "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f",
        ),
    ),
    # its successor by others, with a QoS 1 that does not wait
    "umqtt.simple2-2.2.0": (
        File(
            "micropython-umqtt.simple2",
            "micropython-umqtt.simple2-2.2.0.tar.gz",
            "48fd4da7701b95986293b06d343fbc564ebe7dfa82f5c8c09364c20df755f0e4",
        ),
    ),
    # of the family of mqtt_as, on asyncio
    "mqtt-async-0.7b4": (
        File(
            "micropython-mqtt-async",
            "micropython-mqtt-async-0.7b4.tar.gz",
            "c10a8a34064adad629f71f7ea559f7070169ce13c180265509f68f58618eec2b",
        ),
    ),
    "aiomqttc-1.0.7": (
        File(
            "aiomqttc",
            "aiomqttc-1.0.7-py3-none-any.whl",
            "edced4a29120d00e116732eb8e1e22ac3804ff18c14981d14816f9987b2f33ea",
        ),
    ),
    "chumicro-mqtt-0.30.3": (
        File(
            "chumicro-mqtt",
            "chumicro_mqtt-0.30.3-py3-none-any.whl",
            "9752586bb10e29389e5f5c443594ce0b5f2f1343ba9aefb3fc9909e33d234482",
        ),
        File(
            "chumicro-sockets",
            "chumicro_sockets-0.21.3-py3-none-any.whl",
            "ade59b6045db5bdb03b7992748a8b1111efdda482c165d09bd6e7eb25b34f3b6",
        ),
        File(
            "chumicro-timing",
            "chumicro_timing-0.8.4-py3-none-any.whl",
            "f637c0331a30659a77d98828cf3fb9608402204059934e73c916b0f82b33703c",
        ),
    ),
}


class NotAvailable(Exception):
    """Why a peer cannot be had here, in words."""


def get(say) -> List[str]:  # type: ignore[no-untyped-def]
    """Unpack what is not there yet. Returns "NAME: why not" for each that cannot be had."""
    lacking = []
    for name, files in FILES.items():
        folder = PEERS / name
        pins = "\n".join(f.sha256 for f in files)
        if (folder / "pins").exists() and (folder / "pins").read_text() == pins:
            continue
        say(".cache/peers: getting %s" % name)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            for file in files:
                unpack(file, folder)
            (folder / "pins").write_text(pins)  # last
        except NotAvailable as error:
            shutil.rmtree(folder, ignore_errors=True)
            lacking.append("%s: %s" % (name, error))
    return lacking


def unpack(file: File, folder: Path) -> None:
    """Fetch, check and unpack one file into `folder`. Raises NotAvailable."""
    data = fetch(file)
    got = hashlib.sha256(data).hexdigest()
    if got != file.sha256:
        raise NotAvailable("%s has SHA-256 %s, not the pinned one" % (file.name, got))
    folder.mkdir(parents=True, exist_ok=True)
    if file.name.endswith(".whl"):
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            members = {name: wheel.read(name) for name in wheel.namelist()}
    else:
        with tarfile.open(fileobj=io.BytesIO(data)) as sdist:
            members = {
                member.name.split("/", 1)[1]: sdist.extractfile(member).read()  # type: ignore[union-attr]
                for member in sdist.getmembers()
                if member.isfile() and "/" in member.name
            }
    for name, text in members.items():
        place = (folder / name).resolve()
        if folder.resolve() not in place.parents:
            raise NotAvailable("%s: a path leads out of the folder: %s" % (file.name, name))
        if place.suffix == ".py":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text)


def fetch(file: File) -> bytes:
    """The bytes of a file of the index that pip asks. Raises NotAvailable."""
    index = network.pip_index()
    why = network.why_not(index) if index else "pip is told to ask no index"
    if why:
        raise NotAvailable(why)
    page_url = "%s/%s/" % (index.rstrip("/"), re.sub(r"[-_.]+", "-", file.package))
    try:
        with urllib.request.urlopen(page_url, timeout=TIMEOUT_S) as page:
            text = page.read().decode()
            page_url = page.geturl()
        for href in re.findall(r'href="([^"]+)"', text):
            url = urllib.parse.urljoin(page_url, href.replace("&amp;", "&"))
            if urllib.parse.urlsplit(url).path.endswith("/" + file.name):
                with urllib.request.urlopen(url, timeout=TIMEOUT_S) as got:
                    return got.read()
    except (OSError, ValueError) as error:
        raise NotAvailable("%s: %s" % (file.name, error)) from None
    raise NotAvailable("the index has no %s" % file.name)
