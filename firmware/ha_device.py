"""Home Assistant is told of the whole board in one message, its device-based discovery (2024.12 and newer), which goes
out in pieces and is never held. Imported only when `ha_device` asks for it.

A file notes which entities were told, so that one that is gone is taken back, and that the board has this form: without
the file the messages about single entities are taken back first, and announcing.py, without the key, this one.
"""

import sys
from time import ticks_ms

from micropython import const

from discovery import Announcer
from flags import RETAINED

_TOLD = const(255)  # in `announced`: discovery's
_UNTOLD = const(254)
_MOST_LEFT = const(16)


class _Parts:
    """The reader of a stream: texts, one after the other, as bytes."""

    def __init__(self, texts):
        self.texts = texts
        self.rest = b""

    def readinto(self, buf) -> int:
        if not self.rest:
            self.rest = memoryview(next(self.texts, "").encode())
        n = min(len(buf), len(self.rest))
        buf[:n] = self.rest[:n]
        self.rest = self.rest[n:]
        return n


class DeviceAnnouncer(Announcer):
    """Tells Home Assistant of all that was found in one message, and again when more was found."""

    def step(self, c) -> bool:
        """One step with client c; whether readings are to be held back. Blocks for an acknowledgement, timeout_s at
        most, when there is something to be told. Raises what publish does."""
        for thing in self.things:
            if thing.found and thing.announced < _UNTOLD:
                if not c.free_slots():
                    return self.holding  # in a moment
                self.holding = True
                self.t_held = ticks_ms()
                self.tell(c)
                self.t_told = ticks_ms()
                break
        return super().step(c)

    def tell(self, c) -> None:
        """Publish it, and what it takes the place of, to client c. Raises what publish does."""
        from announcement import NOTE, device_topic
        from umqtt.stream import publish

        try:
            with open(NOTE) as f:
                earlier = f.read()
        except OSError:
            earlier = ""
            self.take_back(c)
        now = "".join(["%s %s\n" % (component, name) for component, name, _ in self.entities(False)])
        gone = [line for line in earlier.split("\n") if line and line + "\n" not in now]
        length_b = 0
        for text in self.texts(gone):
            length_b += len(text.encode())
        timeout_ms = self.cfg["timeout_s"] * 1000
        announced = _TOLD
        try:
            publish(c, device_topic(self), _Parts(self.texts(gone)), length_b, self.cfg["retain"], 1, timeout_ms)
        except OSError:
            if not c.isconnected():
                raise
            announced = _UNTOLD
            print("Home Assistant: the broker does not acknowledge what announces the board")
        for thing in self.things:
            if thing.found:
                thing.announced = announced
        if announced == _TOLD and now != earlier:
            with open(NOTE, "w") as f:
                f.write(now)
        for name in ("announcement", "umqtt.stream"):
            sys.modules.pop(name, None)

    def entities(self, found: bool):
        """What the announcement of each says, of those only whose sensor was found, or of all."""
        from announcement import entity

        for thing in self.things:
            for field in range(len(thing.sensor.fields)):
                if thing.found or not found:
                    yield entity(self, thing, field)

    def texts(self, gone):
        """The message, one entity after the other; of those that are gone the component alone, which removes them."""
        from announcement import of_all

        yield '{%s,"cmps":{' % of_all(self)
        comma = ""
        for component, name, own in self.entities(True):
            yield '%s"%s-%s":{"p":"%s",%s}' % (comma, component, name, component, own[:-1])
            comma = ","
        for line in gone:
            component, name = line.split(" ")
            yield ',"%s-%s":{"p":"%s"}' % (component, name, component)
        yield "}}"

    def take_back(self, c) -> None:
        """The messages about single entities, in the way in which Home Assistant keeps what is set for them."""
        from announcement import MIGRATE

        for component, name, _ in self.entities(False):
            topic = "%s/%s/%s/%s/config" % (self.cfg["ha_prefix"], component, self.id, name)
            c.publish(topic, MIGRATE, False, 1)
            c.publish(topic, "", True, 1)
            self.node.feed()

    def seen(self, topic: bytes, payload, flags: int) -> None:
        """A message of the broker's about us: all but the one are to be cleared."""
        from announcement import device_topic

        own = device_topic(self)
        sys.modules.pop("announcement", None)
        if payload and flags & RETAINED and topic.endswith(b"/config") and topic != own.encode():
            if len(self.left) < _MOST_LEFT:
                self.left.append(str(topic, "utf-8"))
