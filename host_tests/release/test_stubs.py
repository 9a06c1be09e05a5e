"""The types as a user gets them: a wheel, installed with pip into an environment of its own beside a board's stubs, and
a program that pyright and mypy read in strict mode."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.release import stubs

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "setup"))
import network  # noqa: E402

WRONG = "  # wrong"
# Each line that ends with WRONG must be found, and no other.
PROGRAM = '''\
from __future__ import annotations

from typing import TYPE_CHECKING

import umqtt
from umqtt import aio, aio_v5, robust, simple, v5
from umqtt.aio_stream import publish as publish_awaited
from umqtt.client import MQTTClient
from umqtt.errors import MQTTException, ProtocolError
from umqtt.outbox import LATEST, Outbox
from umqtt.publisher import Publisher
from umqtt.reconnect import Reconnect
from umqtt.routes import Routes
from umqtt.rtc import Region, RtcJournal
from umqtt.store import FileJournal, Store
from umqtt.stream import publish as publish_stream
from umqtt.takeback import take_back, unacknowledged

if TYPE_CHECKING:
    from umqtt.hints import Callback, Payload


def heard(topic: bytes, payload: bytes, retained: bool) -> None:
    print(topic, payload, retained)


def of_two(topic: bytes, payload: bytes) -> None:
    print(topic, payload)


def state(connected: bool, error: str) -> None:
    print(connected, error)


def view(buf: bytearray, topic_end: int, start: int, end: int, flags: int) -> None:
    print(buf[start:end], topic_end, flags)


class OwnStore:
    """A program's own store has what the client asks of one."""

    window = 4
    must = False
    values: dict[bytes, bytes] | None = None

    def replay(self, session: object, client_id: str | bytes, server: str | bytes) -> bool:
        return False

    def rewrite(self) -> None: ...
    def put(self, slot: list[object], later: bool = False) -> None: ...
    def acked(self, packet_type: int, packet_id: int) -> None: ...
    def seen(self, packet_id: int, state: bytes | None = None) -> None: ...
    def subscribed(self, filter: bytes, qos: int | None) -> None: ...
    def sync(self) -> None: ...


class Reader:
    def readinto(self, buf: bytearray) -> int:
        return len(buf)


class NoStore:
    def sync(self) -> None: ...


version: str = umqtt.__version__
MQTTClient("k", "host", keepalive="sixty")  # wrong
MQTTClient("k")  # wrong
MQTTClient("k", "host", timeout=3)  # wrong
MQTTClient(5, "host")  # wrong
MQTTClient("k", "host", reconnect=True)  # wrong
MQTTClient("k", "host", ssl=True)  # wrong
MQTTClient("k", "host", store=OwnStore())
MQTTClient("k", "host", store=NoStore())  # wrong
store = Store(FileJournal("/journal", limit_b=4096))
MQTTClient("k", "host", store=store)
Store("/journal")  # wrong
c = MQTTClient("k", "host", keepalive=60, reconnect=Reconnect(on_state=state, brokers=[("a", 1883)]))
Reconnect(on_state=heard)  # wrong
Reconnect(brokers=["a"])  # wrong
c.set_last_will("k/status", "offline", retain=True)
c.set_last_will("k/status", {"a": 1})  # wrong
c.set_callback(heard)
c.set_callback(lambda topic, payload, retained: print(topic, payload))
c.set_callback(None)
c.set_callback(3)  # wrong
c.set_callback(of_two)  # wrong
c.set_view(view)
c.set_view(heard)  # wrong
c.on_ended = lambda packet_id, codes: print(packet_id, codes)
c.on_ended = 3  # wrong
present: bool = c.connect()
c.connect("soon")  # wrong
c.publish(5, None)  # wrong
c.publish("t", 21.5)  # wrong
c.publish("t", {"temperature": 21.5})  # wrong
c.publish("t", "21.5", qos="1")  # wrong
c.publish("t", bytearray(3), True, 1, wait=False, timeout_ms=500)
packet_id = c.publish("t", "x", qos=1)
if packet_id:
    print(c.pending(packet_id), c.free_slots() + c.inflight, c.pid)
granted: bytes | None = c.subscribe("a/#", 1)
c.subscribe([("a/#", 1), (b"b", 0)])
c.subscribe(["a/#", 1])  # wrong
c.unsubscribe(["a/#"])
c.unsubscribe(3)  # wrong
came: int = c.poll(1000)
c.poll(None)  # wrong
c.ping()
c.isconnected().upper()  # wrong
words: str = c.diag()["error"]
c.diag()["errors"]  # wrong
c.nothing()  # wrong
c.disconnect()

routes = Routes(default=heard)
routes.add("a/+", heard)
routes.add("a/+", 3)  # wrong
c.set_callback(routes)
Publisher(c, "t", size=20).publish(b"x")
Publisher("t", c)  # wrong
publish_stream(c, "t", Reader(), 1000, qos=1)
publish_stream(c, "t", "text", 1000)  # wrong
for pid, topic, qos in unacknowledged(c):
    print(pid + qos, topic.decode(), take_back(c, pid))
take_back(c, "1")  # wrong
outbox = Outbox("/box", store, client=c)
outbox.add("t", "x", keep=LATEST, expire_s=60)
outbox.add("t", 5)  # wrong
outbox.drain(c)
outbox.drain(None)  # wrong


def memory(data: bytes | None = None) -> bytes | None:
    return data


region = Region(memory, 0, 512)
Store(RtcJournal(region, FileJournal("/journal")))
RtcJournal(FileJournal("/journal"), region)  # wrong

s = simple.MQTTClient("k", "host", ssl=True, ssl_params={"server_hostname": "host"})
s.set_callback(of_two)
s.set_callback(heard)  # wrong
s.connect(clean_session=False)
s.publish("t", "x", qos=1)
s.publish("t", "x", wait=False)  # wrong
s.check_msg()
r = robust.MQTTClient("k", "host")
r.publish("t", None)  # wrong
r.check_msg(attempts=3)

try:
    r.connect()
except ProtocolError as e:
    print(e.args)
except MQTTException as e:
    print(e.args)


async def main() -> None:
    async with aio.MQTTClient("k", "host", keepalive=30, queue=4) as a:
        a.set_callback(3)  # wrong
        await a.connect()
        await a.subscribe("t", 1)
        await a.publish("t", "x", qos=1)
        a.publish("t", 5)  # wrong
        async for topic, payload, retained in a:
            print(topic.decode(), payload + b"x", retained)
        topic, payload, retained = await a.take()
        await publish_awaited(a, "t", Reader(), 1000, qos=1)
        await publish_awaited(c, "t", Reader(), 1000)  # wrong
    aio.MQTTClient("k", "host", keepalive="sixty")  # wrong
    aio.MQTTClient("k", "host", topic_aliases=True)  # wrong


five = v5.MQTTClient("k", "host", keepalive=60, protocol="auto", session_expiry_s=60, properties={33: 5})
v5.MQTTClient("k", "host", keepalive="sixty")  # wrong
v5.MQTTClient("k", "host", queue=4)  # wrong
five.publish("t", "x", expiry_s=60, properties={38: [("a", "b")]})
five.publish("t", "x", expiry_s="60")  # wrong


async def with_mqtt_5() -> None:
    async with aio_v5.MQTTClient("k", "host", queue=4, topic_aliases=True, protocol="auto") as a:
        await a.publish("t", "x", qos=1, expiry_s=60, content_type="text/plain")
        a.publish("t", "x", expiry_s="60")  # wrong
        answer: bytes = await a.request("lamp/get", b"", timeout_ms=500)
        await a.request("lamp/get", 5)  # wrong
        async for topic, payload, retained in a:
            print(topic.decode(), payload + answer, retained, a.received.expiry_s, a.received.get(38))
    aio_v5.MQTTClient("k", "host", keepalive="sixty")  # wrong
    aio_v5.MQTTClient("k", "host", session_expiry_s="a day")  # wrong


def say(f: Callback, msg: Payload) -> None:
    f(b"t", b"x", False)
    f("t", b"x", False)  # wrong
    c.publish("t", msg)
'''


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return stubs.build(tmp_path_factory.mktemp("stubs"))


@pytest.fixture(scope="module")
def venv(wheel, tmp_path_factory):
    """An environment with the wheel in it, and nothing else."""
    folder = tmp_path_factory.mktemp("user")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, stdout=subprocess.DEVNULL)
    done = pip(folder, "install", "--no-index", "--no-deps", str(wheel))
    assert done.returncode == 0, done.stdout
    (folder / "program.py").write_text(PROGRAM)
    return folder


def pip(folder, *arguments):
    env = dict(os.environ, PIP_CACHE_DIR=str(ROOT / ".cache" / "pip"), PIP_DISABLE_PIP_VERSION_CHECK="1")
    python = folder / "venv" / "bin" / "python"
    return subprocess.run([str(python), "-m", "pip", *arguments], env=env, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, timeout=300)  # fmt: skip


@pytest.fixture
def boards_stubs(venv):
    """The environment with the stubs of a board beside ours, which have an `umqtt` of their own."""
    (named,) = re.findall(r"^(micropython-esp32-stubs==\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    why = network.why_not(network.pip_index())
    if why:
        pytest.skip("%s cannot be had: %s" % (named, why))
    done = pip(venv, "install", "-q", named)
    if done.returncode:
        pytest.skip("%s cannot be had: %s" % (named, done.stdout.strip().splitlines()[-1]))
    site = next((venv / "venv" / "lib").glob("python3*/site-packages"))
    assert (site / "umqtt" / "simple.pyi").exists(), "the trap is not there"
    return site


def lines_to_find():
    return [n for n, line in enumerate(PROGRAM.split("\n"), 1) if line.endswith(WRONG)]


def with_pyright(folder, *options):
    """Run pyright in strict mode; the lines of its errors, and what it said."""
    settings = {"typeCheckingMode": "strict", "venvPath": str(folder), "venv": "venv", "include": ["program.py"],
                "reportMissingModuleSource": False, "reportUnusedExpression": False,
                "reportUnusedCallResult": False}  # fmt: skip
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "-p", str(folder), *options]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=300)
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = [e for e in found if e["severity"] == "error"]
    return sorted({e["range"]["start"]["line"] + 1 for e in errors}), errors


def with_mypy(folder, *options):
    python = folder / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "--no-incremental",
               "--cache-dir", str(folder / "mypy"), "--no-warn-unused-ignores", *options, "program.py"]  # fmt: skip
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    found = re.findall(r"^(.*?):(\d+): error: .*", done.stdout, re.M)
    assert {name for name, _ in found} <= {"program.py"}, done.stdout
    return sorted({int(n) for _, n in found}), done.stdout


@pytest.mark.parametrize("checker", [with_pyright, with_mypy])
def test_a_checker_in_strict_mode_finds_each_wrong_line_and_no_other(venv, checker):
    lines, said = checker(venv)
    assert lines == lines_to_find(), said


def test_beside_a_boards_stubs_ours_are_found_not_the_frozen_umqtts(boards_stubs, venv):
    lines, said = with_pyright(venv, "--typeshedpath", str(boards_stubs))
    assert lines == lines_to_find(), said
    lines, said = with_mypy(venv)
    assert lines == lines_to_find(), said


def test_an_editor_shows_the_docstrings(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(tmp_path)], check=True)
    client, link = ((tmp_path / "umqtt-stubs" / name).read_text() for name in ("client.pyi", "link.pyi"))
    assert "[3.3]" in client and "Send a PINGREQ now" in link  # of a class beneath the client's
    for stub in (client, link):
        assert "_send_packet" not in stub and "TYPE_CHECKING" not in stub
    for stub in (tmp_path / "umqtt-stubs").glob("*.pyi"):
        compile(stub.read_text(), str(stub), "exec")
        for module in stubs.NOT_PUBLIC:
            assert not re.search(
                r"^(from umqtt\.%s |from umqtt import .*\b%s\b)" % (module, module), stub.read_text(), re.M
            )


def test_the_same_source_makes_the_same_bytes(wheel, tmp_path):
    assert stubs.build(tmp_path).read_bytes() == wheel.read_bytes()
    assert stubs.version() in wheel.name
