"""Runs on a real MicroPython: PORT CASE MODULE [aliases]. One kind of traffic under a locked heap: an allocation is a
MemoryError.

Prints `ok`. Every name that the locked part assigns exists before the lock: a new global would itself allocate.
"""

import gc
import sys
from time import ticks_diff, ticks_ms

import micropython
from umqtt.publisher import Publisher

ROUNDS = 50
LIMIT_MS = 20000
TOPIC = b"bench/tttttttttttttt"
PAYLOAD = b"p" * 50
SHORT = b"p" * 5
LARGE = b"p" * 1000  # four times the send buffer

port = int(sys.argv[1])
case = sys.argv[2]
module = sys.argv[3]
MQTTClient = __import__("umqtt." + module, None, None, ("MQTTClient",)).MQTTClient
taken = 0
taken_b = 0
wanted = 0
kept = None
publisher = None


def view(buf, topic_end, start, end, flags):
    global taken, taken_b
    taken_b += end - start
    if not flags & 16:  # the last part of it
        taken += 1


def allocates(c):
    global kept
    c.publish(TOPIC, PAYLOAD)
    kept = [taken]


def idle(c):
    c.poll(0)
    c.poll(1)


def ping(c):
    c.ping()
    while not c.poll(1000):
        pass


def receive(c):
    c.poll(1000)


ROUND = {
    "publish0": lambda c: c.publish(TOPIC, PAYLOAD),
    "prepared": lambda c: publisher.publish(PAYLOAD) or publisher.publish(SHORT),
    "publish1": lambda c: c.publish(TOPIC, PAYLOAD, qos=1),
    "publish2": lambda c: c.publish(TOPIC, PAYLOAD, qos=2),
    "large_publish2": lambda c: c.publish(TOPIC, LARGE, qos=2),
    "receive0": receive,
    "receive1": receive,
    "receive2": receive,
    "large_receive2": receive,
    "ping": ping,
    "idle": idle,
    "allocates": allocates,  # the proof that the lock sees it
}[case]


def rounds(c):
    # a function, not a comprehension or a generator: those allocate
    start = ticks_ms()
    i = 0
    while i < ROUNDS or taken < wanted:
        ROUND(c)
        i += 1
        if ticks_diff(ticks_ms(), start) > LIMIT_MS:
            raise OSError("no end: %d rounds, %d of %d messages" % (i, taken, wanted))


def main():
    global taken, wanted, publisher
    c = MQTTClient("steady", "127.0.0.1", port, **({"topic_aliases": True} if sys.argv[4:] else {}))
    c.set_view(view)
    c.connect()
    c.subscribe(TOPIC, 2)
    publisher = Publisher(c, TOPIC)
    for locked in (False, True):
        if "receive" in case:
            taken = 0
            wanted = ROUNDS
            c.publish(b"peer/send", "%s %d %d" % (case[-1], ROUNDS, 1000 if "large" in case else 50))
        gc.collect()
        if locked:
            micropython.heap_lock()
        try:
            rounds(c)
        finally:
            if locked:
                micropython.heap_unlock()
        while c.poll(100):  # acks that are still under way
            pass
    print("ok %d" % taken)


main()
