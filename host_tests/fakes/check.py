"""The assertions of tests that run on CPython and on MicroPython: they say what was got and what was wanted."""


def equal(got, want, note=""):
    """got == want, and of one kind where bytes and str could be mixed up (MicroPython compares them as unequal,
    silently)."""
    if got != want or isinstance(got, str) != isinstance(want, str):
        raise AssertionError("%s\n  got  %r\n  want %r" % (note, got, want))


def raises(kinds, function, *args, **named):
    """Call f and return the exception of `kinds` it raised; any other end is a failure."""
    try:
        got = function(*args, **named)
    except kinds as error:
        return error
    raise AssertionError("no %r: %r returned %r" % (kinds, function, got))


class Skip(Exception):
    """Raised by skip() where there is no pytest."""


def skip(why):
    """The test ends here, for the reason given."""
    try:
        import pytest
    except ImportError:
        raise Skip(why)
    pytest.skip(why)
