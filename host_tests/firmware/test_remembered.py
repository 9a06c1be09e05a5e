"""What a board that sleeps knows when it wakes: the same as when it went to sleep, whatever the numbers were."""

import on_board  # noqa: F401 - the paths
from fakes.check import equal

import fake_board
import remembered

AP = b"\2\0\0\0\0\x09"
NUMBERS = (
    "synced_s", "wakes", "fails", "skip", "uses", "told", "took_ms", "start_ms", "late_pid", "strikes", "due_ms",
)  # fmt: skip


def numbers(known):
    return {name: getattr(known, name) for name in NUMBERS}


def power_on():
    fake_board.rtc[0] = b""
    return remembered.Remembered()


def slept(known):
    """What the next wake knows of it."""
    known.save()
    return remembered.Remembered()


def with_all(known, value):
    for name in NUMBERS:
        setattr(known, name, value)
    return known


class Radio:
    """What of a Wifi is asked: `started` has the arguments of each start."""

    ssid = "lab"

    def __init__(self, rows=(), address=("192.168.1.7", "255.255.255.0", "192.168.1.1", "9.9.9.9")):
        self.started = []
        self.sta = self
        self.rows = rows
        self.address = address

    def start(self, limit_ms, bssid=None, address=None):
        self.started.append((limit_ms, bssid, address))

    def scan(self):
        return self.rows

    def ifconfig(self):
        return self.address


def test_after_power_on_nothing_is_known():
    known = power_on()
    equal(set(numbers(known).values()), {0})
    equal((known.bssid, known.address), (bytes(6), bytes(16)))
    assert not known.hidden and not known.qos_1 and not known.level_4


def test_each_number_comes_back_as_itself():
    known = power_on()
    for value, name in enumerate(NUMBERS, 1):
        setattr(known, name, value)
    known.bssid, known.address = AP, bytes(range(16))
    before = numbers(known)
    known = slept(known)
    equal(numbers(known), before)
    equal((known.bssid, known.address), (AP, bytes(range(16))))


def test_what_has_grown_too_large_is_the_largest_or_starts_again_and_never_an_error():
    largest = {
        "synced_s": 2**32 - 1, "wakes": 2**16 - 1, "fails": 255, "skip": 2**16 - 1, "uses": 255, "told": 2**17 - 1,
        "took_ms": 2**16 - 1, "start_ms": 2**16 - 1, "late_pid": 2**16 - 1, "strikes": 255, "due_ms": 2**64 - 1,
    }  # fmt: skip
    known = power_on()
    for name in NUMBERS:
        setattr(known, name, largest[name])
    equal(numbers(slept(known)), largest)
    for name in ("wakes", "fails", "skip", "uses", "told", "took_ms", "start_ms", "strikes"):
        setattr(known, name, largest[name] + 1)
    equal(numbers(slept(known)), dict(largest, wakes=0, told=0), "of wakes, and of things, the low bits are kept")
    known.synced_s = -5  # the clock was not set yet
    equal(slept(known).synced_s, 0)


def test_a_hidden_network_a_broker_without_qos_2_or_mqtt_5_and_what_was_announced_are_four_things():
    for i in range(8):
        for told in (0, 1, 1 << 13, 1 << 15, 1 << 16):  # the first sensor, the 14th, the last, the commands
            said = bool(i & 1), bool(i & 2), bool(i & 4), told
            known = power_on()
            known.hidden, known.qos_1, known.level_4, known.told = said
            known = slept(known)
            equal((bool(known.hidden), bool(known.qos_1), bool(known.level_4), known.told), said)


def test_another_configuration_knows_nothing_and_damaged_memory_is_none():
    known = with_all(power_on(), 7)
    known.save()
    known.forget()
    equal(set(numbers(known).values()), {0})
    fake_board.rtc[0] = fake_board.rtc[0][:3] + b"\x55" + fake_board.rtc[0][4:]
    equal(set(numbers(remembered.Remembered()).values()), {0})


def test_a_wake_begins_to_join_at_once_by_what_is_known_and_no_longer_than_it_may_be_awake():
    for wifi_timeout_s, awake_ms, limit_ms in ((7, 20000, 7000), (30, 20000, 20000)):
        cfg = {"wifi_timeout_s": wifi_timeout_s, "awake_ms": awake_ms}
        known, radio = power_on(), Radio()
        known.join(radio, cfg)
        known.note_address(radio)
        known.join(radio, cfg)
        known.note_access_point(Radio([(b"lab", AP, 6, -61, 3, False)]))
        known.join(radio, cfg)
        address = b"\xc0\xa8\1\7\xff\xff\xff\0\xc0\xa8\1\1\x09\x09\x09\x09"
        equal(radio.started, [(limit_ms, None, None), (limit_ms, None, address), (limit_ms, AP, address)])


def test_the_strongest_access_point_of_the_network_is_remembered_and_a_hidden_one_is_none():
    other, weak, first = b"\3" * 6, b"\4" * 6, b"\5" * 6
    row = [(b"lab", weak, 1, -90, 3, False), (b"lab", AP, 6, -61, 3, False), (b"other", other, 1, -10, 3, False)]
    known = power_on()
    for rows in (row, row[::-1], row[1:], [(b"lab", AP, 1, -998, 3, False)]):
        known.note_access_point(Radio(rows))
        equal((known.bssid, bool(known.hidden)), (AP, False))
    known.note_access_point(Radio([(b"lab", first, 1, -61, 3, False), (b"lab", AP, 1, -61, 3, False)]))
    equal(known.bssid, first, "of two as strong the first: it does not change at each scan")
    known.note_access_point(Radio(row[2:]))
    equal((known.bssid, bool(known.hidden)), (bytes(6), True))
    known.note_access_point(Radio(row))
    equal(bool(known.hidden), False, "it shows itself again")
