"""A lamp that obeys lamp/set and answers under lamp/state."""

from machine import Pin

from umqtt.client import MQTTClient
from umqtt.reconnect import Reconnect

lamp = Pin(5, Pin.OUT)
answer = None


def on_message(topic, payload, retained):
    global answer
    if payload in (b"on", b"off"):
        lamp.value(payload == b"on")
        answer = payload  # told by the loop: any number of commands may come at once, and the slots are four
    else:
        print("not a command:", payload)


c = MQTTClient("lamp", "192.168.1.10", reconnect=Reconnect())
c.set_callback(on_message)
c.subscribe("lamp/set", qos=1, wait=False)  # the broker need not be there yet
while True:
    c.poll(1000)  # calls on_message, then acknowledges the message
    if answer and c.free_slots():
        c.publish("lamp/state", answer, retain=True, qos=1, wait=False)
        answer = None
