"""MicroPython older than 1.22 is told apart, in words, when the client is imported."""

import sys

import fakes.shim  # noqa: F401
import umqtt.client  # noqa: F401 - all that it imports is there
from fakes.check import raises, skip

SOURCE_FORM_ONLY = "it reads the source"

SOURCE = __file__.replace("\\", "/").rsplit("/", 1)[0] + "/../../firmware/lib/umqtt/client.py"


def test_an_older_micropython_is_refused_in_words():
    if sys.implementation.name == "micropython":
        skip("sys.implementation cannot be changed here; CPython pretends to be older")
    from types import SimpleNamespace

    with open(SOURCE) as file:
        source = file.read()
    real = sys.implementation
    try:
        sys.implementation = SimpleNamespace(name="micropython", version=(1, 21, 0))
        fault = raises(ImportError, exec, source, {"__name__": "older"})
        assert "1.22" in str(fault), fault
        sys.implementation = SimpleNamespace(name="micropython", version=(1, 22, 0))
        exec(source, {"__name__": "old enough"})
    finally:
        sys.implementation = real
