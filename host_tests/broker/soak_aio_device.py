"""The device of the soak on umqtt.aio, under MicroPython: publishes numbers in QoS 1 and 2 by turns, gives up waiting
for them at random, and takes what is sent to it with `async for`.

    soak_aio_device.py PORT NAME [PAUSE_MS]

Its words are those of soak_device.py.
"""

import asyncio
import gc
import random
import select
import sys
from time import ticks_diff, ticks_ms

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/../firmware/lib")

from umqtt.aio import MQTTClient
from umqtt.reconnect import Reconnect
from umqtt.takeback import unacknowledged

port = int(sys.argv[1])
name = sys.argv[2]
pause_ms = int(sys.argv[3]) if len(sys.argv) > 3 else 25
LEAST_MS, MOST_MS = 3000, 40000  # that it goes on once it is told to end

topic = b"soak/" + name.encode()
pending = {}  # packet id: number
count = 0
stopping_ms = None


async def publish(client):
    global count
    while stopping_ms is None:
        await asyncio.sleep_ms(pause_ms)
        before = client.pid
        try:
            waited = client.publish(topic, b"%d" % count, qos=1 + count % 2)
            await asyncio.wait_for_ms(waited, random.choice((1, 5, 50, 2000)))
        except (OSError, asyncio.TimeoutError):
            pass
        if client.pid != before:  # it had its slot: it arrives, whatever the call found
            print("A", count)
            pending[client.pid] = count
            count += 1


async def take(client):
    async for _, payload, _ in client:
        print("R", str(payload, "utf-8"))


async def tell():
    while True:
        gc.collect()
        print("M", gc.mem_alloc(), gc.mem_free())
        await asyncio.sleep_ms(1000)


async def main():
    global stopping_ms
    stdin = select.poll()
    stdin.register(sys.stdin, 1)
    reconnect = Reconnect(first_ms=50, cap_ms=400)
    async with MQTTClient(name, "127.0.0.1", port, keepalive=3, timeout_ms=3000, reconnect=reconnect) as client:
        taking = asyncio.create_task(take(client))
        asyncio.create_task(tell())
        await client.subscribe("cmd/" + name, 2, timeout_ms=1 << 28)
        print("S")
        asyncio.create_task(publish(client))
        connects = 0
        handed_over = set()
        while stopping_ms is None or pending or ticks_diff(ticks_ms(), stopping_ms) < LEAST_MS:
            await asyncio.sleep_ms(10)
            if connects != client.diag()["connects"]:
                connects = client.diag()["connects"]
                print("C", connects)
            for packet_id, topic_left, _ in unacknowledged(client):
                if not topic_left and packet_id in pending and packet_id not in handed_over:
                    handed_over.add(packet_id)
                    print("H", pending[packet_id])
            for packet_id in list(pending):
                if not client.pending(packet_id):
                    handed_over.discard(packet_id)
                    print("D", pending.pop(packet_id))
            if stopping_ms is None and stdin.poll(0):
                sys.stdin.readline()
                stopping_ms = ticks_ms()
            if stopping_ms is not None and ticks_diff(ticks_ms(), stopping_ms) > MOST_MS:
                break
        assert not taking.done()
    print("END", count)


asyncio.run(main())
