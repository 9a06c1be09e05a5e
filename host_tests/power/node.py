"""The firmware of `make kills`: readings through the outbox to the broker, until the file "stop" is there. MicroPython.

    micropython node.py FOLDER PORT QOS INTERVAL_MS FORGET      # FORGET: True removes the journal first

The topic of a reading is its number, which is the outbox's, so that it goes on counting where the last life was killed.
Files of FOLDER: journal and queue, as on a board's flash. Prints `taken N` when it stops: readings 0 to N - 1.
"""

import os
import sys
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

here = __file__.rsplit("/", 3)[0]
sys.path.insert(0, here + "/firmware/lib")

from umqtt.client import MQTTClient  # noqa: E402
from umqtt.outbox import Outbox  # noqa: E402
from umqtt.reconnect import Reconnect  # noqa: E402
from umqtt.store import FileJournal, Store  # noqa: E402


def stopped(folder):
    try:
        os.stat(folder + "/stop")
        return True
    except OSError:
        return False


def main(folder, port, qos, interval_ms, forget):
    if forget:
        try:
            os.remove(folder + "/journal")
        except OSError:
            pass
    store = Store(FileJournal(folder + "/journal"))
    outbox = Outbox(folder + "/queue", store)
    # the chaos is over in seconds, so are the deadlines
    client = MQTTClient(
        "node", "127.0.0.1", port, keepalive=2, timeout_ms=1500, reconnect=Reconnect(50, 400), store=store
    )
    for said in (store.report, outbox.report):
        if said:
            print("report", said)
    due = ticks_ms()
    while True:
        if not stopped(folder):
            if ticks_diff(ticks_ms(), due) >= 0:
                outbox.add("kills/%d" % outbox.next, b"x" * 40, qos)
                due = ticks_add(ticks_ms(), interval_ms)
        elif not outbox.waiting and not client.inflight:
            break
        outbox.drain(client)
        client.poll(5)
        sleep_ms(1)
    client.disconnect()
    store.close()
    print("taken", outbox.next)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "True")
