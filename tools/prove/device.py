"""A program under MicroPython that a check drives from outside: each line of its input is run, and answered.

    micropython device.py LIB        LIB: the folder of the compiled library

`= REPR` for a value, `! NAME (ARGS)` for an exception. It uses the public names of the library alone.
"""

import gc
import sys
import time

sys.path.insert(0, sys.argv[1])

from umqtt import stream
from umqtt.client import MQTTClient
from umqtt.reconnect import Reconnect
from umqtt.simple import MQTTClient as Simple

inbox = []
states = []  # (connected, error) as Reconnect tells them
counted = [0, 0]  # bytes of payload that came to the view, messages that were whole


def keep(topic, payload, retained=None):
    """The callback of either client."""
    inbox.append((topic, payload) if retained is None else (topic, payload, retained))


def count(buf, topic_end, start, end, flags):
    """A view that only counts: a message may be larger than the heap."""
    counted[0] += end - start
    if not flags & 16:
        counted[1] += 1


class Xs:
    """A stream of so many letters x."""

    def __init__(self, size):
        self.left = size

    def readinto(self, buf, size_b=None):
        size_b = min(len(buf) if size_b is None else size_b, self.left)
        for i in range(size_b):
            buf[i] = 120
        self.left -= size_b
        return size_b


def told(connected, error):
    """Reconnect's on_state."""
    if error and (not states or states[-1] != error):
        states.append(error)


def serve(client, ms, until=None):
    """c.poll() for ms, or until `until()`. Returns whether until() came true."""
    end = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        if until is not None and until():
            return True
        client.poll(20)
    return until is not None and until()


def send_all(client, topic, first, last, qos, ms):
    """Publish the numbers first..last-1 as fast as the slots allow, and wait for their acks.

    Returns (numbers taken, still unacknowledged): c is a client with Reconnect, whose links may fail meanwhile.
    """
    number = first
    end = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        if number == last and not client.inflight:
            break
        before = client.inflight
        try:
            if number < last and client.free_slots():
                client.publish(topic, b"%d" % number, False, qos, False)
                number += 1
                continue
        except OSError:
            number += client.inflight > before  # it has its slot, and goes out on the next link
        client.poll(20)
    return number - first, client.inflight


env = {
    "MQTTClient": MQTTClient, "Simple": Simple, "Reconnect": Reconnect, "inbox": inbox, "keep": keep, "serve": serve,
    "send_all": send_all, "states": states, "told": told, "count": count, "counted": counted, "time": time, "gc": gc,
    "stream": stream, "Xs": Xs,
}  # fmt: skip

while True:
    line = sys.stdin.readline()
    if not line:
        break
    try:
        try:
            code = compile(line, "line", "eval")
        except SyntaxError:
            code = None
        if code is None:
            exec(line, env)
            print("= None")
        else:
            print("= %r" % (eval(code, env),))
    except Exception as e:
        kind = "OSError" if isinstance(e, OSError) else e.__class__.__name__
        print("! %s %r" % (kind, tuple(a if isinstance(a, (int, str, bytes)) else str(a) for a in e.args)))
