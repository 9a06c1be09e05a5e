"""Tasks of asyncio with MQTT 5: one answers questions, the other asks, and publishes readings that expire."""

import asyncio

from umqtt.aio_v5 import MQTTClient
from umqtt.errors import MQTTException
from umqtt.reconnect import Reconnect


async def answer(c):
    async for topic, payload, retained in c:
        if c.received.response_topic:
            await c.publish(c.received.response_topic, b"21.5", qos=1, correlation=c.received.correlation)


async def main():
    async with MQTTClient("kitchen", "192.168.1.10", session_expiry_s=3600, reconnect=Reconnect()) as c:
        c.subscribe("kitchen/get", 1, wait=False)  # not awaited: the broker need not be there yet
        asyncio.create_task(answer(c))
        while True:
            try:
                await c.publish("kitchen/temperature", b"21.5", qos=1, expiry_s=600)
                print("lamp:", await c.request("lamp/get", b"", 5000))
            except (OSError, MQTTException) as e:
                print("no answer:", e)
            await asyncio.sleep(10)


asyncio.run(main())
