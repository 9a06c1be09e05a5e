"""Is config.json right? Every key with its unit and its limits; `_KEYS` below is the whole list.

Loaded at a start after config.json was changed, by the command `config` and by `make config`, and forgotten again.
"""

import json
import sys

FILE = "config.json"

# A line for each key: its name, default in JSON (nothing: it must be given), least and most (of a number, or of the
# length of a text in bytes), what it is. One text takes 2.5 KB less of the heap than as many tuples.
_KEYS = """
wifi_ssid||1|32|name of the WiFi network
wifi_password|""|0|64|its password, empty for an open network
wifi_timeout_s|20|2|60|seconds for one attempt to join it
wifi_ssid_2|""|0|32|name of a second network, tried when the first lets nobody in; by turns
wifi_password_2|""|0|64|its password
wifi_address|""|0|63|a static address: address, mask, gateway and name server with spaces between; empty for DHCP
wifi_country|""|0|2|two letters of the country, for the channels that are allowed there
wifi_tx_dbm|0|0.0|21|power of the radio in dBm, 0 for the port's own
wifi_power_save|""|0|11|none, performance or powersave: how the radio sleeps between beacons; empty for the port's own
hostname|""|0|32|the board's name on the network, empty for the port's own
broker||1|253|name or address of the MQTT broker, or a list of them; each may end with :PORT
port|0|0|65535|its TCP port, 0 for 1883 or with TLS 8883
user|""|0|65535|user name for the broker, empty for none
password|""|0|65535|password for the broker
tls|false|0|0|TLS to the broker
tls_ca|""|0|128|file with the CA's certificate (DER or PEM), by which the broker is checked
tls_insecure|false|0|0|TLS without a CA: the broker is not checked, anybody in between reads the password
tls_cert|""|0|128|file with the board's own certificate (DER or PEM), for brokers that ask for one
tls_key|""|0|128|file with its private key
client_id|""|0|65535|MQTT client id, empty for umqtt- and the chip's id
protocol|4|4|5|MQTT's version: 4 is MQTT 3.1.1, 5 is MQTT 5, "auto" is 5, and 4 where the broker does not know 5
topic|"umqtt"|1|1024|first part of all topics; the client id follows
qos|2|0|2|QoS of the readings
will|true|0|0|the broker says offline when the board vanishes; false for brokers that take no will
will_delay_s|60|0|86400|with protocol 5: seconds that the broker waits for the board to come back before it says so
retain|true|0|0|the status is retained; false for brokers that take no retained messages
keepalive_s|60|5|3600|MQTT keep-alive in seconds
timeout_s|10|1|60|seconds for one answer of the broker
interval_s|60|0.1|86400|seconds between readings, with deep_sleep from wake to wake
ha_prefix|""|0|1024|Home Assistant's discovery prefix, usually homeassistant; empty: it is told nothing
ha_device|false|0|0|Home Assistant (2024.12 or newer) is told of the whole board in one message
ha_url|""|0|1024|address (http://...) of a page about the device, to which Home Assistant links
keep_in|"ram"|0|9|where readings wait for the broker: ram, rtc (survives a reset), flash (a power cut too)
queue_kb|64|4|1024|flash for them in KiB, with keep_in rtc or flash; when it is full new ones are refused
only_latest|false|0|0|of what waits only the newest reading of each topic is sent (rtc, flash)
expire_s|0|0|31536000|seconds after which a reading is worth nothing, here and with protocol 5 at the broker; 0: never
deep_sleep|false|0|0|sleep between the readings; on ESP8266 GPIO16 must be wired to RST
connect_every|1|1|1000|with deep_sleep: connect at every n-th wake
awake_ms|15000|2000|600000|with deep_sleep: the longest time awake in milliseconds
queue|64|1|500|with keep_in ram: readings that wait; then the oldest goes
ntp_host|"pool.ntp.org"|0|253|time server, empty for none
watchdog_s|300|0|3600|seconds without progress until the watchdog resets the board (ESP32), 0 for none
reset_after_s|3600|0|604800|seconds without any answer (WiFi, broker) until the board is reset, 0: never
stop_pin|-1|-1|48|GPIO of a button to ground that stops the program (BOOT is 0 or 9), -1 for none
led|-1|-1|48|GPIO of a light that blinks what is wrong, -1 for none
led_low|false|0|0|it is lit by a low level, as on most ESP8266 boards
diag|true|0|0|a retained message at each start: version, reset cause, heap, RSSI, counters
commands|false|0|0|obeys TOPIC/CLIENT_ID/cmd/NAME; the broker must let only the owner publish there
ota_key|""|0|64|with commands: the key that updates over the air are signed with, empty for none
log_b|256|0|4096|with commands: bytes of heap for the last lines of the log, 0 for none
payload|"reading"|0|9|reading: a topic for each quantity; json: one message for all that is read at one time
json_topic|"TOPIC/CLIENT_ID/readings"|1|1024|with payload json: its topic
json|"{VALUES,\\"time\\":TIME,\\"seq\\":SEQ}"|6|1024|with payload json: its form; also TIME_MS
i2c|{}|0|48|GPIOs sda and scl of the I2C bus that the sensors share, and perhaps freq in Hz
sensors|[{"type":"internal"}]|1|16|list of sensors
"""
# What is found out beside them: what no key alone asks for; what is known of this start.
_FOUND = "radio kept start trials came_back"
_COMMANDS = ("cmd", "ack")  # TOPIC/CLIENT_ID/cmd/...
_MOST_NESTED = 16  # brackets: MicroPython's stack is short
_BOM = b"\xef\xbb\xbf"  # which editors of Windows put in front of UTF-8
_NUMBERED = False  # true on a board (tools/ship/keys.py)
# what may be done with the values of any sensor: a number, or one for each quantity
_TREATMENT = (
    ("offset", -1e6, 1e6),
    ("scale", -1e6, 1e6),
    ("min", -1e6, 1e6),
    ("max", -1e6, 1e6),
    ("delta", 0.0, 1e6),
    ("send_every_s", 1, 86400),
    ("median", 2, 25),
    ("mean", 2, 25),
)

# and what the numbers of our drivers' own keys may be: of which types, from, to. Keys of a user's driver are free.
_OF_DRIVERS = (
    ("adc ads1115 battery", "ratio", 0.001, 1000.0),
    ("adc battery", "full_scale_mv", 100, 5000),
    ("battery", "empty_v", 0.5, 60.0),
    ("battery", "full_v", 0.5, 60.0),
    ("battery", "low_percent", 0, 99),
    ("battery", "sleep_s", 0, 86400),
    ("binary", "debounce_ms", 1, 10000),
    ("pulse", "debounce_ms", 0, 1000),
    ("pulse", "per_unit", 0.0001, 1000000.0),
    ("scd4x", "altitude_m", 0, 3000),
)


def rows():
    """(name, default or None, least, most, what it is) of each key."""
    at = 1
    while at < len(_KEYS):
        end = _KEYS.find("\n", at)
        key, default, least, most, words = _KEYS[at:end].split("|", 4)
        yield key, json.loads(default) if default else None, json.loads(least), json.loads(most), words
        at = end + 1


def _kind(value):
    words = ("true or false", "a whole number", "a number", "a text", "a list", "a list")
    kinds: tuple = (bool, int, float, str, list, tuple)
    for i in range(len(kinds)):
        if isinstance(value, kinds[i]):
            return words[i]
    return "null" if value is None else "an object"


def _is_secret(key, value):
    # by its key, or an address into which a login may be written
    words = "pass", "secret", "key", "token"
    return any(word in key.lower() for word in words) or isinstance(value, str) and "@" in value


def without_secrets(x):
    """x of JSON without what goes to no log and no topic, at any depth."""
    if isinstance(x, dict):
        return {key: without_secrets(value) for key, value in x.items() if not _is_secret(key, value)}
    if isinstance(x, (list, tuple)):
        return [without_secrets(value) for value in x if not _is_secret("", value)]
    return x


def _shown(key, value):
    whole = {key: value}
    if without_secrets(whole) != whole:
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


_CONTROL = "a tab, a line end or another control character: Mosquitto closes the connection for it"


def _codes(text):
    # Unicode of each character; not `for c in text`: MicroPython makes a name of each c, which stays on the heap
    return [ord(text[i : i + 1]) for i in range(len(text))]


def _poison(text, what):
    # why a broker, or Home Assistant, does not take `text` in a topic or an id; "" when they do
    size_b = 0
    for n in _codes(text):
        if n < 32 or 127 <= n < 160:
            return "no U+0000, which MQTT forbids" if not n else "a text without " + _CONTROL
        if 0xD800 <= n < 0xE000:
            return "a text without half a surrogate pair, which is no UTF-8"
        if 0xFDD0 <= n < 0xFDF0 or n & 0xFFFE == 0xFFFE:
            return "a text without the non-character U+%X: Mosquitto closes the connection for it" % n
        if n in _codes(what):
            return "a text without " + "+ # /"[: 2 * len(what) - 1]
        size_b += 1 + (n > 0x7F) + (n > 0x7FF) + (n > 0xFFFF) + (n > 0x10FFFF)
    # MicroPython takes more bytes for UTF-8 than are: too many for a character, or one over the last
    return "" if size_b == len(text.encode()) else "a text in UTF-8"


def _is_whole(text):
    # surrogates have UTF-8 bytes of their own in MicroPython, and raise in CPython
    try:
        return len(text.encode())
    except UnicodeError:
        return len(text)


def _broker(value, least, most):
    entries = value if isinstance(value, (list, tuple)) else (value,)
    if not 0 < len(entries) <= 8:
        return "a text, or a list of 1 to 8"
    for entry in entries:
        if not isinstance(entry, str) or not least <= _is_whole(entry) <= most:
            return "a text of %d to %d bytes, or a list of them" % (least, most)
        if "/" in entry:
            return "a name or an address alone, like 192.168.1.10 or 192.168.1.10:1883, without mqtt:// and /"
        host, _, port = entry.partition(":")
        if ":" in port:
            return "a name or an address of IPv4, with one colon at most, before the port"
        if not host or any(n in _codes(" ,;@") for n in _codes(entry)) or _poison(entry, ""):
            return "a name or an address, without spaces, commas, @ and control characters"
        if ":" in entry and not (_is_decimal(port) and 0 < int(port) < 65536):
            return "a port from 1 to 65535 behind the colon"
        # what has figures alone no port looks up: 192.168.1 would be 192.168.0.1
        if not host.strip("0123456789.") and (not _is_address(host) or host in ("0.0.0.0", "255.255.255.255")):
            return "an address of four numbers from 0 to 255, like 192.168.1.10, or a name"
    return ""


def _wires(value, most):
    like = 'an object like {"sda": 21, "scl": 22, "freq": 100000}'
    if not isinstance(value, dict) or not {"sda", "scl"} <= set(value) <= {"sda", "scl", "freq"}:
        return like
    for key, number in value.items():
        low, high = (10000, 1000000) if key == "freq" else (0, most)
        if _problem(key, number, 0, low, high):
            return "%s, with %s from %d to %d" % (like, key, low, high)
    return "" if value["sda"] != value["scl"] else like + ", on two GPIOs"


def is_closed(pieces) -> bool:
    """Whether in the text of these pieces, of bytes, each bracket has its own end, and none is too deep: MicroPython's
    json takes half a text."""
    ends = b""
    in_text = escaped = False
    for piece in pieces:
        for c in piece:
            if in_text:
                in_text = escaped or c != 34
                escaped = c == 92 and not escaped
            elif c == 34:
                in_text = True
            elif c == 91 or c == 123:
                ends = bytes((c + 2,)) + ends
                if len(ends) > _MOST_NESTED:
                    return False
            elif c == 93 or c == 125:
                if ends[:1] != bytes((c,)):
                    return False
                ends = ends[1:]
    return not ends


def _form(value):
    if "VALUES" not in value:
        return "a text with VALUES in it, in whose place all values are"
    for time in ("1", "null"):  # the clock may not be set yet
        filled = value
        for word, by in (("TIME_MS", time), ("TIME", time), ("SEQ", "1"), ("VALUES", '"a":1')):
            filled = filled.replace(word, by)
        try:
            if not is_closed((filled.encode(),)):
                raise ValueError
            json.loads(filled)
        except ValueError:
            return "JSON once VALUES, SEQ and TIME, which is null while the clock is not set, are filled in"
    return ""


def _is_decimal(text):
    # `isdigit` of CPython takes other digits, which `int` does not
    return text and all(48 <= n < 58 for n in _codes(text))


def _is_address(word):
    numbers = word.split(".")
    # not 010: some read that as 8
    return len(numbers) == 4 and all(_is_decimal(n) and int(n) < 256 and n == str(int(n)) for n in numbers)


def _problem(key, value, default, least, most):
    # what is right, when `value` is not; else ""
    if key == "protocol":
        return "" if value == "auto" or value.__class__ is int and value in (4, 5) else '4, 5 or "auto"'
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, (int, float)):
        fraction = isinstance(least, float)
        ok = isinstance(value, (int, float) if fraction else int) and not isinstance(value, bool)
        if ok and least <= value <= most:
            return ""
        return "%s from %s to %s" % ("a number" if fraction else "a whole number", least, most)
    if isinstance(default, list):
        if isinstance(value, (list, tuple)) and least <= len(value) <= most and all(isinstance(v, dict) for v in value):
            return ""
        return 'a list of 1 to 16 like {"type": "dht22", "name": "room", "pin": 4}'
    if isinstance(default, dict):
        return _wires(value, most)
    if key == "broker":
        return _broker(value, least, most)
    if not isinstance(value, str) or not least <= _is_whole(value) <= most:
        return "a text of %d to %d bytes" % (least, most)
    if key == "wifi_address" and value:
        words = value.split()
        if len(words) != 4 or not all(_is_address(word) for word in words):
            return "four addresses, as 192.168.1.50 255.255.255.0 192.168.1.1 192.168.1.1"
    if key == "wifi_country" and value and not (len(value) == 2 and value.isalpha()):
        return "two letters, as DE"
    if key == "wifi_power_save" and value not in ("", "none", "performance", "powersave"):
        return '"none", "performance", "powersave" or ""'
    if key == "payload" and value not in ("reading", "json"):
        return '"reading" or "json"'
    if key == "json":
        return _form(value)
    if key == "json_topic":
        return _poison(value, "+#")
    if key == "keep_in" and value not in ("ram", "rtc", "flash"):
        return '"ram", "rtc" or "flash"'
    if key in ("wifi_password", "wifi_password_2") and 0 < len(value) < 8:
        return "nothing or 8 to 64 characters, which WPA asks for"
    if key in ("topic", "client_id", "ha_prefix"):
        if value.startswith("$") and key != "client_id":
            return "a text that does not begin with $: that is the broker's own"
        return _poison(value, "+#")
    if key == "ota_key" and 0 < len(value) < 32:
        return "nothing or 32 to 64 characters: make config makes one that nobody can guess"
    if key == "hostname" and value:
        legal = all(48 <= n < 58 or 65 <= n < 91 or 97 <= n < 123 or n == 45 for n in _codes(value))
        return (
            ""
            if legal and not value.startswith("-") and not value.endswith("-")
            else "letters, digits and - between them"
        )
    plain = ("user", "ntp_host", "tls_ca", "tls_cert", "tls_key")
    return _poison(value, "") if key in plain else ""


def _sensors(entries, wrong):
    names = []
    contacts = []  # GPIOs with an interrupt, of which each has one
    for i, entry in enumerate(entries):
        where = "sensors[%d]." % i
        for key in ("type", "name"):
            value = entry.get(key, entry.get("type"))
            needed = "a text without + # /"
            if isinstance(value, str) and value:
                needed = _poison(value, "+#/")
                if not needed and _is_whole(value) > 255:
                    needed = "a text of 1 to 255 bytes"
                if key == "name" and value in _COMMANDS:
                    needed = "another name: the topics of commands begin so"
            if needed:
                found = "%s is %s" % (key, _shown(key, value)) if key in entry else "%s is missing" % key
                wrong.append("%s%s; needed is %s" % (where, found, needed))
                break
            if key == "name":
                if value in names:
                    wrong.append('%sname is "%s" (a second time); needed is a name of its own' % (where, value))
                names.append(value)
        for key, least, most in _TREATMENT:
            value = entry.get(key, least)
            for number in value.values() if isinstance(value, dict) and isinstance(least, float) else (value,):
                needed = _problem(key, number, 0, least, most)
                if needed or key == "scale" and not number:
                    needed = needed or "a number that is not 0"
                    wrong.append("%s%s is %s; needed is %s" % (where, key, _shown(key, value), needed))
                    break
        kind = entry.get("type")
        for types, key, least, most in _OF_DRIVERS:
            if kind in types.split() and key in entry:
                needed = _problem(key, entry[key], 0, least, most)
                if needed:
                    wrong.append("%s%s is %s; needed is %s" % (where, key, _shown(key, entry[key]), needed))
        for key in ("quantity", "unit") if kind in ("binary", "pulse") else ():
            value = entry.get(key, "")
            needed = "a text" if not isinstance(value, str) else _poison(value, "+#/" if key == "quantity" else "")
            if not needed and ('"' in value or "\\" in value):
                needed = 'a text without " and \\'
            if needed:
                wrong.append("%s%s is %s; needed is %s" % (where, key, _shown(key, value), needed))
        if kind in ("binary", "pulse") and "pin" in entry:
            if entry["pin"] in contacts:
                wrong.append("%spin is %s (a second time); needed is a pin of its own" % (where, entry["pin"]))
            contacts.append(entry["pin"])
        low, high = entry.get("min"), entry.get("max")
        pairs = [(low, high)]
        if isinstance(low, dict) and isinstance(high, dict):
            pairs = [(low[quantity], high[quantity]) for quantity in low if quantity in high]
        for least, most in pairs:
            if isinstance(least, (int, float)) and isinstance(most, (int, float)) and least > most:
                wrong.append("%smin is over max; needed is the other way round: no reading would be within" % where)
        if "median" in entry and "mean" in entry:
            wrong.append("%smedian and mean are given; needed is one of them" % where)


def _completed(got):
    if any(got[key] for key in ("wifi_ssid_2", "wifi_address", "wifi_country", "wifi_tx_dbm", "wifi_power_save")):
        got["radio"] = True  # no board loads what is not asked for
    # each sensor is given nothing but its own entry
    wires = dict(got["i2c"])  # one object for all, which holds the bus once it is open
    sensors = []
    for entry in got["sensors"]:
        entry = dict(entry)
        if wires:
            entry.setdefault("i2c", wires)
        treatment = {key: entry[key] for key, _, _ in _TREATMENT if key in entry}
        if treatment:
            entry["treatment"] = treatment
            treatment["name"] = entry.get("name", entry["type"])
            if got["deep_sleep"] and ("delta" in treatment or "send_every_s" in treatment):
                treatment["kept"] = got["kept"] = True  # RTC memory is shared with the queue
        if got["deep_sleep"]:
            entry["asleep_s"] = int(got["interval_s"])  # so old may be the answer of a chip that was not asked since
        if entry["type"] == "pulse":
            got["kept"] = True
        sensors.append(entry)
    got["sensors"] = sensors


def paired(x):
    """x of JSON, its texts whole. Raises ValueError for a key that is no text, which MicroPython's parser takes."""
    # JSON may write a character over U+FFFF as two surrogates, which MicroPython's parser leaves as they are
    if isinstance(x, dict):
        if not all(isinstance(k, str) for k in x):
            raise ValueError
        return {paired(k): paired(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [paired(v) for v in x]
    if not isinstance(x, str) or not any(0xD800 <= n < 0xDC00 for n in _codes(x)):
        return x
    out = ""
    high = 0
    for i in range(len(x)):
        c = x[i : i + 1]
        n = ord(c)
        if high and 0xDC00 <= n < 0xE000:
            out = out[:-1] + chr(0x10000 + (high - 0xD800 << 10) + n - 0xDC00)
            high = 0
            continue
        high = n if 0xD800 <= n < 0xDC00 else 0
        out += c
    return out


def _together(got, wrong):
    # what only goes together, or not at all
    if got["password"] and not got["user"]:
        wrong.append("password is given but user is not; needed are both, or neither")
    for key in ("tls_ca", "tls_cert", "tls_key", "tls_insecure"):
        if got[key] and got["tls"] is False:
            wrong.append("%s is given but tls is false; needed is true, or no %s" % (key, key))
    if got["tls"] is True and not got["tls_ca"] and not got["tls_insecure"]:
        wrong.append(
            "tls is true and tls_ca is missing: anybody could pose as the broker; needed is the CA's file, or"
            " tls_insecure: true"
        )
    if got["ota_key"] and not got["commands"]:
        wrong.append("ota_key is given but commands is false; needed is true: an update comes as a command")
    if got["tls_ca"] and got["tls_insecure"]:
        wrong.append("tls_insecure is true and tls_ca is given; needed is one of them")
    if bool(got["tls_cert"]) != bool(got["tls_key"]):
        wrong.append("tls_cert and tls_key; needed are both, or neither")
    if got["wifi_password_2"] and not got["wifi_ssid_2"]:
        wrong.append("wifi_password_2 is given but wifi_ssid_2 is not; needed are both, or neither")
    if not wrong:
        own = "%s/%s/" % (got["topic"], got["client_id"] or "CLIENT_ID")
        place = got["json_topic"].replace("TOPIC/CLIENT_ID/", own)
        rest = place[len(own) :] if place.startswith(own) else ""
        if rest in ("status", "diag", "log") or rest.split("/")[0] in _COMMANDS:
            wrong.append("json_topic is %s; needed is another one: the board has that for itself" % place)
    if got["payload"] == "json" and got["ha_prefix"]:
        wrong.append(
            'payload is "json" and ha_prefix is given, which wants a topic for each quantity; needed is one of them'
        )
    if got["ha_device"] and not got["ha_prefix"]:
        wrong.append("ha_device is given but ha_prefix is not; needed are both, or neither")
    if got["deep_sleep"] and got["keep_in"] == "ram":
        wrong.append('deep_sleep is true and keep_in "ram", which does not survive it; needed is "rtc" or "flash"')
    if not wrong and got["watchdog_s"]:
        # what may pass between two steps that feed it: three answers of the broker, and name look-ups
        step_s = 3 * got["timeout_s"] + 60
        if got["deep_sleep"]:
            step_s = max(step_s, got["awake_ms"] // 1000 + 30)
        # each sample of the slowest sensor takes 4 s when it does not answer
        samples = max([entry.get("median") or entry.get("mean") or 1 for entry in got["sensors"]])
        step_s = max(step_s, 5 * samples + 30)
        if got["watchdog_s"] < step_s:
            wrong.append("watchdog_s is %d; with these timeouts needed is 0, or from %d" % (got["watchdog_s"], step_s))


def remarks(got: dict) -> list:
    """What check() takes and the user should know, in words."""
    told = []
    # a link that has died is noticed by an acknowledgement that is late, then by a PINGRESP that does not come
    dead_s = 2 * got["timeout_s"] + got["wifi_timeout_s"]
    rounds = int(dead_s / got["interval_s"]) + 1
    waiting = rounds * len(got["sensors"])
    if got["keep_in"] == "ram" and waiting > got["queue"]:
        told.append(
            "queue is %d: until a dead link is noticed and WiFi is joined again (%d s) %d readings or more are taken,"
            " and the oldest would be dropped; better is a longer queue, interval_s or keep_in flash"
            % (got["queue"], dead_s, waiting)
        )
    if got["keepalive_s"] < 2 * got["timeout_s"]:
        told.append(
            "keepalive_s is %d: the broker gives the board up after %d s, sooner than the board waits for two answers"
            " (timeout_s %d)" % (got["keepalive_s"], got["keepalive_s"] * 3 // 2, got["timeout_s"])
        )
    if got["protocol"] != 4 and sys.platform == "esp8266" and (got["keep_in"] != "ram" or got["ha_prefix"]):
        told.append(
            "protocol is %s: an ESP8266 has no memory for MQTT 5 beside ha_prefix, or keep_in rtc or flash; better is 4"
            % got["protocol"]
        )
    return ["note: " + line for line in told]


def check(given):
    """The whole configuration from the object in config.json: a dict with every key of `_KEYS`, defaults where none
    was given.

    Raises ValueError whose text has one line for each thing that is wrong: the key, what was found, what is needed.
    """
    if not isinstance(given, dict):
        raise ValueError("config.json holds %s; needed is an object: {...}" % _kind(given))
    wrong = []
    got = {}
    for key in given:
        if "|" in key or "\n%s|" % key not in _KEYS:
            wrong.append("%s is not a key; the closest is %s" % (key, closest(key, [row[0] for row in rows()])))
    for key, default, least, most, words in rows():
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
    _together(got, wrong)
    if wrong:
        raise ValueError("\n".join("config.json: " + line for line in wrong))
    _completed(got)
    return got


def numbered(got):
    """The values alone, in the order of `_KEYS` and `_FOUND`; None for what was not found. The shipped form of
    `cfg["qos"]` is its number: neither keys nor their table are on a board's heap, nor defaults that nobody reads."""
    if got["payload"] != "json":
        got["json"] = got["json_topic"] = ""
    return [got.get(row[0]) for row in rows()] + [got.get(name) for name in _FOUND.split()]


def given_in(path: str) -> dict:
    """What the file holds, unchecked. Raises ValueError, also when it is missing or is not JSON."""
    try:
        with open(path, "rb") as f:
            start = len(_BOM) if f.read(len(_BOM)) == _BOM else 0
            f.seek(start)
            if is_closed(f):  # else it may be half a file
                f.seek(start)  # never the whole text at once: a board that obeys `config` has little heap left
                return paired(json.load(f))  # pyright: ignore[reportReturnType] - check() looks
    except OSError:
        raise ValueError("%s is missing: copy config.example.json and fill it in" % path)
    except ValueError:
        pass
    raise ValueError("%s is not JSON in UTF-8; `python3 -m json.tool %s` shows the place" % (path, path))


def read(path: str = FILE, safe: bool = False):
    """check() of the file. safe: keys that this firmware does not know, of an update that was gone back from, are left
    out, and so are the sensors, for the usual one. Raises ValueError."""
    given = given_in(path)
    if safe:
        given = {key: given[key] for key in given if "\n%s|" % key in _KEYS and key != "sensors"}
    return check(given)


def taken(path: str, safe: bool, came_back: bool = False) -> list:
    """[the configuration of a start, remarks() about it] from read(path, safe), as a board has it. Beside the keys it
    has `trials` and `came_back`: the name of the file, when one is on trial now, or was and failed (probation)."""
    got = read(path, safe)
    got["trials"] = () if path == FILE else (FILE,)
    got["came_back"] = (FILE,) if came_back else ()
    return [numbered(got) if _NUMBERED else got, remarks(got)]


def chosen(safe: bool) -> list:
    """taken() of the one that counts now, where another is to be tried, or was. One on trial that is wrong is printed,
    and gone back from. Raises ValueError as read() does."""
    import probation

    del sys.modules[probation.__name__]
    path = probation.choose(FILE)
    if path != FILE:
        try:
            return taken(path, safe, probation.failed(FILE))
        except ValueError as e:
            print(e)  # it was not checked by this firmware
            probation.choose(FILE)
    return taken(FILE, safe, probation.failed(FILE))
