"""Runs on a real MicroPython: PORT. A 20 ms LED beside a client that lives through what the test does to the broker;
prints each change of its connection, and at the end by how many ms the LED was late at most, in each phase."""

import asyncio
import sys
import time

from umqtt.aio import MQTTClient
from umqtt.reconnect import Reconnect

LARGE_B = 100_000
late_ms = 0
received_b = 0


async def blink():
    global late_ms
    due = time.ticks_ms()
    while True:
        due = time.ticks_add(due, 20)
        await asyncio.sleep_ms(max(0, time.ticks_diff(due, time.ticks_ms())))
        late_ms = max(late_ms, time.ticks_diff(time.ticks_ms(), due))


async def state(client, wanted):
    """Wait until the link is up or down, and say so with the lateness since the last time."""
    global late_ms
    while client.isconnected() != wanted:
        await client.on_state.wait()
        client.on_state.clear()
    print("up" if wanted else "down", late_ms)
    late_ms = 0


def view(buf, topic_end, start, end, flags):
    global received_b
    received_b += end - start


async def main():
    asyncio.create_task(blink())
    client = MQTTClient(
        "led", "127.0.0.1", int(sys.argv[1]), keepalive=6, timeout_ms=5000, reconnect=Reconnect(100, 500)
    )
    client.set_view(view)
    async with client:
        await state(client, True)
        await client.subscribe("large", 1)
        for _ in range(2):  # the broker is restarted; then it only falls silent
            await state(client, False)
            await state(client, True)
        await client.publish("large", bytes(LARGE_B), qos=1, timeout_ms=60_000)
        while received_b < LARGE_B:
            await asyncio.sleep_ms(10)
        print("large", late_ms)


asyncio.run(main())
