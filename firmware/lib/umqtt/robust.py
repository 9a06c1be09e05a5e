"""Drop-in for micropython-lib's umqtt.robust: `umqtt.simple` that reconnects, for as long as it takes.

Beyond it: a message of QoS 1 or 2 that was in flight when the link broke is finished, with its packet id, and not
published a second time; subscriptions are made again when the broker forgot them; pauses grow, with jitter. To keep
QoS 2 exactly once over a reconnect, connect with clean_session=False in the first place, as upstream asks for too. A
refused login raises MQTTException.
"""

from random import getrandbits
from time import sleep_ms

from umqtt import client, simple, turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.hints import Payload


class MQTTClient(simple.MQTTClient):
    """DELAY: seconds; the pause before attempt i is random in 0..DELAY * 2 ** i, at most a minute (or DELAY, when
    that is more)."""

    DELAY = 2
    DEBUG = False

    def delay(self, i: int) -> None:
        """Pause before connect attempt i = 1, 2, ...; for a subclass to override. Blocks."""
        most = int(self.DELAY * 1000)
        sleep_ms(getrandbits(30) % (max(most, min(60000, most << min(i, 10))) + 1))

    def log(self, in_reconnect: bool, e: Exception) -> None:
        """Called with each error; prints it when DEBUG."""
        if self.DEBUG:
            print("mqtt reconnect:" if in_reconnect else "mqtt:", repr(e))

    def reconnect(self) -> "int | None":
        """Connect with clean_session False, again and again until it works. Returns what `connect` does. Blocks. Raises
        MQTTException when refused, ProtocolError; inside a callback OSError."""
        i = 0
        while True:
            try:
                return self.connect(False)
            except OSError as e:
                if self._in_callback():
                    raise  # no attempt could work
                self.log(True, e)
                i += 1
                self.delay(i)

    def publish(self, topic: "str | bytes", msg: "Payload", retain: bool = False, qos: int = 0) -> None:
        """Publish, over as many connections as it takes. Blocks until acknowledged. Raises ValueError, and
        MQTTException when a login is refused; inside a callback it tries once, and raises OSError."""
        packet_id = None
        while True:
            try:
                if not qos or self._in_callback():
                    return super().publish(topic, msg, retain, qos)
                self._use_link()
                end = self._end(None)
                # Without waiting: once it has its slot it is finished, on whichever connection, and never begun again.
                while packet_id is None:
                    if self.free_slots():
                        packet_id = client.MQTTClient.publish(self, topic, msg, retain, qos, False)
                    else:
                        self._wait(end)
                while self.pending(packet_id) and not turns.is_scheduled():
                    self._wait(end)
                return None
            except OSError as e:
                if self._in_callback():
                    raise
                self.log(False, e)
            self.reconnect()
            if self.clean_session and self.client_id:
                packet_id = None  # a subclass's: that connection has begun with nothing in flight

    def subscribe(self, topic: "str | bytes", qos: int = 0) -> None:
        """Subscribe, over as many connections as it takes. Blocks. Raises as `publish` does."""
        while True:
            try:
                return super().subscribe(topic, qos)
            except OSError as e:
                if self._in_callback():
                    raise
                self.log(False, e)
            self.reconnect()

    def wait_msg(self) -> "int | None":
        """Wait for one packet, over as many connections as it takes. Returns what umqtt.simple's does. Blocks. Raises
        MQTTException when a login is refused, and what the callback raises."""
        while True:
            try:
                return super().wait_msg()
            except OSError as e:
                self.log(False, e)
            self.reconnect()

    def check_msg(self, attempts: int = 2) -> "int | None":
        """Look for a packet; after an error reconnect and look again, `attempts` times in all. Returns and raises as
        `wait_msg`; None when no packet is there."""
        while attempts:
            self._wait_ms = 0
            try:
                return super().wait_msg()
            except OSError as e:
                self.log(False, e)
            self.reconnect()
            attempts -= 1
        return None
