"""What a board does while its power fails: each scene is a program that is run, cut, and run again until it ends.

`Scene.live()` is the board's program from boot to its end; everything in `self` but what live() makes is the world
around the board, and the memory that power leaves. `verdict()` counts, from what the broker and the world saw.
MicroPython only.
"""

import os

import umqtt.v5
import vfs
from fakes.bench import World
from fakes.bench5 import load5
from fakes.model import Model
from fakes.model5 import Model5
from fakes.net import Plan
from power.flash import Flash, Power, PowerCut, Rtc, formatted
from umqtt import wire
from umqtt.client import MQTTClient
from umqtt.outbox import LATEST, Outbox
from umqtt.rtc import Region, RtcJournal
from umqtt.store import FileJournal, Store

load5()

ROOT = "/board"
TOPIC = b"node/t"
IN = b"node/in"
TURNS = 400  # of a program that should have ended long before

_fresh = {}


class Scene:
    """The common ground. `readings`: taken by the program; those it was told are safe stand in `taken`."""

    Broker = Model
    blocks = 16
    readings = 4
    qos = 2
    compact_b = 96
    limit_b = 4096
    segment_b = 512
    reserve_b = 4000
    inflight = 2
    power_is_lost = True  # False: a reset, RTC memory survives
    padding = b""

    def __init__(self):
        if self.blocks not in _fresh:
            _fresh[self.blocks] = formatted(self.blocks)
        self.cells = bytearray(_fresh[self.blocks])
        self.rtc_cells = b""
        self.world = World(self.Broker)
        self.broker = self.world.broker
        self.tried = 0
        self.taken = []
        self.effects = []
        self.erases = self.programs = self.programmed_b = self.rtc_writes = 0
        self.prepare()

    def prepare(self):
        pass

    def life(self, at=0, torn=False):
        """One power-on, cut at operation `at`. Returns (operations, whether the program reached its end)."""
        power = Power(at, torn)
        flash = Flash(power, self.cells)
        self.rtc = Rtc(power, b"" if self.power_is_lost else self.rtc_cells)
        vfs.mount(vfs.VfsLfs2(flash), ROOT)
        ended = False
        try:
            self.live()
            ended = True
        except PowerCut:
            pass
        finally:
            vfs.umount(ROOT)
            flash.over = True
            self.cells = bytearray(flash.cells)
            self.rtc_cells = self.rtc.cells
            self.programs += flash.programs
            self.programmed_b += flash.programmed_b
            self.erases += flash.erases
            self.rtc_writes += self.rtc.writes
        return power.ops, ended

    def journal(self):
        return FileJournal(ROOT + "/journal", self.compact_b, reserve_b=self.reserve_b)

    def store(self):
        return Store(self.journal())

    def outbox(self, store):
        return Outbox(ROOT + "/queue", store, None, self.limit_b, self.segment_b)

    def client(self, store):
        client = MQTTClient("board", "broker.test", inflight=self.inflight, store=store)
        client.set_callback(self.callback)
        return client

    def callback(self, topic, payload, retained):
        self.effects.append(payload)

    def take(self, outbox, **policy):
        """Take one reading; what add() returned for is safe."""
        self.tried += 1
        number = self.tried
        outbox.add(TOPIC, b"%d" % number + self.padding, self.qos, **policy)
        self.taken.append(number)

    def pump(self, client, outbox=None, until=lambda: True):
        for _ in range(TURNS):
            if outbox:
                outbox.drain(client)
            if not client.poll(0) and not client.inflight and not (outbox and outbox.waiting) and until():
                return
            self.world.clock.sleep_ms(1)
        raise AssertionError("no end: in flight %d" % client.inflight)

    def live(self):
        store = self.store()
        outbox = self.outbox(store)
        while len(self.taken) < self.readings:
            self.take(outbox)
        client = self.client(store)
        client.connect()
        self.pump(client, outbox)
        client.disconnect()
        store.close()

    def arrived(self):
        return [int(payload) for topic, payload, qos in self.broker.accepted if topic == TOPIC.decode()]

    def verdict(self):
        """(lost, repeated, out of order, other faults in words)."""
        came = self.arrived()
        lost = [number for number in self.taken if number not in came]
        repeated = len(came) - len(set(came))
        order = 0
        for i in range(1, len(came)):
            if came[i] < came[i - 1]:
                order += 1
        return len(lost), repeated, order, self.broker.violations


class Send(Scene):
    """Four readings of QoS 2 wait in the outbox, and go out through two slots."""


class Large(Scene):
    """Messages that are larger than what littlefs2 keeps within a directory, and than the send buffer."""

    padding = b" " * 300
    readings = 3


class Batch(Scene):
    """Eight readings wait, in few files; the window is wide: several records to a write."""

    readings = 8
    inflight = 8
    compact_b = 1024


class Qos1(Scene):
    """At least once: nothing is lost; what came twice is counted, not blamed."""

    qos = 1

    def verdict(self):
        lost, repeated, order, faults = Scene.verdict(self)
        self.twice = repeated
        return lost, 0, 0, faults


class Direct(Scene):
    """No outbox: publish() itself says that a message is safe when it returns."""

    def live(self):
        store = self.store()
        client = self.client(store)
        client.connect()
        while len(self.taken) < self.readings:
            if not client.free_slots():
                self.pump(client)
                continue
            self.tried += 1
            number = self.tried
            client.publish(TOPIC, b"%d" % number, qos=2, wait=False)
            self.taken.append(number)
        self.pump(client)
        client.disconnect()
        store.close()


class Forgetful(Scene):
    """The broker loses its sessions between two lives: what it had not acknowledged goes out anew, and nothing is
    lost."""

    def live(self):
        if not self.taken:
            self.lives = 0
        self.lives += 1
        if self.lives == 2:
            self.broker.stop()
            self.broker.forget()
        Scene.live(self)

    def verdict(self):
        lost, repeated, order, faults = Scene.verdict(self)
        return lost, max(0, repeated - self.inflight), 0, faults


class Receive(Scene):
    """Incoming QoS 2; the effect lives in the state bytes, so that it happens once."""

    messages = 4

    def prepare(self):
        self.sent = 0

    def live(self):
        self.st = store = self.store()
        client = self.client(store)
        client.connect()
        if wire.text(IN) not in client._granted_qos:
            client.subscribe(IN, 2)
        while self.sent < self.messages:
            self.sent += 1
            self.broker.inject(IN.decode(), b"%d" % self.sent, 2)
        self.pump(client, None, self.all_here)
        client.disconnect()
        store.close()

    def all_here(self):
        kept = self.broker.sessions.get("board")
        return not kept.out and not kept.queue

    def callback(self, topic, payload, retained):
        return self.st.state + payload

    def live_state(self):
        vfs.mount(vfs.VfsLfs2(Flash(Power(), self.cells)), ROOT)
        state = self.store().state
        vfs.umount(ROOT)
        return state

    def verdict(self):
        came = list(self.live_state())
        want = list(b"1234"[: self.messages])
        lost = [number for number in want if number not in came]
        return len(lost), len(came) - len(set(came)), int(came != sorted(came)), self.broker.violations


class Relay(Receive):
    """What comes is published on from the callback: the note that it came and the new message are one write."""

    def callback(self, topic, payload, retained):
        self.c.publish(TOPIC, payload, qos=2)

    def client(self, store):
        self.c = Scene.client(self, store)
        return self.c

    inflight = 8

    def verdict(self):
        self.taken = [1, 2, 3, 4]
        return Scene.verdict(self)


class Latest(Scene):
    """Only the last reading of a topic is wanted; others between them must arrive. The outbox is small and is
    squeezed."""

    readings = 40
    limit_b = 1024
    segment_b = 256

    def live(self):
        store = self.store()
        outbox = self.outbox(store)
        while len(self.taken) < self.readings:
            if self.tried % 10 == 5:
                self.take(outbox)
            else:
                self.tried += 1
                outbox.add("node/latest", b"%d" % self.tried, 2, keep=LATEST)
                self.taken.append(self.tried)
        client = self.client(store)
        client.connect()
        self.pump(client, outbox)
        client.disconnect()
        store.close()

    def verdict(self):
        came = [int(payload) for topic, payload, qos in self.broker.accepted]
        must = [number for number in self.taken if number % 10 == 6] + self.taken[-1:]
        lost = [number for number in must if number not in came]
        if max(came) < self.taken[-1]:
            lost.append(self.taken[-1])
        return len(lost), len(came) - len(set(came)), int(came != sorted(came)), self.broker.violations


class Full(Scene):
    """More readings than the outbox has room for: refused in words, and what was not refused arrives."""

    readings = 24
    limit_b = 512
    segment_b = 128

    def live(self):
        store = self.store()
        outbox = self.outbox(store)
        while self.tried < self.readings:
            try:
                self.take(outbox)
            except OSError as error:
                if error.errno != 28 or "outbox full" not in str(error):
                    raise
                self.refused = True
        client = self.client(store)
        client.connect()
        self.pump(client, outbox)
        client.disconnect()
        store.close()

    def verdict(self):
        lost, repeated, order, faults = Scene.verdict(self)
        if not getattr(self, "refused", False):
            faults = faults + ["nothing was refused"]
        return lost, repeated, order, faults


class FlashFull(Full):
    """The file system itself is full: refused with ENOSPC, the journal stays whole."""

    blocks = 10
    limit_b = 65536
    segment_b = 512
    readings = 12

    def prepare(self):
        flash = Flash(Power(), self.cells)
        vfs.mount(vfs.VfsLfs2(flash), ROOT)
        with open(ROOT + "/ballast", "wb") as file:
            file.write(bytes(4 * 4096))
        vfs.umount(ROOT)

    def live(self):
        store = self.store()
        outbox = self.outbox(store)
        while self.tried < self.readings:
            try:
                self.tried += 1
                outbox.add(TOPIC, b"%d" % self.tried + b" " * 400, 2)
                self.taken.append(self.tried)
            except OSError as error:
                if error.errno != 28:
                    raise
                self.refused = True
        client = self.client(store)
        for _ in range(TURNS):
            if not client.isconnected():
                client.connect()
            try:
                self.pump(client, outbox)
                break
            except OSError as error:  # the journal has no room: what waits in the outbox leaves when there is some
                if error.errno != 28:
                    raise
                os.remove(ROOT + "/ballast")
        client.disconnect()
        store.close()


class DiskFull(Scene):
    """Readings until the outbox refuses, then somebody else fills what is left of the file system: all that was taken
    leaves, and nothing has to be removed for it."""

    blocks = 14
    limit_b = 1 << 20
    reserve_b = 8000
    padding = b" " * 150
    filled = False

    def fill(self, outbox):
        try:
            while True:
                self.take(outbox)
        except OSError as error:
            if error.errno != 28:
                raise
        for number in range(self.blocks):
            try:
                with open(ROOT + "/ballast%d" % number, "wb") as file:
                    file.write(bytes(4000))
            except OSError as error:
                if error.errno != 28:
                    raise
        self.filled = True

    def live(self):
        store = self.store()
        outbox = self.outbox(store)
        if not self.filled:
            self.fill(outbox)
            if os.statvfs(ROOT)[4] > 0:
                raise AssertionError("%d blocks are free" % os.statvfs(ROOT)[4])
        client = self.client(store)
        client.connect()
        self.pump(client, outbox)
        client.disconnect()
        store.close()


class RtcReset(Scene):
    """Journal and stage in RTC memory, a reset at any write: nothing is lost, and no flash is written."""

    power_is_lost = False
    readings = 6

    def store(self):
        return Store(RtcJournal(Region(self.rtc.memory, 64, 320), self.journal()))

    def outbox(self, store):
        return Outbox(ROOT + "/queue", store, Region(self.rtc.memory, 384, 512), self.limit_b, self.segment_b)


class RtcFull(RtcReset):
    """RTC memory as small as an ESP8266's: what does not fit overflows to flash, and comes back."""

    readings = 12

    def store(self):
        return Store(RtcJournal(Region(self.rtc.memory, 64, 80), self.journal()))

    def outbox(self, store):
        return Outbox(ROOT + "/queue", store, Region(self.rtc.memory, 144, 128), self.limit_b, self.segment_b)


class RtcCut(RtcFull):
    """The same, and power cuts that take RTC memory. What it held is lost; of what had overflowed to flash nothing
    comes again that had ended before the outbox was asked for more."""

    power_is_lost = True
    readings = 24
    ended = 0  # so many of those that arrived
    again = 0

    def live(self):
        store = self.store()
        outbox = self.outbox(store)
        while len(self.taken) < self.readings:
            self.take(outbox)
        client = self.client(store)
        client.connect()
        while outbox.waiting or client.inflight:
            if not client.inflight:
                arrived = len(self.arrived())
                outbox.drain(client)
                self.ended = arrived
            client.poll(0)
            self.world.clock.sleep_ms(1)
        client.disconnect()
        store.close()

    def life(self, at=0, torn=False):
        ended = self.arrived()[: self.ended]
        came = len(self.arrived())
        got = Scene.life(self, at, torn)
        self.again += len([number for number in self.arrived()[came:] if number in ended])
        return got

    def verdict(self):
        return 0, self.again, 0, self.broker.violations


class LinkOut(Scene):
    """One message of QoS 2 out, over a link that is cut once and made again."""

    readings = 1

    def cut_link(self, **plan):
        self.world.net.plans = [Plan(**plan)]

    def online(self, store, outbox=None, until=lambda: True):
        client = self.client(store)
        for _ in range(4):
            try:
                client.connect()
                self.first(client)
                self.pump(client, outbox, until)
                client.disconnect()
                store.close()
                return
            except OSError as error:
                if error.errno == 28:
                    raise
        raise AssertionError("no link")

    def first(self, client):
        pass

    def live(self):
        store = self.store()
        outbox = self.outbox(store)
        while len(self.taken) < self.readings:
            self.take(outbox)
        self.online(store, outbox)


class LinkIn(Receive, LinkOut):
    """One message of QoS 2 in, over a link that is cut once and made again."""

    messages = 1

    def first(self, client):
        if wire.text(IN) not in client._granted_qos:
            client.subscribe(IN, 2)
        while self.sent < self.messages:
            self.sent += 1
            self.broker.inject(IN.decode(), b"%d" % self.sent, 2)

    def live(self):
        self.st = self.store()
        self.online(self.st, None, self.all_here)


class Mixed(Receive):
    """Readings of any size, incoming messages, links that end, in the order that `seed` decides; both ways count."""

    readings = 12
    messages = 6
    inflight = 3
    seed = 1

    def any(self, above):
        """0 to n - 1."""
        self.seed = (self.seed * 1103515245 + 12345) & 0x3FFFFFFF
        return (self.seed >> 8) % above

    def ended(self, client, outbox):
        if len(self.taken) < self.readings or self.sent < self.messages:
            return False
        return not outbox.waiting and not client.inflight and self.all_here()

    def turn(self, client, outbox):
        if not client.isconnected():
            client.connect()
        if wire.text(IN) not in client._granted_qos:
            client.subscribe(IN, 2)
        what = self.any(10)
        if what < 3 and len(self.taken) < self.readings:
            self.padding = b" " * self.any(200)
            self.take(outbox)
        elif what < 5 and self.sent < self.messages:
            self.sent += 1
            self.broker.inject(IN.decode(), b"%d" % self.sent, 2)
        elif what == 5:
            self.world.link.end(("fin", "rst")[self.any(2)])
        outbox.drain(client)
        client.poll(self.any(3))
        self.world.clock.sleep_ms(1)

    def live(self):
        self.st = store = self.store()
        outbox = self.outbox(store)
        client = self.client(store)
        for _ in range(TURNS):
            try:
                self.turn(client, outbox)
            except OSError as error:
                if error.errno == 28:
                    raise
            if self.ended(client, outbox):
                break
        else:
            raise AssertionError("no end: in flight %d" % client.inflight)
        client.disconnect()
        store.close()

    def verdict(self):
        inward = Receive.verdict(self)
        outward = Scene.verdict(self)
        return inward[0] + outward[0], inward[1] + outward[1], inward[2] + outward[2], self.broker.violations


class RtcMixed(Mixed):
    """The same over resets, in RTC memory as small as an ESP8266's."""

    power_is_lost = False
    store = RtcFull.store
    outbox = RtcFull.outbox


class _WithMqtt5:
    """Before a scene: the same with MQTT 5. Each message of the outbox has an expiry, and arrives with one."""

    client_id = "board"

    def Broker(self, clock):
        return Model5(clock, takes=2)

    def take(self, outbox, **policy):
        Scene.take(self, outbox, expire_s=86400, **policy)

    def client(self, store):
        client = umqtt.v5.MQTTClient(
            self.client_id, "broker.test", inflight=self.inflight, store=store, session_expiry_s=86400
        )
        client.set_callback(self.callback)
        return client


class Send5(_WithMqtt5, Send):
    """Also in flight, over any number of resets."""

    def verdict(self):
        lost, repeated, order, faults = Scene.verdict(self)
        bare = [row for row in self.broker.expiries(TOPIC.decode()) if row[1] is None or not 0 < row[1] <= 86400]
        return lost, repeated, order, faults + bare


class Assigned5(Send5):
    """The broker gives the client its id: the store has it before a message leaves."""

    client_id = ""


class LinkOut5(_WithMqtt5, LinkOut):
    """One message of QoS 2 out, over a link that is cut once and made again."""


class Mixed5(_WithMqtt5, Mixed):
    """Readings, incoming messages and links that end, in any order."""


_ALL = (
    Send,
    Large,
    Batch,
    Qos1,
    Direct,
    Forgetful,
    Receive,
    Relay,
    Latest,
    Full,
    FlashFull,
    DiskFull,
    RtcReset,
    RtcFull,
    RtcCut,
    Send5,
    Assigned5,
)
SCENES = {scene.__name__: scene for scene in _ALL}
RANDOM = {"Mixed": Mixed, "RtcMixed": RtcMixed, "Mixed5": Mixed5}
PRODUCT = {scene.__name__: scene for scene in (LinkOut, LinkIn, LinkOut5)}
