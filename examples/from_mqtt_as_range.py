"""mqtt_as's range.py on umqtt.aio: events instead of callbacks, a will, and a count of the connections."""

import asyncio

from umqtt.aio import MQTTClient
from umqtt.reconnect import Reconnect

c = MQTTClient("range", "192.168.1.10", keepalive=120, queue=4, clean_session=True, reconnect=Reconnect())
c.set_last_will("shed", "Goodbye cruel world!")


async def messages():
    async for topic, msg, retained in c:
        print(topic.decode(), msg.decode(), retained)


async def main():
    async with c:
        asyncio.create_task(messages())
        c.subscribe("foo_topic", 1, wait=False)
        while True:
            await c.on_state.wait()  # up and down are one event here
            c.on_state.clear()
            print("up" if c.isconnected() else "down: " + c.diag()["error"])
            await c.publish("shed", "connection %d" % c.diag()["connects"], qos=1, timeout_ms=1 << 28)


asyncio.run(main())
