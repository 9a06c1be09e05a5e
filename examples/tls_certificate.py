"""TLS both ways: the board shows a certificate of its own, and needs no password."""

import ssl

import ntptime

from umqtt.client import MQTTClient

ntptime.settime()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.verify_mode = ssl.CERT_REQUIRED
context.load_verify_locations(cafile="ca.der")
context.load_cert_chain("board.der", "board-key.der")  # the key lies readable in flash

c = MQTTClient("kitchen", "broker.example", ssl=context)
c.connect()
c.publish("kitchen/temperature", "21.5", qos=1)
c.disconnect()
