"""Send a file that is larger than the memory, 1 KiB at a time."""

import os

from umqtt import stream
from umqtt.client import MQTTClient

c = MQTTClient("camera", "192.168.1.10")
c.connect()
size_b = os.stat("photo.jpg")[6]
with open("photo.jpg", "rb") as file:
    stream.publish(c, "camera/photo", file, size_b, qos=1, timeout_ms=60_000, piece_b=1024)
c.disconnect()
