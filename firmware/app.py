"""Which life does the board lead? Awake or asleep between its readings, which wait in RAM or where they survive."""

from time import sleep_ms

from micropython import const

import power
from clock import uptime_s
from health import crashed
from umqtt import __version__
from wifi import Wifi

_IMPROV_S = const(60)  # after a start the serial line may ask for another WiFi
_RESTART_MS = const(60000)  # between two starts that fail


def make(cfg: dict, began_ms: int):
    """The program for configuration cfg, its radio already at work: while WiFi is being joined the rest is loaded.
    Raises ValueError for a sensor whose configuration is wrong, and what a port raises that cannot start."""
    if cfg.get("radio"):
        from radio import TunedWifi

        wifi = TunedWifi(cfg)
    else:
        wifi = Wifi(cfg["wifi_ssid"], cfg["wifi_password"], cfg["hostname"])
    if not cfg["deep_sleep"]:
        _begin(wifi.start, cfg["wifi_timeout_s"] * 1000)
        if cfg["keep_in"] == "ram":
            from ram import RamNode

            node = RamNode(cfg, wifi)
        else:
            from durable import DurableNode

            node = DurableNode(cfg, wifi)
        node.t_began = began_ms
        return node
    from remembered import Remembered

    known = Remembered()
    if cfg.get("trials") or cfg.get("came_back"):
        known.forget()
    if not known.skip:
        _begin(known.join, wifi, cfg)
    from sleeper import Sleeper

    return Sleeper(cfg, wifi, known, began_ms)


def _begin(f, *args):
    try:
        f(*args)
    except OSError:
        pass  # it is tried again, and told then


def run(cfg: dict, began_ms: int) -> None:
    """Run until the stop button is pressed. A sensor's configuration that is wrong is told in words, and ends it; what
    cannot start for another reason is tried again by a reset. began_ms: ticks_ms() as the program started."""
    node = _started(cfg, began_ms)  # a frame without its handlers: it is on the heap as long as the program runs
    if not node:
        return
    if node.run() and uptime_s() < _IMPROV_S:
        provisioned = node.wifi.isconnected()
        del node  # the heap is needed
        from improv import is_asked, serve

        if is_asked():
            serve(provisioned, True)
    _judge(cfg, "it ended by itself")


def _started(cfg, began_ms):
    # the program, its start told; None when its configuration is wrong
    if cfg["commands"] and cfg["log_b"]:
        import tail

        tail.keep(cfg["log_b"])
    print("umqtt-node: started by %s, version %s" % (power.cause(), __version__))
    if cfg["tls"] and not cfg["tls_ca"]:
        print("tls: tls_insecure is set: the broker is not checked, and anybody in between can read the password")
    try:
        return make(cfg, began_ms)
    except ValueError as e:
        print(e)
        _judge(cfg, e)
        if cfg.get("trials"):
            power.restart()  # with what was before
    except Exception as e:  # no memory, a flash that cannot be read, a radio that does not start
        crashed(e)
        _judge(cfg, e)
        if cfg.get("trials"):
            power.restart()
        restart(cfg["deep_sleep"], e)
    return None


def _judge(cfg, e):
    # what is on trial has failed with e; the board starts with the old one
    if cfg.get("trials"):
        from trial import failed

        failed(cfg, e)


def restart(asleep: bool, e) -> None:
    """After a start that failed with e: again in a minute, asleep meanwhile if the board sleeps. Never returns."""
    if isinstance(e, MemoryError):
        print("memory: not enough to start: fewer sensors, or the firmware in ROM (make deploy); trying again")
    if asleep:
        power.deep_sleep(_RESTART_MS)
    sleep_ms(_RESTART_MS)
    power.restart()
