"""The battery that feeds the board, by a divider on an ADC pin: volts, per cent, whether it is low. Then the board says
so, and sleeps for long."""

from micropython import const

from sensors.adc import Sensor as Adc

_KEYS = const(
    (
        ("pin", "adc", None, "GPIO of the ADC"),
        ("ratio", (0.001, 1000.0), 1, "of the divider before the pin, 1 without one"),
        ("full_scale_mv", (100, 5000), 1000, "millivolts at the end of the range, where the port does not calibrate"),
        ("empty_v", (0.5, 60.0), 3.3, "volts at which it is empty"),
        ("full_v", (0.5, 60.0), 4.1, "volts at which it is full"),
        ("low_percent", (0, 99), 10, "per cent at which it is low"),
        ("sleep_s", (0, 86400), 3600, "so long the board sleeps when it is low, 0: it goes on"),
    )
)
_WELL = const(5)  # per cent over low_percent: then it is not low any more


class Sensor(Adc):
    diagnostic = True
    fields = (("voltage", "V", 3), ("battery", "%", 0), ("low", "", 0))

    def __init__(self, conf):
        super().__init__(conf)
        self.empty_mv = round(conf.get("empty_v", 3.3) * 1000)
        self.span_mv = round(conf.get("full_v", 4.1) * 1000) - self.empty_mv
        if self.span_mv <= 0:
            raise ValueError("full_v is not over empty_v")
        self.low_percent = conf.get("low_percent", 10)
        self.sleep_s = conf.get("sleep_s", 3600)
        self.is_low = False
        self.rest_s = 0

    def read(self):
        """As `adc` does; per cent are a straight line between empty_v and full_v."""
        mv = super().read()[0]
        percent = min(max((mv - self.empty_mv) * 100 // self.span_mv, 0), 100)
        self.is_low = percent <= self.low_percent + (_WELL if self.is_low else 0)
        self.rest_s = self.sleep_s if self.is_low else 0
        return [mv, percent, int(self.is_low)]
