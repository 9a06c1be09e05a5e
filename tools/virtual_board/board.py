"""A board: flash, ROM and, when there is a valid image in the flash, MicroPython on a serial port."""

import select
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Tuple

from tools.device.chips import CHIPS, MIB, PARTITION_TABLE, SECTOR_B, esp8266_flash, filesystem, rom
from tools.virtual_board.boot_rom import RomLoader
from tools.virtual_board.nor_flash import NorFlash
from tools.virtual_board.on_interpreter import Died, Interpreter
from tools.virtual_board.repl import Repl

MACHINES = {"esp32": "Generic ESP32 module with ESP32", "esp8266": "ESP module with ESP8266"}
# Free heap after the start: ESP32 as measured on the stock 1.24 with WiFi up; of an ESP8266's 38 KiB 20 to 28 KB.
FREE_HEAP_B = {"esp32": 148_368, "esp8266": 28_000}
# Reset causes as `machine` numbers them.
POWER_ON = {"esp32": 1, "esp8266": 0}
EN_PIN = {"esp32": 2, "esp8266": 6}
SOFT = {"esp32": 5, "esp8266": 4}
IMPROV = b"IMPROV\x01"  # then comes a packet's type, and that of a command is Ctrl-C
BLANK_S = 0.3  # after so long a chip without a program starts again
MPY = {"esp32": 6 | 3 << 8 | 10 << 10, "esp8266": 6 | 3 << 8 | 9 << 10}  # sys.implementation._mpy


@dataclass
class Fit:
    """What a board is made of.

    `frozen`: folder with the firmware's own modules, of which `modules` are in place from the start. `script`: what
    the sensors show, see host_tests/fakes/board/fake_board.py. `free_heap_b` 0: as much as such a board has.
    """

    chip: str
    mac: bytes
    micropython: str
    frozen: str
    modules: List[str] = field(default_factory=list)
    script: Dict[str, object] = field(default_factory=dict)
    free_heap_b: int = 0
    cook: bool = True  # "\n" printed becomes "\r\n"
    boot_ms: int = 0  # from a reset until MicroPython hears what is typed; the chip talks meanwhile
    version: Tuple[int, ...] = ()  # that MicroPython says it has; empty: its own


class Board:
    """`send(bytes)` goes to the serial port; `feed` and `reset` come from there; `turn` does what is due."""

    def __init__(
        self,
        fit: Fit,
        flash: NorFlash,
        send: Callable[[bytes], None],
        log: Callable[[str], None],
    ):
        self._fit = fit
        self._flash = flash
        self._send = send
        self._log = log
        self._rom: Optional[RomLoader] = None
        self._repl: Optional[Repl] = None
        self._interpreter: Optional[Interpreter] = None
        self._files: List[bytes] = []
        self._starts = 0.0  # monotonic time of a start that is due; 0 when none is
        self._deaths = 0  # in a row
        self._blank = self._loading = False
        self._cause = POWER_ON[fit.chip]
        self._rtc = b""
        self._last_typed = b""

    def power_on(self) -> None:
        """Plug the board in."""
        self._restart()

    def reset(self, download: bool = False) -> None:
        """Let go of EN. `download`: with IO0 held low."""
        self._cause, self._rtc = EN_PIN[self._fit.chip], b""
        if download:
            self._off()
            self._starts = 0.0
            self._log("reset into the ROM's loader")
            self._rom = RomLoader(self._fit.chip, self._fit.mac, self._flash, self._send, self._start_soon)
            self._rom.greet()
        else:
            self._restart()

    def _restart(self) -> None:
        self._off()
        self._starts = 0.0
        self._rom = None
        head = self._flash.read(CHIPS[self._fit.chip].image_offset, 4)
        if head[:1] != b"\xe9":
            if not self._blank:
                self._log("reset; there is no program in the flash")
            self._blank = True
            self._starts = time.monotonic() + BLANK_S  # its watchdog starts it again and again
            self._send(b"rst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n")
            self._send(b"invalid header: 0x%08x\r\n" % int.from_bytes(head, "little"))
            return
        self._blank = False
        if self._fit.boot_ms and not self._loading:
            self._loading = True
            self._send(b"rst:0x5 (DEEPSLEEP_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\nload:0x3fff0030,len:4728\r\n")
            self._starts = time.monotonic() + self._fit.boot_ms / 1000
            return
        self._loading = False
        self._log("reset; MicroPython starts")
        self._boot(run_main=True)

    def _start_soon(self) -> None:
        self._starts = time.monotonic()

    def _off(self) -> None:
        if self._interpreter:
            self._interpreter.kill()
        if self._repl:
            self._repl.is_off = True  # it may be in the middle of what was typed
        self._interpreter = self._repl = None

    def _boot(self, run_main: bool, mode: str = "friendly") -> None:
        if self._interpreter:
            self._interpreter.kill()
            self._interpreter = None
        chip = self._fit.chip
        try:
            rom_at, (offset, size_b) = self._partitions()
            description = {
                "chip": chip,
                "machine": MACHINES[chip],
                "mpy": MPY[chip],
                "flash": self._flash.path,
                "offset": offset,
                "size": size_b,
                "rom": rom_at,
                "frozen": self._fit.frozen,
                "modules": self._fit.modules,
                "script": {"port": chip, **self._fit.script},
                "unique_id": list(self._fit.mac if chip == "esp32" else self._fit.mac[2:]),
                "cause": self._cause,
                "rtc": list(self._rtc),
                "version": self._fit.version,
                "free_heap": self._fit.free_heap_b or FREE_HEAP_B[chip],
            }
            self._interpreter = Interpreter(self._fit.micropython, description, self)
        except (Died, ValueError, OSError) as error:
            self._log("MicroPython does not start: %s" % error)
            self._repl = None
            return
        banner = b'MicroPython on a virtual board; %s\r\nType "help()" for more information.\r\n'
        self._repl = Repl(self._send, self, banner % MACHINES[chip].encode())
        self._repl.mode = mode
        self._repl.startup()
        self._files = [b"boot.py"] + ([b"main.py"] if run_main else [])
        self._next_file()

    def _partitions(self) -> Tuple[Tuple[int, int], Tuple[int, int]]:
        """(offset, size) of what is mounted at /rom and at /, as the image in the flash has it. Raises ValueError."""
        chip = self._fit.chip
        if chip != "esp8266":
            return (0, 0), filesystem(chip, self._flash.size_b, self._flash.read(PARTITION_TABLE, SECTOR_B))
        image = self._flash.read(0, MIB)
        size_b = esp8266_flash(image)
        rom_at = rom(chip, image)
        if size_b > self._flash.size_b or (rom_at[1] and size_b < 2 * MIB):
            raise ValueError("the image is for a flash of %d MiB" % (size_b // MIB))
        return rom_at, filesystem(chip, size_b)

    def _next_file(self) -> None:
        self._interpreter.run(b"F", self._files.pop(0))

    # what the interpreter tells
    def printed(self, data: bytes) -> None:
        if self._fit.cook:
            data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        self._send(data)

    def kept(self, rtc: bytes) -> None:
        self._rtc = rtc

    def resets(self, cause: int, sleep_ms: int) -> None:
        self._log("the program resets the board, cause %d, after %d ms" % (cause, sleep_ms))
        self._off()
        self._cause = cause
        self._starts = time.monotonic() + sleep_ms / 1000

    def done(self, error: bytes, exited: bool) -> None:
        self._deaths = 0
        if self._repl.running != "startup":
            self._repl.finished(error, exited)
        else:
            self._send(error)
            if exited:
                self._send(b"MPY: soft reboot\r\n")
                self.soft_reset(True)
            elif self._files and not error:  # main.py runs only after a boot.py that did not fail
                self._next_file()
            else:
                self._repl.ready()
        if self._repl and not self._repl.running:
            self._repl.feed(self._interpreter.untyped())

    # what the REPL asks of its engine
    def start(self, source: bytes, interactive: bool) -> None:
        self._interpreter.run(b"S" if interactive else b"C", source)

    def interrupt(self) -> bool:
        if self._repl.running == "startup":
            # On a board one that comes before boot.py runs is a byte like others, and boot.py is over at once. Here it
            # counts, so that a tool need not try again, but for the one in a packet of Improv, whose client does.
            if self._files and self._last_typed == IMPROV:
                return False
            self._files.clear()  # a Ctrl-C while boot.py runs also skips main.py
        return self._interpreter.interrupt()

    def type(self, data: bytes) -> None:
        self._last_typed = (self._last_typed + data)[-len(IMPROV) :]
        self._interpreter.type(data)

    def soft_reset(self, run_main: bool) -> None:
        self._cause = SOFT[self._fit.chip]
        self._boot(run_main, self._repl.mode)

    # what the port and the loop ask of the board
    def feed(self, data: bytes) -> None:
        """Bytes from the host.

        A port without DTR and RTS has no way to reset the board, so it is done for it: a SYNC frame enters the
        loader, and Ctrl-C outside of the loader's packets starts the program.
        """
        sync = data.startswith(b"\xc0\x00\x08")
        if self._rom:
            if self._rom.between_packets and data[:1] != b"\xc0" and b"\x03" in data:
                self.reset()
                data = data[data.index(b"\x03") :]
            else:
                self._rom.feed(data)
                return
        elif sync:
            self.reset(download=True)
            self._rom.feed(data)
            return
        if self._repl:
            try:
                self._repl.feed(data)
            except Died as error:
                self._died(error)

    def _died(self, died: Died) -> None:
        self._log(str(died))
        self._send(b"\r\nrst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n")
        self._off()
        self._deaths += 1
        self._starts = time.monotonic() + min(2.0, 0.1 * self._deaths)

    def readers(self) -> List[int]:
        return self._interpreter.readers() if self._interpreter else []

    def turn(self, readable: List[int]) -> None:
        """Take what the interpreter has for us; start what is due."""
        if self._interpreter:
            try:
                self._interpreter.ready(readable)
            except Died as error:
                self._died(error)
        if self._starts and time.monotonic() >= self._starts:
            self._restart()

    def close(self) -> None:
        """Power off."""
        self._off()


def serve(board: Board, port, until: Callable[[], bool], feed: Callable[[bytes], None]) -> None:
    """Carry bytes between the port and the board until `until()`; `feed` gets what the host sends."""
    while not until():
        writers = port.writers()
        readable, writable, _ = select.select(port.readers() + board.readers(), writers, [], 0.02)
        if writable:
            port.flush()
        data = port.read(readable)
        if data:
            feed(data)
        board.turn(readable)
