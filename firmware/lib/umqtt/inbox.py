"""The messages of a client of umqtt.aio that wait for its tasks. The client imports it with the first message, or the
first task that asks for one: who has a callback, or publishes only, goes without."""

from time import ticks_add, ticks_ms

from asyncio import core  # pyright: ignore[reportAttributeAccessIssue] - MicroPython's
from micropython import const

from umqtt.engine import LATER, MORE
from umqtt.keepalive import NEVER_MS
from umqtt.wire import FIRST_BYTE, IN_USE, PACKET_ID, PAYLOAD, PUBACK_BYTE, PUBREC_BYTE, QOS, QOS_2, RETAIN, TOPIC

# A message that waits to be taken, or for its acknowledgement, is a list.
_MESSAGE = const(0)  # (topic, payload, retained)
_FLAGS = const(1)
_ID = const(2)  # 0: nothing is to be acknowledged
_TAKER = const(3)  # who has it in hand


class Inbox:
    """most, keep_oldest: `queue` and `keep_oldest` of the client."""

    def __init__(self, client, most: int, keep_oldest: bool) -> None:
        self.client = client
        self.most = most
        self.keep_oldest = keep_oldest
        self._waiting = []  # not yet taken
        self._in_hand = []  # taken, and not yet acknowledged

    def arrived(self, buf, topic_end, start, end, flags, topic=b"", received=None):
        """The view of the client. Returns the client when the message is acknowledged later. topic, received: with MQTT
        5, where buf does not have them."""
        client = self.client
        view = memoryview(buf)
        topic = topic or bytes(view[2:topic_end])
        if flags & (MORE | LATER):  # larger than the buffer
            if not flags & LATER:
                client._oversize_count += 1
                client._news = topic, 0
            client._news = client._news[0], client._news[1] + end - start
            return None
        packet_id = 0
        if flags & QOS:
            packet_id = buf[topic_end] << 8 | buf[topic_end + 1]
        elif len(self._waiting) >= self.most:
            client.dropped += 1
            if self.keep_oldest:
                return None
            for old in self._waiting:
                if not old[_FLAGS] & QOS:
                    self._waiting.remove(old)
                    break
        message = [(topic, bytes(view[start:end]), flags & RETAIN == RETAIN), flags, packet_id, None]
        if received:
            message.append(received)
        self._waiting.append(message)
        return client if packet_id else None

    async def take(self, taker) -> "tuple[bytes, bytes, bool]":
        """See `take` of the client."""
        while True:
            for message in self._in_hand:
                holder = message[_TAKER]
                # a task that has returned will not ask for another one
                if holder is taker or (
                    isinstance(holder, core.Task) and holder.done() and isinstance(holder.data, StopIteration)
                ):
                    self.acknowledge(message)
                    break
            else:
                if self._waiting:
                    break
                if not self.client._is_serving and not self.client._may_reconnect:
                    raise StopAsyncIteration
                await self.client._turn(ticks_add(ticks_ms(), NEVER_MS))
        return self.handed_over(self._waiting.pop(0), taker)

    def handed_over(self, message, taker):
        """What a taker gets of a message."""
        if message[_ID]:
            message[_TAKER] = taker
            self._in_hand.append(message)
        return message[_MESSAGE]

    def begin(self) -> None:
        """A new connection: what was not acknowledged on the one before, the broker sends again if it kept the
        session."""
        self._in_hand.clear()
        for message in list(self._waiting):
            if message[_ID] and self.client._session_present:
                self._waiting.remove(message)
            message[_ID] = 0

    def acknowledge_all(self):
        """Those in hand."""
        while self._in_hand:
            self.acknowledge(self._in_hand[0])

    def acknowledge(self, message):
        """One that is in hand."""
        client = self.client
        held_ids = client._held_packet_ids
        if 0 not in held_ids:
            held_ids.append(0)
        draft = client._draft
        client._hold()
        try:
            self._in_hand.remove(message)
            draft[PACKET_ID] = packet_id = message[_ID]
            draft[FIRST_BYTE] = PUBACK_BYTE
            draft[TOPIC] = draft[PAYLOAD] = b""
            if message[_FLAGS] & QOS_2:
                draft[FIRST_BYTE] = PUBREC_BYTE
                held_ids[held_ids.index(0)] = packet_id
            if client._taken is not None:
                client._taken(packet_id if message[_FLAGS] & QOS_2 else 0, None)
            if client._link_up:
                client._send_packet(draft)
        finally:
            draft[PACKET_ID] = draft[IN_USE] = 0
        client._wake_server()
