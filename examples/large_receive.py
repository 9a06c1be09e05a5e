"""Write a message that is larger than the memory to a file, a part at a time."""

from umqtt.client import MQTTClient
from umqtt.reconnect import Reconnect

MORE = 16  # flags: more of this message follows
LATER = 32  # this is not its first part

file = None


def on_part(buf, topic_end, start, end, flags):
    global file
    if not flags & LATER:
        file = open("update.part", "wb")
    file.write(memoryview(buf)[start:end])
    if not flags & MORE:
        file.close()
        print("update.part is whole")


c = MQTTClient("shelf", "192.168.1.10", rx_size=1024, reconnect=Reconnect())
c.set_view(on_part)
c.subscribe("shelf/update", qos=1, wait=False)
while True:
    c.poll(1000)
