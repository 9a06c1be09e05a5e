"""`received` for a client of umqtt.aio_v5, which imports it with the first message that has properties, or when a
program asks for `received`."""

from asyncio import core  # pyright: ignore[reportAttributeAccessIssue] - MicroPython's

from umqtt.received import Received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


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
