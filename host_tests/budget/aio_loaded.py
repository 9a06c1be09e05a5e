"""Runs on a real MicroPython: PORT. Prints the modules of umqtt that are loaded once a program with umqtt.aio_v5 has
connected, subscribed, published and disconnected."""

import asyncio
import sys

from umqtt.aio_v5 import MQTTClient


async def main():
    async with MQTTClient("loaded", "127.0.0.1", int(sys.argv[1])) as client:
        await client.subscribe("t", 1)
        await client.publish("t", "x", qos=1)
        await client.disconnect(with_will=True)
    print(" ".join(sorted(name[6:] for name in sys.modules if name.startswith("umqtt."))))


asyncio.run(main())
