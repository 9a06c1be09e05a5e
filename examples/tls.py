"""TLS: the broker must show a certificate for its name, signed by the CA in ca.der."""

import ssl

import ntptime

from umqtt.client import MQTTClient
from umqtt.reconnect import Reconnect

ntptime.settime()  # a board starts in the year 2000, when no certificate is valid yet
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.verify_mode = ssl.CERT_REQUIRED  # without this line nothing is verified
context.load_verify_locations(cafile="ca.der")


def on_state(connected, error):
    print("connected" if connected else "offline: " + error)


c = MQTTClient("kitchen", "broker.example", ssl=context, reconnect=Reconnect(on_state=on_state))
while True:
    if c.isconnected() and c.free_slots():
        c.publish("kitchen/temperature", "21.5", qos=1, wait=False)
    c.poll(10_000)
