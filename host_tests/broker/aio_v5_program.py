"""Runs on a real MicroPython: PORT. What a program does with umqtt.aio_v5, on real sockets, with somebody at the other
end who answers under lamp/get and publishes under in/#; prints it."""

import asyncio
import sys

from umqtt.aio_v5 import MQTTClient
from umqtt.errors import MQTTException

PORT = int(sys.argv[1])


async def outcome(awaited):
    try:
        return await awaited
    except (OSError, MQTTException) as raised:
        return raised


async def take(client, taken, count):
    async for _, payload, _ in client:
        received = client.received
        await client.publish(
            "out/taken", payload, qos=1, content_type=received.content_type
        )  # others take theirs meanwhile
        taken.append((payload, received.content_type, received.correlation, received.get(38), received.get(11)))
        if len(taken) >= count:
            break


async def main():
    async with MQTTClient("aio5", "127.0.0.1", PORT, topic_aliases=True, properties={34: 5}, inflight=8) as client:
        print("connack", client.connack.get(33))
        print("granted", await client.subscribe([("in/#", 2)], identifier=7))
        taken = []
        tasks = [asyncio.create_task(take(client, taken, 6)) for _ in range(2)]
        await client.publish("out/ready", b"", qos=1)
        answers = await asyncio.gather(*[client.request("lamp/get", b"%d" % i) for i in range(5)])
        print("answers", answers)
        late = await outcome(client.request("lamp/slow", b"?", 300))
        print("late", "no answer in time" in str(late))
        while len(taken) < 6:
            await asyncio.sleep_ms(20)
        for task in tasks:
            task.cancel()
        print("taken", sorted(taken))
        fault = await outcome(client.publish("closed/x", b"x", qos=2))
        print("closed", fault.args[0] if isinstance(fault, MQTTException) else fault)

        async def publish(number):
            for i in range(10):
                await client.publish("out/many", b"%d %d" % (number, i), qos=1 + number % 2, expiry_s=60)

        await asyncio.gather(*[publish(number) for number in range(5)])
        print("inflight", client.inflight)
        await client.disconnect(session_expiry_s=0)


asyncio.run(main())
