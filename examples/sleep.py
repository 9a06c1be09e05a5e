"""Wake, measure, send in QoS 2, sleep. What the broker did not take waits in RTC memory for the next wake."""

import machine
import wifi

from umqtt.client import MQTTClient
from umqtt.errors import MQTTException
from umqtt.outbox import Outbox
from umqtt.rtc import Region, RtcJournal
from umqtt.store import FileJournal, Store

memory = machine.RTC().memory
store = Store(RtcJournal(Region(memory, 64, 384), FileJournal("journal")))
outbox = Outbox("queue", store, stage=Region(memory, 448, 1600))
outbox.add("shed/temperature", "21.5", qos=2)
c = MQTTClient("shed", "192.168.1.10", store=store, timeout_ms=4000)
try:
    wifi.join("my network", "its password")
    c.connect()
    while outbox.waiting or c.inflight:
        outbox.drain(c)
        c.poll(100)
    c.disconnect()
except (OSError, MQTTException) as e:
    print("kept for the next wake:", e)
machine.deepsleep(60_000)
