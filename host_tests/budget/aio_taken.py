"""Runs on a real MicroPython with the library's source: MODULE PORT. Prints the bytes of heap for each message that a
task takes from a client of MODULE."""

import asyncio
import gc
import sys

module, port = sys.argv[1:]
MQTTClient = __import__(module, None, None, ["MQTTClient"]).MQTTClient

ROUND = 20


async def take(client):
    """The bytes that ROUND messages took, from the moment on that they are on their way."""
    await client.publish(b"peer/send", b"0 %d 50" % ROUND)
    before_b = gc.mem_alloc()
    for _ in range(ROUND):
        await client.take()
    return gc.mem_alloc() - before_b


async def main():
    async with MQTTClient("taken", "127.0.0.1", int(port), queue=ROUND) as client:
        await take(client)  # makes what is kept
        gc.disable()
        least_b = await take(client)
        for _ in range(9):  # with as few waits for the socket as there can be
            least_b = min(least_b, await take(client))
        print(least_b / ROUND)
        gc.enable()


asyncio.run(main())
