"""TLS streams: records that the raw socket does not show, the handshake under the deadline, and errors that say what
to check.

The texts are mbedtls's own, as MicroPython raises them.
"""

from fakes.bench import HOST, World
from fakes.check import equal, raises
from fakes.net import Context, Plan
from fakes.packets import CONNACK, CONNECT, PUBACK, PUBLISH, encode

NOT_ON_ASYNCIO = ()


def world(context, **named):
    w = World()
    w.net.serve(HOST, 8883, w.broker)
    return w, w.broker, w.client(ssl=context, **named)


def test_the_port_is_8883_and_the_host_name_is_given_for_the_check():
    context = Context()
    w, b, c = world(context)
    b.accept()
    c.connect()
    b.done()
    equal(w.net.dialled[0][1], 8883)
    equal(context.wrapped[0].server_hostname, HOST)
    equal(w.net.sockets[0].misuse, [])


def test_records_that_are_buffered_are_read_to_the_end():
    w, b, c = world(Context())
    b.accept()
    c.connect()
    b.raw(b"".join(encode(PUBLISH, topic="t", payload=str(i)) for i in range(20)))
    w.serve(c, 1000)
    equal([p for _, p, _ in w.inbox], [str(i).encode() for i in range(20)])


def test_check_msg_of_the_drop_in_takes_all_that_is_buffered():
    from umqtt.simple import MQTTClient

    w = World()
    w.net.serve(HOST, 8883, w.broker)
    w.broker.accept()
    inbox = []
    c = MQTTClient("c1", HOST, ssl=Context())
    c.set_callback(lambda t, m: inbox.append(m))
    c.connect()
    w.broker.raw(b"".join(encode(PUBLISH, topic="t", payload=str(i)) for i in range(5)))
    w.clock.run_due()
    while c.check_msg() is not None:
        pass
    equal(len(inbox), 5)


def test_a_handshake_that_takes_its_time_is_waited_for():
    w, b, c = world(Context(), timeout_ms=5000)
    w.net.plan = Plan(handshake_ms=3000)
    b.accept()
    t = w.clock.now
    c.connect()
    b.done()
    assert 3000 <= w.clock.now - t < 3100, w.clock.now - t


def test_a_handshake_that_is_never_answered_ends_at_the_deadline():
    w, b, c = world(Context(), timeout_ms=5000)
    w.net.plan = Plan(handshake_ms=None)
    t = w.clock.now
    raises(OSError, c.connect)
    equal(w.clock.now - t, 5000)
    equal(w.net.open_sockets(), [])


def test_a_blocked_write_is_repeated_with_the_same_bytes():
    w, b, c = world(Context(), tx_size=64)
    b.accept()
    c.connect()
    w.link.plan.write_again = True
    w.link.plan.write_max = 5
    b.expect(PUBLISH, payload="z" * 300)
    b.send(PUBACK, 1)
    b.send(PUBLISH, 7, qos=1, payload="in")
    b.expect(PUBACK, pid=7)
    c.publish("t", "z" * 300, qos=1)
    w.serve(c, 100)
    b.done()


def test_each_failure_says_what_to_check():
    import umqtt.tls

    keep = umqtt.tls.gmtime
    umqtt.tls.gmtime = lambda: (2026, 1, 1, 0, 0, 0, 0, 0)
    try:
        for error, word in (
            (ValueError("The certificate validity has expired\n"), "expired"),
            (ValueError("The certificate validity starts in the future\n"), "future: check its dates and the clock"),
            (ValueError("The certificate Common Name (CN) does not match with the expected CN\n"), "host name"),
            (ValueError("The certificate is not correctly signed by the trusted CA\n"), "CA"),
            (ValueError("The certificate has been revoked (is on a CRL)\n"), "revoked"),
            (OSError(-30336, "MBEDTLS_ERR_SSL_CA_CHAIN_REQUIRED"), "load_verify_locations"),
            (OSError(-30592, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE"), "client certificate"),
            (OSError(12), "TLS"),
        ):
            w, b, c = world(Context(error))
            e = raises(OSError, c.connect)
            assert word in str(e), (error, e)
            assert word in c.diag()["error"], c.diag()
            equal(w.net.open_sockets(), [])
            assert b.got == []
    finally:
        umqtt.tls.gmtime = keep


def test_a_clock_that_is_not_set_is_told_apart_from_a_bad_certificate():
    import umqtt.tls

    keep = umqtt.tls.gmtime
    umqtt.tls.gmtime = lambda: (2000, 1, 1, 0, 0, 0, 0, 0)
    try:
        w, b, c = world(Context(ValueError("The certificate validity starts in the future\n")))
        e = raises(OSError, c.connect)
        assert "clock is not set" in str(e), e
    finally:
        umqtt.tls.gmtime = keep


def test_a_tls_link_is_resumed_like_any_other():
    w, b, c = world(Context())
    b.accept()
    c.connect()
    b.expect(PUBLISH, pid=1)
    b.cut("rst")
    raises(OSError, c.publish, "t", "x", qos=1)
    b.expect(CONNECT)
    b.send(CONNACK, sp=1)
    b.expect(PUBLISH, dup=1, pid=1)
    b.send(PUBACK, 1)
    c.connect()
    w.serve(c, 50)
    b.done()
    equal(len(w.net.open_sockets()), 1)
