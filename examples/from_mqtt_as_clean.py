"""mqtt_as's clean.py on umqtt.aio: a callback, a message every five seconds, and a heartbeat beside both."""

import asyncio

from umqtt.aio import MQTTClient
from umqtt.reconnect import Reconnect


def on_message(topic, msg, retained):
    print(topic.decode(), msg.decode(), retained)


async def heartbeat():
    while True:
        await asyncio.sleep_ms(500)
        print("beat")


async def main():
    asyncio.create_task(heartbeat())
    async with MQTTClient("board", "192.168.1.10", clean_session=True, reconnect=Reconnect(on_state=print)) as c:
        c.set_callback(on_message)
        c.subscribe("foo_topic", 1, wait=False)  # once: it is made again by itself
        for n in range(1_000_000):
            await c.publish("result", "%d %d" % (n, c.diag()["resends"]), qos=1, timeout_ms=1 << 28)  # however long
            await asyncio.sleep(5)


asyncio.run(main())
