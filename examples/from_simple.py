"""A program written for micropython-lib's umqtt.simple, as it is."""

from umqtt.simple import MQTTClient


def on_message(topic, msg):
    print(topic, msg)


c = MQTTClient("kitchen", "192.168.1.10", keepalive=60)
c.set_callback(on_message)
c.connect(clean_session=False)
c.subscribe(b"kitchen/light/set", qos=1)
c.publish(b"kitchen/status", b"online", retain=True, qos=1)
while True:
    c.wait_msg()
