"""TLS of a real MicroPython (mbedtls, as on an ESP32) against a real Mosquitto with a private CA."""

import datetime
import subprocess
from pathlib import Path

import pytest
from broker.real import WAIT_S, micropython_path
from broker.test_real_tls import CONFIG, DAY, NOW, Authority, authority, start  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = micropython_path()

DEVICE = """
import sys, tls
sys.path[:0] = [%(lib)r]
from umqtt.client import MQTTClient
context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
context.verify_mode = tls.CERT_REQUIRED
ca, cert, key = [open(name, "rb").read() if name else None for name in %(files)r]
if ca:
    context.load_verify_locations(ca)
if cert:
    context.load_cert_chain(cert, key)
c = MQTTClient("mbedtls", "localhost", %(port)d, ssl=context, timeout_ms=60000)
inbox = []
c.set_callback(lambda topic, payload, retained: inbox.append(len(payload)))
try:
    c.connect()
    c.subscribe("tls/#", 2)
    for i in range(12):
        c.publish("tls/%%d" %% i, b"x" * (i * 20), qos=i %% 3)
    c.publish("big", bytes(50000), qos=2)
    while len(inbox) < 12 and c.poll(60000):
        pass
    c.disconnect()
    print(sorted(inbox) == [i * 20 for i in range(12)], c.inflight)
except OSError as e:
    print(e)
"""


# `ssl=True` of the drop-in. A board has micropython-lib's `ssl`, a PC's MicroPython only the `tls` beneath it.
DROPIN = """
import sys, tls
sys.path[:0] = [%(lib)r]
from umqtt.simple import MQTTClient
ca = %(files)r[0]
params = {"server_hostname": "localhost"}
if ca:
    params.update(cert_reqs=tls.CERT_REQUIRED, cadata=open(ca, "rb").read())
c = MQTTClient("dropin", "localhost", %(port)d, ssl=True, ssl_params=params)
inbox = []
c.set_callback(lambda topic, msg: inbox.append(len(msg)))
try:
    c.connect(timeout=60)
    c.subscribe(b"tls/#")
    for size_b in (0, 20, 3000):
        c.publish(b"tls/a", b"x" * size_b, qos=1)
    while len(inbox) < 3:
        c.wait_msg()
    c.sock.setblocking(False)
    print(inbox, c.wait_msg())
    c.disconnect()
except OSError as e:
    print(e)
"""


# Records hold several packets, and the socket is silent when the rest of one is in mbedtls: the loop's poll must not be
# fooled by that. The longest wait for a message is told.
ASYNCIO = """
import asyncio, sys, time, tls
sys.path[:0] = [%(lib)r]
from umqtt.aio import MQTTClient
context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
context.verify_mode = tls.CERT_REQUIRED
context.load_verify_locations(open(%(files)r[0], "rb").read())

async def main():
    async with MQTTClient("aio", "localhost", %(port)d, ssl=context, timeout_ms=60000, queue=20) as c:
        await c.subscribe("tls/#", 2)
        publishes = [c.publish("tls/%%d" %% i, b"x" * (i * 10), qos=i %% 3) for i in range(12)]
        publishes.append(c.publish("big", bytes(50000), qos=2))
        await asyncio.gather(*publishes)
        sizes = []
        start = time.ticks_ms()
        while len(sizes) < 12:
            sizes.append(len((await c.take())[1]))
        took_ms = time.ticks_diff(time.ticks_ms(), start)
        await asyncio.sleep_ms(100)  # PUBREL of what was taken
        print(sorted(sizes) == [i * 10 for i in range(12)], c.inflight, c.dropped, took_ms < 30000)

try:
    asyncio.run(main())
except OSError as e:
    print(e)
"""


# The firmware's own way to a context, from files as people have them.
FILES = """
import sys
sys.path[:0] = [%(firmware)r, %(lib)r]
import tls_context
from umqtt.client import MQTTClient
try:
    context = tls_context.make(*[name or "" for name in %(files)r])
    c = MQTTClient("files", "localhost", %(port)d, ssl=context, timeout_ms=60000)
    c.connect()
    c.publish("a", "b", qos=1)
    c.disconnect()
    print("taken")
except (OSError, ValueError) as e:
    print(e)
"""


@pytest.fixture
def device(tmp_path):
    """device(port, ca, cert, key) -> what a MicroPython says that connects with these (DER, None for none)."""
    if not MICROPYTHON:
        pytest.skip("no MicroPython: run `make setup`")
    probe = [MICROPYTHON, "-c", "import tls; tls.SSLContext(tls.PROTOCOL_TLS_CLIENT).verify_mode"]
    if subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this MicroPython has no TLS")

    def go(port, *files, program=DEVICE):
        names = []
        for i, data in enumerate(files):
            names.append(str(tmp_path / ("file%d" % i)) if data else None)
            if data:
                Path(names[-1]).write_bytes(data)
        names += [None] * (3 - len(names))
        script = tmp_path / "device.py"
        firmware = ROOT / "firmware"
        where = {"lib": str(firmware / "lib"), "firmware": str(firmware), "files": names, "port": port}
        script.write_text(program % where)
        done = subprocess.run(
            [MICROPYTHON, str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=WAIT_S
        )
        return done.stdout.strip()

    return go


def test_messages_of_all_sizes_pass_when_ca_and_host_are_right(start, authority, device):  # noqa: F811
    broker, _ = start()
    assert device(broker.port, authority.der()) == "True 0"


def test_ssl_true_of_the_drop_in_shakes_hands_with_and_without_a_ca(start, authority, device):  # noqa: F811
    broker, _ = start()
    assert device(broker.port, program=DROPIN) == "[0, 20, 3000] None"
    assert device(broker.port, authority.der(), program=DROPIN) == "[0, 20, 3000] None"
    assert "not correctly signed by the trusted CA" in device(broker.port, Authority("another").der(), program=DROPIN)


def test_a_client_on_asyncio_takes_what_waits_in_a_record(start, authority, device):  # noqa: F811
    broker, _ = start()
    assert device(broker.port, authority.der(), program=ASYNCIO) == "True 0 0 True"
    assert "not correctly signed by the trusted CA" in device(broker.port, Authority("another").der(), program=ASYNCIO)


def test_what_is_wrong_with_a_certificate_is_said(start, authority, device):  # noqa: F811
    broker, _ = start()
    assert "not correctly signed by the trusted CA" in device(broker.port, Authority("another").der())
    assert "CA" in device(broker.port)
    broker, _ = start(host="other.example")
    assert "another host name" in device(broker.port, authority.der())
    broker, _ = start(begin=NOW - 3 * DAY, end=NOW - datetime.timedelta(hours=1))
    assert "expired" in device(broker.port, authority.der())
    broker, _ = start(begin=NOW + DAY, end=NOW + 2 * DAY)
    assert "in the future: check its dates and the clock" in device(broker.port, authority.der())


def test_a_client_certificate_is_asked_for_and_taken(start, authority, device):  # noqa: F811
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    broker, _ = start(config="require_certificate true\n")
    assert "client certificate" in device(broker.port, authority.der())
    cert, key = authority.issue("device")
    der = serialization.Encoding.DER
    key = serialization.load_pem_private_key(key, None).private_bytes(
        der, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    cert = x509.load_pem_x509_certificate(cert).public_bytes(der)
    assert device(broker.port, authority.der(), cert, key) == "True 0"


def test_a_ca_is_taken_as_people_have_it(start, authority, device):  # noqa: F811
    broker, _ = start()
    pem, other = authority.pem(), Authority("another").pem()
    for ca in (
        authority.der(), pem, pem.replace(b"\n", b"\r\n"), b"Certificate:\n  Data:\n" + pem,
        b"\xef\xbb\xbf" + pem.rstrip(), other + pem, pem + other,
    ):  # fmt: skip
        assert device(broker.port, ca, program=FILES) == "taken", ca
    key = authority.issue("x")[1]
    for ca, words in (
        (other, "not correctly signed by the trusted CA"),
        (key, "in which no CERTIFICATE is"),
        (b"<html>404</html>", "which holds no certificate: invalid cert"),
        (pem[:200], "whose PEM is damaged"),
        (pem[:200] + b"\n-----END CERTIFICATE-----\n", "tls_ca is "),
    ):
        assert words in device(broker.port, ca, program=FILES), words


def test_a_chain_without_its_middle_is_trusted_when_that_is_in_the_file_of_the_ca(authority, make_broker, device):  # noqa: F811
    middle = Authority("in between")
    middle.cert = authority.sign(middle.name, middle.key, NOW - DAY, NOW + DAY, ca=True)
    cert, key = middle.issue("localhost")
    broker = make_broker(CONFIG, files={"ca": authority.pem(), "cert": cert, "key": key})
    assert "not correctly signed" in device(broker.port, authority.pem(), program=FILES)
    assert device(broker.port, authority.pem() + middle.pem(), program=FILES) == "taken"


def test_a_key_is_found_among_what_else_its_file_holds(start, authority, device):  # noqa: F811
    from cryptography.hazmat.primitives import serialization

    broker, _ = start(config="require_certificate true\n")
    ca = authority.pem()
    cert, pkcs8 = authority.issue("device")
    key = serialization.load_pem_private_key(pkcs8, None)

    def pem(form, lock=serialization.NoEncryption()):  # noqa: B008
        return key.private_bytes(serialization.Encoding.PEM, form, lock)

    curve = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    old = pem(serialization.PrivateFormat.TraditionalOpenSSL)
    for given in (pkcs8, old, curve + old, cert + pkcs8):
        assert device(broker.port, ca, cert, given, program=FILES) == "taken", given
    assert device(broker.port, ca, old + cert, old + cert, program=FILES) == "taken"
    locked = serialization.BestAvailableEncryption(b"secret")
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        said = device(broker.port, ca, cert, pem(form, locked), program=FILES)
        assert "which is encrypted; needed is a key without" in said
    assert "in which no PRIVATE KEY is" in device(broker.port, ca, cert, cert, program=FILES)
