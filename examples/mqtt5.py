"""Readings of which nobody gets an old one, and a broker that says why it refuses."""

import time

from umqtt.errors import MQTTException
from umqtt.v5 import MQTTClient

c = MQTTClient("kitchen", "192.168.1.10", session_expiry_s=3600, topic_aliases=True)
c.set_last_will("kitchen/state", "gone", retain=True, delay_s=60)  # a reboot is no alarm


def on_message(topic, payload, retained):
    print(topic, payload, c.received.content_type, c.received.get(38))
    if c.received.response_topic:
        c.publish(c.received.response_topic, b"done", qos=1, wait=False, correlation=c.received.correlation)


c.set_callback(on_message)
c.connect()
c.subscribe("kitchen/set", 1)
while True:
    try:
        c.publish("kitchen/temperature", b"21.5", qos=1, expiry_s=600, content_type="text/plain")
    except MQTTException as refused:
        print("refused:", refused)
    end = time.time() + 10
    while time.time() < end:
        c.poll(1000)
