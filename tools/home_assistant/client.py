"""A Home Assistant of one's own on loopback, as an object."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

from tools.children import end_with_parent

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".cache" / "homeassistant" / "venv" / "bin" / "python"
PATIENCE_S = 60  # only what hangs takes so long


class HomeAssistantError(Exception):
    """It cannot be had here, or it ended; the words say why."""


def why_not() -> str:
    """Why there is none here, "" when there is one."""
    if PYTHON.exists():
        return ""
    stamp = PYTHON.parents[2] / "stamp"
    if stamp.exists() and stamp.read_text().startswith("missing"):
        return stamp.read_text().strip()
    return "no Home Assistant here: `make extras` gets it"


class HomeAssistant:
    """Runs until the end of `with`; its memory goes with it. Raises HomeAssistantError."""

    def __init__(self, broker_port: int):
        self._broker_port = broker_port
        self._folder = Path(tempfile.mkdtemp(prefix="home-assistant-"))
        self.complaints: list[str] = []  # what it has logged from WARNING on

    def __enter__(self) -> HomeAssistant:
        if why_not():
            raise HomeAssistantError(why_not())
        self._log = open(self._folder / "log", "w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [str(PYTHON), str(Path(__file__).with_name("core.py")), str(self._broker_port), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            preexec_fn=end_with_parent,
            start_new_session=True,  # Ctrl-C is for us
        )
        self.version = self._answer()["version"]
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def show(self) -> dict[str, Any]:
        """{entities: {id: {state, name, ...}}, devices: [...], repairs: [...], connected}."""
        return self._ask(do="show")

    def entities(self) -> dict[str, dict[str, Any]]:
        return self.show()["entities"]

    def restart(self) -> None:
        """It stops, and starts again with what it has written."""
        self._ask(do="restart")

    def call(self, service: str, entity: str, **data: object) -> None:
        """Call a service (`button.press`) on an entity, as its pages do."""
        domain, name = service.split(".")
        self._ask(do="call", domain=domain, service=name, entity=entity, data=data)

    def until(self, is_so: Callable[[dict[str, dict[str, Any]]], object], patience_s: float = PATIENCE_S) -> dict:
        """The entities as soon as is_so(entities). Raises HomeAssistantError with what it shows instead."""
        end_s = time.monotonic() + patience_s
        while True:
            entities = self.entities()
            if is_so(entities):
                return entities
            if time.monotonic() > end_s:
                states = {name: each["state"] for name, each in entities.items()}
                raise HomeAssistantError("it shows %s, and complains of %s" % (states, self.complaints))
            time.sleep(0.1)

    def _ask(self, **order: object) -> dict[str, Any]:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        answer = json.loads(line)
        self.complaints += answer.pop("complaints")
        return answer

    def _ended(self) -> HomeAssistantError:
        self._process.wait(10)
        self._log.seek(0)
        return HomeAssistantError("Home Assistant ended: " + self._log.read()[-2000:])
