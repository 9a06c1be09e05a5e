"""The client of `umqtt.client` for asyncio: the same calls, awaited, by any number of tasks at once.

    async with MQTTClient("kitchen", "192.168.1.10") as c:
        await c.subscribe("kitchen/light/set", 1)
        async for topic, payload, retained in c:
            ...

One task of its own serves the connection. It waits by the event loop's own poll of the socket, and wakes the tasks that
wait for what it has done. A call that is cancelled leaves a message of QoS 1 and 2 in flight, as a deadline does.

Of asyncio's `core` it uses what asyncio's own streams and events use: `cur_task`, `_io_queue`, `_task_queue`.
"""

from time import ticks_add, ticks_diff, ticks_ms

from asyncio import Event, core  # pyright: ignore[reportAttributeAccessIssue] - MicroPython's
from micropython import const

from umqtt import client
from umqtt.engine import LATER, MORE
from umqtt.errors import MQTTException
from umqtt.keepalive import NEVER_MS
from umqtt.wire import FIRST_BYTE, PACKET_ID, PAYLOAD, PUBACK_BYTE, PUBREC_BYTE, QOS, QOS_2, REFUSED, RETAIN
from umqtt.wire import SUBSCRIBE_BYTE, TOPIC, UNSUBSCRIBE_BYTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WRITABLE = const(4)  # select.POLLOUT

# A message that waits for a task, or for its acknowledgement.
_FLAGS = const(3)
_ID = const(4)  # 0: nothing is to be acknowledged
_TAKER = const(5)  # who has it in hand


class _Messages:
    # an `async for`
    def __init__(self, client):
        self.client = client

    def __anext__(self):
        return self.client.take(self)


class MQTTClient(client.MQTTClient):
    """As `umqtt.client.MQTTClient`, with its arguments; `connect`, `publish`, `subscribe`, `unsubscribe` and
    `disconnect` are awaited.

    queue: messages of QoS 0 that may wait for an `async for`; of more than that the oldest is dropped (`dropped`
    counts). One of QoS 1 or 2 is never dropped: it is acknowledged when who took it asks for the next, or leaves the
    `async with` without an exception, and the broker sends no more than its window unacknowledged (Mosquitto 20). A
    callback or a view takes all messages instead.

    Attribute `on_state`: an asyncio.Event, set whenever the link came up or went down.
    """

    _is_serving = _is_waiting = False
    dropped = 0
    _oversize_topic = b""

    def __init__(self, *args, queue: int = 8, **named) -> None:
        client.MQTTClient.__init__(self, *args, **named)
        self.on_state = Event()
        self._queue = queue
        self._messages = []  # not yet taken
        self._in_hand = []  # taken, and not yet acknowledged
        self._messages_of = 0  # the connection that the messages to be acknowledged came on
        self._callers = []  # tasks that wait; each is in the loop's queue, with its deadline
        # Three tasks in the eyes of the loop, for it knows one that waits for one thing only. All run `_serve`.
        self._timer = self._reads = self._writes = None
        self._view = self._arrived

    def set_callback(self, f) -> None:
        """As the client's; None: an `async for` takes the messages."""
        self.cb = f
        self._view = None if f else self._arrived

    # Connecting

    async def connect(self, timeout_ms: "int | None" = None) -> bool:
        """As the client's."""
        present = client.MQTTClient.connect(self, timeout_ms)
        self._start()
        return present

    async def __aenter__(self):
        if self._auto_reconnect:
            self._start()
        else:
            await self.connect()
        return self

    async def __aexit__(self, kind, fault, trace):
        if not kind:
            while self._in_hand:
                self._acknowledge(self._in_hand[0])
        await self.disconnect()

    async def disconnect(self, timeout_ms: "int | None" = None) -> None:
        """As the client's."""
        self._may_reconnect = False
        try:
            end = self._end(timeout_ms)
            while self._link_up and self._send_blocked:
                await self._turn(end)
        except (OSError, MQTTException):
            pass
        finally:
            client.MQTTClient.disconnect(self, 0)
            self._is_serving = False
            self._wake_server()

    def _close(self, fault=None):
        # out of the loop's poll first: one of a closed socket raises, or never ends
        if self._timer:
            core._io_queue.remove(self._reads)
            core._io_queue.remove(self._writes)
        client.MQTTClient._close(self, fault)
        self._wake_server()

    # Sending

    async def publish(
        self, topic, msg, retain: bool = False, qos: int = 0, wait: bool = True, timeout_ms: "int | None" = None
    ) -> "int | None":
        """As the client's. QoS 0 without `wait`: None when older bytes wait."""
        end = self._end(timeout_ms)
        while True:
            packet_id = client.MQTTClient.publish(self, topic, msg, retain, qos, wait and self._is_over(), 0)
            if not wait:
                break
            if packet_id is not None:
                break
            await self._turn(end)
        if self._send_blocked:
            self._wake_server()
        if wait:
            while self.pending(packet_id) if packet_id else self._send_blocked:
                await self._turn(end)
        return packet_id

    async def subscribe(self, topic, qos: int = 0, wait: bool = True, timeout_ms: "int | None" = None):
        """As the client's."""
        return await self._filter_call(SUBSCRIBE_BYTE, topic, qos, wait, timeout_ms)

    async def unsubscribe(self, topic, wait: bool = True, timeout_ms: "int | None" = None):
        """As the client's."""
        await self._filter_call(UNSUBSCRIBE_BYTE, topic, None, wait, timeout_ms)

    async def _filter_call(self, first_byte, topic, qos, wait, timeout_ms):
        end = self._end(timeout_ms)
        while wait and not self._is_over() and not self.free_slots():
            await self._turn(end)
        self._filters(first_byte, topic, qos, wait and self._is_over(), 0)
        if self._send_blocked:
            self._wake_server()
        if not wait:
            return None
        packet_id = self.pid
        codes = self._packet_slots[self._slot_index(packet_id)][TOPIC]  # empty until SUBACK fills it
        while self.pending(packet_id):
            await self._turn(end)
        codes = bytes(codes)
        if first_byte == UNSUBSCRIBE_BYTE:
            return None
        if REFUSED in codes:
            if isinstance(topic, (list, tuple)):
                topic = topic[list(codes).index(REFUSED)][0]
            raise MQTTException(REFUSED, "subscription refused: %s" % topic)
        return codes

    # Receiving

    def __aiter__(self):
        return _Messages(self)

    async def take(self, taker=None) -> "tuple[bytes, bytes, bool]":
        """The next message, topic, payload, retained; the one that `taker` took before is acknowledged now. An `async
        for` is a taker of its own. Waits for ever. Raises OSError: the link is down; StopAsyncIteration: it was
        disconnected."""
        for message in self._in_hand:
            if message[_TAKER] is taker:
                self._acknowledge(message)
                break
        self._sort_out()
        while not self._messages:
            if not self._is_serving and not self._may_reconnect:
                raise StopAsyncIteration
            await self._turn(ticks_add(ticks_ms(), NEVER_MS))
        message = self._messages.pop(0)
        if message[_ID]:
            message[_TAKER] = taker
            self._in_hand.append(message)
        return message[0], message[1], message[2]

    def _arrived(self, buf, topic_end, start, end, flags):
        # the view of a client without a callback
        view = memoryview(buf)
        if flags & (MORE | LATER):
            if not flags & LATER:
                self._oversize_topic = bytes(view[2:topic_end])
                self._oversize_b = 0
            self._oversize_b += end - start
            if not flags & MORE:
                self._oversize_count += 1
                self._news = self._oversize_topic, self._oversize_b
            return None
        self._sort_out()
        packet_id = 0
        if flags & QOS:
            packet_id = buf[start - 2] << 8 | buf[start - 1]
        else:
            waiting = [message for message in self._messages if not message[_FLAGS] & QOS]
            if len(waiting) >= self._queue:
                self._messages.remove(waiting[0])
                self.dropped += 1
        self._messages.append(
            [bytes(view[2:topic_end]), bytes(view[start:end]), flags & RETAIN == RETAIN, flags, packet_id, None]
        )
        return self if packet_id else None

    def _sort_out(self):
        # A new connection: what was not acknowledged on the one before, the broker sends again if it kept the session.
        if self._messages_of != self._connect_count:
            self._messages_of = self._connect_count
            if self._session_present:
                self._messages = [message for message in self._messages if not message[_ID]]
            for message in self._messages:
                message[_ID] = 0
            self._in_hand.clear()

    def _acknowledge(self, message):
        self._sort_out()
        if message not in self._in_hand:
            return  # of another connection
        self._in_hand.remove(message)
        if message[_FLAGS] & QOS_2:
            held = self._held_packet_ids
            if 0 not in held:
                held.append(0)
            held[held.index(0)] = message[_ID]
        if self._taken is not None:
            self._taken(message[_ID] if message[_FLAGS] & QOS_2 else 0, None)
        if self._link_up:
            self._draft[PACKET_ID] = message[_ID]
            self._draft[FIRST_BYTE] = PUBREC_BYTE if message[_FLAGS] & QOS_2 else PUBACK_BYTE
            self._draft[TOPIC] = self._draft[PAYLOAD] = b""
            self._send_packet(self._draft)
            self._draft[PACKET_ID] = 0
            if self._send_blocked:
                self._wake_server()

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
        task = core.cur_task
        self._callers.append(task)
        core._task_queue.push(task, end)
        try:
            yield
        finally:
            if task in self._callers:
                self._callers.remove(task)

    def _wake_callers(self):
        for task in self._callers:
            if task.data is None:  # else it is cancelled, and a push would undo that
                core._task_queue.remove(task)
                core._task_queue.push(task)
        self._callers.clear()

    def _wake_server(self):
        if self._is_waiting:
            core._task_queue.remove(self._timer)
            core._task_queue.push(self._timer)

    # The task

    def _start(self):
        self._is_serving = True
        if not self._timer:  # else the one of a connection that was closed goes on
            serving = self._serve()
            self._timer = core.create_task(serving)
            self._reads = core.Task(serving)
            self._writes = core.Task(serving)

    def _serve(self):
        was_up = False
        self._socket_fault = None
        while self._is_serving:
            try:
                self._step(0)
            except Exception as fault:
                if self._is_over():
                    self._socket_fault = fault
                    self._is_serving = False
                else:
                    core.Loop.call_exception_handler(
                        {"message": "callback raised", "exception": fault, "future": core.cur_task}
                    )
            if was_up != self._link_up:
                was_up = self._link_up
                self.on_state.set()
            self._wake_callers()
            if self._is_serving:
                yield from self._wait_for_socket()
        self._timer = None

    def _wait_for_socket(self):
        sock = self._socket
        writes = self._poll_mask & _WRITABLE if sock else 0
        now = ticks_ms()
        if sock:
            core.cur_task = self._reads
            core._io_queue.queue_read(sock)
            if writes:
                core.cur_task = self._writes
                core._io_queue.queue_write(sock)
        core._task_queue.push(self._timer, ticks_add(now, max(self._watch(), 1) if sock else 100))
        self._is_waiting = True
        yield
        self._is_waiting = False
        running = core.cur_task
        if self._timer is not running:
            core._task_queue.remove(self._timer)
        if sock and self._reads is not running:
            self._out_of_queue(self._reads)
        if writes and self._writes is not running:
            self._out_of_queue(self._writes)

    def _out_of_queue(self, task):
        # it is ready as well, or still waits for the socket
        (core._io_queue if task.data else core._task_queue).remove(task)
