"""umqtt.robust of another library in node.py's place: what its readings suffer. MicroPython.

    micropython peer_node.py FOLDER PORT QOS INTERVAL_MS PEERS

It has no memory of its own across a kill: the number of the next reading is noted in a file when the reading is taken.
"""

import os
import sys
from time import sleep_ms

folder, port, qos, interval_ms, peers = sys.argv[1:]
sys.path.insert(0, peers)

from umqtt.robust import MQTTClient  # noqa: E402


def stopped():
    try:
        os.stat(folder + "/stop")
        return True
    except OSError:
        return False


def taken():
    try:
        with open(folder + "/taken") as file:
            return int(file.read() or "0")
    except OSError:
        return 0


n = taken()
client = MQTTClient("node", "127.0.0.1", int(port), keepalive=2)
client.DELAY = 0.1
client.reconnect()
while not stopped():
    with open(folder + "/new", "w") as f:
        f.write(str(n + 1))
    os.rename(folder + "/new", folder + "/taken")
    client.publish("kills/%d" % n, b"x" * 40, qos=min(1, int(qos)))
    n += 1
    sleep_ms(int(interval_ms))
client.disconnect()
print("taken", n)
