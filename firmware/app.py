"""The cycle: join WiFi, connect to the broker, measure, publish, keep alive, start again. The only file that knows
all the others.

Topics: TOPIC/CLIENT_ID/status is "online" or "offline", retained. TOPIC/CLIENT_ID/SENSOR/QUANTITY has the readings:
{"value":21.5,"unit":"°C","time":1795466220,"seq":17}. time: Unix seconds when it was taken; null, with "up_s"
(seconds since the start) beside it, while the clock is not set. seq counts the readings since the start.
"""

import gc
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const
from umqtt.client import MQTTClient
from umqtt.client import MQTTException

import clock
import power
from health import Trouble, crashed, watchdog
from wifi import Wifi

_TURN_MS = const(250)  # the longest wait: so soon the stop button is seen
_RESYNC_S = const(21600)
_LASTED_MS = const(10000)  # a connection that stood so long was one
_CALM_MS = const(600000)  # without a crash: what crashed is well again
_MOST_CRASHES = const(8)
_RESTART_MS = const(60000)  # between two starts that fail
_REJOIN = const(5)  # so many attempts in a row without an answer of the broker, and WiFi is joined anew


def decimal(value, places):
    """The scaled integer as JSON: decimal(-205, 1) is "-20.5"; None is null."""
    if value is None:
        return "null"
    text = str(abs(value))
    if places:
        text = "0" * (places + 1 - len(text)) + text
        text = text[:-places] + "." + text[-places:]
    return "-" + text if value < 0 else text


class Source:
    """A sensor of the configuration: what it is called, whether it was found, what is wrong with it. Raises
    ValueError."""

    def __init__(self, conf, i):
        kind = conf["type"]
        self.name = conf.get("name", kind)
        try:
            self.sensor = __import__("sensors." + kind, None, None, ("Sensor",)).Sensor(conf)
        except (ImportError, ValueError) as e:
            raise ValueError("config.json: sensors[%d] of type %s: %s" % (i, kind, e))
        self.trouble = Trouble("sensor " + self.name, 2000, 600000)
        self.found = False
        self.announced = False

    def read(self):
        """The values, in the order of the sensor's fields."""
        if not self.found:
            self.sensor.probe()
        self.found = False
        values = self.sensor.read()
        self.found = True
        self.trouble.ended()
        return values


class Node:
    """The program. cfg: what config.check() gives. Raises ValueError."""

    def __init__(self, cfg):
        self.cfg = cfg
        self.t_began = ticks_ms()
        client_id = cfg["client_id"] or "umqtt-" + power.chip_id()
        self.topic = "%s/%s/" % (cfg["topic"], client_id)
        self.sources = [Source(conf, i) for i, conf in enumerate(cfg["sensors"])]
        self.wifi = Wifi(cfg["wifi_ssid"], cfg["wifi_password"], cfg["hostname"])
        self.stopped = power.stop_button(cfg["stop_pin"])
        self.first = True
        self.client = self.open(client_id)
        self.client.set_last_will(self.topic + "status", "offline", True, 1)
        self.acked = False
        self.silent = 0
        self.joining = Trouble("wifi")
        self.timing = Trouble("clock", 5000, 600000)
        self.linking = Trouble("broker")
        self.running = Trouble("program")
        self.t_up = self.t_next = ticks_ms()
        self.synced_s = -_RESYNC_S
        self.queue = []  # (source, index of the field, value, uptime, seq)
        self.taken = self.published = self.dropped = 0
        self.low_b = 1 << 29
        self.feed = watchdog(cfg["watchdog_s"])

    def open(self, client_id, store=None, inflight=4):
        """The client, not yet connected."""
        cfg = self.cfg
        return MQTTClient(
            client_id, cfg["broker"], cfg["port"], cfg["user"] or None, cfg["password"] or None, cfg["keepalive_s"],
            __import__("tls_context").make(cfg["tls_ca"]) if cfg["tls"] else None,
            rx_size=64, timeout_ms=cfg["timeout_s"] * 1000, inflight=inflight, store=store,
        )  # fmt: skip

    def run(self):
        """Until the stop button is pressed or Ctrl-C; nothing else ends it."""
        try:
            while not self.stopped():
                self.turn()
                self.feed()
            self.finish(self.cfg["timeout_s"] * 1000)
        except KeyboardInterrupt:
            pass  # whoever is at the serial port wants the prompt now; the broker will publish "offline"
        self.sum_up()

    def sum_up(self):
        """One line: readings taken, given to the client, acknowledged by the broker (QoS 0: sent), dropped or refused
        because too many waited; and the lowest free heap."""
        self.note_heap()
        print("summary: taken=%d published=%d acknowledged=%d dropped=%d heap_low_b=%d" % (
            self.taken, self.published, self.published - self.client.inflight, self.dropped, self.low_b,
        ))  # fmt: skip

    def finish(self, ms, status="offline"):
        """Send what waits, for up to ms; publish the status, unless it is "", and disconnect."""
        c = self.client
        end = ticks_add(ticks_ms(), ms)
        while c.isconnected() and (self.waiting() or c.inflight) and ticks_diff(end, ticks_ms()) > 0:
            self.linking.attempt(self.serve, _TURN_MS)
        if status and c.isconnected():
            self.linking.attempt(c.publish, self.topic + "status", status, True, 1)
        c.disconnect()

    def turn(self):
        """One turn of at most one connection attempt and one measurement. What goes wrong is told, and tried
        again."""
        running = self.running
        try:
            up = self.link()
            left_ms = ticks_diff(self.t_next, ticks_ms())
            if left_ms <= 0:
                self.measure()
                left_ms = 0
            if not up:
                sleep_ms(min(left_ms, _TURN_MS))
            elif self.linking.attempt(self.serve, min(left_ms, _TURN_MS)):
                if ticks_diff(ticks_ms(), self.t_up) > _LASTED_MS:
                    self.linking.ended()
            else:
                sleep_ms(min(left_ms, _TURN_MS))  # what failed may have left the connection as it was
            if running.count and ticks_diff(ticks_ms(), running.since) > _CALM_MS:
                running.ended()
        except Exception as e:
            crashed(e)
            running.failed(repr(e))
            if running.count >= _MOST_CRASHES:
                power.restart()
            gc.collect()
            sleep_ms(running.pause_ms)

    def link(self):
        """Whether the broker is there; one attempt, when one is due, at what is missing: WiFi, the broker, the
        time."""
        if not self.client.isconnected():
            if not self.wifi.isconnected() and not self.joining.attempt(self.join):
                return False
            self.set_clock()
            if not self.linking.attempt(self.connect):
                return False
        self.set_clock()
        return True

    def join(self):
        self.wifi.connect(self.cfg["wifi_timeout_s"] * 1000)
        self.joining.ended()
        print("wifi: joined", self.cfg["wifi_ssid"])

    def connect(self):
        c = self.client
        if self.silent >= _REJOIN:
            self.silent = 0
            self.join()  # a radio that went dead says it is connected
        self.silent += 1
        try:
            if self.first:
                # what the broker keeps of an earlier life would take a new message for an old one with its packet id
                c.clean_session = True
                c.connect()
                c.disconnect()
                c.clean_session = False
                self.first = False
            c.connect()
        except MQTTException:
            self.silent = 0  # an answer, if not the one that was hoped for
            raise
        c.publish(self.topic + "status", "online", True, 1)
        self.silent = 0
        self.t_up = ticks_ms()
        print("broker: connected to %s as %s" % (self.cfg["broker"], self.topic))

    def set_clock(self):
        # readings do without it
        host = self.cfg["ntp_host"]
        due = clock.uptime_s() - self.synced_s >= _RESYNC_S
        if due and host and self.timing.attempt(clock.sync, host):
            self.timing.ended()
            self.synced_s = clock.uptime_s()

    def measure(self):
        """Read every sensor, and set the time of the next measurement."""
        for source in self.sources:
            values = source.trouble.attempt(source.read)
            if values is None:
                continue
            for i, value in enumerate(values):  # pyright: ignore[reportArgumentType]
                self.taken += 1
                self.keep(source, i, value)
        interval_ms = int(self.cfg["interval_s"] * 1000)
        self.t_next = ticks_add(self.t_next, interval_ms)
        if ticks_diff(self.t_next, ticks_ms()) <= 0:  # late by a whole interval: no burst to catch up, and time to send
            self.t_next = ticks_add(ticks_ms(), interval_ms)
        self.note_heap()

    def note_heap(self):
        gc.collect()
        self.low_b = min(self.low_b, gc.mem_free())

    def serve(self, ms):
        """Hand readings to the client, then let it work for up to ms. Raises what they raise."""
        c = self.client
        prefix = self.cfg["ha_prefix"]
        if prefix:
            self.announce(prefix)
        self.hand_over()
        c.poll(ms)
        if self.published and not self.acked and not c.inflight:
            self.acked = True
            print("broker: took the first readings")

    def announce(self, prefix):
        """Tell Home Assistant of the sensors that were found since the last call."""
        for source in self.sources:
            if source.found and not source.announced:
                __import__("discovery").announce(self.client, prefix, self.topic, source)

    def waiting(self):
        """Readings that were not yet handed to the client."""
        return len(self.queue)

    def keep(self, source, i, value):
        """Let a reading wait for the broker; when too many do, the oldest goes and is counted."""
        if len(self.queue) >= self.cfg["queue"]:
            self.queue.pop(0)
            self.dropped += 1
        self.queue.append((source, i, value, clock.uptime_s(), self.taken))

    def hand_over(self):
        """Publish what waits as far as the client has slots for it. Raises OSError when the link is down."""
        c = self.client
        while self.queue:
            topic, payload = self.message(*self.queue[0])
            before = c.inflight
            try:
                if c.publish(topic, payload, False, self.cfg["qos"], False) is None:
                    return
            except OSError:
                if c.inflight > before:  # the link went down, but the message has its slot: again would be twice
                    self.handed_over()
                raise
            self.handed_over()

    def handed_over(self):
        self.queue.pop(0)
        self.published += 1

    def message(self, source, i, value, up_s, seq):
        """Topic and payload of a reading that was taken at uptime up_s."""
        quantity, unit, places = source.sensor.fields[i]
        time = clock.unix_s(up_s)
        if time is None:
            time = 'null,"up_s":%d' % up_s
        payload = '{"value":%s,"unit":"%s","time":%s,"seq":%d}' % (decimal(value, places), unit, time, seq)
        return self.topic + source.name + "/" + quantity, payload


def run(cfg, began_ms):
    """Run until the stop button is pressed. A sensor's configuration that is wrong is told in words, and ends it.
    began_ms: ticks_ms() as the program started."""
    print("umqtt-node: started by", power.cause())
    kind = Node
    try:
        if cfg["deep_sleep"]:
            from durable import Sleeper as kind
        elif cfg["keep_in"] != "ram":
            from durable import DurableNode as kind
        node = kind(cfg)
        node.t_began = began_ms
    except ValueError as e:
        print(e)
    except Exception as e:  # no memory, a flash that cannot be read, a radio that does not start
        crashed(e)
        if cfg["deep_sleep"]:
            power.deep_sleep(_RESTART_MS)
        sleep_ms(_RESTART_MS)
        power.restart()
    else:
        node.run()
