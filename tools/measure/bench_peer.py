"""The other end of a measurement: a small broker on loopback in a thread, with a codec of its own.

It takes what comes and acknowledges it (`ack_delay_s` later). A PUBLISH to `peer/send` with the payload `QOS COUNT
SIZE` makes it send that many messages under TOPIC: in QoS 1 and 2 no more than WINDOW unacknowledged, as Mosquitto.
"""

import hashlib
import socket
import struct
import threading
import time
from typing import Optional

TOPIC = b"bench/tttttttttttttt"
DATA_SEGMENTS_IN = 152  # offset of tcpi_data_segs_in in Linux's struct tcp_info
WINDOW = 20  # max_inflight_messages

_CONNECT, _PUBLISH, _PUBACK, _PUBREC, _PUBREL, _SUBSCRIBE, _UNSUBSCRIBE, _PINGREQ, _PUBCOMP = (
    1,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    7,
)


def frame(b0: int, body: bytes) -> bytes:
    """A packet with its remaining length [2.2.3]."""
    rest_b, length = len(body), bytearray()
    while True:
        length.append(rest_b & 127 | (128 if rest_b > 127 else 0))
        rest_b >>= 7
        if not rest_b:
            return bytes([b0]) + bytes(length) + body


class Peer:
    """with Peer() as p: p.port, p.packets (count by type), p.payload_b (bytes taken), p.digests (SHA-256 of each);
    behind it p.segments: TCP segments with data that came, None where the system does not tell."""

    def __init__(
        self, ack_delay_s: float = 0, listen: str = "127.0.0.1", digest: bool = False, says: bytes = b""
    ) -> None:
        self.says = says  # to a client of MQTT 5: properties of its CONNACK; then acks have a reason, too
        self.digests: Optional[list[str]] = [] if digest else None
        self.ack_delay_s = ack_delay_s
        self.packets: dict[int, int] = {}
        self.payload_b = 0
        self.segments: Optional[int] = 0
        self._serving: list[threading.Thread] = []
        self._listener = socket.create_server((listen, 0))
        self.port = self._listener.getsockname()[1]
        self._links: list[socket.socket] = []
        self._to_send: list[bytes] = []
        self._no_properties = b""
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "Peer":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for thread in self._serving:  # what a client that has ended had sent is taken and counted
            thread.join(2)
        # shutdown wakes a thread that waits in accept or recv, close alone does not
        for sock in [self._listener, *self._links]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links.append(link)
            serving = threading.Thread(target=self._serve, args=(link,), daemon=True)
            serving.start()
            self._serving.append(serving)  # __exit__ joins only what has begun

    def _serve(self, link: socket.socket) -> None:
        rest = b""
        before = self.segments
        try:
            while True:
                data = link.recv(65536)
                if not data:
                    return
                self.segments = self._segments(link, before)
                rest = self._take(link, rest + data)
        except OSError:
            pass
        finally:
            link.close()

    @staticmethod
    def _segments(link: socket.socket, before: Optional[int]) -> Optional[int]:
        try:
            info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, DATA_SEGMENTS_IN + 4)
            return before + struct.unpack_from("=I", info, DATA_SEGMENTS_IN)[0]
        except (AttributeError, OSError, TypeError, struct.error):
            return None

    def _take(self, link: socket.socket, data: bytes) -> bytes:
        at = 0
        while len(data) - at >= 2:
            length_b = shift = 0
            body = at + 1
            while True:
                if body >= len(data):
                    return data[at:]
                byte = data[body]
                body += 1
                length_b |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            if len(data) < body + length_b:
                return data[at:]
            self._packet(link, data[at], data[body : body + length_b])
            at = body + length_b
        return data[at:]

    def _packet(self, link: socket.socket, b0: int, body: bytes) -> None:
        kind = b0 >> 4
        self.packets[kind] = self.packets.get(kind, 0) + 1
        answer = b""
        if kind == _CONNECT:
            self._no_properties = b"\0" if body[6] == 5 else b""  # the length of none, in MQTT 5
            answer = frame(0x20, b"\0\0" + (bytes([len(self.says)]) + self.says if self._no_properties else b""))
        elif kind == _PUBLISH:
            end = 2 + (body[0] << 8 | body[1])
            qos = b0 >> 1 & 3
            payload = body[end + (2 if qos else 0) + len(self._no_properties) :]
            self.payload_b += len(payload)
            if self.digests is not None:
                self.digests.append(hashlib.sha256(payload).hexdigest())
            if qos:
                reason = b"\x10" if self.says else b""  # nobody has subscribed to it
                answer = frame(0x40 if qos == 1 else 0x50, body[end : end + 2] + reason)
            if body[2:end] == b"peer/send":
                qos, count, size = map(int, payload.split())
                self._to_send = [self._message(qos, pid, size) for pid in range(count, 0, -1)]
                answer += self._next(WINDOW if qos else count)
        elif kind in (_PUBACK, _PUBCOMP):
            answer = self._next(1)
        elif kind == _PUBREC:
            answer = b"\x62\2" + body[:2]
        elif kind == _PUBREL:
            answer = b"\x70\2" + body[:2]
        elif kind == _SUBSCRIBE:
            codes, at = b"", 2 + len(self._no_properties)
            while at < len(body):
                at += 3 + (body[at] << 8 | body[at + 1])
                codes += body[at - 1 : at]
            answer = frame(0x90, body[:2] + self._no_properties + codes)
        elif kind == _UNSUBSCRIBE:
            answer = frame(0xB0, body[:2] + (b"\0\0" if self._no_properties else b""))
        elif kind == _PINGREQ:
            answer = b"\xd0\0"
        if answer:
            if self.ack_delay_s:
                time.sleep(self.ack_delay_s)
            link.sendall(answer)

    def _next(self, count: int) -> bytes:
        return b"".join(self._to_send.pop() for _ in range(min(count, len(self._to_send))))

    def _message(self, qos: int, pid: int, size: int) -> bytes:
        ids = (struct.pack("!H", pid) if qos else b"") + self._no_properties
        return frame(0x30 | qos << 1, struct.pack("!H", len(TOPIC)) + TOPIC + ids + b"m" * size)
