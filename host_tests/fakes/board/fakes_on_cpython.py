"""What CPython has otherwise: start.py asks for it."""

import gc
import os
import sys


def run(root):
    """The folder of the board is the current one; sockets, TLS and the heap are as MicroPython has them."""
    fakes = os.path.dirname(os.path.abspath(__file__))
    os.chdir(root)
    sys.path[:1] = [fakes, os.getcwd(), os.getcwd() + "/lib", fakes + "/../.."]
    import tls_context
    from fakes import real_socket

    real_socket.install()
    real_tls = tls_context.make
    tls_context.make = lambda *paths: real_socket.Context(real_tls(*paths))  # for MicroPython's sockets
    gc.threshold = gc.mem_free = lambda *_: 1 << 20
