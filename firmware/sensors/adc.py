"""A voltage on an ADC pin. Keys: pin (GPIO; 0 on ESP8266), ratio (of the divider before the pin, 1 without one),
full_scale_mv (where the port does not calibrate: 1000 on a bare ESP8266)."""

from machine import ADC, Pin


class Sensor:
    fields = (("voltage", "V", 3),)

    def __init__(self, conf):
        if not isinstance(conf.get("pin"), int):
            raise ValueError("pin is %r; needed is the GPIO of the ADC" % conf.get("pin"))
        for key, default in (("ratio", 1), ("full_scale_mv", 1000)):
            value = conf.get(key, default)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
                raise ValueError("%s is %r; needed is a number over 0" % (key, value))
        self.ratio = conf.get("ratio", 1)
        self.full_scale_mv = conf.get("full_scale_mv", 1000)
        self.pin = conf["pin"]
        if hasattr(ADC, "ATTN_11DB"):
            self.adc = ADC(Pin(self.pin), atten=ADC.ATTN_11DB)  # ESP32: 150 to 2450 mV
        else:
            self.adc = ADC(self.pin)  # ESP8266: 0 to 1000 mV at the chip

    def probe(self):
        """Nothing: a pin without a voltage looks like one with 0 V."""

    def read(self):
        """The mean of 8 samples."""
        adc = self.adc
        total = 0
        if hasattr(adc, "read_uv"):
            for _ in range(8):
                total += adc.read_uv() // 1000
        else:
            for _ in range(8):
                total += adc.read_u16() * self.full_scale_mv // 65535
        return [round(total * self.ratio / 8)]
