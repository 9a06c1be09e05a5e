"""A publisher or a subscriber of `make cluster`, under MicroPython, on the public names of the library.

    micropython cluster_device.py LIB ROLE NAME QOS PORT,PORT,... [USER PASSWORD]

ROLE: pub publishes the numbers 0, 1, ... under cluster/NAME, 20 a second; sub takes them. Prints `A n` taken by the
client, `D n` everything before n is acknowledged, `R n` received, `U port` up, `L words` the link was lost, `I n` so
many in flight. A line on its input ends it: it finishes what is in flight and prints `END n`.
"""

import select
import sys
import time

sys.path.insert(0, sys.argv[1])

from umqtt.client import MQTTClient
from umqtt.reconnect import Reconnect

role, name, qos, ports = sys.argv[2], sys.argv[3], int(sys.argv[4]), [int(p) for p in sys.argv[5].split(",")]
login = sys.argv[6:8] if len(sys.argv) > 6 else (None, None)
PAUSE_MS = 50
KEEP_ALIVE_S = 6
BACK_MS = 3000
FINISH_MS = 40000


def on_state(connected, error):
    if connected:
        print("U", client.port)
    elif error:
        print("L", error)


client = MQTTClient(
    name, "127.0.0.1", ports[0], login[0], login[1], keepalive=KEEP_ALIVE_S, inflight=8, timeout_ms=4000,
    reconnect=Reconnect(200, 2000, [("127.0.0.1", p) for p in ports], on_state, BACK_MS),
)  # fmt: skip
client.set_callback(lambda topic, payload, retained: print("R", str(payload, "utf-8")))
stdin = select.poll()
stdin.register(sys.stdin, 1)
ticks, since = time.ticks_ms, time.ticks_diff
last = told = ticks()
stopping = None
n = done = 0
subscribed = role == "pub"

while True:
    try:
        if not subscribed and client.isconnected():
            client.subscribe("cluster/#", qos)
            subscribed = True
            print("S")
        if role == "pub" and stopping is None and since(ticks(), last) >= PAUSE_MS:
            before = client.inflight
            last = ticks()
            try:
                if client.free_slots():
                    client.publish(b"cluster/" + name.encode(), b"%d" % n, False, qos, False)
                    print("A", n)
                    n += 1
            except OSError:
                if client.inflight > before:  # it has its slot, and goes out on the next link
                    print("A", n)
                    n += 1
        client.poll(10)
    except OSError:
        pass
    if done < n and not client.inflight:
        done = n
        print("D", done)
    if since(ticks(), told) > 1000:
        told = ticks()
        print("I", client.inflight)
    if stopping is None and stdin.poll(0):
        sys.stdin.readline()
        stopping = ticks()
    if stopping is not None and (not client.inflight or since(ticks(), stopping) > FINISH_MS):
        break
print("END", n)
