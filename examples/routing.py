"""One function for each kind of topic."""

from umqtt.client import MQTTClient
from umqtt.reconnect import Reconnect
from umqtt.routes import Routes


def on_light(topic, payload, retained):
    room = topic.split(b"/")[1].decode()
    print("light in %s: %s" % (room, payload.decode()))


def on_settings(topic, payload, retained):
    print("setting", topic, payload)


routes = Routes(default=lambda topic, payload, retained: print("nobody's:", topic))
routes.add("house/+/light", on_light)  # + is one level
routes.add("settings/#", on_settings)  # # is all that follows, and settings itself
c = MQTTClient("hall", "192.168.1.10", reconnect=Reconnect())
c.set_callback(routes)
c.subscribe([("house/+/light", 1), ("settings/#", 1), ("news", 0)], wait=False)
while True:
    c.poll(1000)
