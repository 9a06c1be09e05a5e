"""`machine.RTC`: memory that fake_board keeps over resets, and ESP8266's alarm, which wakes it from deep sleep."""

import fake_board

_ESP8266 = fake_board.script.get("port") == "esp8266"


class RTC:
    if _ESP8266:
        ALARM0 = 0

        def irq(self, trigger=None, wake=None):
            if trigger != 0 or wake != 4:
                raise ValueError("invalid alarm")

        def alarm(self, alarm, ms):
            fake_board.alarm[0] = ms

    def memory(self, data=None):
        if data is None:
            return fake_board.rtc[0]
        if len(data) > (492 if _ESP8266 else 2048):
            raise ValueError("buffer too long")
        fake_board.rtc[0] = bytes(data)
