"""Ctrl-C at one line of the library after the other. CPython alone can tell the lines."""

import gc
import sys

# The classes of the client, a file each.
CLIENT = "client.py", "waiting.py", "polling.py", "connecting.py", "link.py", "turns.py"


def interrupted(function, at, files, without=()):
    """f(), with Ctrl-C before line number `at` of those that it runs in these files, but for some functions. Returns
    whether it came."""
    left = [at]

    def line(frame, event, arg):
        if event == "line":
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
        return line

    def call(frame, event, arg):
        code = frame.f_code
        return line if code.co_filename.endswith(files) and code.co_name not in without else None

    was = sys.gettrace()
    gc.collect()  # else generators of earlier runs end within this one, and are interrupted in its place
    gc.disable()
    sys.settrace(call)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(was)
        gc.enable()
        came = left[0] <= 0
        left[0] = 0  # a generator that lives on keeps its trace function, and where somebody traces this is called
    return came
