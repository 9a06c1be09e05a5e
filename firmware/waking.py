"""Which contacts wake a board from deep sleep? Loaded by one that sleeps and has sensors that watch a pin.

An ESP32 wakes when any of several pins is high (ext1), and when one pin is low (ext0). So of contacts that are at rest
on the high level the first alone can wake it; the others are read at the next wake.
"""

# the stubs are those of one ESP32
# pyright: reportAttributeAccessIssue=false

import machine

import power


def by_contact() -> bool:
    """Whether one has woken the board."""
    if power.cause() != power.WOKE or not hasattr(machine, "wake_reason"):
        return False
    return machine.wake_reason() in (getattr(machine, "EXT0_WAKE", -1), getattr(machine, "EXT1_WAKE", -1))


def arm(node) -> None:
    """Let the sensors that want it (`wakes`) wake the board when their pin is not as they have `told`."""
    low = []
    high = []
    for number in node.watched:
        sensor = node.sources[number].sensor
        if getattr(sensor, "wakes", False):
            (high if sensor.told else low).append(sensor.pin)
    if not low and not high:
        return
    words = ""
    try:
        import esp32

        if low:
            esp32.wake_on_ext1(low, esp32.WAKEUP_ANY_HIGH)
        if high:
            esp32.wake_on_ext0(high[0], esp32.WAKEUP_ALL_LOW)
        if len(high) > 1:
            words = "of several contacts on the high level the first alone wakes it"
    except (ImportError, AttributeError):
        words = "this chip wakes by its timer alone"
    except (ValueError, OSError) as e:
        words = "%s: a contact that is to wake it wants an RTC GPIO" % e
    if words and power.cause() != power.WOKE:  # once, not at each wake
        print("contacts: %s; the others are read when it wakes" % words)
