"""How does a board learn its WiFi over the serial line? By Improv (improv-wifi.com/serial), the open protocol that ESP
Web Tools speaks: while it has no configuration, and in the first minute after a start. Imported then, and forgotten.

A packet is IMPROV, version 1, type, length, data, and the sum of all bytes before, modulo 256. Its type of a command is
3, which is Ctrl-C: so that is switched off here, and a 3 outside of a packet is taken for it.
"""

import sys
from select import POLLIN, poll
from time import sleep_ms, ticks_diff, ticks_ms

import micropython
from micropython import const

import power

_HEADER = b"IMPROV\1"
_LENGTH = const(8)  # its place in a packet
_AROUND_B = const(10)  # header, type, length, checksum
_CTRL_C = const(3)

# types of a packet
_STATE = const(1)
_ERROR = const(2)
_COMMAND = const(3)
_RESULT = const(4)

# states
_READY = const(2)
_PROVISIONING = const(3)
_PROVISIONED = const(4)

# errors
_INVALID = const(1)
_UNKNOWN = const(2)
_NOT_CONNECTED = const(3)
_NO_ERROR = const(0)

# commands
_SET_WIFI = const(1)
_GET_STATE = const(2)
_GET_INFO = const(3)
_GET_NETWORKS = const(4)

_JOIN_MS = const(20000)
_LOOK_MS = const(50)  # whether it is joined
_STALE_MS = const(1000)  # half a packet, and nothing more for so long
_QUIET_MS = const(3000)  # after it has worked: then the program starts
_PATIENCE_MS = const(30000)
_STEP_MS = const(200)
_REST_MS = const(50)  # of a packet whose header is there


class Improv:
    """The device's side. write: a function that takes bytes; join: one that takes name and password of a network, and
    returns once they stand in config.json, or raises OSError; networks: one that returns [(name, RSSI, locked), ...].
    """

    def __init__(self, write, join, networks, provisioned: bool):
        self.write = write
        self.join = join
        self.networks = networks
        self.state = _PROVISIONED if provisioned else _READY
        self.joined = False
        self.buf = bytearray()

    def feed(self, byte: int) -> None:
        """One byte of the line. Raises KeyboardInterrupt for a Ctrl-C."""
        buf = self.buf
        if len(buf) < len(_HEADER) and byte != _HEADER[len(buf)]:
            self.buf = bytearray()
            if byte == _CTRL_C:
                raise KeyboardInterrupt
            if byte == _HEADER[0]:
                self.buf.append(byte)
            return
        buf.append(byte)
        if len(buf) > _LENGTH and len(buf) == _AROUND_B + buf[_LENGTH]:
            self.buf = bytearray()
            if sum(buf[:-1]) & 255 != buf[-1]:
                self.send(_ERROR, bytes((_INVALID,)))
            elif buf[len(_HEADER)] == _COMMAND:
                self.obey(bytes(buf[_LENGTH + 1 : -1]))

    def send(self, kind: int, data: bytes) -> None:
        """A packet on a line of its own, so that what is printed before it does not hide it."""
        packet = _HEADER + bytes((kind, len(data))) + data
        self.write(b"\n" + packet + bytes((sum(packet) & 255,)) + b"\n")

    def set_state(self, state: int) -> None:
        self.state = state
        self.send(_STATE, bytes((state,)))

    def result(self, command: int, *texts: str) -> None:
        """The answer to a command."""
        data = b""
        for text in texts:
            data += bytes((len(text.encode()),)) + text.encode()
        self.send(_RESULT, bytes((command, len(data))) + data)

    def obey(self, data: bytes) -> None:
        """A command: its number, the length of the rest, the rest."""
        if len(data) < 2 or len(data) != data[1] + 2:
            return self.send(_ERROR, bytes((_INVALID,)))
        command = data[0]
        if command not in (_SET_WIFI, _GET_STATE, _GET_INFO, _GET_NETWORKS):
            return self.send(_ERROR, bytes((_UNKNOWN,)))
        self.send(_ERROR, bytes((_NO_ERROR,)))
        if command == _SET_WIFI:
            self.set_wifi(data[2:])
        elif command == _GET_STATE:
            self.set_state(self.state)
            if self.state == _PROVISIONED:
                self.result(command)
        elif command == _GET_INFO:
            from umqtt import __version__

            self.result(command, "umqtt-node", __version__, sys.platform.upper(), "umqtt-node")
        else:
            try:
                for name, rssi, locked in self.networks():
                    self.result(command, name, str(rssi), "YES" if locked else "NO")
            except (OSError, RuntimeError, MemoryError):
                pass  # a radio that cannot scan now: no more are in the list
            self.result(command)

    def set_wifi(self, data: bytes) -> None:
        # the name and the password, each with its length before it
        name_end = 1 + data[0] if data else 1
        if len(data) <= name_end or len(data) != name_end + 1 + data[name_end] or name_end == 1:
            return self.send(_ERROR, bytes((_INVALID,)))
        self.set_state(_PROVISIONING)
        try:
            self.join(str(data[1:name_end], "utf-8"), str(data[name_end + 1 :], "utf-8"))
        except (OSError, RuntimeError, MemoryError, ValueError) as e:  # ValueError: no text
            print("improv:", e)
            self.set_state(_READY)
            return self.send(_ERROR, bytes((_NOT_CONNECTED,)))
        self.joined = True
        self.set_state(_PROVISIONED)
        self.result(_SET_WIFI)


def _join(name: str, password: str) -> None:
    """Join the network, and write it into config.json. Raises OSError in words."""
    import config_file
    from wifi import Wifi

    wifi = Wifi(name, password)
    wifi.start(_JOIN_MS)
    while not wifi.joined():
        sleep_ms(_LOOK_MS)
    try:
        given = config_file.load()
    except (OSError, ValueError):
        given = None
    if not isinstance(given, dict):
        given = {}  # there is none yet, or no whole one
    if given.get("wifi_ssid") != name:
        given.pop("wifi_address", None)  # one of the network before
    given["wifi_ssid"] = name
    given["wifi_password"] = password
    config_file.write(given)


def _networks() -> list:
    # each name once, the strongest first
    import network

    sta = network.WLAN(network.STA_IF)
    sta.active(True)
    found = {}
    for row in sta.scan():
        try:
            name = str(row[0], "utf-8")
        except UnicodeError:
            continue  # a neighbour's, whose name is no text: config.json could not hold it
        if name and (name not in found or found[name][1] < row[3]):
            found[name] = name, row[3], row[4]
    return sorted(found.values(), key=lambda row: -row[1])


def serve(provisioned: bool = False, is_asked: bool = False) -> None:
    """Speak Improv until WiFi is set, then reset the board; until Ctrl-C or the end of the line, then return. is_asked:
    a program was ended for it, which a reset begins again when nothing more comes."""
    poller = poll()
    poller.register(sys.stdin, POLLIN)
    stdin = sys.stdin.buffer
    improv = Improv(sys.stdout.buffer.write, _join, _networks, provisioned)
    heard_ms = ticks_ms()
    micropython.kbd_intr(-1)
    try:
        if is_asked:
            improv.obey(bytes((_GET_STATE, 0)))  # every client begins with it: that is what woke us
        while True:
            quiet_ms = ticks_diff(ticks_ms(), heard_ms)
            if improv.joined and quiet_ms > _QUIET_MS or is_asked and quiet_ms > _PATIENCE_MS:
                power.restart()
            if quiet_ms > _STALE_MS:
                improv.buf = bytearray()
            if not poller.poll(_STEP_MS):
                continue
            got = stdin.read(1)
            if not got:
                return
            improv.feed(got[0])
            heard_ms = ticks_ms()
    except KeyboardInterrupt:
        pass
    finally:
        micropython.kbd_intr(3)


def is_asked() -> bool:
    """Whether the Ctrl-C that has ended the program was the type of an Improv packet, whose header stands before it. Of
    what else is typed no more than the first byte is taken: mpremote sends a line end before its Ctrl-C, and then at
    once what it wants."""
    poller = poll()
    poller.register(sys.stdin, POLLIN)
    for i in range(len(_HEADER)):
        if not poller.poll(0) or sys.stdin.buffer.read(1) != _HEADER[i : i + 1]:
            return False
    sleep_ms(_REST_MS)
    while poller.poll(0) and sys.stdin.buffer.read(1):
        pass  # the rest of the packet
    return True


def interrupted() -> None:
    """A Ctrl-C has ended the program before it ran: speak Improv when it was a packet of that, as a client sends them
    from the moment that it has flashed a board. Raises KeyboardInterrupt for any other."""
    if not is_asked():
        raise KeyboardInterrupt
    serve(False, True)
