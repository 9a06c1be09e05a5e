"""main.py of the board of `make run AIO=1`: a program on umqtt.aio in the firmware's place, with the topics and
payloads of the firmware. A task for each sensor, one that blinks, one that obeys, all on one client."""

import asyncio
import gc
import json
from time import ticks_diff, ticks_ms, time

import dht
import ds18x20
import onewire
from machine import Pin
from umqtt.aio import MQTTClient
from umqtt.reconnect import Reconnect

BLINK_MS = 20

with open("config.json") as f:
    cfg = json.load(f)
topic = "umqtt/%s/" % cfg["client_id"]
seq = 0
heap_low_b = gc.mem_free()
late_ms = 0


def on_state(connected, error):
    print("connected" if connected else "offline: " + error)


def room():
    """Temperature and humidity of a DHT22; an OSError when it misses one, as they do."""
    sensor = dht.DHT22(Pin(4))
    while True:
        try:
            sensor.measure()
            yield "room/temperature", sensor.temperature(), "°C"
            yield "room/humidity", sensor.humidity(), "%"
        except OSError as fault:
            print("room: %s, again in its turn" % fault)
        yield None


def water():
    """Temperature of a DS18B20."""
    bus = ds18x20.DS18X20(onewire.OneWire(Pin(5)))
    probe = bus.scan()[0]
    while True:
        bus.convert_temp()
        yield None
        yield "water/temperature", bus.read_temp(probe), "°C"


def chip():
    """Free heap, the lowest so far; and by how much the blinking was late at most."""
    while True:
        yield "chip/heap", heap_low_b, "B"
        yield "chip/late", late_ms, "ms"
        yield None


async def measure(client, readings):
    """Publish what the generator `readings` yields, and pause at each None."""
    global seq, heap_low_b
    for reading in readings:
        if reading is None:
            await asyncio.sleep(cfg["interval_s"])
            continue
        name, value, unit = reading
        seq += 1
        # Its unit is no ASCII, which MicroPython's json would write as it is, too.
        payload = '{"value":%s,"unit":"%s","time":%d,"seq":%d}' % (value, unit, time(), seq)
        await client.publish(topic + name, payload, qos=cfg["qos"], timeout_ms=60_000)
        gc.collect()
        heap_low_b = min(heap_low_b, gc.mem_free())


async def blink(led):
    """Whatever the network does, this is on time."""
    global late_ms
    while True:
        began_ms = ticks_ms()
        led.value(not led.value())
        await asyncio.sleep_ms(BLINK_MS)
        late_ms = max(late_ms, ticks_diff(ticks_ms(), began_ms) - BLINK_MS)


async def obey(client):
    await client.subscribe(topic + "say", 1, timeout_ms=60_000)
    async for _, payload, _ in client:
        print("told: %s" % payload.decode())


async def main():
    stop = Pin(cfg["stop_pin"], Pin.IN, Pin.PULL_UP)
    reconnect = Reconnect(500, 5000, on_state=on_state)
    client = MQTTClient(cfg["client_id"], cfg["broker"], cfg["port"], keepalive=5, timeout_ms=2000, reconnect=reconnect)
    client.set_last_will(topic + "status", "offline", True, 1)
    async with client:
        tasks = [
            asyncio.create_task(coroutine)
            for coroutine in (measure(client, room()), measure(client, water()), measure(client, chip()))
        ]
        tasks += [asyncio.create_task(coroutine) for coroutine in (blink(Pin(2, Pin.OUT)), obey(client))]
        while stop.value():
            await asyncio.sleep_ms(50)
        for task in tasks:
            task.cancel()
        while client.inflight:  # what a task had begun is the broker's before this ends
            await asyncio.sleep_ms(20)
    print("the blinking was late by %d ms at most" % late_ms)
    print("summary: published=%d heap_low_b=%d" % (seq, heap_low_b))


asyncio.run(main())
