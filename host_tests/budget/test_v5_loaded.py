"""What a client of MQTT 5 has loaded, step by step of a program on the real 32-bit MicroPython, in the shipped form."""

import json
import os
import re
import subprocess

import pytest

from tools.measure import size
from tools.measure.bench_peer import Peer

PROGRAM = """
import json, sys
%s
from umqtt.v5 import MQTTClient

def tell(step):
    loaded = sorted(name[6:] for name in sys.modules if name.startswith("umqtt."))
    package = sys.modules["umqtt"]
    held = [name for name in dir(package) if type(getattr(package, name)) is type(sys) and name not in loaded]
    assert not held, held  # the heap has them still
    print(json.dumps([step, loaded]))

c = MQTTClient("loaded", "127.0.0.1", %d)
c.set_callback(lambda *message: None)
c.connect()
tell("connected")
for qos in (0, 1, 2):
    c.publish("a/b", "x", qos=qos)
tell("published")
c.subscribe("a/#", 1)
c.unsubscribe("a/#")
tell("subscribed")
c.publish(b"peer/send", b"1 1 50")
c.poll(1000)
tell("received")
c.set_last_will("w", "gone", delay_s=5)
c.disconnect(session_expiry_s=5)
c.connect()
tell("again")
c.received.content_type
tell("asked for received")
c.connect()
tell("connected again")
c.publish("a/b", "x", qos=1, expiry_s=5)
tell("with properties")
c.connect()
tell("the end")
"""
PLAIN = ["client", "v5"]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mpy")
    try:
        size.micropython()
        size.compile_library(folder)
    except FileNotFoundError as e:
        pytest.skip(str(e))
    return folder


def loaded(library, first=""):
    """{step: the modules of the library}"""
    with Peer() as peer:
        got = subprocess.run(
            [size.micropython(), "-X", "heapsize=64k", "-c", PROGRAM % (first, peer.port)],
            env={**os.environ, "MICROPYPATH": str(library)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
    assert got.returncode == 0, got.stdout.decode()
    return dict(json.loads(line) for line in got.stdout.splitlines())


def test_a_client_that_uses_no_properties_has_nothing_but_the_client(library):
    steps = loaded(library)
    for step in ("connected", "published", "subscribed", "received", "again"):
        assert steps[step] == PLAIN, step


def test_what_a_program_uses_comes_when_it_uses_it_and_stays(library):
    steps = loaded(library)
    assert steps["asked for received"] == steps["connected again"] == ["client", "properties", "received", "v5"]
    assert steps["with properties"] == ["client", "outgoing", "properties", "received", "v5"]
    assert steps["the end"] == steps["with properties"]


def test_what_a_program_has_imported_before_stays(library):
    steps = loaded(library, "import umqtt.handshake, umqtt.incoming")
    kept = ["client", "handshake", "incoming", "properties", "v5"]
    assert steps["connected"] == steps["subscribed"] == steps["again"] == kept


STARVED = """
import gc
from umqtt.v5 import MQTTClient

c = MQTTClient("starved", "127.0.0.1", %d, timeout_ms=2000)
taken = []
c.set_callback(lambda topic, payload, retained: taken.append(c.received.get(38)))
c.connect()
c.subscribe("a/#", 1)

def starve(left_b):
    hog = []
    gc.collect()
    try:
        while gc.mem_free() > left_b:
            hog.append(bytearray(112))
    except MemoryError:
        pass
    return hog

FAULTS = MemoryError, OSError  # made now: at the fault there is no memory for a tuple
CALLS = {
    "publish": lambda: c.publish("a/b", "x", qos=1, expiry_s=5),
    "publish0": lambda: c.publish("a/b", "x", content_type="t"),
    "subscribe": lambda: c.subscribe("a/c", 1),
    "will": lambda: c.set_last_will("w", "gone", delay_s=5),
    "connect": lambda: c.connect(),
}
for name in %r:
    faults = 0
    for left_b in range(0, 10000, 500):
        c.connect()  # lets go of the parts, which the call then has to load
        hog = starve(left_b)
        try:
            CALLS[name]()
        except FAULTS:
            faults += 1
        hog.clear()  # None would not do: the list may still be seen on the stack
        gc.collect()
        if not c.isconnected():
            c.connect()
        CALLS[name]()
        c.publish("a/b", "x", qos=2)
        assert not c.inflight, (name, left_b)
    print(name, faults)
"""


@pytest.mark.parametrize("calls", [("publish", "publish0"), ("subscribe", "will"), ("connect",)], ids=lambda c: c[0])
def test_without_memory_for_a_module_a_call_ends_and_the_next_finds_it(library, calls):
    with Peer() as peer:
        got = subprocess.run(
            [size.micropython(), "-X", "heapsize=96k", "-c", STARVED % (peer.port, calls)],
            env={**os.environ, "MICROPYPATH": str(library)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
    faults = dict(re.findall(r"^(\w+) (\d+)$", got.stdout.decode(), re.M))
    assert list(faults) == list(calls), got.stdout.decode()
    assert all(int(count) > 0 for count in faults.values()), faults  # memory was indeed short
