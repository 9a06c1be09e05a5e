"""The exchanges that the fault layer breaks, the program that lives through the break, and what must hold afterwards.

A run: a client and a model broker on a link with a Plan; the program does its steps, connects again whenever the
link is gone (on
sound links), and goes on until nothing is in flight on either side. Then `verdict` counts what was lost, repeated or
out of order.
"""

from io import BytesIO

from fakes.bench import HOST, World
from fakes.bench5 import client5, load5
from fakes.model import Model
from fakes.model5 import Model5
from fakes.net import UNIX
from umqtt import stream

KEEPALIVE_S = 20
TOPIC_OUT = "out"
TOPIC_IN = "in"

# What was run, for the summary at the end.
TALLY = {"cut points": 0, "short reads and writes": 0, "schedules": 0, "lost": 0, "repeated": 0, "out of order": 0}


class Run:
    """One client, one model broker. `sent`: (payload, qos) as the client accepted them; `given`: what the world
    published to it."""

    def __init__(self, plans, port=UNIX, level=4, **named):
        if level == 5:
            load5()
        self.w = World(Model5 if level == 5 else Model)
        self.w.net.port = port
        self.w.net.plans = list(plans)
        self.w.net.serve(HOST, 8883, self.w.broker)  # for TLS
        named.setdefault("keepalive", KEEPALIVE_S)
        named.setdefault("timeout_ms", 3000)
        self.c = client5(self.w, **named) if level == 5 else self.w.client(**named)
        self.sent = []
        self.c.on_oversize = lambda topic, size_b: None
        self.take_slot = self.c._take_slot
        self.c._take_slot = self._take_slot
        self.given = []
        self.errors = []
        self.forgets = False
        self.busy = False  # the program was away for longer than the keep-alive
        self.refused = False  # a callback raised: its message comes again, behind others
        self.subscribed = False
        self.number = 0

    # the steps

    def _take_slot(self):
        # a message is accepted when it has its slot: whatever the call returns or raises then, it must arrive
        slot = self.take_slot()
        first_byte = slot[1]
        payload = slot[3]
        if first_byte < 0x40 and isinstance(payload, bytes):  # else a stream's, which nobody repeats
            self.sent.append((payload, first_byte >> 1 & 3))
        return slot

    def publish(self, qos, wait=True, size=0):
        payload = b"%d" % self.number + b"." * size
        self.number += 1
        if not qos:
            self.sent.append((payload, 0))
        try:
            self.c.publish(TOPIC_OUT, payload, qos=qos, wait=wait)
        except OSError as e:
            self._noted(e)

    def stream(self, qos, size):
        payload = b"%d" % self.number + b"s" * size
        self.number += 1
        self.sent.append((payload, 0))  # at most once
        self.up()
        self._tried(lambda: stream.publish(self.c, TOPIC_OUT, BytesIO(payload), len(payload), qos=qos, piece_b=32))

    def subscribe(self, qos=2):
        self._tried(lambda: self.c.subscribe(TOPIC_IN, qos))
        self.subscribed = True

    def unsubscribe(self):
        self._tried(lambda: self.c.unsubscribe("something/else"))

    def give(self, qos):
        """The world publishes to the client, once the broker knows of its subscription."""
        self.up()
        for _ in range(100):
            kept = self.w.broker.sessions.get("c1")
            if kept is not None and TOPIC_IN in kept.subs:
                break
            self._tried(lambda: self.c.subscribe(TOPIC_IN, 2))
            self.up()
        payload = b"%d" % self.number
        self.number += 1
        self.given.append((payload, qos))
        self.w.broker.inject(TOPIC_IN, payload, qos)
        self.poll(50)

    def poll(self, ms):
        self._tried(lambda: self.w.serve(self.c, ms))

    def _tried(self, f):
        try:
            f()
        except OSError as e:
            self._noted(e)

    def _noted(self, e):
        self.errors.append(e)
        if e.args[0] == -1 or not str(e):
            raise AssertionError("an error without words: %r" % e)

    def up(self):
        """Connect until it works; a link that is only silent is found out by its keep-alive."""
        for _ in range(20):
            if self.c.isconnected():
                return
            try:
                self.c.connect()
            except OSError as e:
                self._noted(e)
        raise AssertionError("no connection after 20 attempts: %r" % self.errors[-1])

    def settle(self):
        """Until nothing is in flight on either side."""
        broker = self.w.broker
        for _ in range(60):
            self.up()
            kept = broker.sessions.get("c1")
            idle = kept is not None and kept.link is self.w.link and not kept.out and not kept.queue
            if idle and not self.c.inflight and not self.c._send_blocked:
                break
            self.poll(1000)
        else:
            raise AssertionError("never settled: %d in flight, broker %r" % (self.c.inflight, kept and kept.out))
        self.poll(100)
        self.up()

    # afterwards

    def verdict(self, note):
        """Counts into TALLY; raises with everything that is known when something is wrong."""
        broker = self.w.broker
        wrong = [v for v in broker.violations if not (self.busy and "keep-alive" in v)]
        if broker.silence_ms and not self.busy:
            wrong.append("silent for %d ms beyond the keep-alive" % broker.silence_ms)
        got = [p for t, p, q in broker.accepted if t == TOPIC_OUT]
        self._account(self.sent, got, "out", wrong)
        self._account(self.given, [p for _, p, _ in self.w.inbox], "in", wrong)
        opened = self.w.net.open_sockets()
        if len(opened) != 1:
            wrong.append("%d sockets open" % len(opened))
        for s in self.w.net.sockets:
            if s.misuse:
                wrong.append(s.misuse[0])
        c = self.c
        if c.inflight or c._slots_sent or any(m[0] or m[2] or m[3] for m in c._packet_slots):
            wrong.append("slots not given back: %r" % c._packet_slots)
        if len(c._receive_buf) != 256 and len(c._receive_buf) != 64 or len(c._send_buf) > len(c._receive_buf):
            wrong.append("buffers grew")
        if wrong:
            raise AssertionError("%s: %s\n errors %r" % (note, "; ".join(wrong), self.errors))

    def _account(self, wanted, got, way, wrong):
        first = []
        for p in got:
            if p not in first:
                first.append(p)
        order = [p for p, qos in wanted if qos and p in first]
        if [p for p in first if p in order] != order and not (self.refused and way == "in"):
            TALLY["out of order"] += 1
            wrong.append("%s: order %r, sent %r" % (way, first, wanted))
        for payload, qos in wanted:
            n = got.count(payload)
            if n == 0 and qos and not (self.forgets and way == "in"):
                TALLY["lost"] += 1
                wrong.append("%s: %r (QoS %d) was lost" % (way, payload, qos))
            if n > 1 and qos != 1 and not self.forgets:
                TALLY["repeated"] += 1
                wrong.append("%s: %r (QoS %d) came %d times" % (way, payload, qos, n))


def only_connect(r):
    r.up()


def publish_0(r):
    r.up()
    r.publish(0)


def publish_1(r):
    r.up()
    r.publish(1)


def publish_2(r):
    r.up()
    r.publish(2)


def several_in_flight(r):
    r.up()
    for qos in (1, 2, 2, 1):
        r.publish(qos, wait=False)
    r.poll(20)
    r.publish(2)


def subscribe(r):
    r.up()
    r.subscribe()
    r.unsubscribe()


def receive_0(r):
    r.up()
    r.subscribe()
    r.give(0)


def receive_1(r):
    r.up()
    r.subscribe()
    r.give(1)
    r.give(1)


def receive_2(r):
    r.up()
    r.subscribe()
    r.give(2)
    r.give(2)


def both_ways(r):
    r.up()
    r.subscribe()
    r.publish(2, wait=False)
    r.give(2)
    r.publish(1, wait=False)
    r.give(1)
    r.publish(2)


EXCHANGES = (
    only_connect,
    publish_0,
    publish_1,
    publish_2,
    several_in_flight,
    subscribe,
    receive_0,
    receive_1,
    receive_2,
    both_ways,
)


def run(exchange, plans=(), forget=False, **named):
    """One run of an exchange; `plans` for its first links. forget: the broker loses its sessions when the first link
    ends."""
    r = Run(plans, **named)
    if forget:
        r.forgets = True
        ended = r.w.broker.ended
        done = []

        def lose(link):
            ended(link)
            if link.number == 0 and not done:
                done.append(1)
                r.w.broker.forget()

        r.w.broker.ended = lose
    exchange(r)
    r.settle()
    return r


def lengths(exchange, **named):
    """Bytes out and in of the exchange when nothing goes wrong."""
    r = run(exchange, **named)
    r.verdict("undisturbed")
    if r.errors:
        raise AssertionError("undisturbed, and yet %r" % r.errors)
    return r.w.net.links[0].out_b, r.w.net.links[0].in_b
