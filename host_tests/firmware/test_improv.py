"""Improv over the serial line, byte by byte: what a client of the protocol sends, and what it must get back."""

import json
import os

from fakes.check import equal, raises
from fakes.folder import Folder, read, write
from on_board import World

import fake_board
import improv
import network


def packet(kind, *data):
    """As improv-wifi.com/serial has it, made here and not by the firmware."""
    whole = b"IMPROV" + bytes([1, kind, len(data)]) + bytes(data)
    return whole + bytes([sum(whole) % 256])


def command(number, *data):
    return packet(3, number, len(data), *data)


def texts(*words):
    out = []
    for word in words:
        out += [len(word.encode())] + list(word.encode())
    return out


NO_ERROR = packet(2, 0)


class Line:
    """A board at the end of a serial line; its networks take the password "12345678"."""

    def __init__(self, provisioned=False):
        self.sent = []
        self.joined = []
        self.improv = improv.Improv(self.write, self.join, self.networks, provisioned)

    def write(self, data):
        assert data[:1] == b"\n" == data[-1:], "a line of its own"
        self.sent.append(bytes(data[1:-1]))

    def join(self, name, password):
        if password != "12345678":
            raise OSError('"%s": wrong password' % name)
        self.joined.append((name, password))

    def networks(self):
        return [("lab", -61, 3), ("café", -70, 0)]

    def feed(self, data):
        """What it sends for these bytes."""
        self.sent = []
        for byte in data:
            self.improv.feed(byte)
        return self.sent


def test_the_state_is_told_and_that_of_a_provisioned_board_with_its_url():
    equal(Line().feed(command(2)), [NO_ERROR, packet(1, 2)])
    equal(Line(True).feed(command(2)), [NO_ERROR, packet(1, 4), packet(4, 2, 0)])


def test_a_known_packet_is_the_one_of_the_specification():
    # IMPROV, 1, RPC, 2 bytes, current state, 0, checksum 0xE5: what every client begins with
    equal(command(2), b"IMPROV\x01\x03\x02\x02\x00\xe5")
    equal(Line().feed(b"IMPROV\x01\x03\x02\x02\x00\xe5\n"), [NO_ERROR, packet(1, 2)])


def test_wifi_that_works_is_kept_and_told():
    line = Line()
    equal(line.feed(command(1, *texts("café", "12345678"))), [NO_ERROR, packet(1, 3), packet(1, 4), packet(4, 1, 0)])
    equal(line.joined, [("café", "12345678")])
    assert line.improv.joined


def test_wifi_that_does_not_work_is_an_error_and_another_try_is_taken():
    line = Line()
    equal(line.feed(command(1, *texts("lab", "wrong"))), [NO_ERROR, packet(1, 3), packet(1, 2), packet(2, 3)])
    assert not line.improv.joined
    line.feed(command(1, *texts("lab", "12345678")))
    equal(line.joined, [("lab", "12345678")])


def test_a_board_whose_radio_or_memory_fails_says_so_and_listens_on():
    for error in (OSError("Wifi Internal Error"), RuntimeError("Wifi Unknown Error 0x0101"), MemoryError()):
        line = Line()

        def fail(*_):
            raise error  # noqa: B023

        line.improv.join = line.improv.networks = fail
        equal(line.feed(command(1, *texts("lab", "12345678"))), [NO_ERROR, packet(1, 3), packet(1, 2), packet(2, 3)])
        equal(line.feed(command(4)), [NO_ERROR, packet(4, 4, 0)], "no network is in the list")
        assert not line.improv.joined


def test_the_board_says_what_it_is_and_which_networks_it_sees():
    from umqtt import __version__

    sent = Line().feed(command(3))
    told = texts("umqtt-node", __version__, improv.sys.platform.upper(), "umqtt-node")
    equal(sent, [NO_ERROR, packet(4, 3, len(told), *told)])
    sent = Line().feed(command(4))
    equal(
        sent,
        [
            NO_ERROR,
            packet(4, 4, len(texts("lab", "-61", "YES")), *texts("lab", "-61", "YES")),
            packet(4, 4, len(texts("café", "-70", "NO")), *texts("café", "-70", "NO")),
            packet(4, 4, 0),
        ],
    )


def test_a_network_in_reach_that_has_no_name_or_one_that_is_no_text_hides_no_other():
    World({"wifi": {"lab": "12345678"}})
    real = network.WLAN.scan
    network.WLAN.scan = lambda sta: [(name, b"\0" * 6, 1, -40, 3, True) for name in (b"\xff\xfe", b"")] + real(sta)
    try:
        equal(improv._networks(), [("other", -50, 3), ("lab", -61, 3)])
    finally:
        network.WLAN.scan = real


def test_a_config_json_that_is_no_object_is_replaced_by_what_works():
    World({"wifi": {"lab": "12345678"}})
    home = os.getcwd()
    with Folder() as folder:
        os.chdir(folder)
        try:
            for held in (b"[]", b"5", b"null", b"{", b"", b"\xff", None):
                if held is not None:
                    write("config.json", held)
                improv._join("lab", "12345678")
                equal(json.loads(read("config.json")), {"wifi_ssid": "lab", "wifi_password": "12345678"}, held)
            os.remove("config.json")
        finally:
            os.chdir(home)


def test_a_network_of_several_access_points_is_told_once_and_the_strongest_first():
    World({"wifi": {"lab": "12345678"}})
    real = network.WLAN.scan
    rows = [("lab", -80, 3), ("far", -90, 0), ("lab", -55, 4), ("lab", -70, 3), ("near", -50, 3)]
    network.WLAN.scan = lambda sta: [(name.encode(), b"", 1, dbm, locked, False) for name, dbm, locked in rows]
    try:
        equal(improv._networks(), [("near", -50, 3), ("lab", -55, 4), ("far", -90, 0)])
    finally:
        network.WLAN.scan = real


def test_a_static_address_is_kept_for_its_own_network_and_not_for_another():
    World({"wifi": {"lab": "12345678", "home": "abcdefgh"}})
    given = {"wifi_ssid": "lab", "wifi_password": "old", "wifi_address": "10.0.0.9 255.0.0.0 10.0.0.1 10.0.0.1"}
    home = os.getcwd()
    with Folder() as folder:
        os.chdir(folder)
        try:
            for name, password, wanted in (
                ("lab", "12345678", dict(given, wifi_password="12345678")),
                ("home", "abcdefgh", {"wifi_ssid": "home", "wifi_password": "abcdefgh"}),
            ):
                write("config.json", json.dumps(given).encode())
                improv._join(name, password)
                equal(json.loads(read("config.json")), wanted)
        finally:
            os.chdir(home)


def test_what_is_damaged_unknown_or_cut_short_is_an_error_and_changes_nothing():
    line = Line()
    good = command(1, *texts("lab", "12345678"))
    for i in range(9, len(good)):
        bad = bytearray(good)
        bad[i] ^= 0x40
        equal(line.feed(bad), [packet(2, 1)], i)
    for data in ((), (0,), texts("lab"), texts("", "12345678"), texts("lab", "12345678") + [0], [9, 108]):
        equal(line.feed(command(1, *data))[-1], packet(2, 1), data)
    equal(line.feed(packet(3, 2, 5)), [packet(2, 1)], "a length that is not so")
    equal(line.feed(packet(3)), [packet(2, 1)])
    for number in (0, 5, 6, 255):
        equal(line.feed(command(number)), [packet(2, 2)])
    equal(line.feed(packet(1, 2)) + line.feed(packet(4, 1, 0)), [], "a device's packet is none for a device")
    equal(line.feed(command(1, 2, 0xFF, 0xFE, *texts("12345678")))[-1], packet(2, 3), "no UTF-8")
    equal(line.joined, [])


def test_a_packet_is_found_in_what_else_is_typed():
    for noise in (b"", b"IMP", b"\r\nhelp()\r\n", b"IIMPROV\x02", b"IMPROVIMPROV", bytes(range(4, 256))):
        equal(Line().feed(noise + command(2)), [NO_ERROR, packet(1, 2)], noise)


def test_ctrl_c_outside_of_a_packet_is_ctrl_c_and_within_one_it_is_a_byte():
    for noise in (b"\x03", b"IMP\x03", b"x\x03", command(2) + b"\n\x03"):
        raises(KeyboardInterrupt, Line().feed, noise)
    line = Line()
    equal(line.feed(command(1, *texts("abc", "12345678")))[-1], packet(4, 1, 0), "a name of three letters")
    equal(line.joined, [("abc", "12345678")])


class Typed:
    """A serial line on which these bytes wait; in the place of sys, of its stdin and of a poll object."""

    def __init__(self, waiting):
        self.waiting = waiting
        self.waited_ms = 0
        self.stdin = self.buffer = self
        self.ended = False

    def register(self, stream, events):
        equal((stream, events), (self, improv.POLLIN))
        self.poll = self._poll

    def _poll(self, ms):
        return self.waiting != b""

    def late(self, ms):
        """In the place of sleep_ms: what has come after these ms."""
        self.waited_ms += ms
        self.waiting += command(2)[8:] + b"\n"

    def read(self, size):
        assert len(self.waiting) >= size or self.ended, "it would wait for ever"
        got, self.waiting = self.waiting[:size], self.waiting[size:]
        return got


def test_a_ctrl_c_is_improvs_only_when_its_header_stands_before_it():
    real = improv.sys, improv.poll, improv.sleep_ms
    try:
        # what is left of a line when its Ctrl-C, byte 3, has ended the program
        for waiting, is_asked, left in (
            (command(2).replace(b"\x03", b"")[:7], True, b""),  # the rest is on its way
            (b"", False, b""),
            (b"\r\x01", False, b"\x01"),  # mpremote, which wants the raw prompt
            (b"IMP", False, b""),
        ):
            line = improv.sys = Typed(waiting)
            improv.poll = lambda line=line: line
            improv.sleep_ms = line.late
            equal(improv.is_asked(), is_asked, waiting)
            equal((line.waiting, line.waited_ms > 20), (left, is_asked), waiting)
    finally:
        improv.sys, improv.poll, improv.sleep_ms = real


class Spoken(Typed):
    """A serial line on which `said` comes, [(ms after the one before, bytes), ...], b"" for its end; then it is silent.
    `sent` has the packets of the board, `ctrl_c` each byte that was to end a program."""

    platform = "esp32"

    def __init__(self, clock, *said):
        super().__init__(b"")
        self.clock = clock
        self.said = list(said)
        self.stdout = self
        self.sent = []
        self.ctrl_c = []
        self.kbd_intr = self.ctrl_c.append

    def _poll(self, ms):
        if self.waiting or self.ended:
            return True
        left_ms, data = self.said[0] if self.said else (1 << 30, b"")
        if left_ms > ms:
            self.clock.sleep_ms(ms)
            if self.said:
                self.said[0] = left_ms - ms, data
            return False
        self.clock.sleep_ms(left_ms)
        self.said.pop(0)
        self.waiting = data
        self.ended = not data
        return True

    def write(self, data):
        self.sent.append(bytes(data[1:-1]))


def served(*said, is_asked=False, ends_in_reset=False, provisioned=False, join_ms=0):
    """(what a board sent, how long it listened) on such a line."""
    from fakes.clock import ticks_diff

    world = World({"wifi": {"lab": "12345678"}, "join_ms": join_ms})
    line = Spoken(world.clock, *said)
    names = "sys", "poll", "sleep_ms", "micropython", "ticks_ms", "ticks_diff"
    real = [getattr(improv, name) for name in names]
    began = world.clock.now
    for name, fake in zip(names, (line, lambda: line, world.clock.sleep_ms, line, world.clock.ticks_ms, ticks_diff)):
        setattr(improv, name, fake)
    try:
        if ends_in_reset:
            raises(fake_board.Reset, improv.serve, provisioned, is_asked)
        else:
            equal(improv.serve(provisioned, is_asked) if provisioned or is_asked else improv.serve(), None)
    finally:
        for name, value in zip(names, real):
            setattr(improv, name, value)
    equal(line.ctrl_c, [-1, 3], "Ctrl-C is a byte of packets, and then ends programs again")
    return line.sent, world.clock.now - began


def test_a_board_without_wifi_listens_until_the_line_ends_or_somebody_presses_ctrl_c():
    state = [NO_ERROR, packet(1, 2)]
    equal(served((0, b"")), ([], 0))
    equal(served((3600000, command(2)), (0, b"")), (state, 3600000))
    equal(served((0, command(2)), (700, b"\x03"), (0, command(2)))[0], state)
    equal(served((0, command(2)), (0, b""), provisioned=True)[0], [NO_ERROR, packet(1, 4), packet(4, 2, 0)])


def test_half_a_packet_is_forgotten_after_a_second():
    whole = command(2)
    for pause_ms, said in ((900, [NO_ERROR, packet(1, 2)]), (1300, [])):
        equal(served((0, whole[:9]), (pause_ms, whole[9:]), (0, b""))[0], said, pause_ms)
    equal(served((0, whole[:9]), (1300, whole), (0, b""))[0], [NO_ERROR, packet(1, 2)])


def test_a_board_that_has_joined_starts_three_seconds_after_the_last_byte():
    home = os.getcwd()
    with Folder() as folder:
        os.chdir(folder)
        try:
            wifi = command(1, *texts("lab", "12345678"))
            sent, listened_ms = served((0, wifi), (2500, command(2)), ends_in_reset=True)
            equal(json.loads(read("config.json")), {"wifi_ssid": "lab", "wifi_password": "12345678"})
        finally:
            os.chdir(home)
    equal(sent[-5:], [packet(1, 4), packet(4, 1, 0), NO_ERROR, packet(1, 4), packet(4, 2, 0)])
    assert 5500 <= listened_ms < 6500, listened_ms


def test_a_network_that_is_slow_is_waited_for_and_one_that_does_not_answer_is_given_up_after_twenty_seconds():
    home = os.getcwd()
    wifi = command(1, *texts("lab", "12345678"))
    with Folder() as folder:
        os.chdir(folder)
        try:
            sent, listened_ms = served((0, wifi), (0, b""), join_ms=99000)
            equal(sent, [NO_ERROR, packet(1, 3), packet(1, 2), packet(2, 3)])
            assert 20000 <= listened_ms < 20500, listened_ms
            equal(os.listdir("."), [])
            sent, listened_ms = served((0, wifi), (0, b""), join_ms=19000)
            equal(sent, [NO_ERROR, packet(1, 3), packet(1, 4), packet(4, 1, 0)])
            assert 19000 <= listened_ms < 19500, listened_ms
        finally:
            os.chdir(home)


def test_a_board_whose_program_was_ended_for_it_answers_at_once_and_starts_after_half_a_minute():
    sent, listened_ms = served(is_asked=True, ends_in_reset=True)
    equal(sent, [NO_ERROR, packet(1, 2)])
    assert 30000 <= listened_ms < 30500, listened_ms
    sent, listened_ms = served((20000, command(3)), is_asked=True, ends_in_reset=True)
    assert 50000 <= listened_ms < 50500, listened_ms


def test_an_interrupt_that_is_no_packets_is_passed_on():
    real = improv.is_asked, improv.serve
    called = []
    improv.serve = lambda *what: called.append(what)
    try:
        improv.is_asked = lambda: False
        raises(KeyboardInterrupt, improv.interrupted)
        equal(called, [])
        improv.is_asked = lambda: True
        improv.interrupted()
        equal(called, [(False, True)])
    finally:
        improv.is_asked, improv.serve = real
