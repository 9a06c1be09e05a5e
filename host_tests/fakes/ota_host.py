"""The other end of an update over the air: Host answers what a board asks for, Asking is as much of a node as an update
uses. The firmware's `ota` is imported by who uses this."""

import json
import sys
from binascii import hexlify
from hashlib import sha256
from struct import pack

import update

KEY = "k" * 32
TOPIC = "umqtt/n1"
CHUNK_B = 200


def digest(data):
    return hexlify(sha256(data).digest()).decode()


class Host:
    """files: name to contents; serial: of the manifest; mpy: what they were compiled for."""

    def __init__(self, files, serial, mpy=None):
        self.serial = serial
        if mpy is None:
            mpy = getattr(sys.implementation, "_mpy", 0) & 0xFF
        lines = ["umqtt-node 1 %d\n" % mpy]
        for name in sorted(files):
            lines.append("%s %d %s\n" % (digest(files[name]), len(files[name]), name))
        self.listed = "".join(lines).encode()
        self.parts = [self.listed] + [files[name] for name in sorted(files)]
        self.names = [""] + sorted(files)

    def manifest(self, key=KEY, topic=TOPIC):
        text = "umqtt-ota1 %d %d %s" % (self.serial, len(self.listed), digest(self.listed))
        signature = update.hmac(key.encode(), ("%s %s" % (topic, text)).encode())
        return ("%s %s" % (text, hexlify(signature).decode())).encode()

    def chunks(self, asked, chunk_b=CHUNK_B):
        """The payloads that answer a request."""
        end = asked["from"] + asked["b"]
        return [
            self.chunk(asked["file"], at, self.parts[asked["file"]][at : min(end, at + chunk_b)])
            for at in range(asked["from"], end, chunk_b)
        ]

    def chunk(self, number, at, data):
        return pack(">4sHI", sha256(self.listed).digest()[:4], number, at) + data


class Asking:
    """What an update asks for waits in `asked` until take()."""

    topic = TOPIC + "/"
    cfg = {"ota_key": KEY}

    def __init__(self):
        self.client = self
        self.asked = []
        self.no_slot = False
        self.fed = 0

    def feed(self):
        self.fed += 1

    def free_slots(self):
        return 0 if self.no_slot else 1

    def publish(self, topic, text, retain, qos, wait):
        assert topic == TOPIC + "/ota/want" and not retain and qos == 1 and not wait
        assert not self.no_slot
        self.asked.append(json.loads(text))
        return 1

    def take(self):
        asked = self.asked
        self.asked = []
        return asked
