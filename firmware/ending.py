"""How does it end? What waits is sent, and the sum of it is told: before a stop, and before a board sleeps."""

import gc
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const

_STEP_MS = const(250)
_ON_ITS_WAY_MS = const(2000)


def finish(node, ms: int, comes_back: bool = False, unfinished=None) -> None:
    """Send what waits, for up to ms; call unfinished, should that not do; say "offline", unless it comes_back by
    itself, and disconnect."""
    c = node.client
    if not c:
        return
    send(node, ms)
    if c.isconnected() and c.inflight and unfinished:
        node.linking.attempt(unfinished)
    if not comes_back and c.isconnected():
        node.linking.attempt(c.publish, node.topic + "status", b"offline", node.retain, 1)  # else a name
    node.feed()
    node.linking.attempt(c.disconnect)


def send(node, ms: int) -> None:
    """Send what waits, and hear what the broker has for us, for up to ms."""
    end = ticks_add(ticks_ms(), ms)
    while busy(node):
        left_ms = ticks_diff(end, ticks_ms())
        # without a trouble yet a connection may be on its way
        if left_ms <= 0 or not node.client.isconnected() and (node.linking.count or left_ms < ms - _ON_ITS_WAY_MS):
            break
        node.feed()
        if not node.linking.attempt(node.serve, min(left_ms, _STEP_MS)):
            sleep_ms(min(_STEP_MS, left_ms))
    node.feed()


def busy(node) -> bool:
    """Whether something is to be sent, or not yet acknowledged, or heard."""
    announcer = node.announcer
    holding = announcer is not None and (announcer.holding or announcer.look is not None and node.cfg["deep_sleep"])
    if node.listener is not None and node.listener.busy():
        return True
    return node.waiting() > 0 or node.client.inflight > 0 or node.greet or holding


def sum_up(node) -> None:
    """One line: readings taken, given to the client, acknowledged by the broker (QoS 0: sent), dropped or refused
    because too many waited or the broker did not take them; and the lowest free heap."""
    gc.collect()
    node.low_b = min(node.low_b, gc.mem_free())
    print("summary: taken=%d published=%d acknowledged=%d dropped=%d heap_low_b=%d" % (
        node.taken, node.published, max(0, node.published + node.before - node.refused - readings_in_flight(node)),
        node.dropped + node.refused, node.low_b,
    ))  # fmt: skip


def readings_in_flight(node) -> int:
    """Readings that the client has and the broker has not yet acknowledged."""
    c = node.client
    if not c or not c.inflight:
        return 0
    from umqtt.takeback import unacknowledged

    return sum([1 for _, topic, _ in unacknowledged(c) if is_reading(node, topic)])


def is_reading(node, topic: bytes) -> bool:
    """Whether a message under `topic` (b"": the broker has it) is a reading."""
    own = node.topic.encode()
    if not topic.startswith(own):
        return not topic or bool(node.json_messages) and topic == node.json_messages.topic.encode()
    rest = topic[len(own) :]
    return rest not in (b"status", b"diag", b"log") and not rest.startswith(b"ack/")
