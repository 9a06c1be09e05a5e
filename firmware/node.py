"""The cycle: measure, join WiFi, connect to the broker, publish, keep alive, again. Readings wait in RAM.

Topics: TOPIC/CLIENT_ID/status is "online" or "offline", retained. TOPIC/CLIENT_ID/SENSOR/QUANTITY has the readings:
{"value":21.5,"unit":"°C","time":1795466220,"seq":17}. time: Unix seconds when it was taken; null, with "up_s"
(seconds since the start) beside it, while the clock is not set. seq counts the readings since the start.
"""

import gc
from struct import calcsize, pack_into, unpack_from
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const

import clock
import power
from health import crashed, watchdog
from retry import Trouble

_BUTTON_MS = const(250)  # the longest wait: so soon the stop button is seen
_TURN_MS = const(5000)  # the longest wait without a button
_STEP_MS = const(50)  # while WiFi is being joined
_RESYNC_S = const(21600)
_LASTED_S = const(10)  # a connection that stood so long was one
_CALM_S = const(600)  # without a crash: what crashed is well again
_MOST_CRASHES = const(8)
_REJOIN = const(5)  # so many attempts in a row without an answer of the broker, and WiFi is joined anew
_PACKETS = const(16)  # taken in one turn at most
_HAND_OVER_MS = const(1000)  # no new message in this turn after that: QoS 0 on a slow link takes long
_SETTLE_MS = const(1500)  # Home Assistant subscribes to what was announced
_UNTAKEN_S = const(60)  # no acknowledgement for so long on a link that lives: the broker does not take the message
_AT_ONCE_S = const(5)  # a connection that the broker ends so soon after it took the status was ended for a message
_STRIKES = const(3)  # so often the same message in QoS 2, and QoS 1 is used
_MOST_STRIKES = const(8)  # so often in QoS 1, and the message is given up
_FEW = const(16)  # readings that may wait before the client has its memory
_RESERVE_B = const(6144)  # of the heap, which waiting readings leave free

TOLD = 255  # in Source.announced: Home Assistant knows all of its fields
_UNTOLD = const(254)  # the broker did not acknowledge: not on this connection

_READING = ">BBiII"  # sensor, field (and 128: no value), value, uptime in seconds, number
_NO_VALUE = const(128)
_READING_B = calcsize(_READING)


def decimal(value, places: int) -> str:
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

    def __init__(self, conf: dict, number: int):
        kind = conf["type"]
        self.name = conf.get("name", kind)
        try:
            self.sensor = __import__("sensors." + kind, None, None, ("Sensor",)).Sensor(conf)
        except (ImportError, ValueError) as e:
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
        for value in values:
            if value is not None and not (isinstance(value, int) and -0x80000000 <= value < 0x80000000):
                raise ValueError("%r is no scaled integer" % value)
        self.found = True
        self.trouble.ended()
        return values


class Waiting:
    """Readings that wait in RAM, in one piece of it: a full queue drops the oldest instead of the heap."""

    def __init__(self, most: int):
        self.buf = bytearray(most * _READING_B)
        self.most = most
        self.first = self.count = 0

    def grow(self, most: int) -> None:
        """Room for `most`, or for as many as leave the reserve of the heap free."""
        while most > self.most:
            gc.collect()
            try:
                if gc.mem_free() - most * _READING_B >= _RESERVE_B:
                    new = Waiting(most)
                    while self.count:
                        new.put(*self.oldest())
                        self.drop()
                    self.buf, self.most, self.first, self.count = new.buf, most, 0, new.count
                    return
            except MemoryError:
                pass  # there is so much, but not in one piece
            most = most * 3 // 4

    def put(self, source: int, field: int, value, up_s: int, seq: int) -> None:
        """One more, when there is room."""
        at = (self.first + self.count) % self.most * _READING_B
        if value is None:
            field |= _NO_VALUE
        pack_into(_READING, self.buf, at, source, field, value or 0, up_s, seq)
        self.count += 1

    def oldest(self):
        """(source, field, value, up_s, seq) of the one that waits longest."""
        source, field, value, up_s, seq = unpack_from(_READING, self.buf, self.first * _READING_B)
        return source, field & ~_NO_VALUE, None if field & _NO_VALUE else value, up_s, seq

    def drop(self) -> None:
        """Forget the oldest."""
        self.first = (self.first + 1) % self.most
        self.count -= 1


class Node:
    """The program. cfg: what config.check() gives; wifi: a Wifi, its attempt perhaps under way. Raises ValueError."""

    def __init__(self, cfg: dict, wifi):
        self.cfg = cfg
        self.client_id = cfg["client_id"] or "umqtt-" + power.chip_id()
        self.topic = "%s/%s/" % (cfg["topic"], self.client_id)
        self.brokers = cfg["broker"] if isinstance(cfg["broker"], (list, tuple)) else (cfg["broker"],)
        self.wifi = wifi
        self.t_began = self.t_next = self.t_up = ticks_ms()
        self.stopped = power.stop_button(cfg["stop_pin"])
        self.turn_ms = _BUTTON_MS if cfg["stop_pin"] >= 0 else _TURN_MS
        self.feed = watchdog(cfg["watchdog_s"])
        self.sources = [Source(conf, i) for i, conf in enumerate(cfg["sensors"])]
        self.joining = Trouble("wifi")
        self.timing = Trouble("clock", 5000, 600000)
        self.linking = Trouble("broker")
        self.running = Trouble("program")
        self.full = Trouble("queue")
        self.client = None  # until the first reading was taken: the library takes a second to load
        self.first = True  # the broker may keep a session of an earlier life
        self.broker = self.wiped = 0  # index of the one to be tried; of the one whose session is ours
        self.acked = False
        self.silent = self.short = 0
        self.synced_s = -_RESYNC_S
        self.heard_s = self.up_s = self.crashed_s = clock.uptime_s()
        self.taken = self.published = self.dropped = self.refused = 0
        self.before = 0  # readings of an earlier life that were in flight at the start
        self.low_b = 1 << 29
        self.qos = cfg["qos"]
        self.retain = cfg["retain"]
        self.greet = False  # the status is to be published
        self.greeting = True  # unless the broker does not take it
        self.status_pid = 0
        self.late_pid = self.strikes = 0  # the message that the broker did not take, and how often
        self.waited_for = 0  # messages in flight when the wait for an acknowledgement began
        self.t_wait = self.t_asked = 0
        self.asked = self.heard = False
        self.untaken_s = 0
        self.announcing = None  # (source, packet id): what Home Assistant is told
        self.t_announced = 0
        self.holding = False
        self.make_queue()

    # what DurableNode does otherwise

    def make_queue(self) -> None:
        """Where readings wait."""
        self.queue = Waiting(min(_FEW, self.cfg["queue"]))

    def store(self):
        """What outlives a reset for the client: (store or None, slots)."""
        return None, 4

    def waiting(self) -> int:
        """Readings that were not yet handed to the client."""
        return self.queue.count

    def keep(self, number: int, field: int, value) -> None:
        """Let a reading wait for the broker; when too many do, the oldest goes, is told and counted."""
        queue = self.queue
        if queue.count >= queue.most:
            queue.drop()
            self.lost("%d readings wait: the oldest is dropped" % queue.most)
        queue.put(number, field, value, clock.uptime_s(), self.taken)

    def hand_over(self) -> None:
        """Publish what waits as far as the client has slots for it. Raises OSError when the link is down."""
        c = self.client
        queue = self.queue
        t = ticks_ms()
        while queue.count and ticks_diff(ticks_ms(), t) < _HAND_OVER_MS:
            topic, payload = self.message(*queue.oldest())
            before = c.inflight
            try:
                if c.publish(topic, payload, False, self.qos, False) is None:
                    return
            except Exception:
                if c.inflight > before:  # the link went down, but the message has its slot: again would be twice
                    queue.drop()
                    self.published += 1
                raise
            queue.drop()
            self.published += 1

    # the life

    def run(self) -> None:
        """Until the stop button is pressed or Ctrl-C; nothing else ends it."""
        try:
            while not self.stopped():
                self.turn()
                self.feed()
            self.finish(self.cfg["timeout_s"] * 1000)
        except KeyboardInterrupt:
            pass  # whoever is at the serial port wants the prompt now; the broker will publish "offline"
        self.sum_up()

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
        if self.client is None:
            self.open()
        ms = min(left_ms, self.turn_ms)
        if not self.link():
            sleep_ms(min(ms, _STEP_MS if self.wifi.joining else _BUTTON_MS))
        elif self.linking.attempt(self.serve, ms):
            if clock.uptime_s() - self.up_s > _LASTED_S:
                self.linking.ended()
                self.short = 0
        else:
            self.ended()
            sleep_ms(min(ms, _BUTTON_MS))  # what failed may have left the connection as it was
        now_s = clock.uptime_s()
        if self.running.count and now_s - self.crashed_s > _CALM_S:
            self.running.ended()
        limit_s = self.cfg["reset_after_s"]
        if limit_s and now_s - self.heard_s > limit_s:
            print("radio: nothing has answered for %d s: reset, %d readings wait" % (limit_s, self.waiting()))
            power.restart()

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

    def finish(self, ms: int, status: str = "offline") -> None:
        """Send what waits, for up to ms; publish the status, unless it is "", and disconnect."""
        c = self.client
        if not c:
            return
        end = ticks_add(ticks_ms(), ms)
        while c.isconnected() and self.busy():
            left_ms = ticks_diff(end, ticks_ms())
            if left_ms <= 0:
                break
            self.feed()
            if not self.linking.attempt(self.serve, min(left_ms, _BUTTON_MS)):
                self.ended()
                sleep_ms(min(max(self.linking.pause_ms, 1), left_ms))
        self.feed()
        if c.isconnected() and c.inflight:
            self.linking.attempt(self.unfinished)
        if status and c.isconnected():
            self.linking.attempt(c.publish, self.topic + "status", status, self.retain, 1)
        self.feed()
        self.linking.attempt(c.disconnect)

    def busy(self) -> bool:
        """Whether something is to be sent, or not yet acknowledged."""
        return self.waiting() > 0 or self.client.inflight > 0 or self.greet or self.holding

    def sum_up(self) -> None:
        """One line: readings taken, given to the client, acknowledged by the broker (QoS 0: sent), dropped or refused
        because too many waited or the broker did not take them; and the lowest free heap."""
        self.note_heap()
        print("summary: taken=%d published=%d acknowledged=%d dropped=%d heap_low_b=%d" % (
            self.taken, self.published, max(0, self.published + self.before - self.readings_in_flight()),
            self.dropped + self.refused, self.low_b,
        ))  # fmt: skip

    def readings_in_flight(self) -> int:
        """Readings that the client has and the broker has not yet acknowledged."""
        c = self.client
        if not c or not c.inflight:
            return 0
        from umqtt.takeback import unacknowledged

        return sum([1 for _, topic, _ in unacknowledged(c) if self.is_reading(topic)])

    def is_reading(self, topic: bytes) -> bool:
        """Whether a message under `topic` (b"": the broker has it) is a reading."""
        own = self.topic.encode()
        return not topic or topic.startswith(own) and topic != own + b"status"

    def lost(self, words: str) -> None:
        """A reading was given up: it is counted, and told once for a time."""
        self.dropped += 1
        self.full.failed(words)

    def note_heap(self) -> None:
        """What is free after a collection, if it is the lowest."""
        gc.collect()
        self.low_b = min(self.low_b, gc.mem_free())

    # measuring

    def measure(self) -> None:
        """Read every sensor, and set the time of the next measurement."""
        for number, source in enumerate(self.sources):
            values = source.trouble.attempt(source.read)
            self.feed()  # each sensor has its own time
            if values is None:
                continue
            for field, value in enumerate(values):  # pyright: ignore[reportArgumentType]
                self.taken += 1
                self.keep(number, field, value)
        interval_ms = int(self.cfg["interval_s"] * 1000)
        self.t_next = ticks_add(self.t_next, interval_ms)
        if ticks_diff(self.t_next, ticks_ms()) <= 0:  # late by a whole interval: no burst to catch up, and time to send
            self.t_next = ticks_add(ticks_ms(), interval_ms)
        self.note_heap()

    def message(self, number: int, field: int, value, up_s: int, seq: int):
        """Topic and payload of a reading that was taken at uptime up_s."""
        source = self.sources[number]
        quantity, unit, places = source.sensor.fields[field]
        time = clock.unix_s(up_s)
        if time is None:
            time = 'null,"up_s":%d' % up_s
        payload = '{"value":%s,"unit":"%s","time":%s,"seq":%d}' % (decimal(value, places), unit, time, seq)
        return self.topic + source.name + "/" + quantity, payload

    def unfinished(self) -> None:
        """finish() could not send all."""

    # reaching the broker

    def make_client(self, kind, store=None, slots: int = 1, buffer_b: int = 64):
        """A client that is not yet connected; kind: MQTTClient."""
        cfg = self.cfg
        ssl = None
        if cfg["tls"]:
            from tls_context import make

            ssl = make(cfg["tls_ca"], cfg["tls_cert"], cfg["tls_key"])
        return kind(
            self.client_id, self.brokers[0], cfg["port"], cfg["user"] or None, cfg["password"] or None,
            cfg["keepalive_s"], ssl, rx_size=buffer_b, timeout_ms=cfg["timeout_s"] * 1000, inflight=slots, store=store,
        )  # fmt: skip

    def open(self) -> None:
        """Load the library and make the client. Only now: the first reading need not wait for it, nor WiFi."""
        from umqtt.client import MQTTClient

        store, slots = self.store()
        c = self.make_client(MQTTClient, store, slots)
        if self.cfg["will"]:
            c.set_last_will(self.topic + "status", "offline", self.retain, 1)
        self.port = c.port
        self.client = c
        if store:
            self.before = self.readings_in_flight()
            self.find_status()
            self.first = store.pid < 0  # nothing of an earlier life: else the ids go on where they were
            if self.qos < 2:
                self.lower(self.qos)  # the journal may hold what was taken with another qos in config.json
        else:
            self.queue.grow(self.cfg["queue"])
            if self.queue.most < self.cfg["queue"]:
                print("queue: memory for %d of %d readings" % (self.queue.most, self.cfg["queue"]))

    def find_status(self) -> None:
        """A status that an earlier life could not send is in flight again: one of them is enough."""
        c = self.client
        if c.inflight:
            from umqtt.takeback import take_back, unacknowledged

            for pid, topic, _ in unacknowledged(c):
                if topic == (self.topic + "status").encode():
                    take_back(c, self.status_pid)
                    self.status_pid = pid

    def link(self) -> bool:
        """Whether the broker is there; one step, when one is due, at what is missing: WiFi, the broker, the time."""
        if not self.client.isconnected():
            if self.silent >= _REJOIN and not self.wifi.joining and self.linking.due():
                self.silent = 0
                self.wifi.off()  # a radio that went dead says it is connected
            if not self.wifi.isconnected() or self.wifi.joining:
                if not self.join():
                    return False
            self.set_clock()
            self.feed()
            if not self.linking.attempt(self.connect):
                self.next_broker()
                return False
            return True
        self.set_clock()
        return True

    def join(self) -> bool:
        """One step of joining WiFi; whether it is joined. Blocks for 100 ms at most."""
        if not self.wifi.joining:
            self.joining.attempt(self.wifi.start, self.cfg["wifi_timeout_s"] * 1000)
        elif self.joining_step():
            self.joining.ended()
            print("wifi: joined", self.cfg["wifi_ssid"])
            return True
        return False

    def joining_step(self):
        try:
            return self.wifi.joined()
        except OSError as e:
            self.joining.failed(e)

    def address(self):
        """(host, port) of the broker whose turn it is."""
        host, _, port = self.brokers[self.broker].partition(":")
        return host, int(port) if port else self.port

    def next_broker(self) -> None:
        """After an attempt that failed: the next in the list at once, a pause after the last."""
        if self.linking.due():
            return
        self.broker += 1
        if self.broker < len(self.brokers):
            self.linking.pause_ms = 0
        else:
            self.broker = 0

    def connect(self) -> None:
        """One attempt at one broker. Raises OSError, MQTTException, ProtocolError."""
        from umqtt.client import MQTTException

        c = self.client
        self.silent += 1
        c.server, c.port = self.address()
        try:
            if self.first or self.wiped != self.broker:
                self.wipe()
            present = c.connect()
        except MQTTException:
            self.answered()  # if not as it was hoped for
            raise
        except OSError as e:
            if e.args and e.args[0] in (104, 111):
                self.answered()  # the machine is there, the broker is not
            raise
        self.answered()
        if not present:
            for source in self.sources:
                source.announced = 0  # it has forgotten what it was told
        for source in self.sources:
            if source.announced == _UNTOLD:
                source.announced = 0
        self.greet = self.greeting
        self.announcing = None
        self.asked = self.holding = False
        self.untaken_s = 0
        self.waited_for = c.inflight
        self.t_wait = self.t_up = ticks_ms()
        self.up_s = clock.uptime_s()
        print("broker: connected to %s as %s" % (c.server, self.topic))

    def answered(self) -> None:
        """Something out there lives: the radio works."""
        self.silent = 0
        self.heard_s = clock.uptime_s()

    def wipe(self) -> None:
        """End the session that the broker may keep of an earlier life: it would take a new message for an old one
        with its packet id. By a client of its own, so that nothing in flight is sent. Raises as connect() does."""
        from umqtt.client import MQTTClient

        c = self.make_client(MQTTClient, None, 1, 16)
        c.server, c.port = self.address()
        c.clean_session = True
        c.timeout_ms = self.client.timeout_ms
        c.connect()
        c.disconnect()
        self.first = False
        self.wiped = self.broker
        self.feed()

    def set_clock(self) -> None:
        """Ask the time server, when that is due; readings do without it."""
        host = self.cfg["ntp_host"]
        due = clock.uptime_s() - self.synced_s >= _RESYNC_S
        if due and host and self.timing.attempt(clock.sync, host):
            self.timing.ended()
            self.synced_s = clock.uptime_s()

    # being connected

    def serve(self, ms: int) -> None:
        """Hand over what is to be told, then let the client work for up to ms. Raises what they raise."""
        c = self.client
        if self.greet:
            self.publish_status()
        if self.cfg["ha_prefix"]:
            self.announce()
        if not self.holding:
            self.hand_over()
            if not self.waiting():
                self.end_of_drops()
        got = c.poll(min(ms, self.patience_ms()))
        for _ in range(_PACKETS):  # what else is here, without a wait for each
            if not got:
                break
            self.heard = True
            self.heard_s = clock.uptime_s()
            got = c.poll(0)
        self.look_at_acks()
        if self.published and not self.acked and not c.inflight:
            self.acked = True
            print("broker: took the first readings, %d ms after the start" % ticks_diff(ticks_ms(), self.t_began))

    def end_of_drops(self) -> None:
        """All that waits is on its way again: how much was dropped, if it was."""
        if self.full.count:
            print("queue: %d readings were dropped since the start" % self.dropped)
            self.full.count = 0
            self.full.words = ""

    def publish_status(self) -> None:
        """Say "online"; an earlier one that is still in flight says it already."""
        c = self.client
        if self.status_pid and c.inflight:
            from umqtt.takeback import pending

            if pending(c, self.status_pid):
                self.greet = False
                return
        pid = c.publish(self.topic + "status", "online", self.retain, 1, False)
        if pid:
            self.status_pid = pid
            self.greet = False

    def announce(self) -> None:
        """Tell Home Assistant of what was found since: one message at a time, so that readings find a slot, too. They
        are held back until it had time to subscribe, but not for longer than timeout_s."""
        c = self.client
        if self.announcing:
            from umqtt.takeback import pending, take_back

            source, pid = self.announcing
            late = ticks_diff(ticks_ms(), self.t_announced) > self.cfg["timeout_s"] * 1000
            if pending(c, pid) and not late:
                return
            self.announcing = None
            if pending(c, pid):
                take_back(c, pid)
                source.announced = _UNTOLD
                print("Home Assistant: the broker does not acknowledge what announces %s" % source.name)
            else:
                source.announced += 1
                if source.announced == len(source.sensor.fields):
                    source.announced = TOLD
            self.t_announced = ticks_ms()
        for source in self.sources:
            if source.found and source.announced < len(source.sensor.fields):
                from discovery import announcement

                topic, payload = announcement(self.cfg, self.client_id, self.topic, source, source.announced)
                pid = c.publish(topic, payload, self.retain, 1, False)
                if pid:
                    self.announcing = source, pid
                    self.t_announced = ticks_ms()
                    if not self.holding:
                        self.holding = True
                        self.t_held = self.t_announced
                break
        if self.holding:
            now = ticks_ms()
            settled = not self.announcing and ticks_diff(now, self.t_announced) > _SETTLE_MS
            if settled or ticks_diff(now, self.t_held) > self.cfg["timeout_s"] * 1000 + _SETTLE_MS:
                self.holding = False

    # a broker that does not take a message

    def patience_ms(self) -> int:
        """How long a wait may be while something is awaited that may not come."""
        if self.holding:
            return _BUTTON_MS
        return self.cfg["timeout_s"] * 1000 if self.client.inflight else _TURN_MS

    def look_at_acks(self) -> None:
        """An acknowledgement that is late by timeout_s asks whether the link lives. A link that does not answer is
        ended; one that lives while nothing is acknowledged for a minute has a broker that does not take the message.
        Raises OSError."""
        c = self.client
        now = ticks_ms()
        if c.inflight != self.waited_for or not c.inflight:
            self.waited_for = c.inflight
            self.t_wait = now
            self.asked = False
            self.untaken_s = 0
            return
        limit_ms = self.cfg["timeout_s"] * 1000
        if not self.asked:
            if ticks_diff(now, self.t_wait) > limit_ms:
                c.ping()
                self.asked = True
                self.heard = False
                self.t_asked = now
        elif self.heard:
            self.untaken_s += ticks_diff(now, self.t_wait) // 1000
            self.t_wait = now
            self.asked = False
            if self.untaken_s > max(_UNTAKEN_S, 3 * self.cfg["timeout_s"]):
                self.untaken_s = 0
                self.strike("does not acknowledge")
                c.disconnect(0)  # the next connection repeats it: there is no other way to ask again
                raise OSError("no acknowledgement, though the link lives")
        elif ticks_diff(now, self.t_asked) > limit_ms:
            c.disconnect(0)
            raise OSError("no answer for %d s: the link is dead" % (2 * self.cfg["timeout_s"]))

    def ended(self) -> None:
        """serve() has raised. Where the broker ended the connection: was that for a message, or for another device?"""
        c = self.client
        self.broker = 0  # a blink: the first in the list is tried first again
        words = self.linking.words
        if c.isconnected() or not self.wifi.isconnected() or words not in ("closed by the broker", "link is down"):
            return
        stood_s = clock.uptime_s() - self.up_s
        if c.inflight and stood_s < _AT_ONCE_S:
            self.strike("ends the connection at")
        elif stood_s < _LASTED_S:
            self.short += 1
            if self.short == 3:
                print("broker: closed again and again: has another device this client_id?")

    def strike(self, words: str) -> None:
        """The broker did not take the oldest message in flight. QoS 2, three times in a row: QoS 1 from now on. QoS 1,
        eight times: the message is given up. Told and counted."""
        from umqtt.takeback import take_back, unacknowledged

        c = self.client
        for pid, topic, qos in unacknowledged(c):
            break
        else:
            return
        if pid != self.late_pid:
            self.late_pid = pid
            self.strikes = 0
        self.strikes += 1
        is_reading = self.is_reading(topic)
        topic = str(topic, "utf-8") or "a message that it has"
        if qos > 1:
            if self.strikes >= _STRIKES:
                self.strikes = 0
                print("broker: it %s %s in QoS 2: QoS 1 from now on (set qos to 1)" % (words, topic))
                self.qos = min(self.qos, 1)
                self.lower(1)
        elif self.strikes >= (_MOST_STRIKES if is_reading else _STRIKES):
            self.strikes = 0
            take_back(c, pid)
            if is_reading:
                self.refused += 1
                print("broker: it %s %s: given up, %d so far" % (words, topic, self.refused))
            else:
                self.greeting = False
                print("broker: it %s %s: not sent any more (if it takes no retained message: set retain to false)" % (
                    words, topic))  # fmt: skip

    def lower(self, qos: int) -> None:
        """What is in flight in a higher QoS is sent in this one (0: 1, for it has its slot), as new messages."""
        from umqtt.takeback import take_back, unacknowledged

        c = self.client
        for pid, _, had in unacknowledged(c):
            if had > max(qos, 1):
                message = take_back(c, pid)
                if message:  # else the broker has it
                    topic, payload, retain, _ = message
                    c.publish(topic, payload, retain, max(qos, 1), False)
