"""What a sensor remembers in RTC memory: its own, whole, and no more than the chip has room for beside the queue."""

import sys

import on_board  # noqa: F401 - the paths
from fakes.check import equal, raises


class Chip:
    """`machine` of an ESP32, or of an ESP8266, whose RTC memory holds the queue up to `queue_b`."""

    def __init__(self, is_esp8266, queue_b):
        held = [b"q" * queue_b]

        class Rtc:
            def memory(self, data=None):
                if data is not None:
                    held[0] = bytes(data)
                return held[0]

        if is_esp8266:
            Rtc.ALARM0 = 0
        self.RTC = Rtc
        self.held = held

    def life(self):
        """The class of a fresh start."""
        theirs = sys.modules.pop("kept", None)
        import kept

        kept.machine = self
        if theirs:
            sys.modules["kept"] = theirs
        return kept.Kept


def test_a_chip_has_room_for_so_many_integers_and_one_more_sensor_is_refused():
    for is_esp8266, count in ((True, 5), (False, 15)):
        Kept = Chip(is_esp8266, 100).life()
        Kept("one", count)
        Kept("two", count)
        assert "no room" in str(raises(ValueError, Kept, "three", 1))


def test_each_finds_its_own_again_and_the_queue_is_left_alone():
    for is_esp8266, queue_b, whole_b in ((True, 492 - 48, 492), (False, 2048 - 128, 2048), (True, 0, 492)):
        chip = Chip(is_esp8266, queue_b)
        Kept = chip.life()
        first, second = Kept("first", 2), Kept("second", 1)
        equal((first.read(), second.read()), (None, None))
        first.write((-3, 1 << 30))
        second.write((7,))
        first.write((-4, 1 << 30))
        equal((first.read(), second.read()), ([-4, 1 << 30], [7]))
        equal((chip.held[0][:queue_b], len(chip.held[0])), (b"q" * queue_b, whole_b))
        Kept = chip.life()
        equal((Kept("first", 2).read(), Kept("second", 1).read()), ([-4, 1 << 30], [7]))


def test_what_is_another_sensors_or_damaged_is_nothing():
    chip = Chip(False, 0)
    chip.life()("first", 2).write((5, 6))
    equal(chip.life()("renamed", 2).read(), None)
    whole = chip.held[0]
    for at in range(2, 12):  # the checksum, the integers
        damaged = bytearray(whole)
        damaged[len(damaged) - 12 + at] ^= 1
        chip.held[0] = bytes(damaged)
        equal(chip.life()("first", 2).read(), None, at)
    # two bytes that have changed places
    chip.held[0] = whole[:-5] + whole[-4:-3] + whole[-5:-4] + whole[-3:]
    equal(chip.life()("first", 2).read(), None)
    chip.held[0] = whole
    equal(chip.life()("first", 2).read(), [5, 6])
