"""A broker of one's own and clients that misbehave on purpose, packet by packet."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 0x10, 0x20, 0x30, 0x40, 0x50, 0x62, 0x70
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP = 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0
DISCONNECT = 0xE0
ROOT = Path(__file__).resolve().parents[2]


def mosquitto() -> str | None:
    """The broker to test with: $MOSQUITTO, the one of `make setup`, the one on PATH; or None."""
    cached = ROOT / ".cache" / "mosquitto" / "mosquitto"
    found = os.environ.get("MOSQUITTO") or (str(cached) if cached.exists() else None)
    return found or shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")


class Broker:
    """Mosquitto on a free loopback port; its log is the file `log`. Users: `u` with password `p`;
    nobody may write to `secret/#`."""

    def __init__(self, folder: Path, *options: str):
        self.folder, self.log = folder, folder / "mosquitto.log"
        self.port = 0
        salt = b"0123456789ab"
        key = hashlib.pbkdf2_hmac("sha512", b"p", salt, 101)
        (folder / "passwords").write_text(
            "u:$7$101$%s$%s\n" % (base64.b64encode(salt).decode(), base64.b64encode(key).decode())
        )
        (folder / "acl").write_text("topic readwrite t/#\nuser u\ntopic readwrite t/#\n")
        for name in ("passwords", "acl"):
            (folder / name).chmod(0o644)
        self.options = options

    def start(self) -> None:
        """Ready when it returns. Raises RuntimeError with the log when the broker does not come up."""
        for _ in range(5):  # the port may be taken between our asking and its listening
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                self.port = sock.getsockname()[1]
            (self.folder / "mosquitto.conf").write_text(
                "\n".join(
                    [
                        f"listener {self.port} 127.0.0.1",
                        "allow_anonymous true",
                        f"password_file {self.folder}/passwords",
                        f"acl_file {self.folder}/acl",
                        "log_dest stderr",
                        "log_type all",
                        "max_inflight_messages 20",
                        *self.options,
                        "",
                    ]
                )
            )
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [mosquitto(), "-c", str(self.folder / "mosquitto.conf")],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            while self.process.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", self.port), 5).close()
                    return
                except ConnectionRefusedError:
                    time.sleep(0.02)
        raise RuntimeError("Mosquitto did not start:\n" + self.log.read_text(errors="replace"))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(120)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(120)

    def wait_for(self, text: str, timeout_s: float = 120) -> None:
        """Until the log has `text`. Raises TimeoutError."""
        end = time.monotonic() + timeout_s
        while text.encode() not in self.log.read_bytes():
            if time.monotonic() > end:
                raise TimeoutError(f"the broker never logged {text!r}")
            time.sleep(0.05)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


class Wire:
    """One raw MQTT connection: nothing happens that the test did not ask for."""

    def __init__(self, broker: Broker, source: str = "127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", broker.port), 30, (source, 0))

    def send(self, first: int, body: bytes = b"") -> None:
        length, left = bytearray(), len(body)
        while True:
            left, digit = left >> 7, left & 127
            length.append(digit | (128 if left else 0))
            if not left:
                break
        self.socket.sendall(bytes([first]) + bytes(length) + body)

    def expect(self, first: int) -> bytes:
        """The body of the next packet of this type; others are skipped. Raises EOFError."""
        while True:
            head = self._exactly(1)[0]
            length = shift = 0
            while True:
                digit = self._exactly(1)[0]
                length |= (digit & 127) << shift
                shift += 7
                if digit < 128:
                    break
            body = self._exactly(length)
            if head == first or (first == PUBLISH and head & 0xF0 == PUBLISH):
                self.head = head
                return body

    def _exactly(self, size_b: int) -> bytes:
        out = b""
        while len(out) < size_b:
            part = self.socket.recv(size_b - len(out))
            if not part:
                raise EOFError("the broker closed the connection")
            out += part
        return out

    def connect(
        self,
        client: str | bytes,
        clean: bool = True,
        keepalive_s: int = 60,
        user: str = "",
        password: str = "",
        will: str = "",
        level: int = 4,
    ) -> bytes:
        flags = (2 if clean else 0) | (0x80 if user else 0) | (0x40 if password else 0)
        flags |= 0x04 | 1 << 3 if will else 0
        name = text("MQIsdp") if level == 3 else text("MQTT")
        body = name + bytes([level, flags]) + struct.pack("!H", keepalive_s)
        body += (b"\0" if level == 5 else b"") + text(client)
        if will:
            body += (b"\0" if level == 5 else b"") + text(will) + text("gone")
        body += (text(user) if user else b"") + (text(password) if password else b"")
        self.send(CONNECT, body)
        return self.expect(CONNACK)

    def publish(
        self,
        topic: str | bytes,
        payload: bytes = b"hello",
        qos: int = 0,
        pid: int = 1,
        dup: bool = False,
        retain: bool = False,
    ) -> None:
        first = PUBLISH | dup << 3 | qos << 1 | retain
        self.send(first, text(topic) + (struct.pack("!H", pid) if qos else b"") + payload)

    def ack(self, first: int, pid: int) -> None:
        self.send(first, struct.pack("!H", pid))

    def subscribe(self, topic: str, qos: int = 0) -> None:
        self.send(SUBSCRIBE, b"\0\1" + text(topic) + bytes([qos]))
        self.expect(SUBACK)

    def leave(self) -> None:
        """DISCONNECT, and until the broker has closed."""
        self.send(DISCONNECT)
        self.gone()

    def gone(self) -> None:
        """Until the broker has closed."""
        try:
            while self.socket.recv(4096):
                pass
        except ConnectionResetError:
            pass
        self.socket.close()

    def drop(self) -> None:
        """Close without DISCONNECT."""
        self.socket.close()


def steady(broker: Broker, client: str = "steady") -> None:
    """Everything a well-behaved client does, all of it finished."""
    wire = Wire(broker)
    wire.connect(client, user="u", password="p", will="will/" + client)
    wire.subscribe("t/" + client + "/#", 2)
    wire.publish(f"t/{client}/0")
    wire.expect(PUBLISH)
    wire.publish(f"t/{client}/1", qos=1, pid=11)
    body = wire.expect(PUBLISH)
    wire.ack(PUBACK, body[-7] << 8 | body[-6])
    wire.publish(f"t/{client}/2", qos=2, pid=12, retain=True)
    wire.expect(PUBREC)
    wire.ack(PUBREL, 12)
    body = wire.expect(PUBLISH)
    pid = body[-7] << 8 | body[-6]
    wire.ack(PUBREC, pid)
    wire.expect(PUBREL)
    wire.ack(PUBCOMP, pid)
    wire.send(PINGREQ)
    wire.expect(PINGRESP)
    wire.send(UNSUBSCRIBE, b"\0\2" + text(f"t/{client}/#"))
    wire.expect(UNSUBACK)
    wire.leave()


def killed(broker: Broker) -> None:
    wire = Wire(broker)
    wire.connect("killed", will="will/killed")
    wire.drop()
    broker.wait_for("Client killed ")


def taken(broker: Broker) -> None:
    old, new = Wire(broker), Wire(broker)
    old.connect("taken")
    new.connect("taken")
    old.gone()
    new.leave()


def twins(broker: Broker) -> None:
    first = Wire(broker, "127.0.0.1")
    first.connect("twin")
    for source in ("127.0.0.2", "127.0.0.1", "127.0.0.2"):
        second = Wire(broker, source)
        second.connect("twin")
        first.gone()
        first = second
    first.leave()


def silent(broker: Broker) -> None:
    """Takes until the broker sweeps: to 7.5 s with 2.0."""
    wire = Wire(broker)
    wire.connect("silent", keepalive_s=1)
    wire.gone()


def stranger(broker: Broker) -> None:
    wire = Wire(broker)
    wire.connect("stranger", user="u", password="wrong")
    wire.gone()


def twice(broker: Broker) -> None:
    wire = Wire(broker)
    wire.connect("twice")
    wire.publish("t/twice", qos=1, pid=5)
    wire.expect(PUBACK)
    wire.publish("t/twice", qos=1, pid=5, dup=True)
    wire.expect(PUBACK)
    wire.leave()


def half(broker: Broker) -> None:
    wire = Wire(broker)
    wire.connect("half")
    wire.publish("t/half", qos=2, pid=7)
    wire.expect(PUBREC)
    wire.leave()


def deaf(broker: Broker) -> None:
    """A subscriber that leaves without acknowledging, and is sent the message again."""
    wire = Wire(broker)
    wire.connect("deaf", clean=False)
    wire.subscribe("t/deaf", 1)
    steady_publisher = Wire(broker)
    steady_publisher.connect("talker")
    steady_publisher.publish("t/deaf", qos=1, pid=1)
    steady_publisher.expect(PUBACK)
    steady_publisher.leave()
    wire.expect(PUBLISH)
    wire.leave()
    wire = Wire(broker)
    wire.connect("deaf", clean=False)
    body = wire.expect(PUBLISH)
    wire.ack(PUBACK, body[-7] << 8 | body[-6])
    wire.leave()


def forbidden(broker: Broker) -> None:
    wire = Wire(broker)
    wire.connect("forbidden")
    wire.publish("secret/x", qos=1, pid=3)
    wire.expect(PUBACK)
    wire.leave()


def broken(broker: Broker) -> None:
    wire = Wire(broker)
    wire.connect("broken")
    wire.send(PUBLISH | 3 << 1, text("t/x") + b"\0\1")
    wire.gone()


def again(broker: Broker) -> None:
    wire = Wire(broker)
    wire.connect("again")
    try:
        wire.connect("again")
    except (EOFError, ConnectionResetError):
        pass
    wire.socket.close()


ALL = (steady, killed, taken, twins, stranger, twice, half, deaf, forbidden, broken, again, silent)
