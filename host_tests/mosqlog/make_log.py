"""A long log like that of Mosquitto 2.0 with a fleet on it, to measure with:

    python -m host_tests.mosqlog.make_log BYTES [CLIENTS] > big.log

Every client publishes with QoS 0, 1 and 2, one in ten listens to all of a room, heartbeats come
in between, and now and then somebody drops out and comes back. The same arguments give the same
log."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator


def lines(size_b: int, clients: int = 500, seed: int = 1) -> Iterator[str]:
    """Until about size_b bytes have been given, line ends included."""
    dice, t, given = random.Random(seed), 1795000000, 0
    pids, up = [0] * clients, [False] * clients

    def connect(number: int) -> str:
        address = f"10.0.{number // 250}.{number % 250}:{dice.randint(32768, 60999)}"
        up[number] = True
        return (
            f"{t}: New connection from {address} on port 1883.\n"
            f"{t}: New client connected from {address} as sensor-{number:05d} (p2, c0, k60, "
            f"u'fleet').\n{t}: No will message specified.\n"
            f"{t}: Sending CONNACK to sensor-{number:05d} (1, 0)\n"
        )

    yield f"{t}: mosquitto version 2.0.18 starting\n{t}: mosquitto version 2.0.18 running\n"
    while given < size_b:
        t += dice.random() < 0.02
        number = dice.randrange(clients)
        name = f"sensor-{number:05d}"
        if not up[number]:
            block = connect(number)
        else:
            pids[number] = pid = pids[number] % 65535 + 1
            qos = dice.choice((0, 1, 1, 2))
            topic = f"house/{number % 40}/room/{number}/{dice.choice(('temperature', 'humidity', 'co2'))}"
            head = f"(d0, q{qos}, r0, m{pid if qos else 0}, '{topic}', ... (54 bytes))"
            block = f"{t}: Received PUBLISH from {name} {head}\n"
            if qos == 1:
                block += f"{t}: Sending PUBACK to {name} (m{pid}, rc0)\n"
            elif qos == 2:
                block += (
                    f"{t}: Sending PUBREC to {name} (m{pid}, rc0)\n"
                    f"{t}: Received PUBREL from {name} (Mid: {pid})\n"
                    f"{t}: Sending PUBCOMP to {name} (m{pid})\n"
                )
            group = number // 10 * 10
            if up[group] and group != number:
                block += f"{t}: Sending PUBLISH to sensor-{group:05d} {head.replace('q2', 'q1')}\n"
                if qos:
                    block += f"{t}: Received PUBACK from sensor-{group:05d} (Mid: {pid}, RC:0)\n"
            if dice.random() < 0.1:
                block += f"{t}: Received PINGREQ from {name}\n{t}: Sending PINGRESP to {name}\n"
            if dice.random() < 0.001:
                block += f"{t}: Client {name} closed its connection.\n"
                up[number] = False
        given += len(block)
        yield block


if __name__ == "__main__":
    sys.stdout.writelines(lines(int(sys.argv[1]), int((sys.argv + ["500"])[2])))
