"""`inbox` for a client of umqtt.aio_v5: messages with their properties, and answers to its questions."""

from asyncio import core  # pyright: ignore[reportAttributeAccessIssue] - MicroPython's
from micropython import const

from umqtt.engine import LATER, MORE
from umqtt.inbox import Inbox
from umqtt.received import Received
from umqtt.wire import RETAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RECEIVED = const(4)  # of a message that waits, where it has some: its properties


class ReceivedByTask(Received):
    """The properties of the message that the task which asks has in hand: the one that it took last, until it takes
    another. A message taken by `take()`, without a taker, is everybody's who has none of an `async for`. Inside a
    callback those of its message."""

    def __init__(self, client) -> None:
        Received.__init__(self)
        self.client = client

    def get(self, number: int) -> "Any":
        client = self.client
        own = self
        if core.cur_task not in client._tasks:
            own = client._inbox and client._inbox.received_by_task()
        return Received.get(own, number) if own else None

    def copy(self) -> "Received | None":
        """Of the message that is in the buffer now; None when it has no properties."""
        if self._start >= self._end:
            return None
        return Received(bytes(memoryview(self._buf)[self._start : self._end]))


class Inbox5(Inbox):
    """Attribute answers: those of aio_request, once something was asked."""

    answers: "Any"
    answers = None

    def __init__(self, *args) -> None:
        Inbox.__init__(self, *args)
        self._nothing = Received()
        self._received_by = []  # [taker, the properties of its message, or `nothing`]

    def arrived(self, buf, topic_end, start, end, flags):
        """The view of the client."""
        received = self.client.received
        topic = received.topic  # of an alias
        if self.answers and not flags & (MORE | LATER):
            topic = topic or bytes(buf[2:topic_end])
            payload = bytes(buf[start:end])
            if self.answers.takes(topic, received, payload):
                return None
            if self.client.cb:
                return self.client.cb(topic, payload, flags & RETAIN == RETAIN)
        return Inbox.arrived(self, buf, topic_end, start, end, flags, topic, received.copy())

    def handed_over(self, message, taker):
        """What a taker gets of a message; its properties stay in hand until it takes another."""
        received = message[_RECEIVED] if len(message) > _RECEIVED else self._nothing
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

    def received_by_task(self) -> Received:
        """The properties of the message that the task which asks has in hand."""
        of_nobody = self._nothing
        for taker, received in self._received_by:
            if taker is core.cur_task:
                return received
            if taker is None:
                of_nobody = received
        return of_nobody
