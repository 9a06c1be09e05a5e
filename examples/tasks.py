"""Measure and obey at the same time: tasks of asyncio on one client."""

import asyncio

from umqtt.aio import MQTTClient
from umqtt.reconnect import Reconnect


async def obey(c):
    async for topic, payload, retained in c:
        print("light:", payload)  # acknowledged when the loop comes round for the next one


async def main():
    async with MQTTClient("kitchen", "192.168.1.10", reconnect=Reconnect()) as c:
        c.subscribe("kitchen/light/set", 1, wait=False)  # not awaited: the broker need not be there yet
        asyncio.create_task(obey(c))
        while True:
            try:
                await c.publish("kitchen/temperature", "21.5", qos=1)
            except OSError as e:
                print("not yet acknowledged:", e)  # it stays in flight: do not publish it again
            await asyncio.sleep(10)


asyncio.run(main())
