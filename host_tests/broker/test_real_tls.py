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
        self.cert = self._sign(self.name, self.key, NOW - DAY, NOW + 10 * DAY, ca=True)

    def _sign(self, subject, key, begin, end, ca=False, host=None):
        b = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        b = b.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
        b = b.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if host:
            b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return b.sign(self.key, hashes.SHA256())

    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)

    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)

    def issue(self, host, begin=NOW - DAY, end=NOW + DAY):
        """(certificate, key) in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key, begin, end, host=host)
        return cert.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def crl(self, *certs):
        b = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(NOW - DAY).next_update(NOW + DAY)
        for pem in certs:
            serial = x509.load_pem_x509_certificate(pem).serial_number
            b = b.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY).build()
            )
        return b.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


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


def client(port, *cas, crl=None, cert=None, tmp_path=None, verify=True):
    """A native client with a CPython context."""
    real_socket.install()
    import time

    from umqtt.client import MQTTClient

    for module in [m for name, m in sys.modules.items() if name.startswith("umqtt.")]:  # the real clock
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
    return MQTTClient("tls-dev", "localhost", port, ssl=real_socket.Context(context), timeout_ms=5000)


def _file(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return str(path)


def test_publish_and_receive_over_tls(start, authority):
    b, _ = start()
    c = client(b.port, authority.pem())
    inbox = []
    c.set_callback(lambda t, p, r: inbox.append(p))
    assert c.connect() is False
    c.subscribe("tls/#", 2)
    for i in range(20):
        c.publish("tls/%d" % i, b"x" * i * 10, qos=i % 3, wait=i % 2 == 0)
    while len(inbox) < 20:
        assert c.poll(5000)
    assert sorted(len(p) for p in inbox) == [i * 10 for i in range(20)]
    c.disconnect()


def test_a_large_payload_over_tls(start, authority, make_observer):
    b, _ = start()
    c = client(b.port, authority.pem())
    c.connect()
    c.publish("big", bytes(100_000), qos=2)
    assert c.inflight == 0
    c.disconnect()


def test_a_wrong_host_name_is_refused_and_said(start, authority):
    b, _ = start(host="other.example")
    with pytest.raises(OSError, match="(?i)host"):
        client(b.port, authority.pem()).connect()


def test_a_wrong_ca_is_refused_and_said(start):
    b, _ = start()
    with pytest.raises(OSError, match="(?i)issuer|signed|CA"):
        client(b.port, Authority("another").pem()).connect()


def test_an_expired_certificate_is_refused_and_said(start, authority):
    b, _ = start(begin=NOW - 3 * DAY, end=NOW - 2 * DAY)
    with pytest.raises(OSError, match="expired"):
        client(b.port, authority.pem()).connect()


def test_a_certificate_of_the_future_is_refused_and_said(start, authority):
    b, _ = start(begin=NOW + DAY, end=NOW + 2 * DAY)
    with pytest.raises(OSError, match="not (yet valid|valid yet)"):
        client(b.port, authority.pem()).connect()


def test_a_revoked_certificate_is_refused_and_said(start, authority, tmp_path):
    b, cert = start()
    with pytest.raises(OSError, match="revoked"):
        client(b.port, authority.pem(), crl=authority.crl(cert), tmp_path=tmp_path).connect()


def test_a_client_certificate_is_asked_for_and_given(start, authority, tmp_path):
    b, _ = start(config="require_certificate true\n")
    with pytest.raises(OSError):
        client(b.port, authority.pem()).connect()
    c = client(b.port, authority.pem(), cert=authority.issue("tls-dev"), tmp_path=tmp_path)
    assert c.connect() is False
    c.publish("t", "x", qos=1)
    c.disconnect()


def test_without_verification_any_certificate_does(start):
    b, _ = start(host="other.example")
    c = client(b.port, verify=False)
    assert c.connect() is False
    c.disconnect()


def test_plain_tcp_on_a_tls_port_is_an_error_with_words(start):
    b, _ = start()
    c = client(b.port, verify=False)
    c.ssl = None
    with pytest.raises(OSError) as e:
        c.connect()
    assert e.value.args[0] != -1


def test_tls_on_a_plain_port_is_an_error_with_words(make_broker):
    b = make_broker()
    c = client(b.port, verify=False)
    with pytest.raises(OSError) as e:
        c.connect()
    assert "TLS" in str(e.value) or "closed" in str(e.value), e.value
