"""What does a real Home Assistant show of the board, while `make run HA=1` runs?"""

from __future__ import annotations

import time
from typing import Any, Dict, List

from tools.home_assistant.client import HomeAssistant

LOOK_S = 0.5
UNKNOWN = (None, "unknown", "unavailable")


class Home:
    """Tells each entity with its first value, and again when it is there or gone. `wrong`: what a person would not
    want to see there, in words."""

    def __init__(self, home: HomeAssistant):
        self.home = home
        self.there: Dict[str, bool] = {}
        self.looked_s = 0.0

    def turn(self, show: Any) -> None:
        """Look, when it is time to. Raises HomeAssistantError."""
        if time.monotonic() - self.looked_s < LOOK_S:
            return
        self.looked_s = time.monotonic()
        for name, entity in self.home.entities().items():
            if not entity["unique_id"]:
                continue  # its own
            there = entity["state"] not in UNKNOWN
            if there and not self.there.get(name):
                unit = entity.get("unit_of_measurement") or ""
                show.line("Home Assistant: %s is %s %s" % (entity["name"], entity["state"], unit))
            elif self.there.get(name) and not there:
                show.line("Home Assistant: %s is %s" % (entity["name"], entity["state"]))
            self.there[name] = there

    def has_all(self) -> bool:
        """Whether it shows the board, with a value of each sensor."""
        sensors = [there for name, there in self.there.items() if name.startswith("sensor.")]
        return bool(sensors) and all(sensors)

    def wrong(self) -> List[str]:
        """Its complaints about the board's messages, and its repairs."""
        return self.home.complaints + self.home.show()["repairs"]

    def line(self) -> str:
        """The last words about it."""
        wrong = self.wrong()
        return "Home Assistant %s shows %d entities of it, and complains of %s" % (
            self.home.version, len(self.there), "; ".join(wrong) if wrong else "nothing"
        )  # fmt: skip
