"""What `network` has beside: the statuses, what the board is called; methods of its WLAN."""

STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STAT_BEACON_TIMEOUT, STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = 200, 201, 202
STAT_ASSOC_FAIL, STAT_HANDSHAKE_TIMEOUT = 203, 204

_hostname = ["mpy-esp32"]
_country = ["XX"]


def hostname(name=None):
    if name is None:
        return _hostname[0]
    _hostname[0] = name


def country(code=None):
    if code is None:
        return _country[0]
    _country[0] = code


def config(sta, **keys):
    if not sta.active():
        raise OSError("Wifi Not Started")
    sta.settings = dict(getattr(sta, "settings", {}), **keys)


def lose(sta):
    """The access point vanishes."""
    sta.state = STAT_BEACON_TIMEOUT
