"""Devices behind a proxy that cuts, resets, stalls and half-opens their links at random, and a real Mosquitto that
is stopped and killed.

    python host_tests/soak.py --minutes 2 [--seed N] [--devices N]

Counts at an independent client what was lost, repeated or out of order. A stop keeps the broker's persistence. After a
hard kill only what the broker had taken (PUBACK, PUBREC) may be missing, and only what was in flight may come twice.
Exit status 0 only if nothing else happened.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from broker import real  # noqa: E402

DEVICE = HERE / "broker" / "soak_device.py"
AIO_DEVICE = HERE / "broker" / "soak_aio_device.py"
KILL_SHADOW_S = 12  # what the kill may have touched: autosave, session and reconnects around it
QUIET_S = 3  # nothing has come for so long: nothing more will


class Proxy:
    """A TCP proxy on loopback in a thread of its own. Each connection lives for a while and then meets its fault."""

    FAULTS = ("fin", "fin", "rst", "rst", "stall", "half-open", "cut", "cut")

    def __init__(self, target_port, rng):
        self.target_port = target_port
        self.rng = rng
        self.counts = {}
        self.calm = False  # no more faults: let everything arrive
        self.open = True  # False: every connection is refused
        self.port = 0
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._main, args=(started,), daemon=True)
        self.thread.start()
        started.wait(10)

    def _main(self, started):
        asyncio.set_event_loop(self.loop)

        async def go():
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            started.set()

        self.loop.run_until_complete(go())
        self.loop.run_forever()

    async def _serve(self, reader, writer):
        try:
            await self._carry(reader, writer)
        except (asyncio.CancelledError, OSError):
            writer.transport.abort()

    async def _carry(self, reader, writer):
        if not self.open:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()  # the broker is down
            return
        gate = asyncio.Event()
        gate.set()
        fault = "none" if self.calm else self.rng.choice(self.FAULTS)
        budget = [self.rng.randrange(1, 1500) if fault == "cut" else None]
        pumps = [
            asyncio.ensure_future(self._pump(reader, up_writer, gate, budget)),
            asyncio.ensure_future(self._pump(up_reader, writer, gate, budget)),
        ]
        life = asyncio.ensure_future(asyncio.sleep(3600 if fault in ("none", "cut") else self.rng.uniform(0.05, 4)))
        await asyncio.wait(pumps + [life], return_when=asyncio.FIRST_COMPLETED)
        if life.done() or fault == "cut" and budget[0] is not None and budget[0] <= 0:
            self.counts[fault] = self.counts.get(fault, 0) + 1
            if fault in ("stall", "half-open"):
                gate.clear()
                await asyncio.sleep(self.rng.uniform(0.2, 2.5) if fault == "stall" else 8)
                if fault == "stall":
                    gate.set()
                    await asyncio.wait(pumps, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        life.cancel()
        for each in (writer, up_writer):
            sock = each.transport.get_extra_info("socket")
            if sock is not None and (fault == "rst" or fault == "cut" and self.rng.random() < 0.5):
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except OSError:
                    pass  # that side is closed already
                each.transport.abort()
            else:
                each.close()

    async def _pump(self, reader, writer, gate, budget):
        try:
            while True:
                data = await reader.read(4096)
                await gate.wait()
                if not data:
                    return
                if budget[0] is not None:  # cut in the middle of whatever passes
                    data = data[: max(0, budget[0])]
                    budget[0] -= len(data)
                writer.write(data)
                await writer.drain()
                if budget[0] is not None and budget[0] <= 0:
                    return
        except (OSError, asyncio.CancelledError):
            return

    def close(self):
        def stop():
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_later(0.2, self.loop.stop)

        self.loop.call_soon_threadsafe(stop)
        self.thread.join(5)


class SoakDevice:
    """A device process and what it said, with the time it was heard."""

    def __init__(self, command, port, name, pause_ms):
        self.name = name
        self.accepted = {}
        self.handed_over = {}
        self.acknowledged = {}
        self.connected = []
        self.subscribed = False
        self.received = []
        self.heap = []
        self.total = None
        self.connects = 0
        self.words = []
        self.process = subprocess.Popen(
            command + [str(port), name, str(pause_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        for raw in self.process.stdout:
            now = time.monotonic()
            word, _, rest = raw.decode(errors="replace").strip().partition(" ")
            if word == "A":
                self.accepted[int(rest)] = now
            elif word == "H":
                self.handed_over[int(rest)] = now
            elif word == "D":
                self.acknowledged[int(rest)] = now
            elif word == "S":
                self.subscribed = True
            elif word == "R":
                self.received.append(int(rest))
            elif word == "M":
                self.heap.append(int(rest.split()[0]))
            elif word == "C":
                self.connects = int(rest)
                self.connected.append(now)
            elif word == "END":
                self.total = int(rest)
            else:
                self.words.append(raw.decode(errors="replace").rstrip())

    def stop(self):
        try:
            self.process.stdin.write(b"stop\n")
            self.process.stdin.flush()
        except OSError:
            pass

    def join(self, timeout_s):
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.thread.join(5)
        self.process.stdin.close()
        self.process.stdout.close()


class Listener:
    """paho-mqtt straight at the broker: what arrives is appended to `got` as (name, number, qos); it sends the
    commands.

    Its session is kept over a stop. A hard kill leaves paho and the broker with different ideas of what is in flight,
    so it then begins anew, before any device is let in.
    """

    def __init__(self, port, got, client_id):
        import paho.mqtt.client as paho

        self.got = got
        subscribed = threading.Event()
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
        self.paho.reconnect_delay_set(1, 1)
        self.paho.max_queued_messages_set(0)
        self.paho.on_connect = lambda client, *rest: client.subscribe("soak/#", 2)
        self.paho.on_subscribe = lambda *rest: subscribed.set()
        self.paho.on_message = self._message
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()
        if not subscribed.wait(real.WAIT_S):
            raise AssertionError("the listener is not subscribed")

    def _message(self, client, userdata, message):
        self.got.append((message.topic.split("/")[1], int(message.payload), message.qos))

    def command(self, name, number):
        self.paho.publish("cmd/" + name, "%d" % number, 2)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


class Kill:
    """A hard kill of the broker: when, and when its successor could be reached."""

    def __init__(self, at_s):
        self.at_s = self.back_s = at_s

    def has_touched(self, device, taken_s):
        """Whether what the broker told `device` at taken_s to have taken may have died with it: it was told on a
        connection from before, though a link that stalled may have kept the word back until after."""
        new_s = min((t for t in device.connected if t > self.back_s), default=self.back_s)
        return taken_s < new_s and self.at_s - taken_s < KILL_SHADOW_S


class Count:
    """What went wrong, and what a kill excuses."""

    def __init__(self):
        self.lost = []
        self.repeated = []
        self.disordered = []
        self.excused = 0

    def wrong(self):
        return self.lost + self.repeated + self.disordered


def account(count, device, got, kills):
    """Compare what a device sent with what the listener got."""
    numbers = [number for name, number, _ in got if name == device.name]
    times = {}
    for number in numbers:
        times[number] = times.get(number, 0) + 1
    for number in range(device.total or 0):
        accepted = device.accepted.get(number, 0)
        done = device.acknowledged.get(number, 1e18)
        taken = min(done, device.handed_over.get(number, done))
        killed = [kill.at_s for kill in kills]
        near = [
            at_s for at_s in killed if accepted < at_s + 1 and at_s - KILL_SHADOW_S < min(done, at_s + KILL_SHADOW_S)
        ]
        if not times.get(number):
            if any(kill.has_touched(device, taken) for kill in kills):
                count.excused += 1  # the broker had it, and it died with the broker
            else:
                count.lost.append("%s: %d was lost" % (device.name, number))
        elif times[number] > 1 and number % 2:  # QoS 2
            if near:
                count.excused += 1
            else:
                count.repeated.append("%s: %d (QoS 2) came %d times" % (device.name, number, times[number]))
    for odd in (0, 1):  # the broker hands on each QoS in its own order
        first = []
        for number in numbers:
            if number % 2 == odd and number not in first[-400:]:
                first.append(number)
        for earlier, later in zip(first, first[1:]):
            if later < earlier:
                if any(abs(device.accepted.get(later, 0) - kill.at_s) < KILL_SHADOW_S for kill in kills):
                    count.excused += 1
                else:
                    count.disordered.append("%s: %d came after %d" % (device.name, later, earlier))


def account_commands(count, device, sent, kills):
    """Compare what was sent to a device with what it got; `sent`: number -> time."""
    for number in sent:
        times = device.received.count(number)
        if times == 1:
            continue
        if any(abs(sent[number] - kill.at_s) < KILL_SHADOW_S for kill in kills):
            count.excused += 1
        elif times:
            count.repeated.append("%s: command %d (QoS 2) came %d times" % (device.name, number, times))
        else:
            count.lost.append("%s: command %d was lost" % (device.name, number))


def soak(seconds, seed, devices=3, kill=True, say=print):
    """Run it. Returns (Count, totals)."""
    rng = random.Random(seed)
    broker = real.Mosquitto(
        # paho repeats all that it has in flight at once when it is back: over 20 and the broker throws it out
        "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 1000\n",
        persistence=True,
    )
    made = [broker]
    kills = []
    sent = {}
    stops = 0
    try:
        proxy = Proxy(broker.port, random.Random(rng.random()))
        made.append(proxy)
        got = []
        listener = Listener(broker.port, got, "listener")
        made.append(listener)
        cpython, micropython = map(real.command_of, real.INTERPRETERS)
        programs = [[*cpython, str(DEVICE)]]
        if micropython:
            programs = [[*micropython, str(DEVICE)], [*micropython, str(AIO_DEVICE)], *programs]
        fleet = [
            SoakDevice(programs[i % len(programs)], proxy.port, "dev%d" % i, rng.choice([5, 25, 60]))
            for i in range(devices)
        ]
        end = time.monotonic() + seconds
        next_stop = time.monotonic() + rng.uniform(0.2, 0.5) * min(seconds, 40)
        number = 0
        while time.monotonic() < end:
            time.sleep(0.1)
            for device in fleet:
                if device.process.poll() is not None:
                    raise AssertionError("%s ended: %s" % (device.name, "\n".join(device.words[-20:])))
                if device.subscribed:
                    listener.command(device.name, number)
                    sent.setdefault(device.name, {})[number] = time.monotonic()
            number += 1
            if time.monotonic() > next_stop and end - time.monotonic() > 5:
                hard = kill and rng.random() < 0.4
                stops += 1
                if hard:
                    kills.append(Kill(time.monotonic()))
                    proxy.open = False
                broker.stop(hard=hard)
                time.sleep(rng.uniform(0.1, 1.5))
                broker.start()
                if hard:
                    listener.close()
                    listener = Listener(broker.port, got, "listener%d" % len(kills))
                    made.append(listener)
                    kills[-1].back_s = time.monotonic()
                    proxy.open = True
                next_stop = time.monotonic() + rng.uniform(8, 20)
        proxy.calm = True
        for device in fleet:
            device.stop()
        for device in fleet:
            device.join(60)
        heard = -1
        while heard != len(got):  # the listener may lag
            heard = len(got)
            time.sleep(QUIET_S)
        count = Count()
        for device in fleet:
            if device.total is None:
                raise AssertionError("%s did not end: %s" % (device.name, "\n".join(device.words[-20:])))
            account(count, device, got, kills)
            account_commands(count, device, sent.get(device.name, {}), kills)
            if device.heap and max(device.heap[-3:]) > max(device.heap[:5]) + 2048:
                count.lost.append("%s: the heap grew from %r to %r" % (device.name, device.heap[:5], device.heap[-3:]))
        totals = {
            "devices": devices,
            "sent": sum(device.total for device in fleet),
            "commands": sum(len(numbers) for numbers in sent.values()),
            "connections": sum(device.connects for device in fleet),
            "faults": dict(proxy.counts),
            "stops": stops - len(kills),
            "kills": len(kills),
        }
        return count, totals
    finally:
        for device in locals().get("fleet", []):
            if device.process.poll() is None:
                device.process.kill()
                device.process.wait()
        for each in reversed(made):
            each.close()


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--minutes", type=float, default=2)
    args.add_argument("--seed", type=int, default=None)
    args.add_argument("--devices", type=int, default=3)
    args.add_argument("--no-kill", action="store_true", help="stop the broker, never kill it hard")
    opts = args.parse_args()
    if not real.mosquitto_path():
        print("No Mosquitto: run `make setup`, or name one with MOSQUITTO=/path/to/mosquitto.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seed = opts.seed if opts.seed is not None else int.from_bytes(os.urandom(4), "big")
    print("soak: seed %d, %g minutes, %d devices" % (seed, opts.minutes, opts.devices), flush=True)
    try:
        count, totals = soak(opts.minutes * 60, seed, opts.devices, not opts.no_kill)
    except KeyboardInterrupt:
        return 130
    for line in count.wrong()[:40]:
        print("  " + line)
    print(
        "soak: %(sent)d messages and %(commands)d commands over %(connections)d connections;" % totals,
        "%(stops)d stops, %(kills)d kills;" % totals,
        "faults " + ", ".join("%s %d" % item for item in sorted(totals["faults"].items())),
    )
    print(
        "soak: %d lost, %d repeated, %d out of order, %d excused by a hard kill"
        % (len(count.lost), len(count.repeated), len(count.disordered), count.excused)
    )
    return 1 if count.wrong() else 0


if __name__ == "__main__":
    sys.exit(main())
