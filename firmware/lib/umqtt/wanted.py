"""Decides which of the messages that wait in an Outbox are still wanted: none that is too old, and of a topic only the
last n. Imported for the first message that has such a policy, or when the outbox is full."""

import os
import sys
from struct import unpack_from

from micropython import const

from umqtt.store import record

_MESSAGE = const(15)
_KEEP = const(13)  # in the body of a message (umqtt.outbox)
_STAGED = const(-1)
_CLOSED = const(-1)

# a clock behind this was never set: it is in 2019 where time begins in 2000, in 1989 where it begins in 1970
_SET_S = const(600000000)

_WANTED = const(0)
_EXPIRED = const(1)
_SUPERSEDED = const(2)


class Chooser:
    """counts: {topic: messages with a last-n policy that wait and were not judged yet}; None when they must be counted
    again."""

    def __init__(self):
        self.counts = None
        # the module goes with its Chooser
        del sys.modules["umqtt.wanted"], sys.modules["umqtt"].wanted  # pyright: ignore[reportAttributeAccessIssue]

    def is_wanted(self, outbox, body):
        """Return whether to hand over the next message, `body` (umqtt.outbox); count it in outbox.expired or dropped if
        not."""
        if self.counts is None:
            self.counts = _count(outbox)
        fate = _fate(outbox, body, self.counts)
        outbox.expired += fate == _EXPIRED
        outbox.dropped += fate == _SUPERSEDED
        return fate == _WANTED

    def left_s(self, outbox, body):
        """The seconds that message `body` has left, 1 at least; all of them while the clock is not set."""
        _, taken_s, expire_s = unpack_from(">III", body)
        now_s = int(outbox.clock())
        return max(expire_s - (now_s - taken_s), 1) if taken_s >= _SET_S and now_s >= _SET_S else expire_s

    def squeeze(self, outbox):
        """Rewrite the files without the messages that nobody wants, if that frees one. Needs room for one more file.
        Raises OSError; then the files are as they were, or some of them are rewritten."""
        outbox._tidy()
        plan = _plan(outbox)
        if len(plan) >= len(outbox._files):
            return
        self.counts = None
        files = []
        f = None
        try:
            for body in outbox._waiting(outbox._files):
                if self.is_wanted(outbox, body):
                    number = unpack_from(">I", body)[0]
                    if f is None or number in plan:
                        if f:
                            f.close()
                            _put_in_place(outbox, files, number)
                        f = open(outbox.path + "/new", "wb")
                        files.append(number)
                    message = bytearray()
                    record(message, _MESSAGE, body)
                    f.write(message)
        finally:
            self.counts = None
            if f:
                f.close()
        outbox._tail_b = _CLOSED
        _put_in_place(outbox, files, outbox._end(len(outbox._files) - 1))


def _count(outbox):
    counts = {}
    for body in outbox._waiting(outbox._files + [_STAGED]):
        if body[_KEEP]:
            topic = _topic(body)
            counts[topic] = counts.get(topic, 0) + 1
    return counts


def _topic(body):
    return body[16 : 16 + (body[14] << 8 | body[15])]


def _fate(outbox, body, counts):
    # what becomes of the next message, which leaves `counts` with this
    _, taken_s, expire_s, _, keep = unpack_from(">IIIBB", body)
    now_s = outbox.clock()
    fate = _WANTED
    if expire_s and taken_s >= _SET_S and now_s >= _SET_S and now_s - taken_s > expire_s:
        fate = _EXPIRED
    elif keep and counts[_topic(body)] > keep:
        fate = _SUPERSEDED
    if keep:
        counts[_topic(body)] -= 1
    return fate


def _plan(outbox):
    # the first number of each file that the wanted messages fill
    counts = _count(outbox)
    plan = []
    end_b = outbox.segment_b
    for body in outbox._waiting(outbox._files):
        if _fate(outbox, body, counts) == _WANTED:
            message_b = len(body) + 7
            end_b += message_b
            if end_b > outbox.segment_b:
                end_b = message_b
                plan.append(unpack_from(">I", body)[0])
    return plan


def _put_in_place(outbox, files, number):
    # "new" becomes the last of `files`, which hold everything wanted up to `number`; the old files before it go
    if files:
        os.rename(outbox.path + "/new", outbox._name(files[-1]))
    old = outbox._files
    left = []
    gone = []
    for at in range(len(old)):
        if old[at] not in files:
            (left if outbox._end(at) > number else gone).append(old[at])
    outbox._files = files + left
    for file in gone:
        outbox._remove(file)
