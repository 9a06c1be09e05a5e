"""A client of MQTT 5 on the fake network, and a scripted broker that speaks it: `bench`, for umqtt.v5."""

from fakes import bench, loop, packets5
from fakes.bench import HOST, Awaited, World
from fakes.packets import CONNACK, CONNECT


def load5():
    """Before a world is wired up: it gives its clock to the modules that there are."""
    # before umqtt.v5: so they are not forgotten after each use, which would compile them anew
    import umqtt.aliases
    import umqtt.fallback
    import umqtt.handshake
    import umqtt.incoming
    import umqtt.options
    import umqtt.outgoing
    import umqtt.properties
    import umqtt.received
    import umqtt.request
    import umqtt.v5

    if hasattr(umqtt.v5, "_passing"):  # not when shipped, where loading is quick
        umqtt.v5._passing.clear()  # a test file may have imported it first

    loop.import_aio("umqtt.aio_v5")
    loop.import_aio("umqtt.inbox_v5")
    loop.import_aio("umqtt.received_by_task")
    import umqtt.aio_request  # noqa: F401


def world5():
    """A world whose broker speaks MQTT 5."""
    load5()
    return World(codec=packets5)


def client5(world, client_id="c1", **named):
    """A client of umqtt.v5 in this world; its messages go to world.inbox as (topic, payload, retained)."""
    import umqtt.v5

    if bench.on_asyncio:
        client = Awaited(
            world, loop.import_aio("umqtt.aio_v5").MQTTClient(client_id, HOST, **named), named.get("reconnect")
        )
    else:
        client = umqtt.v5.MQTTClient(client_id, HOST, **named)
    client.pid = 0
    client.world = world
    world.inbox = []
    client.set_callback(
        lambda topic, payload, retained: world.inbox.append((bytes(topic), bytes(payload), bool(retained)))
    )
    return client


def aio_client5(world, client_id="c1", **named):
    """A client of umqtt.aio_v5 in this world; what it does runs in world.run."""
    client = loop.import_aio("umqtt.aio_v5").MQTTClient(client_id, HOST, **named)
    client.pid = 0
    return client


def pair5(**named):
    """A scripted broker and a client of it, both of MQTT 5."""
    world = world5()
    return world.broker, client5(world, **named)


def connected5(props=(), sp=0, **named):
    """The same, connected; props: of the CONNACK."""
    broker, client = pair5(**named)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=sp, props=props)
    client.connect()
    return broker, client


def aio_pair5(props=(), **named):
    """A world whose broker has taken CONNECT, the broker, and a client of umqtt.aio_v5 that is yet to connect."""
    world = world5()
    client = aio_client5(world, **named)
    world.broker.expect(CONNECT)
    world.broker.send(CONNACK, props=props)
    return world, world.broker, client
