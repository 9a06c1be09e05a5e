"""TLS streams: records that the raw socket does not show, the handshake under the deadline, and errors that say what
to check.

The texts are mbedtls's own, as MicroPython raises them.
"""

from fakes.bench import HOST, World
from fakes.check import equal, raises
from fakes.net import Context, Plan
from fakes.packets import CONNACK, CONNECT, PUBACK, PUBLISH, encode

NOT_ON_ASYNCIO = ()


def make_world(context, **named):
    world = World()
    world.net.serve(HOST, 8883, world.broker)
    return world, world.broker, world.client(ssl=context, **named)


def test_the_port_is_8883_and_the_host_name_is_given_for_the_check():
    context = Context()
    world, broker, client = make_world(context)
    broker.accept()
    client.connect()
    broker.done()
    equal(world.net.dialled[0][1], 8883)
    equal(context.wrapped[0].server_hostname, HOST)
    equal(world.net.sockets[0].misuse, [])


def test_records_that_are_buffered_are_read_to_the_end():
    world, broker, client = make_world(Context())
    broker.accept()
    client.connect()
    broker.raw(b"".join(encode(PUBLISH, topic="t", payload=str(i)) for i in range(20)))
    world.serve(client, 1000)
    equal([payload for _, payload, _ in world.inbox], [str(i).encode() for i in range(20)])


def test_check_msg_of_the_drop_in_takes_all_that_is_buffered():
    from umqtt.simple import MQTTClient

    world = World()
    world.net.serve(HOST, 8883, world.broker)
    world.broker.accept()
    inbox = []
    client = MQTTClient("c1", HOST, ssl=Context())
    client.set_callback(lambda topic, message: inbox.append(message))
    client.connect()
    world.broker.raw(b"".join(encode(PUBLISH, topic="t", payload=str(i)) for i in range(5)))
    world.clock.run_due()
    while client.check_msg() is not None:
        pass
    equal(len(inbox), 5)


def test_a_handshake_that_takes_its_time_is_waited_for():
    world, broker, client = make_world(Context(), timeout_ms=5000)
    world.net.plan = Plan(handshake_ms=3000)
    broker.accept()
    began_ms = world.clock.now
    client.connect()
    broker.done()
    assert 3000 <= world.clock.now - began_ms < 3100, world.clock.now - began_ms


def test_a_handshake_that_is_never_answered_ends_at_the_deadline():
    world, broker, client = make_world(Context(), timeout_ms=5000)
    world.net.plan = Plan(handshake_ms=None)
    began_ms = world.clock.now
    raises(OSError, client.connect)
    equal(world.clock.now - began_ms, 5000)
    equal(world.net.open_sockets(), [])


def test_a_blocked_write_is_repeated_with_the_same_bytes():
    world, broker, client = make_world(Context(), tx_size=64)
    broker.accept()
    client.connect()
    world.link.plan.write_again = True
    world.link.plan.write_max = 5
    broker.expect(PUBLISH, payload="z" * 300)
    broker.send(PUBACK, 1)
    broker.send(PUBLISH, 7, qos=1, payload="in")
    broker.expect(PUBACK, pid=7)
    client.publish("t", "z" * 300, qos=1)
    world.serve(client, 100)
    broker.done()


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
            world, broker, client = make_world(Context(error))
            fault = raises(OSError, client.connect)
            assert word in str(fault), (error, fault)
            assert word in client.diag()["error"], client.diag()
            equal(world.net.open_sockets(), [])
            assert broker.got == []
    finally:
        umqtt.tls.gmtime = keep


def test_a_clock_that_is_not_set_is_told_apart_from_a_bad_certificate():
    import umqtt.tls

    keep = umqtt.tls.gmtime
    umqtt.tls.gmtime = lambda: (2000, 1, 1, 0, 0, 0, 0, 0)
    try:
        world, broker, client = make_world(Context(ValueError("The certificate validity starts in the future\n")))
        fault = raises(OSError, client.connect)
        assert "clock is not set" in str(fault), fault
    finally:
        umqtt.tls.gmtime = keep


def test_a_tls_link_is_resumed_like_any_other():
    world, broker, client = make_world(Context())
    broker.accept()
    client.connect()
    broker.expect(PUBLISH, pid=1)
    broker.cut("rst")
    raises(OSError, client.publish, "t", "x", qos=1)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    broker.expect(PUBLISH, dup=1, pid=1)
    broker.send(PUBACK, 1)
    client.connect()
    world.serve(client, 50)
    broker.done()
    equal(len(world.net.open_sockets()), 1)


def test_a_tls_that_raises_where_others_return_nothing_is_waited_for():
    # an ESP32's raises EAGAIN and its kin, in the handshake as behind it
    class Raising(Context):
        def wrap_socket(self, *args, **named):
            stream = Context.wrap_socket(self, *args, **named)
            for name in ("readinto", "write"):
                setattr(stream, name, self.raising(getattr(stream, name)))
            return stream

        def raising(self, plain):
            def call(*args):
                moved = plain(*args)
                if moved is None:
                    raise OSError(self.number)
                return moved

            return call

    for number in (11, 114, 115, 119):
        context = Raising()
        context.number = number
        world, broker, client = make_world(context)
        world.net.plan = Plan(handshake_ms=300)
        broker.accept()
        client.connect()
        broker.expect(PUBLISH)
        broker.reply(PUBACK)
        client.publish("t", "x", qos=1)
        broker.done()
