"""Runs on MicroPython, on a host or a board: CLIENT OPERATION ROUNDS HOST PORT. Prints ms and heap bytes of all rounds.

CLIENT: native, v5, prepared, simple (ours, or a peer's: what the path gives), aio and aio_v5 (each awaited to its end),
routes (100 filters, one message to route), floor (the same bytes through a bare socket).
"""

import gc
import socket
import sys
from time import sleep_ms, ticks_diff, ticks_ms

TOPIC = b"bench/tttttttttttttt"
PAYLOAD = b"p" * 50
taken = 0


def view(buf, topic_end, start, end, flags):
    global taken
    taken += 1


def message(topic, msg, retained=False):
    global taken
    taken += 1


def native(host, port):
    from umqtt.client import MQTTClient

    return _blocking(MQTTClient("bench", host, port))


def v5(host, port):
    from umqtt.v5 import MQTTClient

    return _blocking(MQTTClient("bench", host, port))


def _blocking(client):
    client.set_callback(message)
    if sys.argv[2] == "receive_view":
        client.set_view(view)
    client.connect()

    def ping():
        client.ping()
        while not client.poll(1000):
            pass

    return client.publish, {
        "publish0": lambda: client.publish(TOPIC, PAYLOAD),
        "publish1": lambda: client.publish(TOPIC, PAYLOAD, False, 1),
        "publish2": lambda: client.publish(TOPIC, PAYLOAD, False, 2),
        "receive_view": lambda: client.poll(1000),
        "receive_callback": lambda: client.poll(1000),
        "ping": ping,
        "idle": lambda: client.poll(0),
    }


def prepared(host, port):
    from umqtt.client import MQTTClient
    from umqtt.publisher import Publisher

    client = MQTTClient("bench", host, port)
    client.connect()
    publish = Publisher(client, TOPIC).publish
    publish1 = Publisher(client, TOPIC, qos=1).publish
    return client.publish, {"publish0": lambda: publish(PAYLOAD), "publish1": lambda: publish1(PAYLOAD)}


def routes(host, port):
    from umqtt.routes import Routes

    called = Routes()
    # exact ones, a + before and behind the name that tells them apart, # behind it
    kinds = ("home/room/dev%d/set", "home/+/dev%d/set", "home/room/dev%d/#", "+/room/dev%d/+")
    for i in range(100):
        called.add(kinds[i % 4] % i, message)
    return None, {"route": lambda: called(b"home/room/dev50/set", PAYLOAD, False)}


def simple(host, port):
    from umqtt.simple import MQTTClient

    client = MQTTClient("bench", host, port)
    client.set_callback(message)
    client.connect()

    def ping():
        client.ping()
        client.wait_msg()

    return client.publish, {
        "publish0": lambda: client.publish(TOPIC, PAYLOAD),
        "publish1": lambda: client.publish(TOPIC, PAYLOAD, False, 1),
        "publish2": lambda: client.publish(TOPIC, PAYLOAD, False, 2),
        "receive_callback": lambda: client.wait_msg(),
        "ping": ping,
        "idle": lambda: client.check_msg(),
    }


async def aio(module, host, port, operation, rounds):
    import asyncio

    MQTTClient = __import__("umqtt." + module, None, None, ["MQTTClient"]).MQTTClient
    client = MQTTClient("bench", host, port)
    await client.connect()
    qos = {"publish0": 0, "publish1": 1, "publish2": 2}.get(operation)
    if operation == "receive_callback":
        await client.publish(b"peer/send", b"0 %d 50" % rounds)
        client.set_callback(message)
        sleep_ms(300)  # all is in the socket
    gc.collect()
    heap = gc.mem_alloc()
    start = ticks_ms()
    if operation == "receive_callback":
        while taken < rounds:
            await asyncio.sleep_ms(0)
    for _ in range(rounds if operation == "idle" else 0):
        await asyncio.sleep_ms(0)
    for _ in range(rounds if qos is not None else 0):
        await client.publish(TOPIC, PAYLOAD, False, qos)
    print("measured", ticks_diff(ticks_ms(), start), gc.mem_alloc() - heap)


def floor(host, port):
    sock = socket.socket()
    sock.connect(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0][-1])
    sock.setsockopt(6, 1, 1)
    sock.write(b"\x10\x11\0\4MQTT\4\2\0\0\0\5bench")
    sock.read(4)
    body = bytes([0, len(TOPIC)]) + TOPIC
    qos0 = bytes([0x30, len(body) + 50]) + body + PAYLOAD
    qos1 = bytes([0x32, len(body) + 52]) + body + b"\0\1" + PAYLOAD
    qos2 = b"\x34" + qos1[1:]
    buf = bytearray(74)

    def publish(topic, msg):
        body = bytes([0, len(topic)]) + topic + msg
        sock.write(bytes([0x30, len(body)]) + body)

    def publish1():
        sock.write(qos1)
        sock.readinto(buf, 4)

    def publish2():
        sock.write(qos2)
        sock.readinto(buf, 4)
        sock.write(b"\x62\2\0\1")
        sock.readinto(buf, 4)

    def receive():
        global taken
        sock.readinto(buf, 74)
        taken += 1

    def ping():
        sock.write(b"\xc0\0")
        sock.readinto(buf, 2)

    return publish, {
        "publish0": lambda: sock.write(qos0),
        "publish1": publish1,
        "publish2": publish2,
        "receive_view": receive,
        "receive_callback": receive,
        "ping": ping,
    }


def main(client, operation, rounds, host, port):
    if client in ("aio", "aio_v5"):
        import asyncio

        return asyncio.run(aio(client, host, port, operation, rounds))
    publish, operations = globals()[client](host, port)
    function = operations[operation]
    receives = operation.startswith("receive")
    for _ in range(0 if receives else 3):  # what a first call creates is not counted
        function()
    if receives:
        publish(b"peer/send", b"0 %d 50" % rounds)
        sleep_ms(300)  # all is in the socket: no waiting is counted
    gc.collect()
    heap = gc.mem_alloc()
    start = ticks_ms()
    for _ in range(rounds):
        function()
    ms = ticks_diff(ticks_ms(), start)
    heap = gc.mem_alloc() - heap
    if receives and taken != rounds:
        raise OSError("%d of %d messages" % (taken, rounds))
    print("measured", ms, heap)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
