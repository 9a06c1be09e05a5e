"""`umqtt.aio` with MQTT 5: the calls of `umqtt.v5`, awaited, by any number of tasks at once.

async with MQTTClient("kitchen", "192.168.1.10", session_expiry_s=3600) as c:
    await c.publish("kitchen/temperature", b"21.5", qos=1, expiry_s=600)
    async for topic, payload, retained in c:
        print(payload, c.received.content_type)
"""

from asyncio import core  # pyright: ignore[reportAttributeAccessIssue] - MicroPython's

from umqtt import aio, v5
from umqtt.wire import LEVEL_5, SUBSCRIBE_BYTE, UNSUBSCRIBE_BYTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from umqtt.hints import Callback, Payload, Properties


class MQTTClient(aio.Awaited, v5.MQTTClient):
    """As `umqtt.v5.MQTTClient`, with its arguments and those of `umqtt.aio.MQTTClient`; `connect`, `disconnect`,
    `publish`, `subscribe`, `unsubscribe` and `request` are awaited. A reason code of the broker comes out of the call
    that it answers, as MQTTException.

    `received`: the properties of the message that the task has in hand; kept for a message that has some.
    """

    _blocking = v5.MQTTClient
    _received_by_task: "Any"
    _received_by_task = None  # `received`, once it is there

    def __getattr__(self, name):
        if name != "received":
            raise AttributeError(name)
        from umqtt.received_by_task import ReceivedByTask

        self.received = self._received_by_task = received = ReceivedByTask(self)
        return received

    # The end

    def disconnect(
        self,
        timeout_ms: "int | None" = None,
        with_will: bool = False,
        session_expiry_s: "int | None" = None,
        properties: "Properties | None" = None,
    ) -> "Any":
        """As `umqtt.aio`'s, with the arguments of `umqtt.v5`. Raises ValueError at once."""
        if with_will or session_expiry_s is not None or properties:
            from umqtt import handshake

            v5._forget()
            self._goodbye = handshake.goodbye(self, with_will, session_expiry_s, properties)
        return aio.Awaited.disconnect(self, timeout_ms)

    def authenticate_again(self) -> None:
        """As `umqtt.v5`'s: not awaited."""
        v5.MQTTClient.authenticate_again(self)
        self._wake_server()

    # Sending

    def publish(
        self,
        topic: "str | bytes",
        msg: "Payload",
        retain: bool = False,
        qos: int = 0,
        wait: bool = True,
        timeout_ms: "int | None" = None,
        expiry_s: "int | None" = None,
        response_topic: "str | bytes | None" = None,
        correlation: "bytes | None" = None,
        content_type: "str | None" = None,
        properties: "Properties | None" = None,
    ) -> "Any":
        """As `umqtt.aio`'s, with the arguments of `umqtt.v5`. Raises in addition MQTTException(code, words): the broker
        refused the message, or has said that it takes none such."""
        of_mqtt_5: "tuple" = ()
        # Two at a time, which are never the same but when there are none.
        if expiry_s is not content_type or response_topic is not properties or correlation is not None:
            of_mqtt_5 = expiry_s, response_topic, correlation, content_type, properties
        if wait and core.cur_task not in self._tasks:
            published = self._published_or_refused if qos else self._published
            return published(topic, msg, retain, qos, self._end(timeout_ms), *of_mqtt_5)
        packet_id = v5.MQTTClient.publish(self, topic, msg, retain, qos, False, None, *of_mqtt_5)
        self._wake_server()
        return packet_id

    async def _published_or_refused(self, *args):
        packet_id = await self._published(*args)
        if self._refusals:
            self._outgoing.raise_refusal(packet_id)
        return packet_id

    def subscribe(
        self,
        topic: "str | bytes | bytearray | list[tuple[str | bytes, int]]",
        qos: int = 0,
        wait: bool = True,
        timeout_ms: "int | None" = None,
        identifier: int = 0,
        properties: "Properties | None" = None,
    ) -> "Any":
        """As `umqtt.aio`'s, with the arguments of `umqtt.v5`. MQTTException has the broker's reason code and its words,
        for the first filter that it refused. Raises at once, before it is awaited, ValueError, and MQTTException for
        one that the broker has said it does not do."""
        from umqtt import options

        v5._forget()
        topic, qos = options.prepare(self, topic, qos, identifier, properties)
        return self._filters(SUBSCRIBE_BYTE, topic, qos, wait, timeout_ms)

    def unsubscribe(
        self, topic: "str | bytes | bytearray | list[str | bytes]", wait: bool = True, timeout_ms: "int | None" = None
    ) -> "Any":
        """As `umqtt.aio`'s. Raises MQTTException when the broker refused."""
        return self._filters(UNSUBSCRIBE_BYTE, topic, None, wait, timeout_ms)

    async def request(
        self,
        topic: "str | bytes",
        msg: "Payload",
        timeout_ms: "int | None" = None,
        qos: int = 1,
        response_topic: str = "",
    ) -> bytes:
        """As `umqtt.request`'s, awaited, by several tasks at once, with an `async for` or a callback beside it. An
        answer that comes too late is dropped. Raises OSError, MQTTException; ValueError: a view is set, not MQTT 5."""
        if self._view not in (None, self._arrived) or self.protocol != LEVEL_5:
            raise ValueError("request: MQTT 5 needed, no view")
        inbox = self._open_inbox()
        if not inbox.answers:
            from umqtt.aio_request import Answers

            inbox.answers = Answers()
            self._view = self._arrived
        return await inbox.answers.ask(self, topic, msg, self._end(timeout_ms), qos, response_topic)

    # Receiving

    def set_callback(self, f: "Callback | None") -> None:
        """As `umqtt.aio`'s."""
        aio.Awaited.set_callback(self, f)
        if self._inbox and self._inbox.answers:
            self._view = self._arrived  # it looks for answers first

    def _open_inbox(self):
        if not self._inbox:
            from umqtt.inbox_v5 import Inbox5

            self._inbox = Inbox5(self, *self._queue)
        return self._inbox
