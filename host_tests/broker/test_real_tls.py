"""TLS against a real Mosquitto with a private CA, on CPython's ssl; test_real_mbedtls.py has MicroPython's own."""

import datetime
import ssl
import sys

import fakes.shim  # noqa: F401
import pytest
from fakes import real_socket

x509 = pytest.importorskip("cryptography.x509", reason="no `cryptography`: run `make setup`")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA of our own."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.cert = self.sign(self.name, self.key, NOW - DAY, NOW + 10 * DAY, ca=True)

    def sign(self, subject, key, begin, end, ca=False, host=None):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)

    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)

    def issue(self, host, begin=NOW - DAY, end=NOW + DAY):
        """(certificate, key) in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self.sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key, begin, end, host=host)
        return cert.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def crl(self, *certs):
        builder = (
            x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(NOW - DAY).next_update(NOW + DAY)
        )
        for pem in certs:
            serial = x509.load_pem_x509_certificate(pem).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY).build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


CONFIG = "allow_anonymous true\ncafile $DIR/ca\ncertfile $DIR/cert\nkeyfile $DIR/key\n"


@pytest.fixture(scope="module")
def authority():
    return Authority("a private CA")


@pytest.fixture
def start(make_broker, authority):
    """start(host, ..., config) -> (broker, its certificate)."""

    def go(host="localhost", config="", **dates):
        cert, key = authority.issue(host, **dates)
        return make_broker(CONFIG + config, files={"ca": authority.pem(), "cert": cert, "key": key}), cert

    return go


def tls_client(port, *cas, crl=None, cert=None, tmp_path=None, verify=True):
    """A native client with a CPython context."""
    real_socket.install()
    import time

    from umqtt.client import MQTTClient

    for module in [loaded for name, loaded in sys.modules.items() if name.startswith("umqtt.")]:  # the real clock
        for name in ("ticks_ms", "ticks_diff", "ticks_add"):
            if hasattr(module, name):
                setattr(module, name, getattr(time, name))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if verify:
        context.load_verify_locations(cadata=b"".join(cas).decode())
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if crl:
        context.load_verify_locations(cadata=None, cafile=_file(tmp_path, "crl", crl))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if cert:
        context.load_cert_chain(_file(tmp_path, "cert", cert[0]), _file(tmp_path, "key", cert[1]))
    return MQTTClient("tls-dev", "localhost", port, ssl=real_socket.Context(context), timeout_ms=60000)


def _file(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return str(path)


def test_publish_and_receive_over_tls(start, authority):
    broker, _ = start()
    client = tls_client(broker.port, authority.pem())
    inbox = []
    client.set_callback(lambda topic, payload, retained: inbox.append(payload))
    assert client.connect() is False
    client.subscribe("tls/#", 2)
    for i in range(20):
        client.publish("tls/%d" % i, b"x" * i * 10, qos=i % 3, wait=i % 2 == 0)
    while len(inbox) < 20:
        assert client.poll(60000)
    assert sorted(len(payload) for payload in inbox) == [i * 10 for i in range(20)]
    client.disconnect()


def test_a_large_payload_over_tls(start, authority, make_observer):
    broker, _ = start()
    client = tls_client(broker.port, authority.pem())
    client.connect()
    client.publish("big", bytes(100_000), qos=2)
    assert client.inflight == 0
    client.disconnect()


def test_a_wrong_host_name_is_refused_and_said(start, authority):
    broker, _ = start(host="other.example")
    with pytest.raises(OSError, match="(?i)host"):
        tls_client(broker.port, authority.pem()).connect()


def test_a_wrong_ca_is_refused_and_said(start):
    broker, _ = start()
    with pytest.raises(OSError, match="(?i)issuer|signed|CA"):
        tls_client(broker.port, Authority("another").pem()).connect()


def test_an_expired_certificate_is_refused_and_said(start, authority):
    broker, _ = start(begin=NOW - 3 * DAY, end=NOW - 2 * DAY)
    with pytest.raises(OSError, match="expired"):
        tls_client(broker.port, authority.pem()).connect()


def test_a_certificate_of_the_future_is_refused_and_said(start, authority):
    broker, _ = start(begin=NOW + DAY, end=NOW + 2 * DAY)
    with pytest.raises(OSError, match="not (yet valid|valid yet)"):
        tls_client(broker.port, authority.pem()).connect()


def test_a_revoked_certificate_is_refused_and_said(start, authority, tmp_path):
    broker, cert = start()
    with pytest.raises(OSError, match="revoked"):
        tls_client(broker.port, authority.pem(), crl=authority.crl(cert), tmp_path=tmp_path).connect()


def test_a_client_certificate_is_asked_for_and_given(start, authority, tmp_path):
    broker, _ = start(config="require_certificate true\n")
    with pytest.raises(OSError):
        tls_client(broker.port, authority.pem()).connect()
    client = tls_client(broker.port, authority.pem(), cert=authority.issue("tls-dev"), tmp_path=tmp_path)
    assert client.connect() is False
    client.publish("t", "x", qos=1)
    client.disconnect()


def test_without_verification_any_certificate_does(start):
    broker, _ = start(host="other.example")
    client = tls_client(broker.port, verify=False)
    assert client.connect() is False
    client.disconnect()


def test_plain_tcp_on_a_tls_port_is_an_error_with_words(start):
    broker, _ = start()
    client = tls_client(broker.port, verify=False)
    client.ssl = None
    with pytest.raises(OSError) as caught:
        client.connect()
    assert caught.value.args[0] != -1


def test_tls_on_a_plain_port_is_an_error_with_words(make_broker):
    broker = make_broker()
    client = tls_client(broker.port, verify=False)
    with pytest.raises(OSError) as caught:
        client.connect()
    assert "TLS" in str(caught.value) or "closed" in str(caught.value), caught.value
