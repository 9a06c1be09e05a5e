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
        self.world = World(Model5 if level == 5 else Model)
        self.world.net.port = port
        self.world.net.plans = list(plans)
        self.world.net.serve(HOST, 8883, self.world.broker)  # for TLS
        named.setdefault("keepalive", KEEPALIVE_S)
        named.setdefault("timeout_ms", 3000)
        self.client = client5(self.world, **named) if level == 5 else self.world.client(**named)
        self.sent = []
        self.client.on_oversize = lambda topic, size_b: None
        self.take_slot = self.client._take_slot
        self.client._take_slot = self._take_slot
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
            self.client.publish(TOPIC_OUT, payload, qos=qos, wait=wait)
        except OSError as error:
            self._noted(error)

    def stream(self, qos, size):
        payload = b"%d" % self.number + b"s" * size
        self.number += 1
        self.sent.append((payload, 0))  # at most once
        self.up()
        self.tried(lambda: stream.publish(self.client, TOPIC_OUT, BytesIO(payload), len(payload), qos=qos, piece_b=32))

    def subscribe(self, qos=2):
        self.tried(lambda: self.client.subscribe(TOPIC_IN, qos))
        self.subscribed = True

    def unsubscribe(self):
        self.tried(lambda: self.client.unsubscribe("something/else"))

    def give(self, qos):
        """The world publishes to the client, once the broker knows of its subscription."""
        self.up()
        for _ in range(100):
            kept = self.world.broker.sessions.get("c1")
            if kept is not None and TOPIC_IN in kept.subs:
                break
            self.tried(lambda: self.client.subscribe(TOPIC_IN, 2))
            self.up()
        payload = b"%d" % self.number
        self.number += 1
        self.given.append((payload, qos))
        self.world.broker.inject(TOPIC_IN, payload, qos)
        self.poll(50)

    def poll(self, ms):
        self.tried(lambda: self.world.serve(self.client, ms))

    def tried(self, call):
        try:
            call()
        except OSError as error:
            self._noted(error)

    def _noted(self, error):
        self.errors.append(error)
        if error.args[0] == -1 or not str(error):
            raise AssertionError("an error without words: %r" % error)

    def up(self):
        """Connect until it works; a link that is only silent is found out by its keep-alive."""
        for _ in range(20):
            if self.client.isconnected():
                return
            try:
                self.client.connect()
            except OSError as error:
                self._noted(error)
        raise AssertionError("no connection after 20 attempts: %r" % self.errors[-1])

    def settle(self):
        """Until nothing is in flight on either side."""
        broker = self.world.broker
        for _ in range(60):
            self.up()
            kept = broker.sessions.get("c1")
            idle = kept is not None and kept.link is self.world.link and not kept.out and not kept.queue
            if idle and not self.client.inflight and not self.client._send_blocked:
                break
            self.poll(1000)
        else:
            raise AssertionError("never settled: %d in flight, broker %r" % (self.client.inflight, kept and kept.out))
        self.poll(100)
        self.up()

    # afterwards

    def verdict(self, note):
        """Counts into TALLY; raises with everything that is known when something is wrong."""
        broker = self.world.broker
        wrong = [violation for violation in broker.violations if not (self.busy and "keep-alive" in violation)]
        if broker.silence_ms and not self.busy:
            wrong.append("silent for %d ms beyond the keep-alive" % broker.silence_ms)
        got = [payload for topic, payload, qos in broker.accepted if topic == TOPIC_OUT]
        self._account(self.sent, got, "out", wrong)
        self._account(self.given, [payload for _, payload, _ in self.world.inbox], "in", wrong)
        opened = self.world.net.open_sockets()
        if len(opened) != 1:
            wrong.append("%d sockets open" % len(opened))
        for sock in self.world.net.sockets:
            if sock.misuse:
                wrong.append(sock.misuse[0])
        client = self.client
        if client.inflight or client._slots_sent or any(slot[0] or slot[2] or slot[3] for slot in client._packet_slots):
            wrong.append("slots not given back: %r" % client._packet_slots)
        if (
            len(client._receive_buf) != 256
            and len(client._receive_buf) != 64
            or len(client._send_buf) > len(client._receive_buf)
        ):
            wrong.append("buffers grew")
        if wrong:
            raise AssertionError("%s: %s\n errors %r" % (note, "; ".join(wrong), self.errors))

    def _account(self, wanted, got, way, wrong):
        first = []
        for came in got:
            if came not in first:
                first.append(came)
        order = [payload for payload, qos in wanted if qos and payload in first]
        if [payload for payload in first if payload in order] != order and not (self.refused and way == "in"):
            TALLY["out of order"] += 1
            wrong.append("%s: order %r, sent %r" % (way, first, wanted))
        for payload, qos in wanted:
            times = got.count(payload)
            if times == 0 and qos and not (self.forgets and way == "in"):
                TALLY["lost"] += 1
                wrong.append("%s: %r (QoS %d) was lost" % (way, payload, qos))
            if times > 1 and qos != 1 and not self.forgets:
                TALLY["repeated"] += 1
                wrong.append("%s: %r (QoS %d) came %d times" % (way, payload, qos, times))


def only_connect(run):
    run.up()


def publish_0(run):
    run.up()
    run.publish(0)


def publish_1(run):
    run.up()
    run.publish(1)


def publish_2(run):
    run.up()
    run.publish(2)


def several_in_flight(run):
    run.up()
    for qos in (1, 2, 2, 1):
        run.publish(qos, wait=False)
    run.poll(20)
    run.publish(2)


def subscribe(run):
    run.up()
    run.subscribe()
    run.unsubscribe()


def receive_0(run):
    run.up()
    run.subscribe()
    run.give(0)


def receive_1(run):
    run.up()
    run.subscribe()
    run.give(1)
    run.give(1)


def receive_2(run):
    run.up()
    run.subscribe()
    run.give(2)
    run.give(2)


def both_ways(run):
    run.up()
    run.subscribe()
    run.publish(2, wait=False)
    run.give(2)
    run.publish(1, wait=False)
    run.give(1)
    run.publish(2)


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


def run(exchange, plans=(), forget=False, kind=Run, **named):
    """One run of an exchange; `plans` for its first links. forget: the broker loses its sessions when the first link
    ends; kind: the class of the run."""
    run = kind(plans, **named)
    if forget:
        run.forgets = True
        ended = run.world.broker.ended
        done = []

        def lose(link):
            ended(link)
            if link.number == 0 and not done:
                done.append(1)
                run.world.broker.forget()

        run.world.broker.ended = lose
    exchange(run)
    run.settle()
    return run


def lengths(exchange, **named):
    """Bytes out and in of the exchange when nothing goes wrong."""
    ran = run(exchange, **named)
    ran.verdict("undisturbed")
    if ran.errors:
        raise AssertionError("undisturbed, and yet %r" % ran.errors)
    return ran.world.net.links[0].out_b, ran.world.net.links[0].in_b
