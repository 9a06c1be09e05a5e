"""How is a contact wired to a GPIO?"""

from machine import Pin


def contact(conf) -> Pin:
    """The input `pin` with the resistor `pull` of a sensor's object in config.json. Raises ValueError."""
    pull = conf.get("pull", "up")
    if pull not in ("up", "down", "none"):
        raise ValueError("pull is %s; needed is up, down or none" % (pull,))
    resistor = {"up": Pin.PULL_UP, "down": getattr(Pin, "PULL_DOWN", ""), "none": None}[pull]
    if resistor == "":  # ESP8266
        raise ValueError("pull is %s, which this chip does not have" % pull)
    return Pin(conf["pin"], Pin.IN, resistor)  # pyright: ignore[reportArgumentType]
