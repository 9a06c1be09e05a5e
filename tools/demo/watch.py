"""The readings as an independent client (paho-mqtt) receives them: who counts them, and who shows them."""

import contextlib
import json
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Union

import paho.mqtt.client as paho
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tools.printable import fits, printable

CONNECT_TIMEOUT_S = 20
SETTLE_S = 0.3
GAP_S = 10.0  # a reading may overtake another one, for so long
COLUMNS = "%-12s  %-22s %12s %-4s  QoS %d  %s"


@dataclass
class Reading:
    """One message of the firmware, and when it came."""

    sensor: str
    value: Any
    unit: str
    seq: int
    taken_s: Optional[float]  # Unix time; None while the board's clock is not set
    received_s: float
    qos: int
    expiry_s: Optional[int] = None  # with MQTT 5: so long it is of use from now on

    def delay(self) -> str:
        """From the measurement to here; the firmware cuts its time to whole seconds, so it is less than this."""
        if self.taken_s is None:
            return "clock not set"
        words = "< %d s" % max(1, int(self.received_s - self.taken_s) + 1)
        return words if self.expiry_s is None else words + ", expires in %d s" % self.expiry_s

    def clock(self) -> str:
        ms = int(self.received_s * 1000) % 1000
        return time.strftime("%H:%M:%S", time.localtime(self.received_s)) + ".%03d" % ms

    def shown(self) -> str:
        return "-" if self.value is None else str(self.value)

    def shown_unit(self) -> str:
        """The unit as the terminal can show it: on an ASCII one °C is C."""
        return self.unit if fits(self.unit) else self.unit.replace("°", "")


def parse(message: paho.MQTTMessage) -> Optional[Reading]:
    """The reading in a message; None when it is something else (the board's status)."""
    try:
        body = json.loads(message.payload)
        sensor = "/".join(message.topic.split("/")[2:])
        expiry_s = getattr(getattr(message, "properties", None), "MessageExpiryInterval", None)
        return Reading(
            sensor, body["value"], body["unit"], body["seq"], body["time"], time.time(), message.qos, expiry_s
        )
    except (ValueError, KeyError, TypeError):
        return None


class Tally:
    """What came, by the numbers the firmware gives its readings."""

    def __init__(self) -> None:
        self.received: set[int] = set()
        self.repeated = 0
        self.gaps: dict[int, float] = {}  # a number that did not come in its turn, and when a later one came

    def add(self, reading: Reading) -> None:
        self.repeated += reading.seq in self.received
        for seq in range(max(self.received, default=0) + 1, reading.seq):
            self.gaps[seq] = reading.received_s
        self.received.add(reading.seq)
        self.gaps.pop(reading.seq, None)

    def lost_so_far(self, now_s: Optional[float] = None) -> int:
        """How many are missing though later ones came more than GAP_S ago."""
        now_s = time.time() if now_s is None else now_s
        return sum(now_s - since_s > GAP_S for since_s in self.gaps.values())

    def lost(self, published: int) -> int:
        return max(0, published - len(self.received))


class Watcher:
    """`with Watcher(port) as w:` is subscribed to everything with QoS 2; `w.readings` is a queue of what comes."""

    def __init__(self, port: int, keeps_session: bool = False, protocol: Union[int, str] = 4):
        """keeps_session: the broker may be stopped and started meanwhile, and keeps what comes for it. protocol: with
        another one than 4, and without such a session, it sees the readings' expiry."""
        self.readings: queue.Queue[Reading] = queue.Queue()
        self.answers: queue.Queue[tuple[str, bytes]] = queue.Queue()  # of the board, to commands
        self.port = port
        self.subscribed = threading.Event()
        if protocol == 4 or keeps_session:
            self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, "watcher", clean_session=not keeps_session)
        else:
            self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, "watcher", protocol=paho.MQTTv5)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 2)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._received

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        reading = parse(message)
        if reading:
            self.readings.put(reading)
        elif "/ack/" in message.topic:
            self.answers.put((message.topic, message.payload))

    def settle(self) -> None:
        """Wait until what the broker had already handed out is here."""
        time.sleep(SETTLE_S)

    def __enter__(self) -> "Watcher":
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        if not self.subscribed.wait(CONNECT_TIMEOUT_S):
            self.__exit__()
            raise ConnectionError("the broker does not answer a SUBSCRIBE")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Plain:
    """A line for each reading, for pipes and files."""

    def reading(self, reading: Reading, _tally: Tally) -> None:
        print(
            COLUMNS
            % (reading.clock(), reading.sensor, reading.shown(), reading.shown_unit(), reading.qos, reading.delay()),
            flush=True,
        )

    def line(self, text: str) -> None:
        print(printable(text), flush=True)


@contextlib.contextmanager
def plain() -> Iterator[Plain]:
    yield Plain()


class Screen:
    """A table that grows downwards and keeps what fits the terminal."""

    def __init__(self, console: Console, live: Live):
        self.console, self.live = console, live
        self.rows: deque[Reading] = deque(maxlen=200)

    def reading(self, reading: Reading, tally: Tally) -> None:
        self.rows.append(reading)
        self.live.update(self.table(tally), refresh=True)

    def table(self, tally: Tally) -> Table:
        table = Table(caption="%d received, %d repeated" % (len(tally.received), tally.repeated))
        for name, side in (("time", "left"), ("sensor", "left"), ("value", "right"), ("unit", "left"),
                           ("QoS", "right"), ("delay", "right")):  # fmt: skip
            table.add_column(name, justify=side)  # type: ignore[arg-type]
        for reading in list(self.rows)[-max(5, self.console.height - 6) :]:
            table.add_row(
                reading.clock(),
                reading.sensor,
                reading.shown(),
                reading.shown_unit(),
                str(reading.qos),
                reading.delay(),
            )
        return table

    def line(self, text: str) -> None:
        self.console.print(printable(text), markup=False, highlight=False)


@contextlib.contextmanager
def screen() -> Iterator[Screen]:
    console = Console()
    with Live(console=console, auto_refresh=False) as live:
        yield Screen(console, live)
