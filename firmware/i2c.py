"""How is a chip on the I2C bus asked? In one call, and told in words when it does not answer. Imported by the drivers
of such chips only."""

from time import sleep_ms

from machine import Pin, SoftI2C
from micropython import const

_HZ = const(100000)
_NOBODY = const(19)  # acknowledges the address
_NOT_TAKEN = const(5)  # a byte of the command was not acknowledged
_MOST_CLOCKS = const(9)  # after so many a chip that was interrupted in the middle of a byte has let go of SDA


class OnI2C:
    """Base of a driver, which has the class attributes chip (how it is called) and address. conf: "i2c" holds the
    GPIOs `sda` and `scl` and perhaps `freq`, one dict for all that share the bus; "address" another address. Raises
    ValueError."""

    chip = ""
    address = 0

    def __init__(self, conf):
        if not conf.get("i2c"):
            raise ValueError('i2c is missing; needed are the GPIOs of the bus, as "i2c": {"sda": 21, "scl": 22}')
        self.bus = conf["i2c"]
        address = conf.get("address", self.address)
        self.address = int(address, 16) if isinstance(address, str) else int(address)

    def wrong(self, words):
        """An OSError that names the chip."""
        return OSError("%s at 0x%02x: %s" % (self.chip, self.address, words))

    def ask(self, command, answer_b: int = 0, wait_ms: int = 0):
        """Write the bytes `command`, wait, read answer_b bytes; when that fails once more, on a bus that is begun anew.
        Raises OSError in words, also for a chip that is busy."""
        code = None
        for _ in range(2):
            try:
                i2c = open_bus(self.bus)
                if command and i2c.writeto(self.address, command) != len(command):
                    raise OSError(_NOT_TAKEN)
                sleep_ms(wait_ms)
                return i2c.readfrom(self.address, answer_b) if answer_b else b""
            except OSError as e:
                code = e.args[0] if e.args else 0
                if isinstance(code, str):
                    raise
                self.bus.pop("open", None)  # whatever state it is in: it is begun anew
        there = open_bus(self.bus).scan() if code == _NOBODY else ()
        if code == _NOT_TAKEN or self.address in there:
            raise self.wrong("it does not take its commands: is it another chip?")
        if code != _NOBODY:
            raise self.wrong("the bus failed (%s)" % code)
        there = ", ".join(["0x%02x" % address for address in there]) or "nobody"
        raise OSError(
            "no %s answers at 0x%02x on I2C (SDA GPIO %d, SCL GPIO %d); there: %s"
            % (self.chip, self.address, self.bus["sda"], self.bus["scl"], there)
        )


def open_bus(bus):
    """The SoftI2C of the dict `bus`, made at the first use and again after a failure. A chip that a reset has
    interrupted holds SDA low: it is clocked until it lets go. Raises OSError in words."""
    sda = Pin(bus["sda"])
    if "open" not in bus or not sda.value():
        sda = Pin(bus["sda"], Pin.OPEN_DRAIN, value=1)
        scl = Pin(bus["scl"], Pin.OPEN_DRAIN, value=1)
        for _ in range(_MOST_CLOCKS):
            if sda.value():
                break
            scl.value(0)
            scl.value(1)
        for line, name in ((sda, "sda"), (scl, "scl")):
            # every chip would seem to answer, with zeros
            if not line.value():
                raise OSError(
                    "I2C: %s (GPIO %d) is held low: is it shorted, without its pull-up, or the power missing?"
                    % (name.upper(), bus[name])
                )
        bus["open"] = SoftI2C(scl=scl, sda=sda, freq=bus.get("freq", _HZ))
    return bus["open"]
