"""A broker of one's own on a free loopback port: Mosquitto, or amqtt where no Mosquitto can be had."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

from tools import children

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10
PORTS_TRIED = 5

MOSQUITTO_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
{kept}
set_tcp_nodelay true
log_type all
connection_messages true
"""

NOT_KEPT = "persistence false"
KEPT = "persistence true\npersistence_location {}/\nautosave_interval 1\nmax_queued_messages 0"


class BrokerError(Exception):
    """Why no broker runs, in words."""


def mosquitto() -> Optional[str]:
    """The Mosquitto to use ($MOSQUITTO, the project's, the system's), None when there is none.

    Raises BrokerError when MOSQUITTO names something that cannot be run.
    """
    cached = Path(__file__).resolve().parents[1] / ".cache" / "mosquitto" / "mosquitto"
    named = os.environ.get("MOSQUITTO")
    if named and Path(named) != cached:
        if not shutil.which(named):
            raise BrokerError("MOSQUITTO=%s cannot be run; name the program with its path" % named)
        return named
    system = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
    return str(cached) if cached.exists() else shutil.which("mosquitto", path=system)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Broker:
    """`with Broker(folder) as broker:` runs one; its log is folder/broker.log.

    `port`; `name` with its version; `is_reference`: Mosquitto, not amqtt. keeps: what it has is on disk when it is
    stopped, and there when it starts again. Raises BrokerError when it does not start.
    """

    def __init__(self, folder: Path, keeps: bool = False):
        self.folder, self.keeps = folder, keeps
        self.log = folder / "broker.log"
        self.conf = folder / "mosquitto.conf"
        self.port = 0
        self.name = ""
        self.is_reference = True
        self.running: Optional[subprocess.Popen] = None

    def __enter__(self) -> "Broker":
        program = mosquitto()
        self.is_reference = program is not None
        for _ in range(PORTS_TRIED):  # somebody may take the free port before the broker does
            self.port = free_port()
            conf = MOSQUITTO_CONF.format(port=self.port, kept=KEPT.format(self.folder) if self.keeps else NOT_KEPT)
            # as root Mosquitto changes to a user who may not exist, or may not read the project
            self.conf.write_text(conf + ("user root\n" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""))
            self.command = [program, "-c", str(self.conf)] if program else [sys.executable, __file__, str(self.port)]
            if self._started():
                self._find_name()
                return self
            if "in use" not in self.log.read_text(errors="replace"):
                break
        words = self.log.read_text(errors="replace").strip().splitlines()[-3:]
        raise BrokerError("the broker does not start: %s" % (" / ".join(words) or "it says nothing"))

    def stop(self) -> None:
        """End it; start_again() has it back on the same port."""
        self.__exit__()

    def start_again(self) -> None:
        """Raises BrokerError."""
        if not self.running and not self._started("a"):
            raise BrokerError("the broker does not start again; its log is %s" % self.log)

    def _started(self, mode: str = "w") -> bool:
        with open(self.log, mode) as log:
            self.running = children.start(self.command, stdout=log, stderr=log)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        try:
            while self.running.poll() is None and time.monotonic() < deadline_s:
                try:
                    socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                    return True
                except OSError:
                    time.sleep(0.02)
        except BaseException:
            self.__exit__()
            raise
        self.__exit__()
        return False

    def _find_name(self) -> None:
        if self.is_reference:
            said = re.search(r"mosquitto version (\S+)", self.log.read_text(errors="replace"))
            self.name = "Mosquitto " + (said.group(1) if said else "of unknown version")
        else:
            from importlib.metadata import version

            self.name = "amqtt %s (not the reference broker)" % version("amqtt")

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.running.terminate()
            try:
                self.running.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait()
            self.running = None


def _serve_amqtt(port: int) -> None:
    """Run amqtt until it is ended."""
    try:
        from amqtt.broker import Broker as Amqtt  # type: ignore[import-not-found]
    except ImportError:
        sys.exit("There is no Mosquitto and no amqtt; `make setup` gets one of them.")

    async def forever() -> None:
        await Amqtt({
            "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:%d" % port}},
            "auth": {"allow-anonymous": True}, "sys_interval": 0,
            "topic-check": {"enabled": False},
        }).start()  # fmt: skip
        await asyncio.Event().wait()

    asyncio.run(forever())


if __name__ == "__main__":
    _serve_amqtt(int(sys.argv[1]))
