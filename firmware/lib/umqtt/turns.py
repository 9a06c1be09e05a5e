"""Whose turn is it? One call at a time makes a packet, sends it, or changes a slot.

On a board a Timer's callback, or another thread, comes in between any two jumps of a call that is under way. So a call
first takes the client's turn: it marks `_draft[IN_USE]`, and who finds the mark there waits, or is refused. `publish`
and `_send_loose` set the mark themselves and come here only when it was set before.
"""

import sys
from time import sleep_ms

from micropython import const

from umqtt.errors import link_error
from umqtt.keepalive import KeepAlive
from umqtt.wire import FIRST_BYTE, IN_USE, PAYLOAD, TOPIC

try:
    from _thread import get_ident
except ImportError:  # ESP8266
    get_ident = int

try:
    from micropython import schedule
except ImportError:
    schedule = None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

_MOST_LOOKS = const(1000)  # a ms each, at a call that does not go on: Ctrl-C has ended it, and left its mark behind

_ran = {0}  # a set keeps its memory when it is emptied
_run = _ran.add
_main_thread = get_ident()


def is_scheduled():
    """Whether this runs in a callback of micropython.schedule, as a Timer's is: what is scheduled now does not run."""
    _ran.discard(0)
    try:
        schedule(_run, 0)
        if _ran or _ran or _ran or _ran or _ran:  # it runs at a jump, as each `or` is; this can be met by itself there
            return False
    except RuntimeError:
        pass  # its queue is full: nothing runs
    return get_ident() == _main_thread or sys.platform == "esp32"  # there callbacks run in any thread


if not schedule:  # not every port has it
    is_scheduled = bool


class Turns(KeepAlive):
    """A session with its keep-alive, of which one call at a time has the turn. A connection that is up has a reader, to
    ask for the next packet, and a writer, to send one; while a callback runs there is no reader."""

    _next_packet = None
    _send_packet: "Callable | None"  # or _ENDED (link)
    _send_packet = None
    _stream = None  # the payload that goes out in pieces (addons)
    _is_drop_in = False  # for micropython-lib's: takes messages of any size, and waits in the scheduler's callbacks too

    def _in_callback(self):
        """Whether a callback of this client runs: no call may wait."""
        return self._next_packet is None and self._send_packet is not None

    def _take_turn(self):
        """Hold the client until draft[IN_USE] is cleared: nobody else makes or sends a packet, or changes a slot. What
        holds it neither waits nor allocates, so a MemoryError leaves no mark behind.

        The mark is set and looked at without a jump in between, for at a jump a Timer's callback or another thread
        comes. While another thread holds the client this waits, for that is never long. Returns False at once when the
        call that holds it is beneath this one."""
        draft = self._draft
        looks = found = 0
        while True:
            draft[IN_USE] += 1
            if draft[IN_USE] == 1:
                return True
            if self._stream is not None or is_scheduled():
                return False
            looks = looks + 1 if draft[IN_USE] > found else 0  # less: it was cleared meanwhile
            found = draft[IN_USE]
            if looks > _MOST_LOOKS:
                draft[IN_USE] = 0
            sleep_ms(1)

    def _hold(self, first_byte=0, topic: "bytes | bytearray" = b"", payload=b""):
        # as `_take_turn`, with this packet as the draft. Raises OSError: this call has met another
        if not self._take_turn():
            raise link_error("EALREADY", "another call is in the middle: again after it")
        draft = self._draft
        draft[FIRST_BYTE] = first_byte
        draft[TOPIC] = topic
        draft[PAYLOAD] = payload
