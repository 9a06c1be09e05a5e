"""`machine.ADC`: the script's "adc PIN" in mV. On ESP8266 0 to 1000 mV and no calibration."""

import fake_board

_ESP8266 = fake_board.script.get("port") == "esp8266"


class ADC:
    if not _ESP8266:
        ATTN_0DB, ATTN_11DB = 0, 3

        def read_uv(self):
            return int((fake_board.value(self.name) or 0) * 1000)

    def __init__(self, pin, atten=0):
        self.name = "adc %d" % getattr(pin, "number", pin)

    def read_u16(self):
        return min(65535, int((fake_board.value(self.name) or 0) * 65535 / (1000 if _ESP8266 else 3300)))
