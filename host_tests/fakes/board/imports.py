"""Tells each import of the program as it ends, and its first reading: `import NAME MICROSECONDS`, 0 within another
import; `reading MICROSECONDS` since this was imported."""

import builtins
import sys
from time import ticks_diff, ticks_us

import fake_board


def _watch():
    plain = __import__
    value = fake_board.value
    say = print
    begun = ticks_us()
    depth = [0]

    def tell_import(name, *how):
        if name in sys.modules:
            return plain(name, *how)
        began_us = ticks_us()
        depth[0] += 1
        try:
            return plain(name, *how)
        finally:
            depth[0] -= 1
            say("import %s %d" % (name, 0 if depth[0] else ticks_diff(ticks_us(), began_us)))

    def tell_reading(name):
        say("reading %d" % ticks_diff(ticks_us(), begun))
        fake_board.value = value
        return value(name)

    builtins.__import__ = tell_import
    fake_board.value = tell_reading


_watch()
