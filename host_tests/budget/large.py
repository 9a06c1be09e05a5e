"""Runs on a real MicroPython with a small heap: PORT. 1 MB out from a reader, 1 MB in through a view."""

import gc
import sys

from umqtt import stream
from umqtt.client import MQTTClient

SIZE_B = 1000000
least_free = SIZE_B
got_b = 0
ended = False


def look():
    global least_free
    free = gc.mem_free()
    if free < least_free:
        least_free = free


class Pattern:
    """Bytes by their position: a piece that is lost or comes twice shows."""

    def __init__(self):
        self.at = 0

    def readinto(self, buf):
        n = len(buf)
        for i in range(n):
            buf[i] = (self.at + i) * 7 >> 3 & 255
        self.at += n
        look()
        return n


def view(buf, topic_end, start, end, flags):
    global got_b, ended
    got_b += end - start
    ended = not flags & 16
    look()


def main():
    c = MQTTClient("large", "127.0.0.1", int(sys.argv[1]), rx_size=1024, timeout_ms=60000)
    c.set_view(view)
    c.connect()
    gc.collect()
    look()
    before = gc.mem_alloc()
    for qos in (0, 1):
        stream.publish(c, b"bench/large", Pattern(), SIZE_B, qos=qos, piece_b=1024)
    c.publish(b"peer/send", b"2 1 1000000")
    while not ended:
        c.poll(1000)
    while c.poll(100):  # PUBREL
        pass
    total = gc.mem_alloc() + gc.mem_free()
    print("ok %d received, heap %d B, %d in use before, %d at most" % (got_b, total, before, total - least_free))


main()
