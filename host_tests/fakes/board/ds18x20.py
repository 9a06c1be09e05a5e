"""`ds18x20`: the script's "ds18b20 PIN" is °C, "crc", or "zeros" (a line held low); its address ends with the pin's
number; with "ds18b20 PIN more" there is another one on the bus."""

import fake_board


class DS18X20:
    def __init__(self, onewire):
        self.number = onewire.number
        self.zeros = False
        self.name = "ds18b20 %d" % onewire.number

    def scan(self):
        values = fake_board.script.get("values", {})
        found = [bytearray(b"\x28\xff\x01\x02\x03\x04\x05" + bytes([self.number]))] if values.get(self.name) else []
        if values.get(self.name + " more"):
            found.append(bytearray(b"\x28\xff\x01\x02\x03\x04\x06" + bytes([self.number])))
        return found

    def convert_temp(self):
        pass

    def read_temp(self, rom):
        got = fake_board.value(self.name)
        if got == "crc":
            raise Exception("CRC error")
        self.zeros = got == "zeros"
        return 0.0 if self.zeros else got

    def read_scratch(self, rom):
        return bytes(9) if self.zeros else b"\0\0\x4b\x46\x7f\xff\x0c\x10\x1c"
