"""`python -m tools.virtual_board`: put a virtual board on a serial port until Ctrl-C or SIGTERM."""

import argparse
import contextlib
import hashlib
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Tuple

from tools.printable import quoted
from tools.virtual_board.board import Board, Fit, serve
from tools.virtual_board.boot_rom import SILICON
from tools.virtual_board.nor_flash import NorFlash
from tools.virtual_board.serial_end import PtyPort, Rfc2217Port

ROOT = Path(__file__).resolve().parents[2]
FROZEN = Path(__file__).with_name("frozen")
# What the sensors show when no script says otherwise: a warm chip, a dry room, a DHT22 that misses an answer.
VALUES = {
    "chip": [41, 41.5, 42],
    "dht22 4": [[21.5, 40.2], [21.6, 40.1], None, [21.7, 40.2]],
    "ds18b20 5": [19.25, 19.31],
    "adc 34": [1985, 1984],
    "sht4x 0x44": [[18.5, 61.3], [18.6, 61.1]],
    "bme280 0x76": [[21.3, 1009.75, 43.2], [21.4, 1009.8, 43.1]],
}
# All that stock MicroPython for an ESP8266 has of these (no MICROPY_PY_BINASCII_CRC32, no _RANDOM_EXTRA_FUNCS).
ESP8266_HAS = {"binascii": "a2b_base64, b2a_base64, hexlify, unhexlify", "random": "getrandbits, seed"}
FAKES = ROOT / "host_tests" / "fakes" / "board"
OF_MAKE_RUN = ("start", "run_firmware", "starved_board", "fakes_on_cpython", "flash", "imports", "fake_board_more")


def main() -> int:
    """Exit status 0 after Ctrl-C, SIGTERM or --unplug-after; 2 for wrong arguments."""
    parser = argparse.ArgumentParser(
        prog="make board",
        usage='make board [CHIP=esp8266] [ARGS="options"]',
        description="A virtual ESP32 or ESP8266 on a serial port: stock esptool flashes it, stock mpremote talks"
        " to the MicroPython on it. Its flash is a file and outlives it. Several can run at once.",
    )
    parser.add_argument("--chip", default="esp32", choices=sorted(SILICON), help="default: esp32")
    parser.add_argument("--flash", metavar="FILE",
                   help="file that holds the flash; default: build/board/CHIP.flash, or CHIP-2.flash and so on for"
                   " further boards at the same time")  # fmt: skip
    parser.add_argument("--flash-size", type=int, default=4, choices=(1, 2, 4, 8, 16), metavar="MIB",
                   help="size of the flash: 1, 2, 4, 8 or 16 MiB; default 4")  # fmt: skip
    parser.add_argument("--link", metavar="FILE",
                   help="make this symbolic link to the port; default: build/board/CHIP")  # fmt: skip
    parser.add_argument("--rfc2217", type=int, metavar="TCP_PORT", nargs="?", const=0,
                   help="be an RFC 2217 server on loopback instead of a pty: carries DTR and RTS, so that"
                   " esptool resets the board by itself, but is slow")  # fmt: skip
    parser.add_argument("--micropython", default=os.environ.get("MICROPYTHON"),
                   help="the MicroPython to run; default: $MICROPYTHON, .cache/micropython")  # fmt: skip
    parser.add_argument("--free-heap", type=int, default=0, metavar="B",
                   help="free heap after the start; default: what such a board has")  # fmt: skip
    parser.add_argument("--modules", default=str(FAKES), metavar="DIR",
                   help="the board's own modules (machine, network, ...)")  # fmt: skip
    parser.add_argument("--script", metavar="FILE",
                   help="JSON: what the sensors show; see host_tests/fakes/board/fake_board.py")  # fmt: skip
    parser.add_argument("--unplug-after", type=int, default=0, metavar="B",
                   help="pull the cable and the power after B bytes from the host")  # fmt: skip
    parser.add_argument("--stall", type=int, nargs=2, default=(0, 0), metavar=("B", "S"),
                   help="once, after B bytes from the host, be busy and silent for S seconds")  # fmt: skip
    parser.add_argument("--boot-ms", type=int, default=0, metavar="MS",
                   help="how long the chip boots, deaf, before MicroPython runs; default 0")  # fmt: skip
    parser.add_argument("--says-version", type=version, default=(), metavar="1.20.0",
                   help="the version that MicroPython says it has; default: its own")  # fmt: skip
    parser.add_argument("--raw-output", action="store_true",
                   help="do not turn \\n into \\r\\n; `mpremote mount` needs that")  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="tell of resets on stderr")
    args = parser.parse_args()

    folder = ROOT / "build" / "board"
    micropython = args.micropython or str(ROOT / ".cache/micropython/micropython")
    if not shutil.which(micropython):
        print("board: no MicroPython at %s; run `make setup`" % micropython, file=sys.stderr)
        return 2
    script = {}
    if args.script:
        try:
            script = json.loads(Path(args.script).read_text())
        except (OSError, ValueError) as error:
            print("board: --script %s: %s" % (args.script, error), file=sys.stderr)
            return 2
    try:
        flash, name = take_flash(args.flash, folder, args.chip, args.flash_size << 20)
        link = Path(args.link) if args.link else folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
    except BlockingIOError:
        print(
            "board: %s is the flash of a board that runs; name another one: --flash FILE" % args.flash, file=sys.stderr
        )
        return 2
    except OSError as error:
        print("board: no flash: %s" % error, file=sys.stderr)
        return 2
    ends = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ends.append(True))

    def log(text):
        if args.verbose:
            print("board: " + text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="board-") as scratch:
        frozen, modules = lay_out(Path(scratch), args.chip, args.flash_size, Path(args.modules))
        fit = Fit(
            chip=args.chip,
            mac=mac_of(args.chip, flash.path),
            micropython=micropython,
            frozen=str(frozen),
            modules=modules,
            script={"values": VALUES, **script},
            free_heap_b=args.free_heap,
            cook=not args.raw_output,
            version=args.says_version,
            boot_ms=args.boot_ms,
        )
        board = Board(fit, flash, lambda data: port.write(data), log)
        try:
            if args.rfc2217 is None:
                port = PtyPort(str(link))
            else:
                port = Rfc2217Port(args.rfc2217, board.reset)
        except OSError as error:
            print("board: no port: %s" % error, file=sys.stderr)
            return 2
        left = args.unplug_after  # bytes
        stall_b, stall_s = args.stall

        def feed(data):
            nonlocal left, stall_b
            if stall_b:
                stall_b = max(0, stall_b - len(data))
                if not stall_b:
                    log("busy")
                    time.sleep(stall_s)
            if args.unplug_after:
                left -= len(data)
                if left <= 0:
                    log("unplugged")
                    ends.append(True)
                    return
            board.feed(data)

        print("%s on %s" % (args.chip, port.name), flush=True)
        if not args.flash:
            print(next_steps(args.chip, port.name, flash), flush=True)
        try:
            board.power_on()
            serve(board, port, lambda: ends, feed)
        finally:
            board.close()
            port.close()
            flash.close()
    return 0


def version(text: str) -> Tuple[int, ...]:
    """(1, 20, 0) of "1.20.0". Raises ValueError."""
    return tuple(int(number) for number in text.split("."))


def take_flash(path: str, folder: Path, chip: str, size_b: int) -> Tuple[NorFlash, str]:
    """The flash in the file `path`, or in one of `folder` that no other board has; and a name for its port. Raises
    OSError."""
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return NorFlash(path, size_b), chip
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        name = chip if number == 1 else "%s-%d" % (chip, number)
        with contextlib.suppress(BlockingIOError):
            return NorFlash(str(folder / (name + ".flash")), size_b), name


def next_steps(chip: str, port: str, flash: NorFlash) -> str:
    """What to type in another terminal; the image that it names is made."""
    from tools.virtual_board import fake_image  # it needs esptool, which takes a while to load

    image = Path(flash.path).with_name(chip + "-stand-in.bin")
    fake_image.build(chip, image, flash.size_b, rom=flash.size_b >= 2 << 20)
    return (
        "in another terminal, for example:\n  export PORT=%s\n  make flash FIRMWARE=%s\n"
        "  .cache/mosquitto/mosquitto &   # a broker, at 127.0.0.1\n"
        "  make config; make deploy; make logs\n  .venv/bin/mpremote connect $PORT\n"
        "Ctrl-C ends the board; its flash stays in %s"
        % (quoted(port), quoted(os.path.relpath(image)), quoted(os.path.relpath(flash.path)))
    )


def mac_of(chip: str, flash: str) -> bytes:
    """A MAC address of the board's own, the same each time: it belongs to the flash file."""
    maker = b"\x18\xfe\x34" if chip == "esp8266" else b"\x24\x0a\xc4"
    return maker + hashlib.sha256(os.path.realpath(flash).encode()).digest()[:3]


def lay_out(scratch: Path, chip: str, flash_mib: int, fakes: Path):
    """The firmware's own modules in one folder: (folder, names of those that are built in on the board)."""
    frozen = scratch / "frozen"
    frozen.mkdir()
    modules = []
    if fakes.is_dir():
        for source in sorted(fakes.glob("*.py")):
            if source.stem in OF_MAKE_RUN or (source.stem, chip) == ("esp32", "esp8266"):
                continue  # of `make run`, not of a board; not of this chip
            shutil.copy(source, frozen)
            modules.append(source.stem)
    if chip != "esp8266" or flash_mib > 1:  # the 1 MiB build has no umqtt
        shutil.copytree(FROZEN / "umqtt", frozen / "umqtt")
    if chip != "esp8266":
        shutil.copy(FROZEN / "ssl.py", frozen)
    else:
        for name, has in ESP8266_HAS.items():
            (frozen / (name + ".py")).write_text("from u%s import %s\n" % (name, has))
            modules.append(name)
    return frozen, modules


if __name__ == "__main__":
    sys.exit(main())
