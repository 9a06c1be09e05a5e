"""The client of `umqtt.client` for asyncio: the same calls, awaited, by any number of tasks at once.

    async with MQTTClient("kitchen", "192.168.1.10") as c:
        await c.subscribe("kitchen/light/set", 1)
        async for topic, payload, retained in c:
            ...

One task of its own serves the connection. It waits by the event loop's own poll of the socket, and wakes the tasks that
wait for what it has done. A call that is cancelled leaves a message of QoS 1 and 2 in flight, as a deadline does.

Of asyncio's `core` it uses what asyncio's own streams and events use: `cur_task`, `_io_queue`, `_task_queue`, and
`_exc_context`.
"""

from time import ticks_add, ticks_diff, ticks_ms

from asyncio import Event, core  # pyright: ignore[reportAttributeAccessIssue] - MicroPython's
from micropython import const

from umqtt import client
from umqtt.errors import MQTTException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncIterator

    from typing_extensions import Self

    from umqtt.hints import Callback, Payload

    BLOCKING = client.MQTTClient
else:
    BLOCKING = object

_GOODBYE_MS = const(20)  # for DISCONNECT, when all before it has left: as good as never

_READABLE = const(1)  # select.POLLIN
_WRITABLE = const(4)  # select.POLLOUT


class Awaited(BLOCKING):
    """What makes a client of asyncio of a blocking one, whose class stands behind this one among the bases, and is
    named by `_blocking`: MicroPython's super() knows a single line of classes."""

    _blocking: "Any"
    cb: "Callback | None"
    on_state: Event

    _is_serving = _is_waiting = False
    _tasks: tuple = ()
    _poll_mask = 0
    _socket_fault: "BaseException | None" = None  # that ended the connection
    _inbox: "Any"
    _inbox = None  # the Inbox, once it is needed
    dropped = 0

    def __init__(self, *args, queue: int = 8, keep_oldest: bool = False, **named) -> None:
        self._blocking.__init__(self, *args, **named)
        self.on_state = Event()
        self._queue = queue, keep_oldest
        self._callers = []  # tasks that wait; each is in the loop's queue, with its deadline
        self._in_line = [], []  # those of them that wait for the network, for a slot
        self._view = self._arrived

    def set_callback(self, f: "Callback | None") -> None:
        """f(topic, payload, retained), a plain function, is called for each message instead of an `async for`, before
        it is acknowledged; None: no longer."""
        self.cb = f
        self._view = None if f else self._arrived

    # Connecting

    async def connect(self, timeout_ms: "int | None" = None) -> bool:
        """Connect and resume, within the deadline; nothing but a name look-up blocks. Returns and raises what the
        client's does."""
        self._begin_connect(timeout_ms)
        may_reconnect = self._may_reconnect
        self._may_reconnect = None  # a failure is the caller's
        self._start()
        try:
            while self._is_connecting or not self._link_up:
                await self._turn(self._connect_end)
            may_reconnect = True
        finally:
            if self._may_reconnect is None:  # else a callback has disconnected
                self._may_reconnect = may_reconnect
            if self._is_connecting:
                self._close()  # cancelled
        return self._session_present

    async def __aenter__(self) -> "Self":
        if self._auto_reconnect:
            self._start()
        else:
            await self.connect()
        return self

    async def __aexit__(self, kind: "Any", fault: "Any", trace: "Any") -> None:
        if self._inbox and not kind:
            self._inbox.acknowledge_all()
        await self.disconnect()

    def disconnect(self, timeout_ms: "int | None" = None) -> "Any":
        """Send DISCONNECT behind everything that waits, and close. Never raises for a dead link; OSError when the store
        cannot be written. An `async for` ends."""
        self._may_reconnect = self._is_connecting = False
        if core.cur_task not in self._tasks:  # else in what it has called
            return self._disconnected(self._end(timeout_ms))
        self._is_serving = False
        self._blocking.disconnect(self, 0)

    async def _disconnected(self, end):
        try:
            while self._link_up and self._send_blocked:
                await self._turn(end)
        except (OSError, MQTTException):
            pass
        finally:
            self._is_serving = False
            self._blocking.disconnect(self, _GOODBYE_MS)

    def _close(self, fault=None):
        # out of the loop's poll first: one of a closed socket raises, or never ends
        for task in self._tasks:
            core._io_queue.remove(task)
        self._blocking._close(self, fault)
        self._wake_server()

    # Sending

    if TYPE_CHECKING:  # `_filters` below makes them awaitable

        def subscribe(
            self,
            topic: "str | bytes | bytearray | list[tuple[str | bytes, int]]",
            qos: int = 0,
            wait: bool = True,
            timeout_ms: "int | None" = None,
        ) -> "Any": ...

        def unsubscribe(
            self,
            topic: "str | bytes | bytearray | list[str | bytes]",
            wait: bool = True,
            timeout_ms: "int | None" = None,
        ) -> "Any": ...

    def publish(
        self,
        topic: "str | bytes",
        msg: "Payload",
        retain: bool = False,
        qos: int = 0,
        wait: bool = True,
        timeout_ms: "int | None" = None,
    ) -> "Any":
        """Publish: returns 0 once the bytes are with the network, the packet id of QoS 1, 2 once the broker has
        acknowledged. Raises ValueError; OSError: link down, or the deadline has passed: a message of QoS 1 or 2 that
        had its slot stays in flight. Without `wait` as `umqtt.client`'s, and not awaited."""
        if wait and core.cur_task not in self._tasks:
            return self._published(topic, msg, retain, qos, self._end(timeout_ms))
        packet_id = self._blocking.publish(self, topic, msg, retain, qos, False)
        self._wake_server()
        return packet_id

    async def _published(self, topic, msg, retain, qos, end, *of_mqtt_5):
        packet_id = None
        while packet_id is None:
            if self._in_line[bool(qos)] or (not self.free_slots() if qos else self._send_blocked):
                from umqtt import in_line

                await in_line.stand(self, in_line.SLOT if qos else in_line.NETWORK, end)
            is_over = self._is_over()  # then it raises
            packet_id = self._blocking.publish(self, topic, msg, retain, qos, is_over, None, *of_mqtt_5)
        while self.pending(packet_id) if packet_id else self._send_blocked:
            await self._turn(end)
        return packet_id

    def _filters(self, first_byte, filters, qos, wait, timeout_ms):
        if wait and core.cur_task not in self._tasks:
            from umqtt import aio_subscribe

            return aio_subscribe.granted(self, first_byte, filters, qos, self._end(timeout_ms))
        self._blocking._filters(self, first_byte, filters, qos, False, 0)
        self._wake_server()

    # Receiving

    def __aiter__(self) -> "AsyncIterator[tuple[bytes, bytes, bool]]":
        return self

    def __anext__(self) -> "Any":
        return self.take(core.cur_task)

    def take(self, taker: "object" = None) -> "Any":
        """Awaited: the next message: topic, payload, retained; the one that `taker` took before is acknowledged now,
        and those of tasks that have ended well. A task with an `async for` is a taker of its own. Waits for ever.
        Raises OSError: the link is down; StopAsyncIteration: it was disconnected."""
        return self._open_inbox().take(taker)

    def _arrived(self, buf, topic_end, start, end, flags):
        # the view of a client without a callback
        return self._open_inbox().arrived(buf, topic_end, start, end, flags)

    def _open_inbox(self):
        if not self._inbox:
            from umqtt.inbox import Inbox

            self._inbox = Inbox(self, *self._queue)
        return self._inbox

    # Waiting

    def _is_over(self):
        # whether no connection is there or to be made
        return (
            self._next_packet is None and not self._is_connecting and not (self._auto_reconnect and self._may_reconnect)
        )

    def _turn(self, end) -> "Any":
        # awaited: until something has happened, or `end`. Raises OSError
        if ticks_diff(end, ticks_ms()) <= 0:
            self._wait(end)  # raises
        if self._is_over():
            if self._socket_fault:
                raise self._socket_fault
            self._without_link(0)
        if not self._tasks:
            self._start()
        if self._socket:
            self._wake_server()
        task = core.cur_task
        self._callers.append(task)
        core._task_queue.push(task, end)
        try:
            yield
        finally:
            if task in self._callers:
                self._callers.remove(task)

    def _wake(self, task):
        # one that waits in `_turn`
        self._callers.remove(task)
        if task.data is None:  # else it is cancelled, and a push would undo that
            core._task_queue.remove(task)
            core._task_queue.push(task)

    def _wake_server(self):
        # something is to be sent, which it does not know of, or the link is down
        unknown = self._send_blocked and not self._is_connecting and not (self._socket and self._poll_mask & _WRITABLE)
        if self._is_waiting and unknown:
            core._task_queue.remove(self._tasks[0])
            core._task_queue.push(self._tasks[0])

    # The task

    def _start(self):
        self._is_serving = True
        self._socket_fault = None
        if not self._tasks:  # else the one of a connection that was closed goes on
            serving = self._serve()
            # The loop knows a task that waits for one thing only: three that run the same, for a time and the socket's
            # two sides.
            self._tasks = core.create_task(serving), core.Task(serving), core.Task(serving)

    def _serve(self):
        task_queue = core._task_queue
        io_queue = core._io_queue
        was_up = 0
        while True:
            took_one = False
            sock = mask = None
            try:
                # until it is known what it waits for
                while self._is_serving and (sock is not self._socket or mask != self._poll_mask):
                    sock = self._socket
                    mask = self._poll_mask
                    took_one = self._step(0)
                    if took_one:
                        break
            except Exception as fault:
                if self._is_over():
                    self._socket_fault = fault
                    self._is_serving = False
                else:
                    core._exc_context["exception"] = fault
                    core._exc_context["future"] = core.cur_task
                    core.Loop.call_exception_handler(core._exc_context)
            is_up = self._connect_count if self._link_up else 0  # another one may have come up between two looks
            if was_up != is_up:
                was_up = is_up
                self.on_state.set()
                if is_up and self._inbox:
                    self._inbox.begin()
            while self._callers:
                self._wake(self._callers[0])
            if not self._is_serving:  # after those who wait have been told of it
                break
            if took_one:  # there may be another: a TLS record holds many
                task_queue.push(core.cur_task)
                yield
                continue
            due = self.timeout_ms  # half a packet has no longer
            sides = 0
            if self._socket:
                due = min(due, self._watch())
                sides = self._poll_mask if self._socket else 0  # else that look has ended the connection
                if self._send_blocked and not self._is_connecting and sides:
                    sides |= _WRITABLE
            elif self._auto_reconnect:
                due = min(due, self._auto_reconnect.pause_left_ms())
            due = ticks_add(ticks_ms(), max(due, 1))
            timer, core.cur_task, writes = self._tasks
            task_queue.push(timer, due)
            if sides & _READABLE:
                io_queue.queue_read(self._socket)
            else:
                task_queue.push(core.cur_task, due)
            core.cur_task = writes
            if sides & _WRITABLE:
                io_queue.queue_write(self._socket)
            else:
                task_queue.push(writes, due)
            self._is_waiting = True
            yield
            self._is_waiting = False
            for task in self._tasks:
                if task is not core.cur_task:  # it is ready as well, or still waits
                    (io_queue if task.data else task_queue).remove(task)
        self._tasks = ()


class MQTTClient(Awaited, client.MQTTClient):
    """As `umqtt.client.MQTTClient`, with its arguments; `connect`, `disconnect`, `publish`, `subscribe` and
    `unsubscribe` are awaited. Without `wait`, and inside a callback, the last three never wait and are not awaited:
    they return what they return there.

    queue: while so many messages wait for an `async for`, one of QoS 0 that comes replaces the oldest of QoS 0, or with
    keep_oldest is dropped itself (`dropped` counts). One of QoS 1 or 2 is never dropped: it is acknowledged when who
    took it asks for the next, ends or leaves the `async with` without an exception, and the broker sends no more than
    its window unacknowledged (Mosquitto 20). A callback or a view takes all messages instead. What it raises goes to
    the loop's exception handler, and the message stays unacknowledged.

    Attribute `on_state`: an asyncio.Event, set whenever the link came up or went down; `isconnected` and `diag` tell.
    """

    _blocking = client.MQTTClient
