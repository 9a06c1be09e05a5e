"""mqtt_as's async_message.py on umqtt.aio: each topic's messages go to their own function."""

import asyncio

from machine import Pin

from umqtt.aio import MQTTClient
from umqtt.reconnect import Reconnect
from umqtt.routes import Routes

led = Pin(5, Pin.OUT)
routes = Routes(lambda topic, msg, retained: print("nobody's:", topic, msg))
routes.add("led/blue", lambda topic, msg, retained: led.value(msg == b"on"))


async def main():
    async with MQTTClient("shed", "192.168.1.10", reconnect=Reconnect()) as c:
        c.set_callback(routes)
        c.subscribe("led/#", 1, wait=False)
        count = 0
        while True:
            await c.publish("shed", "Count = %d" % count, qos=1, timeout_ms=1 << 28)
            count += 1
            await asyncio.sleep(5)


asyncio.run(main())
