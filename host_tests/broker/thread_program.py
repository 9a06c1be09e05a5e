"""Threads that share one client, against a real broker: `thread_program.py PORT NAME ROUNDS`. Under CPython, or a
MicroPython whose threads have a global lock, as ESP32's have.

The main thread serves the connection, two others publish by turns with each QoS, with and without waiting, prepared
too, and again what was refused; a fourth subscribes. Prints a line for each fault, the words of what was refused, and
`end`.
"""

import sys
import time

here = __file__.rsplit("/", 2)[0]
sys.path.insert(0, here)
sys.path.insert(0, here + "/../firmware/lib")

import fakes.shim  # noqa: F401 - before the library
from fakes import real_socket

real_socket.install()

import _thread

from umqtt.client import MQTTClient
from umqtt.publisher import Publisher

LONGEST_S = 200

if hasattr(sys, "setswitchinterval"):
    sys.setswitchinterval(1e-6)

port, name, rounds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
lock = _thread.allocate_lock()
sent = [0]  # a count
faults = []
words = {}
over = []
inbox = []

c = MQTTClient(name, "127.0.0.1", port, inflight=4)
c.set_callback(lambda topic, payload, retained: inbox.append(payload))
c.connect()
c.subscribe("to/" + name, 2)


def call(function, *args, **named):
    """Whether the call was not refused."""
    try:
        return function(*args, **named) is not None
    except OSError as error:
        with lock:
            words[str(error)] = words.get(str(error), 0) + 1
            if len(error.args) < 2:
                faults.append("no words: %r" % error)
    except Exception as error:
        sys.print_exception(error)
        faults.append(repr(error))
    return False


def publishes(thread):
    prepared = [Publisher(c, "%s/%d" % (name, thread), qos=qos) for qos in (0, 1)]
    for n in range(rounds):
        text = b"%d" % n
        kind = n % 8
        while True:
            if kind < 2:
                done = call(prepared[kind].publish, text)
            else:
                done = call(c.publish, "%s/%d" % (name, thread), text, qos=n % 3, wait=kind < 6)
            if done or faults:
                break
            time.sleep_ms(1)
        with lock:
            sent[0] += 1
    with lock:
        over.append(thread)


def subscribes():
    made = 0
    while len(over) < 2 and not faults:
        made += 1
        call(c.subscribe, "more/%d" % (made % 5), 1)
        time.sleep_ms(3)
    with lock:
        over.append(3)


def main():
    end = time.ticks_add(time.ticks_ms(), LONGEST_S * 1000)
    for thread in (1, 2):
        _thread.start_new_thread(publishes, (thread,))
    _thread.start_new_thread(subscribes, ())
    number = 0
    while len(over) < 3 or c.inflight:
        if faults or time.ticks_diff(end, time.ticks_ms()) < 0:
            faults.append("over: %r, in flight: %d" % (over, c.inflight))
            break
        number += 1
        if number % 50 == 0:
            call(c.publish, "to/" + name, b"%d" % number, qos=number // 50 % 3)
        call(c.poll, 5)
    if c.diag()["connects"] != 1:
        faults.append("connects: %r" % c.diag())
    for fault in faults[:5]:
        print("fault", fault)
    print("refused", sorted(words.items()))
    print("end", sent[0], len(inbox))


main()
