"""The cycle: measure, join WiFi, connect to the broker, publish, keep alive, again. A subclass knows where readings
wait.

Topics: TOPIC/CLIENT_ID/status is "online" or "offline", retained. TOPIC/CLIENT_ID/SENSOR/QUANTITY has the readings:
{"value":21.5,"unit":"°C","time":1795466220,"seq":17}. time: Unix seconds when it was taken; null, with "up_s"
(seconds since the start) beside it, while the clock is not set. seq counts the readings since the start.
"""
# What a subclass has is not declared, for that would cost heap.
# pyright: reportAttributeAccessIssue=false

import gc
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const

import clock
import power
from health import crashed, watchdog
from retry import Trouble

_BUTTON_MS = const(250)  # the longest wait: so soon the stop button is seen
_TURN_MS = const(5000)  # the longest wait without a button
_STEP_MS = const(100)  # while WiFi is being joined
_RESYNC_S = const(21600)
_SOONEST_S = const(600)  # of a clock that goes wrong
_OFF_S = const(5)
_LASTED_S = const(10)  # a connection that stood so long was one
_FIRST_PAUSE_MS = const(1000)
_LONGEST_PAUSE_MS = const(60000)
_FIRST_OPEN_MS = const(5000)
_LONGEST_OPEN_MS = const(600000)
_BACK_MS = const(60000)  # at a spare broker, before it asks for a better one
_CALM_S = const(600)  # without a crash: what crashed is well again
_MOST_CRASHES = const(8)
_REJOIN = const(5)  # so many attempts in a row without an answer of the broker, and WiFi is joined anew
_PACKETS = const(16)  # taken in one turn at most
_ALL = const(65535)  # that wait
_LEVEL_4 = const(4)
_OF_ITSELF = const(1)  # a connection has ended while WiFi stood
_WITH_WIFI = const(2)
_HEARD = const(8)  # of them messages that wait to be obeyed


def decimal(value, places) -> str:
    """The scaled integer as JSON: decimal(-205, 1) is "-20.5"; None is null; or by the function in the place of the
    decimals."""
    if value is None:
        return "null"
    if not isinstance(places, int):
        return places(value)
    text = str(abs(value))
    if places:
        text = "0" * (places + 1 - len(text)) + text
        text = text[:-places] + "." + text[-places:]
    return "-" + text if value < 0 else text


class Source:
    """A sensor of the configuration: what it is called, whether it was found, what is wrong with it. Raises
    ValueError."""

    def __init__(self, conf: dict, number: int):
        kind = conf["type"]
        self.name = conf.get("name", kind)
        try:
            self.sensor = __import__("sensors." + kind, None, None, ("Sensor",)).Sensor(conf)
            if "treatment" in conf:
                from treatment import Treated

                self.sensor = Treated(self.sensor, conf["treatment"])
        except KeyError as e:
            raise ValueError("config.json: sensors[%d] of type %s: %s is missing" % (number, kind, e.args[0]))
        except (ImportError, TypeError, ValueError) as e:
            raise ValueError("config.json: sensors[%d] of type %s: %s" % (number, kind, e))
        self.trouble = Trouble("sensor " + self.name, 2000, 600000)
        self.found = False
        self.announced = 0  # how many of its fields Home Assistant was told of

    def read(self):
        """The values, in the order of the sensor's fields. Raises what the sensor does, ValueError for what is no
        reading."""
        if not self.found:
            self.sensor.probe()
        self.found = False
        values = self.sensor.read()
        if len(values) != len(self.sensor.fields):
            raise ValueError("%d values for %d fields" % (len(values), len(self.sensor.fields)))
        limits = getattr(self.sensor, "limits", ())
        for i, value in enumerate(values):
            if value is None or value is ...:
                continue
            if not (isinstance(value, int) and -0x80000000 <= value < 0x80000000):
                raise ValueError("%r is no scaled integer" % value)
            if limits and not limits[2 * i] <= value <= limits[2 * i + 1]:
                quantity, unit, places = self.sensor.fields[i]
                raise ValueError("%s %s %s cannot be" % (quantity, decimal(value, places), unit))
        self.found = True
        self.trouble.ended()
        return values


class Node:
    """The program. cfg: what config.take() gives; wifi: a Wifi, its attempt perhaps under way. Raises ValueError.

    A subclass (RamNode, DurableNode) says where readings wait: make_queue() makes that; keep(number, field, value) lets
    a reading of sensor `number` wait; waiting() tells how many were not yet handed to the client; hand_over(most)
    publishes so many of them at most, as far as the client has slots, and raises OSError when the link is down;
    opened() is called once the client was made; journal is its Store, or None, slots how many messages it may have in
    flight.
    """

    def __init__(self, cfg: dict, wifi):
        self.cfg = cfg
        self.client_id = cfg["client_id"] or "umqtt-" + power.chip_id()
        self.topic = "%s/%s/" % (cfg["topic"], self.client_id)
        self.wifi = wifi
        self.t_began = self.t_next = ticks_ms()
        self.stopped = power.stop_button(cfg["stop_pin"])
        self.turn_ms = _BUTTON_MS if cfg["stop_pin"] >= 0 else _TURN_MS
        self.feed = watchdog(cfg["watchdog_s"])
        self.sources = [Source(conf, i) for i, conf in enumerate(cfg["sensors"])]
        cfg["sensors"] = ()  # each has what it needs of it
        self.watched = []  # sensors that may change at any time
        for number, source in enumerate(self.sources):
            if hasattr(source.sensor, "changed"):
                self.watched.append(number)
                self.turn_ms = _STEP_MS
        self.json_messages = None  # makes one message of all that is read at one time
        if cfg["payload"] == "json":
            from json_message import JsonMessages

            self.json_messages = JsonMessages(self, decimal)
        self.rest_s = 0  # so long it sleeps once its battery is low
        self.t_low = None
        self.joining = Trouble("wifi")
        self.timing = Trouble("clock", 5000, 600000)
        self.linking = Trouble("broker", 1, 1)  # tells it; umqtt.reconnect knows when it is tried again
        self.running = Trouble("program")
        self.full = Trouble("queue")
        self.client = None  # until the first reading was taken: the library takes a second to load
        self.acked = False
        self.silent = 0  # attempts in a row without an answer
        self.connects = 0  # of the client, until the last change of its link
        self.was_up = False
        self.fell = 0  # how a connection has ended, while nobody has asked why
        self.synced_s = -_RESYNC_S
        self.resync_s = _RESYNC_S
        self.heard_s = self.up_s = self.crashed_s = clock.uptime_s()
        self.taken = self.published = self.dropped = self.refused = 0
        self.before = 0  # readings of an earlier life that were in flight at the start
        self.low_b = 1 << 29
        self.qos = cfg["qos"]
        self.retain = cfg["retain"]
        self.greet = False  # the status is to be published
        self.greeting = True  # unless the broker does not take it
        self.status_pid = 0
        self.waited_for = 0  # messages in flight when the wait for an acknowledgement began
        self.t_wait = 0
        self.heard = False
        self.aside = ()  # readings that wait behind others: (topic, payload)
        self.doubts = None  # an Untaken, once an acknowledgement was late
        self.listener = None
        if cfg["commands"] or cfg["ha_prefix"] and not cfg["deep_sleep"]:
            if cfg["protocol"] == _LEVEL_4:
                from listening import Listener
            else:
                from answering import AnsweringListener as Listener

            self.listener = Listener(self)
        self.led = None
        if cfg["led"] >= 0:
            from led import Light

            self.led = Light(cfg["led"], cfg["led_low"])
        self.trials = cfg.get("trials") or cfg.get("came_back") or cfg.get("start")
        self.diag = cfg["diag"] and power.cause() != power.WOKE  # is to be published
        self.announcer = None  # tells Home Assistant
        if cfg["ha_prefix"]:
            if cfg["ha_device"]:
                from ha_device import DeviceAnnouncer as Announcer
            else:
                from discovery import Announcer

            self.announcer = Announcer(self)
        self.make_queue()

    # the life

    def run(self) -> bool:
        """Until the stop button is pressed or Ctrl-C; nothing else ends it. Returns whether it was Ctrl-C."""
        interrupted = False
        try:
            while not self.stopped():
                self.turn()
                self.feed()
            from ending import finish

            finish(self, self.cfg["timeout_s"] * 1000)
        except KeyboardInterrupt:
            interrupted = True  # whoever is at the serial port wants the prompt now; the broker will publish "offline"
        from ending import sum_up

        sum_up(self)
        return interrupted

    def turn(self) -> None:
        """One turn: a measurement if it is due, at most one attempt to reach the broker, one wait. What goes wrong is
        told, and tried again; nothing but KeyboardInterrupt comes out of it."""
        try:
            try:
                self.step()
            except Exception as e:
                self.failed(e)
        except MemoryError:  # not even to say so
            gc.collect()
            sleep_ms(1000)

    def step(self) -> None:
        """A turn, without a net below it."""
        left_ms = ticks_diff(self.t_next, ticks_ms())
        if left_ms <= 0:
            self.measure()
            left_ms = max(0, ticks_diff(self.t_next, ticks_ms()))
        for number in self.watched:
            if self.sources[number].sensor.changed():
                self.take(number)
                if self.json_messages:
                    self.json_messages.close()
        if self.client is None and self.linking.due():
            try:
                self.open()
            except ValueError as e:
                # a file that config.json names, as the CA's, is missing or wrong: no reset mends that
                if not self.linking.count:
                    self.linking = Trouble("broker", _FIRST_OPEN_MS, _LONGEST_OPEN_MS)
                    self.wait_long()
                self.linking.failed(e)
        if self.led:
            self.led.look(self)
        ms = min(left_ms, self.turn_ms)
        if self.client is None:
            self.heard_s = clock.uptime_s()  # nothing was asked: it is no fault of the radio's
            sleep_ms(min(ms, _BUTTON_MS))
        elif not self.link():
            sleep_ms(min(ms, _STEP_MS if self.wifi.joining else _BUTTON_MS))
        elif not self.linking.attempt(self.serve, ms):
            sleep_ms(min(ms, _BUTTON_MS))  # what failed may have left the connection as it was
        elif self.was_up and clock.uptime_s() - self.up_s > _LASTED_S:
            self.linking.ended()
        if self.rest_s:
            from low_battery import rest

            rest(self)
        else:
            self.t_low = None
        now_s = clock.uptime_s()
        if self.running.count and now_s - self.crashed_s > _CALM_S:
            self.running.ended()
        limit_s = self.cfg["reset_after_s"]
        if limit_s and now_s - self.heard_s > limit_s:
            print("radio: nothing has answered for %d s: reset, %d readings wait" % (limit_s, self.waiting()))
            power.restart()
        if self.trials:
            from trial import judge

            judge(self)

    def failed(self, e) -> None:
        """An exception that should not have been."""
        running = self.running
        self.crashed_s = clock.uptime_s()
        crashed(e)
        if isinstance(e, MemoryError):
            print("memory: %d B free are not enough: fewer sensors, or the firmware in ROM" % gc.mem_free())
        try:
            running.failed(e)
        finally:
            if running.count >= _MOST_CRASHES:
                power.restart()
        gc.collect()
        sleep_ms(running.pause_ms)

    def wait_long(self) -> None:
        """The client cannot be made: readings wait without one, for long perhaps."""

    def lost(self, words: str) -> None:
        """A reading was given up: it is counted, and told once for a time."""
        self.dropped += 1
        self.full.failed(words)

    # measuring

    def measure(self) -> None:
        """Read every sensor, and set the time of the next measurement."""
        for number in range(len(self.sources)):
            self.take(number)
            self.feed()  # each sensor has its own time
        if self.json_messages:
            self.json_messages.close()
        interval_ms = int(self.cfg["interval_s"] * 1000)
        self.t_next = ticks_add(self.t_next, interval_ms)
        if ticks_diff(self.t_next, ticks_ms()) <= 0:  # late by a whole interval: no burst to catch up, and time to send
            self.measure_in(interval_ms)
        gc.collect()
        self.low_b = min(self.low_b, gc.mem_free())

    def measure_in(self, ms: int) -> None:
        """The next measurement is due ms from now."""
        self.t_next = ticks_add(ticks_ms(), ms)

    def take(self, number: int) -> None:
        """Read one sensor."""
        source = self.sources[number]
        values = source.trouble.attempt(source.read)
        if values is None:
            return
        for field, value in enumerate(values):  # pyright: ignore[reportArgumentType]
            if value is not ...:  # nothing new
                self.taken += 1
                self.keep(number, field, value)
        self.rest_s = getattr(source.sensor, "rest_s", self.rest_s)

    def message(self, number: int, field: int, value, up_s: int, seq: int):
        """Topic and payload of a reading that was taken at uptime up_s."""
        source = self.sources[number]
        quantity, unit, places = source.sensor.fields[field]
        time = clock.unix_s(up_s)
        if time is None:
            time = 'null,"up_s":%d' % up_s
        payload = '{"value":%s,"unit":"%s","time":%s,"seq":%d}' % (decimal(value, places), unit, time, seq)
        return self.topic + source.name + "/" + quantity, payload

    # reaching the broker

    def open(self) -> None:
        """Load the library and make the client. Only now: the first reading need not wait for it, nor WiFi."""
        cfg = self.cfg
        if cfg["protocol"] == _LEVEL_4:
            from umqtt.client import MQTTClient
        else:
            from mqtt5 import of

            MQTTClient = of(cfg)
        from umqtt.reconnect import Reconnect

        ssl = None
        if cfg["tls"]:
            from tls_context import make

            ssl = make(cfg["tls_ca"], cfg["tls_cert"], cfg["tls_key"])
        brokers = []
        for place in cfg["broker"] if isinstance(cfg["broker"], (list, tuple)) else (cfg["broker"],):
            server, _, port = place.partition(":")
            brokers.append((server, int(port) if port else cfg["port"] or (8883 if ssl else 1883)))
        journal = self.journal
        fresh = not journal or journal.pid < 0  # nothing of an earlier life: else its ids go on
        self.reconnect = Reconnect(
            _FIRST_PAUSE_MS, _LONGEST_PAUSE_MS, brokers[1:] and brokers, self.link_changed, _BACK_MS, fresh
        )
        buffer_b = 64 + 2 * len(self.topic.encode()) if self.listener else 64  # a whole topic and a command
        server, port = brokers[0]
        self.client = c = MQTTClient(
            self.client_id, server, port, cfg["user"] or None, cfg["password"] or None, cfg["keepalive_s"], ssl, False,
            cfg["protocol"], self.slots, buffer_b, 2 * buffer_b, cfg["timeout_s"] * 1000, self.reconnect, journal,
        )  # fmt: skip
        if self.linking.count:
            self.linking.ended()
            self.linking = Trouble("broker", 1, 1)
        if cfg["protocol"] != _LEVEL_4:
            c.bind(self)
        elif cfg["will"]:
            c.set_last_will(self.topic + "status", "offline", self.retain, 1)
        self.opened()
        if self.listener:
            self.listener.opened(c, journal)

    def link(self) -> bool:
        """Whether the client can work: it is connected, or WiFi is there for it to connect by. One step, when one is
        due, at what is missing: WiFi, the time."""
        if not self.client.isconnected():
            if self.silent >= _REJOIN and not self.wifi.joining:
                self.silent = 0
                self.wifi.off()  # a radio that went dead says it is connected
            if not self.wifi.isconnected() or self.wifi.joining:
                if not self.join():
                    return False
        self.set_clock()
        return True

    def join(self) -> bool:
        """One step of joining WiFi; whether it is joined. Blocks for 100 ms at most."""
        if not self.wifi.joining:
            self.joining.attempt(self.wifi.start, self.cfg["wifi_timeout_s"] * 1000)
            return False
        try:
            if not self.wifi.joined():
                return False
        except OSError as e:
            self.joining.failed(e)
            return False
        self.joining.ended()
        print("wifi: joined", self.wifi.ssid)
        return True

    def link_changed(self, up: bool, words: str) -> None:
        """The client's: its link came up or went down, or an attempt failed."""
        c = self.client
        reconnect = self.reconnect
        connects = c.diag()["connects"]
        now_s = clock.uptime_s()
        fault = reconnect.fault
        if up:
            if self.announcer:
                self.announcer.connected(reconnect.session_present)
            self.greet = self.greeting
            self.t_wait = ticks_ms()
            self.up_s = now_s
            print("broker: connected to %s as %s" % (c.server, self.topic))
        else:
            if self.was_up or connects > self.connects:
                self.fell = _OF_ITSELF if self.wifi.isconnected() else _WITH_WIFI
                if not self.was_up:
                    self.up_s = now_s  # it was up, and ended at what was in flight
            if "back to " in words:
                print("broker:", fault.args[1])
            elif "again and again" in words:
                self.linking.failed("closed again and again: has another device this client_id?")
            else:
                self.linking.failed(fault if self.fell else OSError(fault))
        if up or not isinstance(fault, OSError) or fault.args[0] in (104, 111):
            self.silent = 0  # something out there lives, if not as it was hoped for: the radio works
            self.heard_s = now_s
        elif not self.was_up:
            self.silent += 1
        self.was_up = up
        self.connects = connects

    def set_clock(self) -> None:
        """Ask the time server, when that is due; readings do without it."""
        host = self.cfg["ntp_host"]
        up_s = clock.uptime_s()
        before_s = clock.unix_s(up_s)
        if host and up_s - self.synced_s >= self.resync_s and self.timing.attempt(clock.sync, host):
            self.timing.ended()
            self.synced_s = clock.uptime_s()
            if before_s is not None:  # it was set, and has gone on: by how much too fast or too slow?
                off_s = abs(clock.unix_s(up_s) - before_s)  # pyright: ignore[reportOptionalOperand]
                if off_s > _OFF_S:
                    self.resync_s = max(_SOONEST_S, self.resync_s * _OFF_S // off_s)
                elif off_s <= 1:
                    self.resync_s = min(_RESYNC_S, 2 * self.resync_s)

    # being connected

    def serve(self, ms: int) -> None:
        """Hand over what is to be told, then let the client work for up to ms. Raises what they raise."""
        c = self.client
        if self.fell:
            if self.listener:
                self.listener.fell(c)
            if c.inflight and self.fell == _OF_ITSELF:
                self.doubt().ended(self)
            self.fell = 0
        holding = None
        if not c.isconnected():
            ms = min(ms, _BUTTON_MS)
        else:
            holding = self.work(c)
        limit_ms = self.cfg["timeout_s"] * 1000
        if c.inflight:
            ms = min(ms, limit_ms)
            if c.inflight != self.waited_for:  # handed over just now
                self.waited_for = c.inflight
                self.t_wait = ticks_ms()
        got = c.poll(min(ms, _BUTTON_MS) if holding else ms)
        for _ in range(_PACKETS):  # what else is here, without a wait for each
            if not got:
                break
            self.heard = True
            self.heard_s = clock.uptime_s()
            if self.listener:
                self.listener.pinged = False
                if len(self.listener.waiting) > _HEARD:
                    break  # they are obeyed first
            got = c.poll(0)
        if c.inflight != self.waited_for or not (c.inflight and c.isconnected()):
            self.waited_for = c.inflight
            self.t_wait = ticks_ms()
        elif ticks_diff(ticks_ms(), self.t_wait) >= limit_ms:
            self.doubt().look(self)
        if self.diag and c.isconnected() and not (c.inflight or self.greet or holding or self.waiting()):
            from diagnosis import tell

            tell(self)
        if self.published > self.refused and not self.acked and not c.inflight:
            self.acked = True
            print("broker: took the first readings, %d ms after the start" % ticks_diff(ticks_ms(), self.t_began))

    def work(self, c):
        """Hand over what is to be told, while the link is up. Returns whether readings are held back."""
        if self.listener:
            self.listener.work(c)
        if self.doubts:
            return self.doubts.send(self)
        return self.send(c, _ALL)

    def send(self, c, most: int):
        """Hand over what is to be told, `most` readings of it. Returns whether readings wait for Home Assistant."""
        if self.greet:
            pid = self.status_pid  # one of this life that is in flight says "online" already
            if not c.pending(pid):
                pid = c.free_slots() and c.publish(self.topic + "status", "online", self.retain, 1, False)
            if pid:
                self.status_pid = pid
                self.greet = False
                most -= 1
        holding = self.announcer and self.announcer.step(c)
        if not holding and most:
            self.hand_over(most)
            if self.full.count and self.full.due() and not self.waiting():
                print("queue: %d readings were dropped since the start" % self.dropped)
                self.full.count = 0
                self.full.words = ""
        return holding

    def lower(self, qos: int) -> None:
        """The broker, or the configuration, wants this QoS: what is in flight and what comes has no higher one."""
        self.qos = min(self.qos, qos)
        if self.client.inflight:
            from untaken import lower

            lower(self.client, qos)

    def doubt(self):
        """What watches over messages that the broker may not take."""
        if not self.doubts:
            from untaken import Untaken

            self.doubts = Untaken()
        return self.doubts
