# Behind `__version__` in /umqtt/__init__.mpy. Stock firmware freezes an umqtt of its own, which it finds before /lib;
# but the root comes first of all. So this one is found, and leads to the library, wherever on sys.path it is.
def path():
    import os
    import sys

    for folder in sys.path:
        try:
            os.stat(folder + "/umqtt/client.mpy")
            return folder + "/umqtt"
        except OSError:
            pass
    return __path__


__path__ = path()
del path
