"""The brokers of `make interop`, each unpacked into .cache/brokers/NAME without root, and what cannot be had.

Debian's packages, PyPI and npm are asked through their ordinary clients. What cannot be had here leaves a file
`missing` with the reason in its folder; the next set-up tries it again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import debian
import network

CACHE = Path(__file__).resolve().parents[2] / ".cache"
BROKERS = CACHE / "brokers"
GET_TIMEOUT_S = 300


@dataclass(frozen=True)
class Source:
    """Where a broker comes from. `kind`: debian (package, suite), pypi or npm (package, version).

    beside: further npm packages with their versions, where those that the broker would take today break it.
    """

    kind: str
    package: str
    version: str
    beside: Tuple[str, ...] = ()

    def words(self) -> str:
        return {"debian": "Debian " + self.version, "pypi": "PyPI", "npm": "npm"}[self.kind]


# The suites of Debian move on: a table made later shows the versions that it found. PyPI and npm are pinned.
SOURCES: Dict[str, Source] = {
    "mosquitto-bookworm": Source("debian", "mosquitto", "bookworm"),  # 2.0.11: most boards of today talk to it
    "mosquitto-trixie": Source("debian", "mosquitto", "trixie"),      # 2.0.21: Debian's stable
    "mosquitto-sid": Source("debian", "mosquitto", "sid"),            # 2.1: the new line
    "rabbitmq-bookworm": Source("debian", "rabbitmq-server", "bookworm"),  # 3.10: its MQTT plugin before the rewrite
    "rabbitmq-trixie": Source("debian", "rabbitmq-server", "trixie"),      # 4.0: the plugin of today, clusters
    "rabbitmq-sid": Source("debian", "rabbitmq-server", "sid"),
    "nats-trixie": Source("debian", "nats-server", "trixie"),  # 2.10: what it does on a resume, 2.15 mended
    "nats-sid": Source("debian", "nats-server", "sid"),
    "ejabberd-trixie": Source("debian", "ejabberd", "trixie"),  # the XMPP server that speaks MQTT
    "amqtt": Source("pypi", "amqtt", "0.12.1"),    # Home Assistant's tests use it
    "hbmqtt": Source("pypi", "hbmqtt", "0.9.6"),   # the last release; still in many installations
    "iotcore": Source("pypi", "iotcore", "0.4.0"),  # rumqttd as a wheel
    "aedes": Source("npm", "aedes", "1.2.0"),      # the broker of Node-RED's node
    "mosca": Source("npm", "mosca", "2.8.3", ("jsonschema@1.2.4",)),  # its forerunner, given up, still installed
}  # fmt: skip
# For `make test`: beside Mosquitto two that are small and quick to have.
FEW = ("amqtt", "nats-trixie")
# Files of Erlang that are programs, as patterns below its folder; each runs on the C library of its own suite.
ERLANG_PROGRAMS = ("erts-*/bin/*", "lib/os_mon-*/priv/bin/*", "lib/erl_interface-*/bin/*")
ELF = b"\x7fELF"


class NotAvailable(Exception):
    """Why a broker cannot be had here, in words."""


def _run(*command: str, cwd: Path | None = None) -> None:
    env = dict(os.environ, PIP_CACHE_DIR=str(CACHE / "pip"), npm_config_cache=str(CACHE / "npm"))
    try:
        done = subprocess.run(command, env=env, cwd=cwd, timeout=GET_TIMEOUT_S, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAvailable("%s: %s" % (command[0], error)) from None
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if "rror" in line] or done.stdout.splitlines()
        raise NotAvailable("%s: %s" % (Path(command[0]).name, " / ".join(said[-2:])))


def _is_program(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == ELF


def _wrap(root: Path, path: Path) -> None:
    """Put a script in the place of a program: it runs the program on `root`'s own C library."""
    program = path.with_name(path.name + ".elf")
    path.rename(program)
    debian.wrapper(path, root, str(program.relative_to(root)))


def _erlang(root: Path) -> None:
    """Let an unpacked Erlang find itself where it stands: its own scripts name /usr/lib/erlang."""
    home = root / "usr" / "lib" / "erlang"
    for pattern in ERLANG_PROGRAMS:
        for path in sorted(home.glob(pattern)):
            if path.is_file() and not path.is_symlink() and _is_program(path):
                _wrap(root, path)
    erts = next(home.glob("erts-*")).name
    text = (
        '#!/bin/sh\nROOTDIR=$(dirname "$(dirname "$(readlink -f "$0")")")\nBINDIR="$ROOTDIR/%s/bin"\n'
        'EMU=beam\nPROGNAME=erl\nexport ROOTDIR BINDIR EMU PROGNAME\nexec "$BINDIR/erlexec" "$@"\n'
    ) % erts
    erl = home / "bin" / "erl"  # a node starts others by this name
    erl.unlink()
    erl.write_text(text)
    erl.chmod(0o755)
    for other in (root / "usr" / "bin" / "erl", home / erts / "bin" / "erl"):
        if other.exists() or other.is_symlink():
            other.unlink()
        other.symlink_to(os.path.relpath(erl, other.parent))


def _link_sonames(root: Path) -> None:
    """Make the links to libraries that a package leaves to ldconfig, which did not run."""
    for path in root.glob("usr/lib/*/lib*.so.*"):
        name, _, numbers = path.name.partition(".so.")
        short = path.with_name("%s.so.%s" % (name, numbers.split(".")[0]))
        if not short.exists():
            short.symlink_to(path.name)


def _debian(source: Source, here: Path) -> None:
    root = here / "root"
    try:
        debian.unpack([source.package], [source.version], debian.machine_arch(), root)
        _link_sonames(root)
        if (root / "usr" / "lib" / "erlang").exists():
            _erlang(root)
        for program in ("usr/sbin/mosquitto", "usr/sbin/nats-server", "usr/bin/nats-server"):
            if (root / program).exists():
                debian.wrapper(here / Path(program).name, root, program)
    except debian.NotAvailable as error:
        raise NotAvailable(str(error)) from None


def _pypi(source: Source, here: Path) -> None:
    index = network.pip_index()
    why = network.why_not(index) if index else ""
    if why:
        raise NotAvailable("PyPI cannot be reached: %s" % why)
    _run(sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target", str(here / "site"),
         "%s==%s" % (source.package, source.version))  # fmt: skip


def _npm(source: Source, here: Path) -> None:
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise NotAvailable("there is no %s here (`apt install nodejs npm`)" % program)
    (here / "package.json").write_text('{"private": true}\n')
    # --ignore-scripts: nothing of a package is run at its installation
    _run("npm", "install", "--ignore-scripts", "--no-fund", "--no-audit", "--silent",
         "%s@%s" % (source.package, source.version), *source.beside, cwd=here)  # fmt: skip


KINDS: Dict[str, Callable[[Source, Path], None]] = {"debian": _debian, "pypi": _pypi, "npm": _npm}


def get(names: List[str], say: Callable[[str], None]) -> List[str]:
    """Get each that is not there yet. Returns what is missing as "NAME: reason"."""
    missing = []
    for name in names:
        here, source = BROKERS / name, SOURCES[name]
        stamp = here / "stamp"
        text = " ".join((source.kind, source.package, source.version, *source.beside))
        if stamp.exists() and stamp.read_text() == text:
            continue
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        say(".cache/brokers/%s: getting %s" % (name, text))
        try:
            KINDS[source.kind](source, here)
        except NotAvailable as error:
            (here / "missing").write_text(str(error))
            missing.append("%s: %s" % (name, error))
            say("%s cannot be had: %s" % (name, error))
        else:
            stamp.write_text(text)
    return missing
