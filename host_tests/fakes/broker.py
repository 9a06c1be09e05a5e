"""A scripted broker that reads as a sequence chart. The script is written first, the calls of the client follow,
done() closes.

    b.expect(CONNECT, clean=0)
    b.send(CONNACK)
    b.expect(PUBLISH, qos=2, dup=0, pid=1)
    b.cut()                                 # the link ends; the script goes on with the next connection
    b.expect(CONNECT)
    b.send(CONNACK, sp=1)
    b.expect(PUBLISH, qos=2, dup=1, pid=1)
    c.connect(); ...
    b.done()

What comes and is not expected fails the test, both packets decoded.
"""

from fakes import packets
from fakes.packets import CONNACK, CONNECT, NAMES, PINGREQ, PINGRESP, Malformed, describe


class Unexpected(AssertionError):
    """The client did something else than the script says."""


class Script:
    """`auto_ping`: PINGREQs are answered and need no line in the script. codec: `packets`, or `packets5`."""

    def __init__(self, clock, auto_ping=False, codec=packets):
        self.codec = codec
        self.clock = clock
        self.auto_ping = auto_ping
        self.steps = []
        self.link = None
        self.reader = None
        self.got = []  # every packet that came
        self.times = []  # and when
        self.links = 0
        self.ended_links = 0
        self.failure = None
        self._paused = False

    # the script

    def expect(self, kind, **fields):
        """The client's next packet is of this kind, with these fields."""
        self._add(("expect", kind, fields))

    def expect_any(self, *packets):
        """The next packets are these (kind, fields), in any order."""
        self._add(("any", [list(packet) for packet in packets], None))

    def send(self, kind, pid=None, **fields):
        self._add(("send", self.codec.encode(kind, pid, **fields), None))

    def reply(self, kind, **fields):
        """Send a packet with the id of the packet that came last."""
        self._add(("reply", kind, fields))

    def raw(self, data):
        """Any bytes, as one segment."""
        self._add(("send", bytes(data), None))

    def raw_each(self, data):
        """Any bytes, each in its own segment, a millisecond apart: every read is a short one."""
        for i in range(len(data)):
            self.raw(data[i : i + 1])
            self.wait(1)

    def wait(self, ms):
        """The broker takes its time."""
        self._add(("wait", ms, None))

    def cut(self, how="fin"):
        """The broker's side ends: "fin", "rst" or "silence"."""
        self._add(("cut", how, None))

    def expect_end(self):
        """The client closes the connection."""
        self._add(("end", None, None))

    def call(self, function):
        """Something happens in the world, at this point."""
        self._add(("call", function, None))

    def accept(self, sp=0, **fields):
        """CONNECT and its CONNACK."""
        self.expect(CONNECT, **fields)
        self.send(CONNACK, sp=sp)

    def done(self):
        """The client did all of it, and nothing else. Raises what went wrong."""
        self.clock.run_due()
        if self.failure:
            raise self.failure
        if self.steps:
            raise Unexpected("still in the script: %s\n  came before: %s" % (self._words(self.steps[0]), self.got[-4:]))
        if self.reader and self.reader.rest:
            raise Unexpected("an unfinished packet came: %r" % self.reader.rest)

    def _words(self, step):
        what, given, more = step
        return "expect " + describe(given, more) if what == "expect" else "%s %r" % (what, given)

    def _add(self, step):
        self.steps.append(step)
        self._go()

    def _go(self):
        while self.steps and not self._paused and not self.failure:
            what, given, more = self.steps[0]
            if what in ("expect", "any", "end"):
                return
            if what == "call":
                self.steps.pop(0)
                given()
                continue
            if self.link is None:
                return  # nobody is there yet
            self.steps.pop(0)
            if what == "send":
                self.link.push(given)
            elif what == "reply":
                self.link.push(self.codec.encode(given, self.got[-1].pid, **more))
            elif what == "wait":
                self._paused = True
                self.clock.at(given, self._resume)
            elif what == "cut":
                link, self.link = self.link, None
                link.end(given)

    def _resume(self):
        self._paused = False
        self._go()

    def _fail(self, words):
        if not self.failure:
            self.failure = Unexpected(words)
        raise self.failure

    # the peer of the link

    def opened(self, link):
        self.links += 1
        self.link = link
        self.reader = self.codec.Reader()
        self._go()

    def data(self, link, data):
        if link is not self.link:
            return
        try:
            packets = self.reader.feed(data)
        except Malformed as error:
            self._fail("malformed packet: %s" % error)
        for packet in packets:
            self._came(packet)

    def _came(self, packet):
        self.got.append(packet)
        self.times.append(self.clock.now)
        step = self.steps[0] if self.steps else ("nothing", None, None)
        if self.auto_ping and packet.kind == PINGREQ and not (step[0] == "expect" and step[1] == PINGREQ):
            self.link.push(self.codec.encode(PINGRESP))
            return
        if step[0] == "any":
            for want in step[1]:
                if not self._differs(packet, want[0], want[1]):
                    step[1].remove(want)
                    break
            else:
                self._fail(
                    "came   %r\n  expect one of %s"
                    % (packet, ", ".join(describe(kind, fields) for kind, fields in step[1]))
                )
            if not step[1]:
                self.steps.pop(0)
            self._go()
            return
        if step[0] != "expect":
            self._fail("came   %r\n  script %s" % (packet, self._words(step)))
        self.steps.pop(0)
        bad = self._differs(packet, step[1], step[2])
        if bad:
            self._fail("came   %r\n  expect %s" % (packet, describe(step[1], step[2])))
        self._go()

    def _differs(self, packet, kind, fields):
        if packet.kind != kind:
            return NAMES[kind]
        for name in fields:
            want = fields[name]
            want = want.encode() if name == "payload" and isinstance(want, str) else want
            if getattr(packet, name) != want:
                return name
        return None

    def ended(self, link):
        self.ended_links += 1
        if link is not self.link:
            return
        self.link = None
        if self.steps and self.steps[0][0] == "end":
            self.steps.pop(0)
        self._go()
