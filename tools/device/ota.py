"""`make ota`: update boards over MQTT. What a board has already is not sent; it asks for the rest, and goes on where it
was after any break: of this program, of the link, of its power. docs/ota.md has the messages.

Exit status: 0 every board runs the new firmware; 1 one does not, in words; 2 wrong arguments; 130 Ctrl-C: run it again.
"""

import argparse
import contextlib
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Set, Tuple

import paho.mqtt.client as paho

from tools.build import SOURCE_ONLY
from tools.device.command import CONNECT_S, Owner
from tools.device.config import given, keys
from tools.device.deploy import build_firmware, mpy_version
from tools.device.ota_keys import KEYS, key_of, read_keys
from tools.device.serial_port import ToolError, parser, run_tool, seconds
from tools.printable import printable

CHUNK_B = 512  # a board takes 2048 B of messages at once, commands included
HEAD = struct.Struct(">4sHI")
WAIT_S = 120.0
LOOK_S = 1.0  # for the retained status of the boards
NEWEST = re.compile(r"; newest: (\d{1,12})$")  # the number of a manifest for which a board refuses ours as older
STEP = 10  # per cent between two lines of progress


@dataclass
class Update:
    """`files`: the list first, then the firmware's files as the list has them. `digest`: SHA-256 of the list."""

    files: List[bytes]
    names: List[str]
    digest: str

    @property
    def size_b(self) -> int:
        return sum(len(data) for data in self.files)


@dataclass
class Board:
    """A board that is to be updated. `name`: TOPIC/ID; `serial`: of the manifest that it was sent; `words`: how it
    ended, with `ok`."""

    name: str
    key: str
    began_s: float = 0.0
    heard_s: float = 0.0
    serial: int = 0
    sent_b: int = 0
    shown: int = -STEP
    ok: Optional[bool] = None
    words: str = ""
    online: str = ""
    sent: Set[Tuple[int, int]] = field(default_factory=set)


def make_update(firmware: Dict[str, bytes], mpy: int) -> Update:
    """The update that makes a board run this firmware, name to contents, compiled for .mpy version `mpy`. boot.py and
    main.py stay the board's own."""
    names = sorted(name for name in firmware if name not in SOURCE_ONLY)
    files = [firmware[name] for name in names]
    lines = ["umqtt-node 1 %d" % mpy]
    lines += ["%s %d %s" % (hashlib.sha256(data).hexdigest(), len(data), n) for n, data in zip(names, files)]
    listed = ("\n".join(lines) + "\n").encode()
    return Update([listed, *files], ["the list", *names], hashlib.sha256(listed).hexdigest())


def manifest(update: Update, name: str, key: str, serial: int) -> bytes:
    """What is published, retained, under TOPIC/ID/cmd/ota: signed for this board alone."""
    text = "umqtt-ota1 %d %d %s" % (serial, len(update.files[0]), update.digest)
    signature = hmac.new(key.encode(), ("%s %s" % (name, text)).encode(), hashlib.sha256)
    return ("%s %s" % (text, signature.hexdigest())).encode()


def chosen(args: argparse.Namespace, config: Dict[str, Any], known: Dict[str, str]) -> List[Board]:
    """The boards that are meant. Raises ToolError."""
    topic = args.topic or config.get("topic") or keys()["topic"]
    own = "%s/%s" % (topic, config.get("client_id") or "")
    if config.get("ota_key"):
        known = {**known, own: config["ota_key"]}
    if args.id:
        names = ["%s/%s" % (topic, one) for one in args.id.split(",") if one]
    elif args.topic:
        names = sorted(name for name in known if name.rpartition("/")[0] == args.topic)
        if not names:
            raise ToolError("no key is known of a board under %s: `make config` makes one for each board" % args.topic)
    elif config.get("client_id"):
        names = [own]
    else:
        raise ToolError("which board? ID=its client id, or TOPIC= for all under it, or CONFIG= with its client_id%s"
                        % ("; known are %s" % ", ".join(sorted(known)) if known else ""), 2)  # fmt: skip
    lacking = [name for name in names if not key_of(name, known)]
    if lacking:
        raise ToolError("no key for %s: CONFIG=the board's config.json with its ota_key, or `make config`, which makes"
                        " one and notes it in %s" % (", ".join(lacking), KEYS.name))  # fmt: skip
    return [Board(name, key_of(name, known)) for name in names]


class Post(Owner):
    """The owner's client, which outlives a restart of the broker, and does not wait for each piece."""

    def __init__(self, config: Dict[str, Any]):
        self.filters: List[str] = []
        self.sent: List[paho.MQTTMessageInfo] = []
        super().__init__(config)
        self.client.on_connect = self._connected_again

    def _connected_again(self, client, _userdata, _flags, reason, _properties) -> None:
        if not reason.is_failure and self.filters:
            client.subscribe([(name, 1) for name in self.filters])

    def hear(self, topic_filter: str) -> None:
        """Now, and after each reconnection. Raises ToolError."""
        self.subscribe(topic_filter)
        self.filters.append(topic_filter)

    def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.sent = [info for info in self.sent if not info.is_published()]
        self.sent.append(self.client.publish(topic, payload, 1, retain))

    def flush(self) -> None:
        """Wait until the broker has all that was sent."""
        for info in self.sent:
            info.wait_for_publish(CONNECT_S)


class Round:
    """One update for some boards, `parallel` of them at a time. wait_s: without a sign of a board it is given up."""

    def __init__(self, post: Post, update: Update, boards: List[Board], parallel: int, wait_s: float):
        self.post, self.update, self.parallel, self.wait_s = post, update, parallel, wait_s
        self.boards = {board.name: board for board in boards}
        self.todo = list(boards)
        self.at_work: List[Board] = []

    def run(self) -> None:
        """Until each board has ended, well or not."""
        for name in self.boards:
            for what in ("ota/want", "ack/ota", "status"):
                self.post.hear("%s/%s" % (name, what))
        self._look(LOOK_S)
        while self.todo or self.at_work:
            while self.todo and len(self.at_work) < self.parallel:
                self._begin(self.todo.pop(0))
            self._look(0.25)
            now = time.monotonic()
            for board in list(self.at_work):
                if now - board.heard_s > self.wait_s:
                    words = "no answer for %d s" % self.wait_s
                    if board.online == "offline":
                        words += ": it is offline"
                    self._end(board, False, words + ". What it took stays there; run this again, with ARGS=\"--wait S\""
                              " for a board that sleeps long")  # fmt: skip
        self.post.flush()

    def _begin(self, board: Board) -> None:
        board.began_s = board.heard_s = time.monotonic()
        self.at_work.append(board)
        self._ask(board, int(time.time()))
        self._say(board, "asked")

    def _ask(self, board: Board, serial: int) -> None:
        board.serial = serial
        self.post.send(board.name + "/cmd/ota", manifest(self.update, board.name, board.key, serial), True)

    def _look(self, for_s: float) -> None:
        end = time.monotonic() + for_s
        while True:
            came = self.post.next(end)
            if not came:
                return
            topic, payload = came
            for what, function in (
                ("/ota/want", self._wanted),
                ("/ack/ota", self._answered),
                ("/status", self._status),
            ):
                board = self.boards.get(topic[: -len(what)]) if topic.endswith(what) else None
                if board:
                    function(board, payload)

    def _status(self, board: Board, payload: bytes) -> None:
        board.online = payload.decode(errors="replace")

    def _wanted(self, board: Board, payload: bytes) -> None:
        """The board asks for a part of a file, or says that it starts with what it has."""
        if board not in self.at_work:
            return
        try:
            asked = json.loads(payload)
            if asked["update"] != self.update.digest[:8]:
                return
            board.heard_s = time.monotonic()
            if asked.get("state"):
                self._say(board, "all is there: it starts with the new firmware")
                return
            number, at, end = asked["file"], asked["from"], asked["from"] + asked["b"]
            data = self.update.files[number]
        except (ValueError, KeyError, TypeError, IndexError):
            return
        self._progress(board, sum(len(d) for d in self.update.files[:number]) + at)
        for start in range(at, min(end, len(data)), CHUNK_B):
            piece = data[start : min(end, start + CHUNK_B)]
            head = HEAD.pack(bytes.fromhex(self.update.digest[:8]), number, start)
            if (number, start) not in board.sent:
                board.sent.add((number, start))
                board.sent_b += len(piece)
            self.post.send(board.name + "/ota/chunk", head + piece)

    def _progress(self, board: Board, done_b: int) -> None:
        percent = 100 * done_b // self.update.size_b
        if sys.stdout.isatty() and self.parallel == 1:
            print("\r%s: %3d %%" % (printable(board.name), percent), end="", flush=True)
        elif percent // STEP > board.shown // STEP:
            board.shown = percent
            self._say(board, "%d %%" % percent)

    def _answered(self, board: Board, payload: bytes) -> None:
        if board not in self.at_work:
            return
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(payload)
            ok, words = bool(said["ok"]), str(said["words"])
            newest = NEWEST.search(words)
            if newest and not ok and int(newest[1]) >= board.serial:
                ahead_s = int(newest[1]) - int(time.time())
                self._say(board, "it has taken a manifest of a clock that was %d s ahead of this one's: sent again with"
                          " the number after that" % ahead_s)  # fmt: skip
                self._ask(board, int(newest[1]) + 1)
            else:
                self._end(board, ok, words)

    def _end(self, board: Board, ok: bool, words: str) -> None:
        board.ok, board.words = ok, words
        self.at_work.remove(board)
        if not words.startswith("no answer"):
            self.post.send(board.name + "/cmd/ota", b"", True)  # else it would be told again at each start
        sent = ", %d of %d B were sent" % (board.sent_b, self.update.size_b) if board.sent_b else ""
        self._say(board, "%s%s, %.1f s" % (words, sent, time.monotonic() - board.began_s))

    def _say(self, board: Board, words: str) -> None:
        start = "\r" if sys.stdout.isatty() and self.parallel == 1 else ""
        print("%s%s: %s" % (start, printable(board.name), printable(words)), flush=True)


def compiled(folder: str) -> Dict[str, bytes]:
    """The compiled firmware, name to contents: that of `folder`, or this clone's. Raises ToolError."""
    if not folder:
        return {path.lstrip("/"): data for path, data in build_firmware(False).files.items()}
    root = Path(folder)
    if not (root / "app.mpy").is_file():
        raise ToolError("%s holds no compiled firmware (app.mpy): `make build` fills build/firmware" % folder, 2)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def main(argv: Optional[List[str]] = None) -> int:
    options = parser(
        "ota",
        "Update boards over the air. A board tries the new firmware, and goes back to the old one by itself when that"
        " does not reach the broker. boot.py, main.py and MicroPython itself need the cable (make deploy, make flash)."
        " SENSORS names drivers of your own, which go with it, as with make deploy.",
        "ID",
        "TOPIC",
        "CONFIG",
        "PARALLEL",
        "SENSORS",
    )
    env = os.environ.get
    options.add_argument("--id", default=env("ID", ""), help="client id of the board; several with commas; default: ID")
    options.add_argument("--topic", default=env("TOPIC", ""),
                   help="all boards under it whose keys are known, or the topic of --id; default: TOPIC")  # fmt: skip
    options.add_argument("--config", default=env("CONFIG", ""),
                   help="config.json of a board: broker, login, topic, client_id, ota_key; default: CONFIG. Variables"
                   " such as UMQTT_BROKER, UMQTT_USER, UMQTT_PASSWORD, UMQTT_TLS_CA win")  # fmt: skip
    options.add_argument("--parallel", type=int, default=int(env("PARALLEL") or 4), metavar="N",
                   help="boards at a time; default: PARALLEL, or 4")  # fmt: skip
    options.add_argument("--keys", default=str(KEYS), metavar="FILE", help="the boards' keys; default: %s" % KEYS.name)
    options.add_argument("--wait", type=seconds, default=WAIT_S, metavar="S",
                   help="give a board up that was not heard for so long; default %d" % WAIT_S)  # fmt: skip
    options.add_argument("--folder", default="", help="compiled firmware; default: this clone's, compiled now")
    options.add_argument("--cancel", action="store_true", help="take the update back from boards that have not begun")
    args = options.parse_args(argv)
    config = given(args.config, dict(os.environ))
    boards = chosen(args, config, read_keys(Path(args.keys)))
    if not config.get("broker"):
        raise ToolError("which broker? CONFIG=config.json of a board, or UMQTT_BROKER in the environment", 2)
    update = None if args.cancel else make_update(compiled(args.folder), mpy_version())
    with contextlib.closing(Post({**keys(), **config})) as post:
        if update is None:
            for board in boards:
                post.send(board.name + "/cmd/ota", b"", True)
            post.flush()
            print("taken back: a board that has not begun will not; one that runs it keeps it")
            return 0
        print("%d files, %d B, update %s" % (len(update.files) - 1, update.size_b, update.digest[:8]), flush=True)
        Round(post, update, boards, max(1, args.parallel), args.wait).run()
    failed = [board for board in boards if not board.ok]
    print("%d of %d boards run the new firmware" % (len(boards) - len(failed), len(boards)))
    return 1 if failed else 0


if __name__ == "__main__":
    run_tool("ota", main)
