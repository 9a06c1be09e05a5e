"""TLS with a pre-shared key: no certificate, no clock, less memory. MicroPython 1.29 and newer, not on an ESP8266."""

import tls

from umqtt.client import MQTTClient

context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
context.psk_identity = b"kitchen"
context.psk_key = bytes.fromhex("a1b2c3d4e5f60718293a4b5c6d7e8f90")  # the key lies readable in flash

c = MQTTClient("kitchen", "broker.example", ssl=context)
c.connect()
c.publish("kitchen/temperature", "21.5", qos=1)
c.disconnect()
