"""A voltage on an ADC pin. Keys: pin (GPIO; 0 on ESP8266), ratio (of the divider before the pin, 1 without one),
full_scale_mv (where the port does not calibrate: 1000 on a bare ESP8266)."""

from machine import ADC, Pin
from micropython import const

_KEYS = const(
    (
        ("pin", "adc", None, "GPIO of the ADC"),
        ("ratio", (0.001, 1000.0), 1, "of the divider before the pin, 1 without one"),
        ("full_scale_mv", (100, 5000), 1000, "millivolts at the end of the range, where the port does not calibrate"),
    )
)
_FULL_U16 = const(65520)  # all twelve bits set


class Sensor:
    fields = (("voltage", "V", 3),)

    def __init__(self, conf):
        if not isinstance(conf.get("pin"), int):
            raise ValueError("pin is %r; needed is the GPIO of the ADC" % conf.get("pin"))
        self.ratio = conf.get("ratio", 1)
        self.full_scale_mv = conf.get("full_scale_mv", 1000)
        for key, value in (("ratio", self.ratio), ("full_scale_mv", self.full_scale_mv)):
            if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
                raise ValueError("%s is %r; needed is a number over 0" % (key, value))
        self.pin = conf["pin"]
        if hasattr(ADC, "ATTN_11DB"):
            self.adc = ADC(Pin(self.pin), atten=ADC.ATTN_11DB)  # ESP32: 150 to 2450 mV
        else:
            self.adc = ADC(self.pin)  # ESP8266: 0 to 1000 mV at the chip

    def probe(self):
        """Nothing: a pin without a voltage looks like one with 0 V."""

    def read(self):
        """The mean of 8 samples. Raises OSError at the end of the range, where the voltage may be any above it."""
        adc = self.adc
        total = 0
        over = 0
        calibrated = hasattr(adc, "read_uv")
        for _ in range(8):
            try:
                raw = adc.read_u16()
                total += adc.read_uv() // 1000 if calibrated else raw * self.full_scale_mv // 65535
            except Exception as e:  # ESP32: ADC2 while WiFi is on
                raise OSError("ADC on GPIO %d: %s" % (self.pin, e))
            over += raw >= _FULL_U16
        if over == 8:
            raise OSError("ADC on GPIO %d: more than it can measure: check the divider, and the wire" % self.pin)
        return [round(total * self.ratio / 8)]
