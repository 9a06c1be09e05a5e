"""Is an answer as the chip sent it? The CRC-8 of Sensirion's chips, which Asair's have too: x^8 + x^5 + x^4 + 1, from
0xFF."""

from i2c import OnI2C

GARBLED = "the checksum of its answer is wrong: long wires, or a weak pull-up?"


def crc8(data) -> int:
    """The checksum of the bytes `data`."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x131 if crc & 0x80 else 0)
    return crc


def is_intact(answer) -> bool:
    """Whether each word of 16 bits is followed by its checksum."""
    for at in range(0, len(answer), 3):
        if crc8(answer[at : at + 2]) != answer[at + 2]:
            return False
    return True


class Words(OnI2C):
    """Base of a driver whose chip answers in words of 16 bits, each with its CRC-8."""

    def words(self, command, count: int, wait_ms: int = 0):
        """The chip's answer to `command`, a list of `count` integers; asked once more when it is garbled. Raises
        OSError in words."""
        answer = self.ask(command, 3 * count, wait_ms)
        if not is_intact(answer):
            try:
                answer = self.ask(command, 3 * count, wait_ms)
            except OSError:
                pass  # some have one answer for each measurement
            if not is_intact(answer):
                raise self.wrong(GARBLED)
        return [answer[at] << 8 | answer[at + 1] for at in range(0, 3 * count, 3)]
