"""A real Mosquitto on a free loopback port, a device program under a real interpreter, and an independent observer
(paho-mqtt)."""

import base64
import functools
import hashlib
import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import shipped
from run_mpy import interpreter as micropython_path

from tools import broker as brokers
from tools.driven import Driven
from tools.mosqlog import parse
from tools.ship import read_map

HOST_TESTS = Path(__file__).resolve().parent.parent
ROOT = HOST_TESTS.parent
DEVICE = HOST_TESTS / "fakes" / "device.py"
WAIT_S = 120  # only what hangs takes so long: nothing here depends on how fast this or another process is


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def mosquitto_path() -> str:
    """$MOSQUITTO, the one that `make setup` got, or the one on PATH; "" when there is none."""
    try:
        return brokers.mosquitto() or ""
    except brokers.BrokerError:
        return ""


def password_line(user: str, password: str) -> str:
    """A line of a Mosquitto password file: PBKDF2 with SHA-512."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return "%s:$7$101$%s$%s\n" % (user, base64.b64encode(salt).decode(), base64.b64encode(digest).decode())


class Mosquitto:
    """One broker process. `config`: lines beside the listener's; stop() and start() keep the port, and the data with
    persistence."""

    def __init__(self, config="allow_anonymous true\n", persistence=False, files=None):
        self.folder = Path(tempfile.mkdtemp(prefix="umqtt-mosquitto-"))
        self.folder.chmod(0o777)  # as root it gives up its privileges
        for name, text in (files or {}).items():
            path = self.folder / name
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            path.chmod(0o644)
        self.config = config.replace("$DIR", str(self.folder))
        self.persistence = persistence
        self.process = None
        self.port = 0
        self.log_path = self.folder / "log"
        self.log_path.touch()
        self.start()

    def start(self):
        for _ in range(5):
            self.port = self.port or free_port()
            conf = self.folder / "conf"
            # max_keepalive and others stay as they are: the defaults are what people run
            conf.write_text(
                "listener %d 127.0.0.1\nlog_dest stderr\nlog_type all\nconnection_messages true\n%s%s"
                % (
                    self.port,
                    "persistence true\npersistence_location %s/\nautosave_interval 1\n" % self.folder
                    if self.persistence
                    else "persistence false\n",
                    self.config,
                )
            )
            with open(self.log_path, "ab") as log:
                self.process = subprocess.Popen(
                    [mosquitto_path(), "-c", str(conf)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            end = time.monotonic() + WAIT_S
            while time.monotonic() < end and self.process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                    return
                except OSError:
                    time.sleep(0.02)
            self.stop()
            if "in use" in self.log_path.read_text(errors="replace"):
                self.port = 0  # somebody was faster
                continue
            break
        raise AssertionError("mosquitto does not start:\n" + self.log_path.read_text(errors="replace")[-2000:])

    def stop(self, hard=False):
        if self.process and self.process.poll() is None:
            if hard:
                self.process.kill()
            else:
                self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def events(self, client=None):
        """Its log so far as typed events, of one client or of all."""
        parser = parse.Parser()
        with open(self.log_path, "rb") as file:
            found = [parser.parse(line) for line in file]
        return [event for event in found if client is None or getattr(event, "client", None) == client]

    def wait(self, want, client=None, what=""):
        """The events once `want(events)` is true. AssertionError with the log's end when it does not come true."""
        end = time.monotonic() + WAIT_S
        while True:
            events = self.events(client)
            if want(events):
                return events
            if time.monotonic() > end:
                tail = self.log_path.read_text(errors="replace")[-3000:]
                raise AssertionError("the log never showed %s:\n%s" % (what or want, tail))
            time.sleep(0.02)


@functools.cache
def shipped_checkout():
    """A checkout whose library is the shipped form, as a board has it. Each worker has one of its own: a program loads
    parts of the library late, when another worker may have replaced what it began with."""
    return shipped.make(shipped.SHIPPED.with_name("shipped-" + os.environ.get("PYTEST_XDIST_WORKER", "broker")))


class Device(Driven):
    """device.py under an interpreter: CPython runs the library's source, MicroPython the shipped form."""

    def __init__(self, command):
        self.names = {}
        program = DEVICE
        if command[0] != sys.executable:
            folder = shipped_checkout()
            self.names = read_map(folder)["attributes"]
            program = folder / DEVICE.relative_to(HOST_TESTS.parent)
        super().__init__(
            subprocess.Popen(command + [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        )

    def do(self, code, timeout_s=WAIT_S):
        """Run one line, which may name what is private to the library as its source does; returns its value. Raises
        DeviceError."""
        return super().do(re.sub(r"(?<=\.)_\w+", lambda name: self.names.get(name[0], name[0]), code), timeout_s)

    def kill(self):
        """Power cut."""
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        if not self.process.stdin.closed:
            self.process.stdin.close()


def served_until(device, is_true):
    """Let client `c` of the device work until `is_true()`."""
    end = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < end, "in vain for %d s" % WAIT_S
        device.do("serve(c, 20)")


class Observer:
    """An independent client (paho-mqtt): what it receives is in `messages` as (topic, payload, qos, retain)."""

    def __init__(self, port, topic="#", qos=2, client_id="observer"):
        import paho.mqtt.client as paho

        self.messages = queue.Queue()
        self.seen = []
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id)
        self.paho.on_message = lambda client, userdata, message: self.messages.put(
            (message.topic, message.payload, message.qos, message.retain)
        )
        ready = queue.Queue()
        self.paho.on_subscribe = lambda *answer: ready.put(1)
        self.paho.on_connect = lambda client, *answer: client.subscribe(topic, qos)
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()
        ready.get(timeout=WAIT_S)

    def next(self, timeout_s=WAIT_S):
        try:
            message = self.messages.get(timeout=timeout_s)
        except queue.Empty:
            raise AssertionError("no message; before it came %r" % self.seen[-3:])
        self.seen.append(message)
        return message

    def rest(self, mark="\x01rest"):
        """Everything that came, up to a message of its own that is published now."""
        self.paho.publish("observer/mark", mark, 2)
        out = []
        while True:
            message = self.next()
            if message[0] == "observer/mark" and message[1] == mark.encode():
                return out
            out.append(message)

    def publish(self, topic, payload, qos=0, retain=False):
        self.paho.publish(topic, payload, qos, retain).wait_for_publish(WAIT_S)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


INTERPRETERS = ["cpython", "micropython"]


def command_of(name):
    """The command of an interpreter, [] when it is not there."""
    if name == "cpython":
        return [sys.executable, "-u"]
    path = micropython_path()
    return [path] if path else []
