"""How is Home Assistant told? The steps of discovery.Announcer, imported for each and forgotten again."""

import os
from sys import modules

from micropython import const

from announcement import MIGRATE, NOTE, announcement, device_topic, legal

_MOST_LEFT = const(16)  # of what an earlier configuration has left, so much is remembered at one time


def _forget():
    for name in (__name__, "announcement"):
        modules.pop(name, None)


def begin(announcer) -> None:
    """Its id, and which commands there are."""
    _forget()
    cfg = announcer.cfg
    announcer.id = legal(announcer.node.client_id)
    if cfg["commands"]:
        announcer.fields = ["restart", "read", "interval"]
        if cfg["led"] >= 0:
            announcer.fields.append("identify")
        if cfg["deep_sleep"]:
            announcer.fields.append("stay_awake")
        announcer.things.append(announcer)


def tell(announcer, thing, c, now: int) -> None:
    """Tell the next field of a thing to client c, as soon as that has room. Raises what publish does."""
    _forget()
    if not announcer.holding:
        announcer.holding = True
        announcer.t_held = now
    if c.free_slots():
        if thing is announcer.things[0] and not thing.announced:
            _leave_device_form(announcer, c)
        topic, payload = announcement(announcer, thing, thing.announced)
        announcer.pid = c.publish(topic, payload, announcer.cfg["retain"], 1, False)
        announcer.thing = thing
        announcer.t_told = now


def _leave_device_form(announcer, c) -> None:
    # `ha_device` was set and is not any more: Home Assistant lets go of the entities, and keeps what is set for them
    try:
        os.stat(NOTE)
    except OSError:
        return
    for payload, retain in ((MIGRATE, False), ("", True)):
        c.publish(device_topic(announcer), payload, retain, 1)
        announcer.node.feed()
    os.remove(NOTE)


def clear(announcer, c, now: int, looked: bool) -> None:
    """Once after a start: ask the broker what it has of us; clear what is ours no more: a sensor that is gone. looked:
    it had time to answer. Raises what publish does."""
    _forget()
    listener = announcer.node.listener
    if announcer.look and not announcer.t_look:
        announcer.t_look = now or 1
        listener.hear(announcer.look, 0, announcer.seen, 1)  # large, and of no use
    while announcer.left and c.free_slots():
        c.publish(announcer.left.pop(), "", True, 1, False)
    if looked and announcer.look and not announcer.left and c.free_slots():
        listener.unhear(announcer.look)
        announcer.look = None


def leave(announcer, topic: str) -> None:
    """The broker has a message under this topic: unless it is ours, it is to be cleared."""
    _forget()
    if topic == device_topic(announcer):  # and no note of it here: what was told meanwhile has found its ids taken
        with open(NOTE, "w"):
            pass
        for thing in announcer.things:
            thing.announced = 0
        return
    for thing in announcer.things:
        for field in range(len(thing.sensor.fields)):
            if announcement(announcer, thing, field)[0] == topic:
                return
    if len(announcer.left) < _MOST_LEFT:
        announcer.left.append(topic)
