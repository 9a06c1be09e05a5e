"""How is the board? One retained message at each start, under TOPIC/CLIENT_ID/diag. Imported when it is due, and
forgotten again."""

import gc
import sys
from json import dumps

from umqtt import __version__

import clock
import power


def tell(node) -> None:
    """Publish it, once. Raises what publish does."""
    del sys.modules[__name__]
    node.diag = False
    retain = node.retain and node.greeting  # else the broker takes no retained message
    node.client.publish(node.topic + "diag", text(node), retain, 1, False)


def text(node) -> str:
    """The message. What a port does not tell is null."""
    c = node.client
    said = c.diag()
    said["version"] = __version__
    said["micropython"] = ".".join([str(n) for n in sys.implementation.version[:3]])
    said["port"] = sys.platform
    said["reset"] = power.cause()
    said["up_s"] = clock.uptime_s()
    said["time"] = clock.unix_s(clock.uptime_s())
    said["interval_s"] = node.cfg["interval_s"]
    said["rssi_dbm"] = said["ip"] = None
    try:
        said["ip"] = node.wifi.sta.ifconfig()[0]
        said["rssi_dbm"] = node.wifi.sta.status("rssi")
    except (OSError, ValueError, RuntimeError):
        pass
    gc.collect()
    said["heap_b"] = gc.mem_free()
    return dumps(said)
