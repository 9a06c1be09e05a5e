"""A broker with TLS and a private CA: tried from the host by `make config`, and reached by the board."""

import datetime
import ipaddress
import json
import re

import pytest
from conftest import config, mpremote, tool

import tools.broker
from tools.device.config import read_ca
from tools.device.serial_port import ToolError

x509 = pytest.importorskip("cryptography.x509", reason="no `cryptography`: run `make setup`")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.timezone.utc)


def certificate(name, key, issuer=None, names=(), begin=-1, end=1):
    """A certificate of `key`; its own issuer without one. `begin`, `end`: days from now."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by, by_key = issuer or (subject, key)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(NOW + begin * DAY).not_valid_after(NOW + end * DAY)
    made = made.add_extension(x509.BasicConstraints(ca=not issuer, path_length=None), critical=True)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(by_key, hashes.SHA256())


class Authority:
    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.own = certificate(name, self.key, end=30)

    def pem(self):
        return self.own.public_bytes(serialization.Encoding.PEM)

    def issue(self, folder, names, **dates):
        """Mosquitto's lines for a listener with a certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = certificate("broker", key, (self.own.subject, self.key), names, **dates)
        (folder / "broker.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (folder / "broker.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))  # fmt: skip
        return "certfile %s\nkeyfile %s\n" % (folder / "broker.pem", folder / "broker.key")


@pytest.fixture(scope="module")
def authority():
    return Authority("our own CA")


HERE = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")))


@pytest.fixture
def tls_broker(tmp_path, authority, monkeypatch):
    """tls_broker(names, begin=, end=): a Mosquitto whose certificate is for these names and days."""
    if not tools.broker.mosquitto():
        pytest.skip("no Mosquitto: `make setup` gets one")
    running = []

    def start(names=HERE, **dates):
        lines = authority.issue(tmp_path, names, **dates)
        monkeypatch.setattr(tools.broker, "MOSQUITTO_CONF", tools.broker.MOSQUITTO_CONF + lines)
        running.append(tools.broker.Broker(tmp_path).__enter__())
        return running[-1]

    yield start
    for broker in running:
        broker.__exit__()


def try_broker(tmp_path, port, *arguments, **more):
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_BROKER": "127.0.0.1", "UMQTT_PORT": str(port), **more}
    return tool("config", "--output", str(tmp_path / "config.json"), "--test-broker", *arguments, env=env)


def ca_file(folder, authority):
    (folder / "ca.pem").write_bytes(authority.pem())
    return str(folder / "ca.pem")


def test_a_broker_with_a_certificate_of_our_ca_lets_us_in(tls_broker, tmp_path, authority):
    done = try_broker(tmp_path, tls_broker().port, "--ca", ca_file(tmp_path, authority))
    assert done.returncode == 0 and "lets us in" in done.stdout and "note:" not in done.stdout, done.stdout
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["tls"] is True and (tmp_path / written["tls_ca"]).read_bytes()[:1] == b"\x30"


def test_a_certificate_of_another_ca_is_refused(tls_broker, tmp_path):
    done = try_broker(tmp_path, tls_broker().port, "--ca", ca_file(tmp_path, Authority("another CA")))
    assert done.returncode == 1 and "signed by another CA" in done.stdout, done.stdout
    assert not (tmp_path / "config.json").exists()


def test_a_certificate_for_another_host_is_refused(tls_broker, tmp_path, authority):
    port = tls_broker(names=(x509.DNSName("broker.example"),)).port
    done = try_broker(tmp_path, port, "--ca", ca_file(tmp_path, authority))
    assert done.returncode == 1 and "is for another name" in done.stdout, done.stdout


@pytest.mark.parametrize(("begin", "end", "words"), [(-2, -1, "has expired"), (1, 2, "is not valid yet")])
def test_a_certificate_out_of_its_time_is_refused(tls_broker, tmp_path, authority, begin, end, words):
    port = tls_broker(begin=begin, end=end).port
    done = try_broker(tmp_path, port, "--ca", ca_file(tmp_path, authority))
    assert done.returncode == 1 and words in done.stdout, done.stdout


def test_without_a_ca_it_is_said_that_nobody_checks(tls_broker, tmp_path):
    done = try_broker(tmp_path, tls_broker().port, UMQTT_TLS="yes", UMQTT_TLS_INSECURE="yes")
    assert done.returncode == 0 and "nobody checks" in done.stdout, done.stdout


def test_tls_and_no_tls_that_meet_are_told(tls_broker, broker, tmp_path, authority):
    done = try_broker(tmp_path, broker.port, "--ca", ca_file(tmp_path, authority))
    assert done.returncode == 1 and "does not speak TLS on this port" in done.stdout, done.stdout
    (tmp_path / "tls").mkdir()
    done = try_broker(tmp_path, tls_broker().port)
    assert done.returncode == 1 and "is this its port for TLS?" in done.stdout, done.stdout


def test_a_board_publishes_over_tls_and_its_certificate_is_used_again(deployed, tls_broker, tmp_path, authority):
    broker = tls_broker()
    board = deployed("esp32")
    (tmp_path / "c.json").write_text(json.dumps({**config(broker), "broker": "localhost"}))
    ask = ("config", "--port", board.port, "--test-broker")
    done = tool(*ask, "--file", str(tmp_path / "c.json"), "--ca", ca_file(tmp_path, authority))
    assert done.returncode == 0 and "lets us in" in done.stdout, done.stdout
    done = tool("deploy", "--port", board.port, "--first-readings", "30")
    assert done.returncode == 0 and "the first readings reached the broker" in done.stdout, done.stdout
    again = tool(*ask)  # with the certificate that is on the board
    assert again.returncode == 0 and "note:" not in again.stdout, again.stdout
    assert mpremote(board, "fs", "rm", ":ca.der").returncode == 0
    done = tool(*ask)
    assert done.returncode == 1 and "ca.der, but that file is not on the board" in done.stdout, done.stdout


def test_a_certificate_is_taken_as_pem_or_der(tmp_path, authority):
    der = authority.own.public_bytes(serialization.Encoding.DER)
    one = tmp_path / "one"
    for data in (der, authority.pem(), b"Certificate: ...\n" + authority.pem() + b"\n"):
        one.write_bytes(data)
        assert read_ca(str(one)) == der
    for data in (b"hello", der[:-5], re.sub(b"M", b"N", authority.pem())):
        one.write_bytes(data)
        with pytest.raises(ToolError, match="is no certificate"):
            read_ca(str(one))


def test_a_file_of_several_certificates_goes_to_the_board_as_it_is(tls_broker, tmp_path, authority):
    both = tmp_path / "chain.pem"
    both.write_bytes(b"# another CA\r\n" + Authority("another CA").pem().replace(b"\n", b"\r\n") + authority.pem())
    done = try_broker(tmp_path, tls_broker().port, "--ca", str(both))
    assert done.returncode == 0 and "lets us in" in done.stdout, done.stdout
    assert (tmp_path / "ca.der").read_bytes().count(b"-----BEGIN CERTIFICATE-----\n") == 2
