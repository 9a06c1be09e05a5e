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
        """As a port's: a copy of all, which takes heap; what is written takes none, for it is elsewhere on a board."""
        if data is None:
            return bytes(fake_board.rtc[0])
        if len(data) > (492 if _ESP8266 else 2048):
            raise ValueError("buffer too long")
        if isinstance(fake_board.rtc[0], bytearray) and len(fake_board.rtc[0]) == len(data):
            fake_board.rtc[0][:] = data
        else:
            fake_board.rtc[0] = bytearray(data)
