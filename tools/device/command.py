"""`make cmd NAME=interval SAY=30`: send a command to a board over MQTT, or to all under a topic, and show the answers.

Broker, user and topic come from CONFIG=config.json and the environment (UMQTT_BROKER, UMQTT_USER, UMQTT_PASSWORD, ...),
which wins: the owner's user is not the board's.
Exit status: 0 every board has done it; 1 one has not, or does not answer; 2 called wrongly.
"""

import argparse
import contextlib
import json
import os
import queue
import ssl
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import paho.mqtt.client as paho

from tools.device.config import given, keys, why_no_tls
from tools.device.serial_port import ToolError, parser, run_tool, seconds
from tools.foreground import own_foreground
from tools.printable import printable

CONNECT_S = 10
FIND_S = 1.0  # for the retained status of each board
ANSWER_S = 15.0
TRIAL_S = 300.0  # probation.LIMIT_S, and the way back
ON_TRIAL = "on trial"  # of the first answer to `config`
RETAINED = ("stay_awake",)


class Owner:
    """The owner's client: `publish`, `subscribe`, and what comes, (topic, payload), in `messages`. Raises ToolError."""

    def __init__(self, config: Dict[str, Any]):
        self.messages: queue.Queue[Tuple[str, bytes]] = queue.Queue()
        self.subscribed: queue.Queue[List[Any]] = queue.Queue()
        answer: queue.Queue[Any] = queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self.client.on_connect = lambda _c, _d, _f, reason, _p: answer.put(reason)
        self.client.on_message = lambda _c, _d, message: self.messages.put((message.topic, message.payload))
        self.client.on_subscribe = lambda _c, _d, _id, codes, _p: self.subscribed.put(codes)
        if config["user"]:
            self.client.username_pw_set(config["user"], config["password"])
        if config["tls"]:
            self.client.tls_set_context(context(config))
        broker = config["broker"][0] if isinstance(config["broker"], list) else config["broker"]
        host, _, port = broker.partition(":")
        port = int(port or config["port"] or (8883 if config["tls"] else 1883))
        self.where = "%s port %d" % (host, port)
        self.client.connect_timeout = CONNECT_S
        try:
            self.client.connect(host, port, 30)
        except OSError as error:
            why = why_no_tls(error, self.where) if config["tls"] and isinstance(error, ssl.SSLError) else str(error)
            raise ToolError("no connection to the broker at %s: %s" % (self.where, why)) from None
        self.client.loop_start()
        try:
            reason = answer.get(timeout=CONNECT_S)
        except queue.Empty:
            raise ToolError("the broker at %s does not answer as MQTT does" % self.where) from None
        if reason.is_failure:
            raise ToolError("the broker at %s refuses: %s. UMQTT_USER and UMQTT_PASSWORD name the owner" % (
                self.where, reason))  # fmt: skip

    def subscribe(self, topic_filter: str) -> None:
        """Wait until it is there. Raises ToolError."""
        self.client.subscribe(topic_filter, 2)
        try:
            codes = self.subscribed.get(timeout=CONNECT_S)
        except queue.Empty:
            raise ToolError("the broker at %s does not answer a SUBSCRIBE" % self.where) from None
        if codes[0].is_failure:
            raise ToolError("the broker refuses the subscription to %s: check its ACL" % topic_filter)

    def publish(self, topic: str, payload: str, retain: bool) -> None:
        """In QoS 2, until the broker has it. Raises ToolError."""
        sent = self.client.publish(topic, payload, 2, retain)
        with contextlib.suppress(RuntimeError, ValueError):
            sent.wait_for_publish(CONNECT_S)
        if not sent.is_published():
            raise ToolError("the broker at %s does not take %s" % (self.where, topic))

    def next(self, until_s: float) -> Optional[Tuple[str, bytes]]:
        """What comes next, None when it is time."""
        try:
            return self.messages.get(timeout=max(0.001, until_s - time.monotonic()))
        except queue.Empty:
            return None

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def context(config: Dict[str, Any]) -> ssl.SSLContext:
    """For the broker, by the CA of tls_ca, a file of this computer. Raises ToolError."""
    try:
        made = ssl.create_default_context(cadata=None)
        if config["tls_ca"]:
            data = Path(config["tls_ca"]).read_bytes()
            made.load_verify_locations(cadata=data.decode() if data.startswith(b"-----") else data)
        elif config["tls_insecure"]:
            made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        return made
    except (OSError, ValueError) as error:
        raise ToolError(
            "tls_ca %s: %s. UMQTT_TLS_CA names the file on this computer" % (config["tls_ca"], error)
        ) from None


@contextlib.contextmanager
def owner(config: Dict[str, Any]) -> Iterator[Owner]:
    made = Owner(config)
    try:
        yield made
    finally:
        made.close()


def found(client: Owner, topic: str, find_s: float) -> List[str]:
    """The ids of the boards under `topic`: those that have a status, retained or told meanwhile."""
    client.subscribe(topic + "/+/status")
    ids = {}
    end = time.monotonic() + find_s
    while True:
        message = client.next(end)
        if message is None:
            break
        ids[message[0][len(topic) + 1 : -len("/status")]] = message[1]
    for board in sorted(ids):
        if ids[board] == b"offline":
            print("%s: offline, not asked (ID=%s does all the same)" % (printable(board), printable(board)))
    return [board for board in sorted(ids) if ids[board] != b"offline"]


def answered(payload: bytes) -> Tuple[bool, str]:
    """(whether it was done, the words) of an answer."""
    try:
        body = json.loads(payload)
        return bool(body["ok"]), str(body["words"])
    except (ValueError, KeyError, TypeError):
        return False, "no answer of ours: %r" % payload[:80]


def show(board: str, ok: bool, words: str) -> None:
    lines = words.splitlines() or [""]
    for line in lines:
        print("%s: %s%s" % (printable(board), "" if ok else "not done: ", printable(line)), flush=True)


def send(client: Owner, topic: str, boards: List[str], name: str, say: str, args: argparse.Namespace) -> int:
    """Send it to each board, show what they answer; the exit status."""
    for board in boards:
        client.subscribe("%s/%s/ack/%s" % (topic, board, name))
        if name == "log":
            client.subscribe("%s/%s/log" % (topic, board))
    for board in boards:
        client.publish("%s/%s/cmd/%s" % (topic, board, name), say, args.retain or name in RETAINED)
    waiting = set(boards)
    failed = False
    end = time.monotonic() + args.wait
    while waiting:
        message = client.next(end)
        if message is None:
            break
        board, _, rest = message[0][len(topic) + 1 :].rpartition("/ack/")
        if not rest or board not in waiting:
            continue
        ok, words = answered(message[1])
        show(board, ok, words)
        failed = failed or not ok
        if ok and ON_TRIAL in words and name == "config":
            end = max(end, time.monotonic() + TRIAL_S)
        else:
            waiting.discard(board)
    for board in sorted(waiting):
        print(
            "%s: no answer in %d s. Asleep, off, or commands is false in its config.json? A board that sleeps"
            " takes it at its next wake" % (printable(board), args.wait), file=sys.stderr,
        )  # fmt: skip
    if name == "log" and say.startswith("on") and not waiting and not failed:
        show_log(client, topic)
    return 1 if failed or waiting else 0


def show_log(client: Owner, topic: str) -> None:
    """Each line as it comes, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            message = client.next(time.monotonic() + 3600)
            if message and message[0].endswith("/log"):
                show(message[0][len(topic) + 1 : -len("/log")], True, message[1].decode(errors="replace"))


def main(argv: Optional[List[str]] = None) -> int:
    options = parser("cmd", "Send a command to a board over MQTT, or to all under a topic, and show the answers.",
               "NAME", "SAY", "ID", "CONFIG")  # fmt: skip
    options.add_argument("--name", default=os.environ.get("NAME", ""), help="the command: read, interval, log ...")
    options.add_argument("--say", default=os.environ.get("SAY", ""), help="its payload")
    options.add_argument(
        "--id", default=os.environ.get("ID", ""), help="client ids, with commas; default: all that have a status"
    )
    options.add_argument("--config", default=os.environ.get("CONFIG", ""), metavar="FILE",
                   help="config.json with broker, user, topic; default: CONFIG, and UMQTT_...")  # fmt: skip
    options.add_argument(
        "--retain", action="store_true", help="the broker keeps it for a board that sleeps (stay_awake always)"
    )
    options.add_argument(
        "--wait", type=seconds, default=ANSWER_S, metavar="S", help="for the answers; default: %(default)d"
    )
    options.add_argument(
        "--find", type=seconds, default=FIND_S, metavar="S", help="for the boards; default: %(default)d"
    )
    args = options.parse_args(argv)
    if not args.name or any(char in args.name for char in "/+#"):
        raise ToolError("which command? make cmd NAME=read (docs/firmware.md lists them)", 2)
    config = {**keys(), **given(args.config, dict(os.environ))}
    if not config["broker"]:
        raise ToolError("which broker? CONFIG=config.json, or UMQTT_BROKER=192.168.1.10", 2)
    with own_foreground(), owner(config) as client:
        boards = [word for word in args.id.split(",") if word] or found(client, config["topic"], args.find)
        if not boards:
            raise ToolError("no board is online under %s/ at the broker: is `topic` the boards'?" % config["topic"])
        # restart wants a word: an empty message is the end of a retained one
        return send(
            client, config["topic"], boards, args.name, args.say or ("1" if args.name == "restart" else ""), args
        )


if __name__ == "__main__":
    run_tool("cmd", main)
