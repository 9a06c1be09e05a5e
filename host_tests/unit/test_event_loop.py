"""What an event loop asks of a client: how to begin, what to wait for, and until when."""

from fakes.bench import World
from fakes.check import equal, raises
from fakes.model import Model
from fakes.net import Plan
from umqtt import addons, connection
from umqtt.reconnect import Reconnect

SOURCE_FORM_ONLY = "shipped, the verbs have other names"


def test_an_event_loop_is_told_what_to_wait_for_in_each_state():
    world = World(Model)
    world.net.plan = Plan(connect_ms=100, latency_ms=50)
    client = world.client(keepalive=60, timeout_ms=5000)
    equal(addons.waits_for(client), (None, 0))
    connection.begin_connect(client)
    equal(addons.waits_for(client), (world.net.sockets[0], 4))
    equal(addons.due_ms(client), 5000)
    world.clock.sleep_ms(100)
    client.poll(0)
    equal(addons.waits_for(client)[0], world.net.sockets[0])
    client.poll(0)
    equal((addons.waits_for(client)[1], addons.due_ms(client)), (1, 4900))
    while client._is_connecting:
        client.poll(0)
        world.clock.sleep_ms(10)
    equal((connection.session_present(client), addons.waits_for(client)[1]), (False, 1))
    equal(addons.due_ms(client), 5000)
    client.disconnect()
    equal((addons.waits_for(client), addons.due_ms(client)), ((None, 0), 5000))
    world.net.plan = Plan()
    client = world.client(reconnect=Reconnect(10, 10))
    world.serve(client, 1000)
    client.disconnect()
    equal(addons.due_ms(client), client.timeout_ms, "nothing is to be done")
    world.net.plan = Plan(refuse=True)
    client = world.client(reconnect=Reconnect(1000, 1000))
    world.serve(client, 10)
    assert 0 < addons.due_ms(client) <= 1000
    world.clock.sleep_ms(addons.due_ms(client))
    equal(addons.due_ms(client), 0)


def test_a_connection_that_was_begun_fails_as_connect_would():
    world = World(Model)
    world.net.plan = Plan(refuse=True)
    client = world.client()
    connection.begin_connect(client)
    equal(raises(OSError, client.poll, 10).args[0], 111)
    world.net.plan = Plan()
    world.broker.refuse_code = 5
    connection.begin_connect(client)
    fault = raises(Exception, world.serve, client, 100)
    equal(fault.args[0], 5)
    equal(world.net.open_sockets(), [])
