"""Runs on a real MicroPython with the library's source: PORT. Prints the bytes of heap of a turn of umqtt.aio's task in
which nothing happens, and of asyncio's own wait for a stream."""

import asyncio
import gc
import socket
import sys
from asyncio import core

from umqtt.aio import MQTTClient

TURNS = 200


async def main():
    async with MQTTClient("turns", "127.0.0.1", int(sys.argv[1])) as c:
        await asyncio.sleep_ms(50)
        for _ in range(2):  # a first round makes what is kept
            gc.collect()
            before_b = gc.mem_alloc()
            for _ in range(TURNS):
                core._task_queue.remove(c._tasks[0])  # as if it were due
                core._task_queue.push(c._tasks[0])
                await asyncio.sleep_ms(0)
                await asyncio.sleep_ms(0)
            turn_b = (gc.mem_alloc() - before_b) / TURNS
        stream = socket.socket()
        gc.collect()
        before_b = gc.mem_alloc()
        for _ in range(TURNS):
            core._io_queue.queue_read(stream)
            core._io_queue.remove(core.cur_task)
            core.cur_task.data = None
        print(turn_b, (gc.mem_alloc() - before_b) / TURNS)


asyncio.run(main())
