"""A topic that each trouble is published to while a log is followed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:  # 5 MB and a tenth of the start-up time, which only --publish should cost
    import paho.mqtt.client as mqtt

PASSWORD = "MOSQLOG_PASSWORD"  # an environment variable: a command line can be read by everybody on the machine
_PORTS = {"mqtt": 1883, "mqtts": 8883}
CONNECT_S = 5
LEAVE_S = 5  # for the messages that wait when the program ends
WAITING = 1000  # messages kept while the broker cannot be reached


@dataclass(frozen=True)
class Address:
    """Where to publish: `mqtt://user@host:port/topic`, `mqtts://` with TLS."""

    host: str
    port: int
    topic: str
    user: str | None = None
    tls: bool = False

    @staticmethod
    def parsed(url: str) -> Address:
        """Raises ValueError with what is wrong and an example."""
        example = "give it as mqtt://user@127.0.0.1:1883/alarms/mosquitto"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{url!r}: {error}; {example}") from None
        topic = unquote(parts.path[1:])
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"{url!r} is no address of a topic; {example}")
        if parts.password is not None:
            raise ValueError(f"the password would be seen in the list of processes; put it into ${PASSWORD}")
        if not topic or "+" in topic or "#" in topic or parts.query or parts.fragment:
            raise ValueError(f"{url!r}: the topic is empty or has + or # in it; {example}")
        return Address(
            parts.hostname,
            port or _PORTS[parts.scheme],
            topic,
            parts.username and unquote(parts.username),
            parts.scheme == "mqtts",
        )


class Topic:
    """A connection to the broker of an Address, made again by itself when it breaks. Publishing never blocks."""

    def __init__(self, address: Address, warn: Callable[[str], None]):
        """Begins to connect; warn(text) is called, from another thread too, when it does not work, once until it
        does again."""
        import paho.mqtt.client as mqtt

        self.client_id = f"mosqlog-{os.getpid()}"
        self._address, self._warn, self._warned = address, warn, threading.Event()
        self._link = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=self.client_id)
        self._queue_full = mqtt.MQTT_ERR_QUEUE_SIZE
        self._link.max_queued_messages_set(WAITING)
        self._link.connect_timeout = CONNECT_S
        if address.user is not None or PASSWORD in os.environ:
            self._link.username_pw_set(address.user or "", os.environ.get(PASSWORD))
        if address.tls:
            self._link.tls_set()
        self._link.on_connect = self._on_connect
        self._link.on_connect_fail = lambda *_: self._complain("cannot be reached")
        self._link.connect_async(address.host, address.port)
        self._link.loop_start()
        self._last: mqtt.MQTTMessageInfo | None = None

    def publish(self, payload: str) -> None:
        """Hands a message over, QoS 1; it waits while there is no connection."""
        info = self._link.publish(self._address.topic, payload, qos=1)
        if info.rc == self._queue_full:
            self._complain(f"does not take messages: {WAITING} wait, one is dropped")
        else:
            self._last = info

    def close(self) -> None:
        """Waits up to LEAVE_S seconds for the messages that are on their way, then disconnects."""
        if self._last is not None and not self._last.is_published():
            try:
                self._last.wait_for_publish(LEAVE_S)
            except (RuntimeError, ValueError):
                pass  # never sent: said below
            if not self._last.is_published():
                self._complain("did not acknowledge the last message")
        self._link.disconnect()
        self._link.loop_stop()

    def _on_connect(self, client, userdata, flags, reason, properties) -> None:
        if reason.is_failure:
            self._complain(f"refuses: {reason}")
        else:
            self._warned.clear()

    def _complain(self, words: str) -> None:
        if not self._warned.is_set():
            self._warned.set()
            self._warn(f"--publish: {self._address.host}:{self._address.port} {words}")
