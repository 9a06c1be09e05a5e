"""Importing this on CPython supplies what the library takes from MicroPython: `micropython`, `time.ticks_*`,
`sys.print_exception`.

On MicroPython it does nothing.
"""

import sys

if sys.implementation.name != "micropython":
    import time
    import traceback
    from types import ModuleType

    from fakes import clock

    def _same(given):
        return given

    if "micropython" not in sys.modules:
        _mp = ModuleType("micropython")
        _mp.const = _same
        _mp.native = _mp.viper = _mp.bytecode = _same
        _mp.opt_level = _mp.kbd_intr = _mp.alloc_emergency_exception_buf = lambda *_: 0
        _mp.schedule = lambda function, argument: function(argument)
        sys.modules["micropython"] = _mp

    time.ticks_ms = lambda: int(time.monotonic() * 1000) % clock.PERIOD_MS
    time.ticks_us = lambda: int(time.monotonic() * 1000000) % clock.PERIOD_MS
    time.ticks_diff = clock.ticks_diff
    time.ticks_add = clock.ticks_add
    time.sleep_ms = lambda ms: time.sleep(ms / 1000)

    def _print_exception(error, file=None):
        traceback.print_exception(type(error), error, error.__traceback__, file=file or sys.stdout)

    sys.print_exception = _print_exception
