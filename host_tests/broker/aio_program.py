"""Runs on a real MicroPython: PORT. What a program does with umqtt.aio, on real sockets; prints it."""

import asyncio
import sys
import time

from umqtt.aio import MQTTClient

PORT = int(sys.argv[1])


async def blink(late_ms):
    """A 20 ms LED: late_ms[0] becomes by how much it was late at most."""
    due = time.ticks_ms()
    while True:
        due = time.ticks_add(due, 20)
        await asyncio.sleep_ms(time.ticks_diff(due, time.ticks_ms()))
        late_ms[0] = max(late_ms[0], time.ticks_diff(time.ticks_ms(), due))


async def main():
    print("asyncio", asyncio.core.__file__.rsplit("/", 2)[0])
    late_ms = [0]
    asyncio.create_task(blink(late_ms))
    async with MQTTClient("aio", "127.0.0.1", PORT) as client:
        print("granted", await client.subscribe([("a/#", 2), ("b", 0)]))

        async def publish(qos):
            for i in range(3):
                packet_id = await client.publish(b"a/%d" % qos, b"%d" % i, qos=qos)
                assert (packet_id > 0) == (qos > 0), packet_id

        tasks = [asyncio.create_task(publish(qos)) for qos in range(3)]
        taken = []
        async for topic, payload, retained in client:
            taken.append((topic, payload, retained))
            if len(taken) == 9:
                break
        for task in tasks:  # gather of MicroPython 1.22 takes none that is over
            await task
        print(
            "taken",
            [sorted(message for message in taken if message[0] == b"a/%d" % qos) == expected(qos) for qos in range(3)],
        )
        await client.publish("c", bytes(100_000), qos=1)
        await client.publish("c", bytes(100_000))
        print("large", client.inflight)
        await client.unsubscribe(["a/#", "b"])
        print("up", client.isconnected())
    print("over", client.isconnected())
    print("late", late_ms[0])


def expected(qos):
    return [(b"a/%d" % qos, b"%d" % i, False) for i in range(3)]


asyncio.run(main())
