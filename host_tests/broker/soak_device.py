"""The device of the soak, under CPython or MicroPython: publishes numbers in QoS 1 and 2 by turns, and takes what is
sent to it.

    soak_device.py PORT NAME [PAUSE_MS]

Prints `A n` accepted, `H n` handed over (the broker has it: PUBREC came), `D n` acknowledged, `S` subscribed, `R n`
received, `M used free` bytes of heap, `C n` at connection n; a line on its input ends it: it finishes what is in flight
and prints `END n`.
"""

import gc
import select
import sys
import time

here = __file__.rsplit("/", 2)[0]
sys.path.insert(0, here)
sys.path.insert(0, here + "/../firmware/lib")

import fakes.shim  # noqa: F401
from fakes import real_socket

real_socket.install()

from umqtt.client import MQTTClient
from umqtt.reconnect import Reconnect
from umqtt.takeback import unacknowledged

port = int(sys.argv[1])
name = sys.argv[2]
pause_ms = int(sys.argv[3]) if len(sys.argv) > 3 else 25

client = MQTTClient(
    name,
    "127.0.0.1",
    port,
    keepalive=3,
    timeout_ms=3000,
    reconnect=Reconnect(first_ms=50, cap_ms=400),
)
client.set_callback(lambda topic, payload, retained: print("R", str(payload, "utf-8")))
topic = b"soak/" + name.encode()
pending = {}  # packet id: number
handed_over = set()
connects = n = 0
subscribed = False
stopping = None
stdin = select.poll()
stdin.register(sys.stdin, 1)
ticks = time.ticks_ms
last = ticks()
told = ticks()


def tell_acknowledged():
    global connects
    if connects != client.diag()["connects"]:
        connects = client.diag()["connects"]
        print("C", connects)
    for pid, topic_left, _ in unacknowledged(client):
        if not topic_left and pid in pending and pid not in handed_over:
            handed_over.add(pid)
            print("H", pending[pid])
    for pid in list(pending):
        if not client.pending(pid):
            handed_over.discard(pid)
            print("D", pending.pop(pid))


while True:
    try:
        if not subscribed and client.isconnected():
            client.subscribe("cmd/" + name, 2)
            subscribed = True
            print("S")
        if stopping is None and time.ticks_diff(ticks(), last) >= pause_ms:
            last = ticks()
            before = client.pid
            try:
                client.publish(topic, b"%d" % n, qos=1 + n % 2, wait=False)
            finally:
                if client.pid != before:
                    print("A", n)
                    pending[client.pid] = n
                    n += 1
        client.poll(10)
    except OSError:
        client.poll(10)
    tell_acknowledged()
    if time.ticks_diff(ticks(), told) > 1000:
        told = ticks()
        gc.collect()
        if hasattr(gc, "mem_alloc"):
            print("M", gc.mem_alloc(), gc.mem_free())
    if stopping is None and stdin.poll(0):
        sys.stdin.readline()
        stopping = ticks()
    if stopping is not None and (
        not pending
        and subscribed
        and time.ticks_diff(ticks(), stopping) > 3000
        or time.ticks_diff(ticks(), stopping) > 40000
    ):
        break
print("END", n)
