"""Publish a reading every ten seconds. The broker may be away at any time, at the start too."""

from time import ticks_add, ticks_diff, ticks_ms

from umqtt.client import MQTTClient
from umqtt.reconnect import Reconnect

PAUSE_MS = 10_000


def on_state(connected, error):
    print("connected" if connected else "offline: " + error)


c = MQTTClient("kitchen", "192.168.1.10", reconnect=Reconnect(on_state=on_state))
c.set_last_will("kitchen/status", "offline", retain=True)
next_ms = ticks_ms()
while True:
    if ticks_diff(ticks_ms(), next_ms) >= 0:
        next_ms = ticks_add(next_ms, PAUSE_MS)
        reading = "21.5"  # of your sensor
        if c.free_slots():
            c.publish("kitchen/temperature", reading, qos=1, wait=False)  # waits in its slot for the broker
        else:
            print("dropped, %d messages wait for the broker already" % c.inflight)
    c.poll(1000)  # sends, receives, keeps alive, connects again
