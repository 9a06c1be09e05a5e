"""The time of a reading: Unix seconds, or None as long as nobody has set the clock to a time that can be."""

from time import gmtime, ticks_diff, ticks_ms, time, time_ns

from micropython import const

_EPOCH_2000_S = const(946684800)
_FIRST_YEAR = const(2024)  # nobody had this program before
_LAST_YEAR = const(2099)
_JUMP_S = const(86400)  # a clock that was set is not wrong by more: then two answers must agree
_AGREE_S = const(60)
_ZERO = const((2036, 2, 7, 6, 28, 16))  # as which the 0 of a server that knows no time, or wants no questions, is read

_t = ticks_ms()
_up_s = 0
_rest_ms = 0


def uptime_s() -> int:
    """Seconds since the start. To be called at least once in 6 days: the tick counter wraps."""
    global _t, _up_s, _rest_ms
    now = ticks_ms()
    _rest_ms += ticks_diff(now, _t)
    _t = now
    _up_s += _rest_ms // 1000
    _rest_ms %= 1000
    return _up_s


def _can_be(s):
    # whether seconds `s` of the port's epoch are a time in which this program can run
    try:
        return _FIRST_YEAR <= gmtime(s)[0] <= _LAST_YEAR
    except (OverflowError, OSError, ValueError):
        return False


def stamp() -> int:
    """Seconds of the port's epoch; 0 while the clock is not set: so no age is counted from then, or to then."""
    now = int(time())
    return now if _can_be(now) else 0


def now_ms() -> int:
    """Milliseconds of the port's epoch, set or not: they go on during deep sleep."""
    return time_ns() // 1000000


def unix_s(up_s: int):
    """Seconds since 1970 (UTC) at the uptime up_s, also of a moment before the clock was set; None while it is not
    set."""
    now = stamp()  # boards start in 2000 or in 1970, and count from there
    if not now:
        return None
    return now - uptime_s() + up_s + (_EPOCH_2000_S if gmtime(0)[0] == 2000 else 0)


def sync(host: str) -> None:
    """Set the clock from NTP server `host`, if it tells a time that can be. Blocks for the name look-up and up to 4 s
    more. Raises OSError in words that name the key; ImportError where the port has no ntptime."""
    import ntptime

    ask = getattr(ntptime, "time", None)

    def believed():
        got = int(ask())
        if not _can_be(got) or gmtime(got)[:6] == _ZERO:
            raise ValueError("a time that cannot be")
        now = stamp()
        if now and abs(got - now) > _JUMP_S and abs(int(ask()) - got) > _AGREE_S:
            raise ValueError("a time that is days away, and then another one")
        return got

    ntptime.host = host
    ntptime.timeout = 2
    try:
        if ask:
            ntptime.time = believed
        ntptime.settime()
    except ValueError as e:
        raise OSError("%s answered %s: check ntp_host" % (host, e))
    except (OSError, IndexError) as e:  # IndexError: an empty name look-up
        code = e.args[0] if e.args else e
        words = "is no name that can be looked up" if code in (-2, -3, -202) else "does not answer"
        raise OSError("%s %s (%s): check ntp_host" % (host, words, code))
    finally:
        if ask:
            ntptime.time = ask
