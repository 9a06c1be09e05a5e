"""Runs on a real MicroPython with a small heap: PORT SIZE_B... Prints what wait_msg gave for a message of each size."""

import gc
import sys

from umqtt.simple import MQTTClient, MQTTException

got = []


def message(topic, payload):
    got.append((type(payload).__name__, len(payload), payload[0], payload[-1]))


def main():
    c = MQTTClient("sizes", "127.0.0.1", int(sys.argv[1]))
    c.set_callback(message)
    c.connect()
    gc.collect()
    for size_b in map(int, sys.argv[2:]):
        c.publish(b"peer/send", b"0 1 %d" % size_b)
        try:
            c.wait_msg()
            print(size_b, *got.pop())
        except MQTTException as told:
            print(size_b, "told", told.args[0], told.args[1])
        gc.collect()
        print("used", gc.mem_alloc())


main()
