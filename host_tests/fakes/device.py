"""A program that a test drives from outside, under CPython or MicroPython: each line of its input is run, and answered.

`= REPR` for a value, `! NAME (ARGS)` for an exception. `MQTTClient`, `Simple`, `Robust` and `Reconnect` are there,
and `inbox`.
"""

import sys

here = __file__.rsplit("/", 2)[0]
sys.path.insert(0, here)
sys.path.insert(0, here + "/../firmware/lib")

import fakes.real_socket  # noqa: E402
import fakes.shim  # noqa: E402, F401

fakes.real_socket.install()

import time  # noqa: E402

from umqtt.client import MQTTClient  # noqa: E402
from umqtt.reconnect import Reconnect  # noqa: E402
from umqtt.robust import MQTTClient as Robust  # noqa: E402
from umqtt.simple import MQTTClient as Simple  # noqa: E402

inbox = []


def keep(topic, payload, retained=None):
    """A callback for either client."""
    inbox.append((bytes(topic), bytes(payload)) if retained is None else (bytes(topic), bytes(payload), bool(retained)))


def serve(client, ms, until=None):
    """c.poll() for ms of real time, or until `until()`. Returns whether until() came true."""
    end = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        if until is not None and until():
            return True
        client.poll(20)
    return until is not None and until()


env = {
    "MQTTClient": MQTTClient,
    "Simple": Simple,
    "Robust": Robust,
    "Reconnect": Reconnect,
    "inbox": inbox,
    "keep": keep,
    "serve": serve,
    "time": time,
    "sys": sys,
}

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
        print("! %s %r" % (kind, tuple(str(a) if not isinstance(a, (int, str, bytes)) else a for a in e.args)))
    try:
        sys.stdout.flush()
    except AttributeError:
        pass
