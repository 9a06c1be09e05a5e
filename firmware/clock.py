"""The time of a reading: Unix seconds, or None as long as nobody has set the clock."""

from time import gmtime, ticks_diff, ticks_ms, time

from micropython import const

_EPOCH_2000_S = const(946684800)

_t = ticks_ms()
_up_ms = 0


def uptime_s():
    """Seconds since the start. To be called at least once in 6 days: the tick counter wraps."""
    global _t, _up_ms
    now = ticks_ms()
    _up_ms += ticks_diff(now, _t)
    _t = now
    return _up_ms // 1000


def unix_s(up_s):
    """Seconds since 1970 (UTC) at the uptime up_s, also of a moment before the clock was set; None while it is not
    set."""
    now = int(time())
    if gmtime(now)[0] < 2024:  # boards start in 2000 or in 1970, and count from there
        return None
    return now - uptime_s() + up_s + (_EPOCH_2000_S if gmtime(0)[0] == 2000 else 0)


def sync(host):
    """Set the clock from an NTP server. Blocks for the name look-up and up to 2 s more. Raises what the port's driver
    does: OSError, IndexError of an empty look-up, ImportError where it has none."""
    import ntptime

    ntptime.host = host
    ntptime.timeout = 2
    ntptime.settime()
