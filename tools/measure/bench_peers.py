"""Runs on MicroPython as bench_ops.py does, with the clients of others: CLIENT OPERATION ROUNDS HOST PORT.

CLIENT: simple2, mqtt_async, mqtt_as, aiomqttc, chumicro (tools/setup/peers.py gets them, PEERS= mqtt_as; the path gives
the one that is meant). Each is used as its documentation says, awaited to the end of each operation: a QoS 1 publish
ends with its ack.
"""

import gc
import sys
from time import sleep_ms, ticks_diff, ticks_ms

TOPIC = "bench/tttttttttttttt"
PAYLOAD = b"p" * 50
taken = 0


def message(*args):
    global taken
    taken += 1


def simple2(host, port):
    from umqtt.simple2 import MQTTClient

    ended = []
    client = MQTTClient("bench", host, port, keepalive=60)
    client.set_callback(message)
    client.set_callback_status(lambda pid, status: ended.append(pid))
    client.connect()
    topic = TOPIC.encode()

    def publish1():
        client.publish(topic, PAYLOAD, qos=1)
        while not ended:
            client.wait_msg()
        ended.pop()

    def ping():
        client.ping()
        client.wait_msg()

    return client.publish, {
        "publish0": lambda: client.publish(topic, PAYLOAD),
        "publish1": publish1,
        "receive_callback": client.wait_msg,
        "ping": ping,
        "idle": client.check_msg,
    }


def chumicro(host, port):
    from chumicro_mqtt import MQTTClient
    from chumicro_sockets.sockets_factory import fixed_connector_factory

    client = MQTTClient(transport_factory=fixed_connector_factory(host, port), client_id="bench")
    client.on_message = message
    client.connect()
    acked = []

    def turn():
        client.handle(ticks_ms())

    end = ticks_ms() + 5000
    while client.state != "connected" and ticks_diff(end, ticks_ms()) > 0:
        turn()

    def publish(topic, payload):
        client.publish(topic if isinstance(topic, str) else topic.decode(), payload)
        turn()

    def publish1():
        client.publish(TOPIC, PAYLOAD, qos=1, on_publish=lambda *args: acked.append(1))
        while not acked:
            turn()
        acked.pop()

    return publish, {
        "publish0": lambda: publish(TOPIC, PAYLOAD),
        "publish1": publish1,
        "receive_callback": turn,  # takes several
        "idle": turn,
    }


class _Wlan:
    """mqtt_async and mqtt_as ask the board's network whether it is up."""

    def isconnected(self):
        return True

    def active(self, on):
        pass

    connect = config = active


def _board_modules():
    class Machine:
        unique_id = staticmethod(lambda: b"bench")

    class Network:
        STA_IF = 0
        WLAN = staticmethod(lambda interface: _Wlan())

    sys.modules["machine"] = Machine
    sys.modules["network"] = Network


async def mqtt_async(host, port):
    _board_modules()
    import mqtt_async as module

    module.Logger.info = module.Logger.debug  # no lines between the figures
    module.config.client_id = "bench"
    module.config.server = host
    module.config.port = port
    module.config.subs_cb = message
    client = module.MQTTClient(module.config)
    client._addr = (host, port)  # a board's getaddrinfo gives this, a PC's MicroPython bytes
    client._dns_lookup = lambda: None
    await client.connect()
    topic = TOPIC.encode()
    return client.publish, {
        "publish0": lambda: client.publish(topic, PAYLOAD, qos=0),
        "publish1": lambda: client.publish(topic, PAYLOAD, qos=1),
    }


async def mqtt_as(host, port):
    _board_modules()
    import mqtt_as as module

    module.config.update(client_id=b"bench", server=host, port=port, subs_cb=message)
    client = module.MQTTClient(module.config)
    client.wifi_connect = _nothing
    await client.connect(quick=True)
    topic = TOPIC.encode()
    return client.publish, {
        "publish0": lambda: client.publish(topic, PAYLOAD, qos=0),
        "publish1": lambda: client.publish(topic, PAYLOAD, qos=1),
    }


async def _nothing(*args):
    pass


async def aiomqttc(host, port):
    import aiomqttc as module

    module.log = lambda *args, **named: None
    client = module.MQTTClient("bench", host, port)

    async def on_message(*args):
        message()

    client.on_message = on_message
    assert await client.connect()
    return client.publish, {
        "publish0": lambda: client.publish(TOPIC, PAYLOAD, qos=0),
        "publish1": lambda: client.publish(TOPIC, PAYLOAD, qos=1),
    }


def measure(operation, function, rounds):
    gc.collect()
    heap = gc.mem_alloc()
    start = ticks_ms()
    if operation == "receive_callback":
        while taken < rounds:
            function()
    else:
        for _ in range(rounds):
            function()
    ms = ticks_diff(ticks_ms(), start)
    print("measured", ms, gc.mem_alloc() - heap)


async def measure_async(begin, operation, rounds, host, port):
    import asyncio

    publish, operations = await begin(host, port)
    if operation == "receive_callback":
        await publish("peer/send" if begin is aiomqttc else b"peer/send", b"0 %d 50" % rounds, qos=0)
    else:
        function = operations[operation]
        for _ in range(3):
            await function()
    gc.collect()
    heap = gc.mem_alloc()
    start = ticks_ms()
    if operation == "receive_callback":
        while taken < rounds:
            await asyncio.sleep(0)
    else:
        for _ in range(rounds):
            await function()
    ms = ticks_diff(ticks_ms(), start)
    print("measured", ms, gc.mem_alloc() - heap)


def main(client, operation, rounds, host, port):
    begin = globals()[client]
    if client in ("mqtt_async", "mqtt_as", "aiomqttc"):
        import asyncio

        asyncio.run(measure_async(begin, operation, rounds, host, port))
        return
    publish, operations = begin(host, port)
    function = operations[operation]
    if operation == "receive_callback":
        publish(b"peer/send", b"0 %d 50" % rounds)
        sleep_ms(300)  # all is in the socket: no waiting is counted
    else:
        for _ in range(3):  # what a first call creates is not counted
            function()
    measure(operation, function, rounds)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
