"""Runs on a real MicroPython: PORT. What a program does with `c.sock` of umqtt.simple, on real sockets; prints it."""

import select
import sys
import time

from umqtt.simple import MQTTClient

got = []
c = MQTTClient("sock", "127.0.0.1", int(sys.argv[1]))
c.set_callback(lambda topic, msg: got.append(msg))
c.connect()
c.subscribe(b"t")
poller = select.poll()
poller.register(c.sock, select.POLLIN)
print("silent", poller.poll(50))
c.publish(b"t", b"one")
ready = poller.poll(60000)
print("ready", ready[0][0] is c.sock, ready[0][1] & select.POLLIN)
c.wait_msg()
print("taken", got, poller.poll(50))

c.sock.setblocking(False)
print("not blocking", c.wait_msg())
c.sock.settimeout(0.2)
start = time.ticks_ms()
try:
    c.wait_msg()
except OSError as e:
    print("timeout", e.args[0] == 110, time.ticks_diff(time.ticks_ms(), start) > 150)
c.sock.settimeout(60)

c.sock.write(b"\x82\x06\0\x63\0\1u\1")
while c.wait_msg() != 0x90:
    pass
print("ack", c.sock.read(4))
c.sock.write(b"\xc0\0")
print("raw", c.sock.read(2))
c.publish(b"u", b"two", qos=1)
while len(got) < 2:
    c.wait_msg()
print("in step", got)
c.sock.close()
try:
    c.check_msg()
except OSError:
    print("closed")
