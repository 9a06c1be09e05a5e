"""`machine.ADC`: the script's "adc PIN" in mV. On ESP8266 0 to 1000 mV and no calibration."""

import fake_board


class ADC:
    if fake_board.script.get("port") != "esp8266":
        ATTN_11DB = 3

        def read_uv(self):
            return int((fake_board.value(self.name) or 0) * 1000)

    def __init__(self, pin, atten=0):
        self.name = "adc %d" % getattr(pin, "number", pin)

    def read_u16(self):
        most_mv = 3300 if hasattr(self, "read_uv") else 1000
        return min(65535, int((fake_board.value(self.name) or 0) * 65535 / most_mv))
