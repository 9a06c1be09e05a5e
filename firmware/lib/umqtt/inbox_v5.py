"""`inbox` for a client of umqtt.aio_v5: messages with their properties, and answers to its questions."""

from asyncio import core  # pyright: ignore[reportAttributeAccessIssue] - MicroPython's
from micropython import const

from umqtt.engine import LATER, MORE
from umqtt.inbox import Inbox
from umqtt.wire import RETAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from umqtt.received import Received

_RECEIVED = const(4)  # of a message that waits, where it has some: its properties


class Inbox5(Inbox):
    """Attribute answers: those of aio_request, once something was asked."""

    answers: "Any"
    answers = None

    def __init__(self, *args) -> None:
        Inbox.__init__(self, *args)
        self._received_by = []  # [taker, the properties of its message, or None]

    def arrived(self, buf, topic_end, start, end, flags):
        """The view of the client."""
        received = self.client._received_by_task  # None: no message has had properties yet
        topic = received.topic if received else b""  # of an alias
        if self.answers and not flags & (MORE | LATER):
            topic = topic or bytes(buf[2:topic_end])
            payload = bytes(buf[start:end])
            if self.answers.takes(topic, received, payload):
                return None
            if self.client.cb:
                return self.client.cb(topic, payload, flags & RETAIN == RETAIN)
        return Inbox.arrived(self, buf, topic_end, start, end, flags, topic, received and received.copy())

    def handed_over(self, message, taker):
        """What a taker gets of a message; its properties stay in hand until it takes another."""
        received = message[_RECEIVED] if len(message) > _RECEIVED else None
        for row in self._received_by:
            if row[0] is taker:
                row[1] = received
                break
        else:
            for row in list(self._received_by):
                if isinstance(row[0], core.Task) and row[0].done():
                    self._received_by.remove(row)
            self._received_by.append([taker, received])
        return Inbox.handed_over(self, message, taker)

    def received_by_task(self) -> "Received | None":
        """The properties of the message that the task which asks has in hand."""
        of_nobody = None
        for taker, received in self._received_by:
            if taker is core.cur_task:
                return received
            if taker is None:
                of_nobody = received
        return of_nobody
