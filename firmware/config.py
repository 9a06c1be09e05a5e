"""config.json: every key with its unit and its limits, checked before anything else starts. `_KEYS` below is the
whole list.

Not needed once it has been read: the program drops this module to have its heap back.
"""

import json
import sys

# key, default (None: must be given), least and most (of a number, or of the length of a text in bytes), what it is
_KEYS = (
    ("wifi_ssid", None, 1, 32, "name of the WiFi network"),
    ("wifi_password", "", 0, 64, "its password, empty for an open network"),
    ("wifi_timeout_s", 20, 2, 60, "seconds for one attempt to join it"),
    ("hostname", "", 0, 32, "the board's name on the network, empty for the port's own"),
    ("broker", None, 1, 253, "name or address of the MQTT broker"),
    ("port", 0, 0, 65535, "its TCP port, 0 for 1883 or with TLS 8883"),
    ("user", "", 0, 128, "user name for the broker, empty for none"),
    ("password", "", 0, 128, "password for the broker"),
    ("tls", False, 0, 0, "TLS to the broker"),
    ("tls_ca", "", 0, 128, "file with the CA's certificate in DER, empty: the broker's certificate is not checked"),
    ("client_id", "", 0, 64, "MQTT client id, empty for umqtt- and the chip's id"),
    ("topic", "umqtt", 1, 64, "first part of all topics; the client id follows"),
    ("qos", 2, 0, 2, "QoS of the readings"),
    ("keepalive_s", 60, 5, 3600, "MQTT keep-alive in seconds"),
    ("timeout_s", 10, 1, 60, "seconds for one answer of the broker"),
    ("interval_s", 60, 0.1, 86400, "seconds between readings"),
    ("ha_prefix", "", 0, 64, "Home Assistant's discovery prefix, usually homeassistant; empty: it is told nothing"),
    (
        "keep_in",
        "ram",
        0,
        9,
        "where readings wait for the broker: ram, rtc (survives a reset), flash (a power cut too)",
    ),
    ("queue_kb", 64, 4, 1024, "flash for them in KiB, with keep_in rtc or flash; when it is full new ones are refused"),
    ("only_latest", False, 0, 0, "of what waits only the newest reading of each topic is sent (rtc, flash)"),
    ("expire_s", 0, 0, 31536000, "seconds after which a reading that waits is worth nothing, 0: never (rtc, flash)"),
    ("deep_sleep", False, 0, 0, "sleep between the readings; on ESP8266 GPIO16 must be wired to RST"),
    ("connect_every", 1, 1, 1000, "with deep_sleep: connect at every n-th wake"),
    ("awake_ms", 15000, 2000, 600000, "with deep_sleep: the longest time awake in milliseconds"),
    ("queue", 24, 1, 500, "with keep_in ram: readings that wait; then the oldest goes"),
    ("ntp_host", "pool.ntp.org", 0, 253, "time server, empty for none"),
    ("watchdog_s", 300, 0, 3600, "seconds without progress until the watchdog resets the board (ESP32), 0 for none"),
    ("stop_pin", -1, -1, 48, "GPIO of a button to ground that stops the program (BOOT is 0 or 9), -1 for none"),
    ("sensors", ({"type": "internal"},), 1, 16, "list of sensors"),
)
_KINDS = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a text"),
    ((list, tuple), "a list"),
)


def _kind(value):
    for kind, words in _KINDS:
        if isinstance(value, kind):
            return words
    return "null" if value is None else "an object"


def _shown(key, value):
    # a password goes to no log
    if "password" in key:
        return "%s, %d characters" % (_kind(value), len(str(value)))
    return "%s (%s)" % (json.dumps(value), _kind(value))


def _distance(a, b):
    # edits that turn a into b
    row = list(range(len(b) + 1))
    for i in range(len(a)):
        last = row[0]
        row[0] = i + 1
        for j in range(len(b)):
            last, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, last + (a[i] != b[j]))
    return row[-1]


def closest(word, words):
    """The one of `words` that needs the fewest edits to become `word`."""
    return min(words, key=lambda w: _distance(word, w))


def _problem(key, value, default, least, most):
    # what is right, when `value` is not; else ""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, (int, float)):
        fraction = isinstance(least, float)
        ok = isinstance(value, (int, float) if fraction else int) and not isinstance(value, bool)
        if ok and least <= value <= most:
            return ""
        return "%s from %s to %s" % ("a number" if fraction else "a whole number", least, most)
    if isinstance(default, tuple):
        if isinstance(value, (list, tuple)) and least <= len(value) <= most and all(isinstance(v, dict) for v in value):
            return ""
        return 'a list of 1 to 16 like {"type": "dht22", "name": "room", "pin": 4}'
    if not isinstance(value, str) or not least <= len(value.encode()) <= most:
        return "a text of %d to %d bytes" % (least, most)
    if key == "keep_in" and value not in ("ram", "rtc", "flash"):
        return '"ram", "rtc" or "flash"'
    if key == "wifi_password" and 0 < len(value) < 8:
        return "nothing or 8 to 64 characters, which WPA asks for"
    if key in ("topic", "client_id", "ha_prefix") and any(c in value for c in "+#\0"):
        return "a text without + and #"
    return ""


def _sensors(entries, wrong):
    names = []
    for i, entry in enumerate(entries):
        where = "sensors[%d]." % i
        for key in ("type", "name"):
            value = entry.get(key, entry.get("type"))
            if not isinstance(value, str) or not value or any(c in value for c in "+#/\0"):
                found = "%s is %s" % (key, _shown(key, value)) if key in entry else "%s is missing" % key
                wrong.append("%s%s; needed is a text without + # /" % (where, found))
                break
            if key == "name":
                if value in names:
                    wrong.append('%sname is "%s" (a second time); needed is a name of its own' % (where, value))
                names.append(value)


def check(given):
    """The whole configuration from the object in config.json: a dict with every key of `_KEYS`, defaults where none
    was given.

    Raises ValueError whose text has one line for each thing that is wrong: the key, what was found, what is needed.
    """
    if not isinstance(given, dict):
        raise ValueError("config.json holds %s; needed is an object: {...}" % _kind(given))
    wrong = []
    got = {}
    known = [row[0] for row in _KEYS]
    for key in given:
        if key not in known:
            wrong.append("%s is not a key; the closest is %s" % (key, closest(key, known)))
    for key, default, least, most, words in _KEYS:
        if key not in given:
            if default is None:
                wrong.append("%s is missing; needed is the %s" % (key, words))
            got[key] = default
            continue
        value = given[key]
        needed = _problem(key, value, default, least, most)
        if needed:
            wrong.append("%s is %s; needed is %s (%s)" % (key, _shown(key, value), needed, words))
        elif key == "sensors":
            _sensors(value, wrong)
        got[key] = value
    if got["password"] and not got["user"]:
        wrong.append("password is given but user is not; needed are both, or neither")
    if got["tls_ca"] and not got["tls"]:
        wrong.append("tls_ca is given but tls is false; needed is true, or no tls_ca")
    if got["deep_sleep"] and got["keep_in"] == "ram":
        wrong.append('deep_sleep is true and keep_in "ram", which does not survive it; needed is "rtc" or "flash"')
    if not wrong and got["watchdog_s"]:
        # what one attempt to connect, or a wake, may take, name look-ups included
        turn_s = got["wifi_timeout_s"] + 6 * got["timeout_s"] + 20
        if got["deep_sleep"]:
            turn_s = got["awake_ms"] // 1000 + 30
        if got["watchdog_s"] < turn_s:
            wrong.append("watchdog_s is %d; with these timeouts needed is 0, or from %d" % (got["watchdog_s"], turn_s))
    if wrong:
        raise ValueError("\n".join("config.json: " + line for line in wrong))
    return got


def read(path="config.json"):
    """check() of the file. Raises ValueError, also when the file is missing or is not JSON."""
    try:
        with open(path) as f:
            given = json.load(f)
    except OSError:
        raise ValueError("%s is missing: copy config.example.json and fill it in" % path)
    except ValueError:
        raise ValueError("%s is not JSON; `python3 -m json.tool %s` shows the place" % (path, path))
    return check(given)


def take():
    """read(), and this module is forgotten. None when something is wrong: that is printed, and nothing can start."""
    del sys.modules[__name__]
    try:
        return read()
    except ValueError as e:
        print(e)
