"""An update over the air while it is under way: what is missing is asked for, checked and laid beside the firmware
that runs. docs/ota.md has the messages. Loaded for a manifest, forgotten when it is done.

The manifest names a list by its SHA-256, the list names each file by its own, and a HMAC with the board's key signs the
manifest: nothing else that comes needs to be trusted. All that is known is on flash (/ota/taken, /ota/N.list, /ota/N,
/ota/N.part), so the update goes on after any break.
"""

import os
import sys
from binascii import hexlify
from hashlib import sha256
from struct import calcsize, unpack_from
from time import ticks_diff, ticks_ms

from micropython import const

import power
import slots

_MANIFEST = "umqtt-ota1"
_MOST_LIST_B = const(65536)  # six times that of a whole firmware
_LIST = "umqtt-node"
_HEAD = ">4sHI"  # of a chunk: the beginning of the list's digest, the file's number in it, the offset in the file
_HEAD_B = calcsize(_HEAD)
_WINDOW_B = const(1024)  # asked for at once: what the listener takes at once, and room for commands
_SAVE_B = const(4096)  # of a file that comes, what a power cut may cost; a block of flash, for each opening costs one
_PIECE_B = const(256)
_SILENCE_MS = const(5000)  # then it is asked for again
_TRIES = const(3)  # for a file whose bytes are others than the list says
_BLOCK_B = const(4096)
_RESERVE_B = const(24576)  # of flash, for what the node keeps
_BLOCK_OF_SHA_B = const(64)
_STAY_S = const(10)  # a board that sleeps waits so long for the next piece
_MOST_SILENCE_MS = const(60000)
_BEFORE_THE_LIST = const(-1)

WHOLE = "whole"
RUNS = "runs"
ON_TRIAL = "on trial"


def hmac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104), 32 bytes."""
    if len(key) > _BLOCK_OF_SHA_B:
        key = sha256(key).digest()
    key = key + bytes(_BLOCK_OF_SHA_B - len(key))
    inner = sha256(bytes([b ^ 0x36 for b in key]))
    inner.update(message)
    outer = sha256(bytes([b ^ 0x5C for b in key]))
    outer.update(inner.digest())
    return outer.digest()


def _same(a: bytes, b: bytes) -> bool:
    # takes as long for any two of one length
    differs = len(a) ^ len(b)
    for i in range(min(len(a), len(b))):
        differs |= a[i] ^ b[i]
    return not differs


def read_manifest(payload: bytes, topic: str, key: str):
    """(serial, digest of the list, its size in bytes) of a manifest that `key` has signed for the board of `topic`.
    Raises ValueError in words."""
    words = str(payload, "utf-8").split(" ")
    is_one = len(words) == 5 and words[0] == _MANIFEST and words[1].isdigit() and words[2].isdigit()
    if not is_one or not 0 < int(words[2]) <= _MOST_LIST_B:
        raise ValueError("this is no manifest of an update: use `make ota` of the same release")
    signed = topic + " " + " ".join(words[:4])
    if not _same(hexlify(hmac(key.encode(), signed.encode())), words[4].encode()):
        raise ValueError("the signature is not that of this board's ota_key: give `make ota` the board's config.json")
    return int(words[1]), words[3], int(words[2])


def read_line(line: str):
    """(SHA-256, size in bytes, name) of a file in the list. Raises ValueError in words, also for a name that leads out
    of the update's folder: what is beside that is the last resort."""
    words = line.rstrip("\n").split(" ")
    if len(words) != 3 or not words[1].isdigit():
        raise ValueError("a line of it is no SHA-256, size and name")
    if any(folder in ("", ".", "..") for folder in words[2].split("/")):
        raise ValueError("%s is no name of a file of an update" % words[2])
    return words[0], int(words[1]), words[2]


def digest_of(path: str) -> str:
    """The SHA-256 of a file in hexadecimal digits, "" when it cannot be read."""
    sha = sha256()
    piece = bytearray(_PIECE_B)
    try:
        with open(path, "rb") as f:
            while True:
                n = f.readinto(piece)
                if not n:
                    return str(hexlify(sha.digest()), "utf-8")
                sha.update(memoryview(piece)[:n])
    except OSError:
        return ""


def size_of(path: str) -> int:
    """Bytes of a file, 0 without one."""
    try:
        return os.stat(path)[6]
    except OSError:
        return 0


def _remove(path):
    # a file, or a folder with all in it
    try:
        if os.stat(path)[0] & 0x4000:
            for name in os.listdir(path):
                _remove(path + "/" + name)
            os.rmdir(path)
        else:
            os.remove(path)
    except OSError:
        pass  # it is not there, or it stays until the next update


_under_way = None


def begin(node, manifest: bytes):
    """Take the update of the manifest, or go on with it; b"": give it up. Returns words when there is nothing to be
    done, else None: node.listener answers later. Raises ValueError in words, OSError."""
    try:
        return _begun(node, manifest)
    finally:
        if not _under_way:
            _unload()


def _begun(node, manifest):
    global _under_way
    listener = node.listener
    update = Update(node, manifest) if manifest else None
    if _under_way:
        _under_way.close()
    elif update and not update.over:
        listener.hear(node.topic + "ota/chunk", 1, _take)
    if update and not update.over:
        _under_way = update
        listener.turns["ota"] = _turn
        listener.stay(_STAY_S)
        return None
    if _under_way:
        listener.turns.pop("ota", None)
        _forget(node)
    if not update or update.over == ON_TRIAL:
        return None
    if update.over == RUNS:
        return "this firmware runs"
    raise ValueError(update.over)


def _take(topic: bytes, payload, flags: int) -> None:
    if _under_way and payload:
        _under_way.chunk(topic, payload, flags)
        _under_way.work()  # the next window at once, not in the next turn
        _under_way.node.listener.stay(_STAY_S)


def _turn(client) -> bool:
    # while the link is up; whether there is more to be done
    update = _under_way
    node = update.node
    if not update.over:
        update.work()
    if not update.over:
        return True  # a board that sleeps does so when no piece comes: the host may be gone
    node.listener.stay(_STAY_S)
    if update.over == WHOLE:
        if node.cfg.get("trials"):
            return True  # a restart would end the trial of a change of config.json
        if not node.journal and (node.waiting() or client.inflight):
            return True  # what is in RAM goes out first: the start forgets it
        if not update.say('"state":"starting"'):
            return True
        node.listener.afterwards(_restart)
    else:
        node.listener.answer("ota", False, update.over)
    _forget(node)
    return False


def _unload() -> None:
    # the heap has this back
    for name in (__name__, "slots"):
        sys.modules.pop(name, None)


def _forget(node) -> None:
    global _under_way
    _under_way = None
    _unload()
    try:
        node.listener.unhear(node.topic + "ota/chunk")
    except OSError:
        pass  # the broker goes on sending; nobody takes it


def _restart(node) -> None:
    from ending import finish, sum_up

    finish(node, node.cfg["timeout_s"] * 1000)
    sum_up(node)
    power.restart()


class Update:
    """manifest: what came under cmd/ota. Raises ValueError in words: refused, nothing has changed; OSError.

    node: publishes the requests (client, topic), feeds its watchdog (feed), has the key (cfg). Attribute `over`: ""
    while the update goes on, then WHOLE: the next start tries it; RUNS or ON_TRIAL: it was whole before; or why it
    failed.
    """

    def __init__(self, node, manifest: bytes):
        self.node = node
        self.file = None
        self.serial, self.digest, self.list_b = read_manifest(manifest, node.topic[:-1], node.cfg["ota_key"])
        taken = slots.read("taken")
        if self.serial < taken.get("serial", 0):
            raise ValueError(
                "the manifest is older than one that was taken before: somebody's copy, or made by a wrong clock;"
                " newest: %d" % taken["serial"]  # `make ota` reads it, and sends one that is newer
            )
        boot = slots.read("boot")
        self.boot = {"run": boot.get("run", ""), "digest": boot.get("digest", "")}
        self.over = self._had(taken)
        if self.over:
            return
        if slots.is_there("/rom/app.mpy"):
            raise ValueError("this board executes its firmware from ROM, which `make deploy` alone can write")
        if slots.is_there(slots.at("boot.try")):
            raise ValueError("another update is on trial: send this one again when that has ended, in some minutes")
        slots.begin()
        self.into = taken.get("into", "")
        if taken.get("digest") != self.digest or self.into in ("", self.boot["run"]):
            self.into = self._clear()
        if taken.get("serial") != self.serial or taken.get("into") != self.into:
            slots.write("taken", {"serial": self.serial, "digest": self.digest, "into": self.into})
        self.part = slots.at(self.into + ".part")
        self.list = slots.at(self.into + ".list")
        self.list_at = 0  # offset of the line after that of the file in hand
        self.number = _BEFORE_THE_LIST  # of the file in hand; 0 is the list
        self.path = self.sha = ""
        self.size_b = self.had_b = self.until_b = self.tries = 0
        self.filling = self.must_ask = False
        self.asked_ms = 0
        self.silence_ms = _SILENCE_MS

    def _had(self, taken) -> str:
        # what has become of this update in an earlier life
        if self.digest == self.boot["digest"]:
            return RUNS
        if slots.read("boot.try").get("digest") == self.digest or slots.read("boot.new").get("digest") == self.digest:
            return ON_TRIAL
        why = slots.read("why")
        if why.get("digest") == self.digest and self.serial == taken.get("serial"):
            return why["why"]
        return ""

    def _clear(self) -> str:
        # room for a new folder: what neither runs nor is on its way goes. Returns the new folder's number
        most = 0
        if slots.is_there(slots.at("boot.new")):  # whole, but never started
            os.remove(slots.at("boot.new"))
        for name in os.listdir(slots.ROOT + "ota"):
            number = name.split(".")[0]
            if number.isdigit():
                most = max(most, int(number))
                if number != self.boot["run"]:
                    _remove(slots.at(name))
        return str(most + 1)

    # The work of a turn

    def work(self) -> None:
        """As much as can be done without the host, then one request. Blocks while files are copied and checked: some
        seconds for a whole firmware. Raises OSError when the link is down."""
        try:
            while not self.over and self.until_b == self.had_b:
                self.next_step()
                self.node.feed()
            if not (self.over or self.must_ask) and ticks_diff(ticks_ms(), self.asked_ms) > self.silence_ms:
                self.close()
                self.had_b = size_of(self.part)  # what came so far, and is on flash
                self.silence_ms = min(_MOST_SILENCE_MS, 2 * self.silence_ms)
                self.must_ask = True
        except OSError as e:
            self.end("the flash: %s" % e)
        except ValueError as e:
            self.end("the list of files: %s" % e)
        if not self.over and self.must_ask:
            self.ask()

    def next_step(self) -> None:
        """A file that is whole is checked; the next one is taken from the board, or what is missing of it wanted."""
        if self.number == _BEFORE_THE_LIST:
            self.number = 0
            self.path = self.list
            self.size_b = self.list_b
            self.sha = self.digest
            if slots.is_there(self.list):
                self.number = 1
                self.next_file()
                return
        elif self.had_b == self.size_b and self.filling:
            self.check()
            return
        if self.file is None:
            self.had_b = size_of(self.part)
            if self.had_b > self.size_b:
                os.remove(self.part)
                self.had_b = 0
        self.want()

    def want(self) -> None:
        # the next window of the file in hand
        if not self.size_b:
            open(self.part, "wb").close()
        self.until_b = min(self.size_b, self.had_b + _WINDOW_B)
        self.filling = True
        self.must_ask = self.until_b > self.had_b

    def check(self) -> None:
        # the part is as long as the file: is it the file?
        if digest_of(self.part) != self.sha:
            os.remove(self.part)
            self.tries += 1
            if self.tries >= _TRIES:
                self.end("%s came with other bytes than its SHA-256 says, %d times" % (self.path, _TRIES))
            self.filling = False
            return
        self.tries = 0
        os.rename(self.part, self.path)
        self.number += 1
        self.next_file()

    def next_file(self) -> None:
        """The next file of the list that is not there yet comes in hand; after the last one the update is whole."""
        self.filling = False
        while True:
            with open(self.list) as f:
                f.seek(self.list_at)
                line = f.readline()
            if not self.list_at:
                self.head(line)
                if self.over:
                    return
            elif not line:
                self.whole()
                return
            else:
                sha, size_b, name = read_line(line)
                self.path = slots.at(self.into + "/" + name)
                if not slots.is_there(self.path):
                    break
                self.number += 1
            self.list_at += len(line.encode())
        self.list_at += len(line.encode())
        self.sha = sha
        self.size_b = size_b
        self.folders()
        for home in (slots.at(self.boot["run"] + "/"), slots.ROOT):
            if size_of(home + name) == self.size_b and digest_of(home + name) == self.sha:
                self.copy(home + name)
                return

    def head(self, line) -> None:
        # the list's first line: what it is compiled for; and whether there is room for the rest
        words = line.split()
        mpy = getattr(sys.implementation, "_mpy", 0) & 0xFF
        if len(words) != 3 or words[0] != _LIST or words[1] != "1":
            self.end("the list of files is of another release of `make ota`")
        elif int(words[2]) != mpy:
            self.end("it is compiled for .mpy version %s, this MicroPython loads %d: `make flash`" % (words[2], mpy))
        if self.over:
            return
        need_b = 0
        with open(self.list) as f:
            f.readline()
            for line in f:
                _, size_b, name = read_line(line)
                if not slots.is_there(slots.at(self.into + "/" + name)):
                    need_b += (size_b // _BLOCK_B + 1) * _BLOCK_B
        room = os.statvfs(slots.ROOT + "ota")
        free_b = room[0] * room[3] + size_of(self.part)
        if free_b < need_b + _RESERVE_B:
            self.end("the flash has %d KiB free, the update needs %d" % (free_b >> 10, (need_b + _RESERVE_B) >> 10))

    def folders(self) -> None:
        # those above the file in hand
        at = len(slots.at(""))
        while True:
            at = self.path.find("/", at) + 1
            if not at:
                return
            if not slots.is_there(self.path[: at - 1]):
                os.mkdir(self.path[: at - 1])

    def copy(self, source: str) -> None:
        # what is on the board already is not sent
        piece = bytearray(_PIECE_B)
        with open(source, "rb") as f, open(self.part, "wb") as part:
            while True:
                n = f.readinto(piece)
                if not n:
                    break
                part.write(memoryview(piece)[:n])

    def whole(self) -> None:
        # all files are there, each checked as flash has it: the next start tries them
        if slots.is_there(slots.at("boot.bad")):
            os.remove(slots.at("boot.bad"))
        slots.write("boot.new", {"run": self.into, "digest": self.digest, "old": self.boot})
        self.over = "whole"

    # To and from the host

    def ask(self) -> None:
        """Ask for the window. Raises OSError."""
        if self.say('"file":%d,"from":%d,"b":%d' % (self.number, self.had_b, self.until_b - self.had_b)):
            self.must_ask = False
            self.asked_ms = ticks_ms()

    def say(self, text: str) -> bool:
        """Tell the host; False: not now, all slots of the client are taken. Raises OSError."""
        c = self.node.client
        if not c.free_slots():
            return False
        text = '{"update":"%s",%s}' % (self.digest[:8], text)
        c.publish(self.node.topic + "ota/want", text, False, 1, False)
        return True

    def chunk(self, topic: bytes, payload: bytes, flags: int) -> None:
        """A piece of the file in hand has come; one that is late, repeated or of another update does nothing."""
        if self.over or len(payload) <= _HEAD_B:
            return
        update, number, offset = unpack_from(_HEAD, payload)
        end_b = offset + len(payload) - _HEAD_B
        mine = hexlify(update) == self.digest[:8].encode() and number == self.number
        if not mine or offset != self.had_b or end_b > self.until_b:
            return
        try:
            if self.file is None:
                self.file = open(self.part, "ab")  # noqa: SIM115 - open until the window is full
            self.file.write(memoryview(payload)[_HEAD_B:])
            self.had_b = end_b
            self.asked_ms = ticks_ms()
            self.silence_ms = _SILENCE_MS
            if end_b == self.until_b and (end_b == self.size_b or not end_b % _SAVE_B):
                self.close()
        except OSError as e:
            self.end("the flash: %s" % e)

    def close(self) -> None:
        """What came is on flash. Raises OSError."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def end(self, words: str) -> None:
        self.over = words
        try:
            self.close()
        except OSError:
            pass  # its end was that already
