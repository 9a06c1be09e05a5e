"""`make config`: ask what the firmware must know, check it as the firmware does, write it to the board.

Exit status: 0 written, and not refused by the firmware that is on the board; 1 something is wrong, in words; 2 wrong
arguments, no board. The board's program goes on in each case.
"""

import argparse
import base64
import getpass
import importlib.util
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

from mpremote.transport_serial import SerialTransport

from tools.device.deploy import Found, check_version
from tools.device.drivers import types
from tools.device.ota_keys import ANY_ID, KEYS, NEW, make_key, note_key
from tools.device.serial_port import (
    LOST,
    WAIT_S,
    ToolError,
    Transport,
    add_wait,
    choose,
    in_words,
    parser,
    repl,
    run_tool,
)
from tools.printable import let_any_text_out, printable

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = json.loads((ROOT / "firmware" / "config.example.json").read_text(encoding="utf-8"))
START_S = 8.0  # by then a board has read its configuration, or has ended because of it
# What the firmware says once it has taken its configuration.
TAKEN = ("wifi:", "broker:", "sensor ", "clock:", "wake ", "storage:", "stop button")
SECRETS = ("wifi_password", "wifi_password_2", "password", "ota_key")
ASKED = (
    ("wifi_ssid", "WiFi network"),
    ("wifi_password", "its password (empty: open network)"),
    ("broker", "MQTT broker, name or address"),
    ("port", "its port (0: 1883, with TLS 8883)"),
    ("user", "user name for the broker (empty: none)"),
    ("password", "password for the broker"),
    ("tls", "TLS to the broker (true or false)"),
    ("topic", "first part of the topics"),
    ("interval_s", "seconds between readings"),
    ("sensors", "sensors, as TYPE:NAME:PIN (internal dht22:room:4 sht4x:cellar)"),
)
# What the firmware takes for its client id where none is given.
_ID = """
import machine
print("umqtt-" + "".join("%02x" % b for b in machine.unique_id()))
"""
CA_NAME = "ca.der"  # on the board
BROKER_TIMEOUT_S = 10


def _firmware_config():
    """firmware/config_check.py, which knows the keys: it runs on the host as on the board."""
    spec = importlib.util.spec_from_file_location("firmware_config", ROOT / "firmware" / "config_check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys() -> Dict[str, Any]:
    """Every key of config.json with its default; None where it must be given."""
    return {row[0]: row[1] for row in _firmware_config().rows()}


def without_secrets(value: Any) -> Any:
    """A value of config.json without what is secret by its name, as the firmware shows it."""
    return _firmware_config().without_secrets(value)


def sensors(text: str) -> List[dict]:
    """Sensors from a JSON list or from words like dht22:room:4. Raises ToolError."""
    if text.lstrip().startswith("["):
        return json_list("sensors", text)
    found = []
    for word in text.split():
        kind, _, rest = word.partition(":")
        name, _, pin = rest.partition(":")
        entry: Dict[str, Any] = {"type": kind}
        if name:
            entry["name"] = name
        if pin:
            if not pin.isdigit():
                raise ToolError("sensors: %s: the pin is a number, as in %s:%s:4" % (word, kind, name))
            entry["pin"] = int(pin)
        found.append(entry)
    return found


def json_list(key: str, text: str) -> list:
    """A list in JSON. Raises ToolError."""
    try:
        found = json.loads(text)
    except ValueError as e:
        raise ToolError("%s: this is not JSON: %s" % (key, e)) from None
    return found


def wires(text: str) -> Dict[str, int]:
    """The I2C bus from 21:22, SDA first, or from JSON. Raises ToolError."""
    sda, _, scl = text.partition(":")
    if sda.isdigit() and scl.isdigit():
        return {"sda": int(sda), "scl": int(scl)}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ToolError("i2c is SDA:SCL, two GPIOs, as 21:22")
    return found


def value_of(key: str, text: str, default: Any) -> Any:
    """What a text from the environment or the terminal means for this key. Raises ToolError."""
    if key == "broker" and (text.startswith("[") or "," in text):
        return json_list(key, text) if text.startswith("[") else text.replace(",", " ").split()
    if key == "sensors":
        return sensors(text)
    if key == "i2c":
        return wires(text)
    if isinstance(default, bool):
        if text.lower() in ("true", "yes", "y", "1"):
            return True
        if text.lower() in ("false", "no", "n", "0", ""):
            return False
        raise ToolError("%s is true or false" % key)
    if key == "protocol" and text == "auto":
        return text
    if isinstance(default, (int, float)):
        try:
            return int(text)
        except ValueError:
            pass
        try:
            return float(text)
        except ValueError:
            raise ToolError("%s is a number, not %r" % (key, text)) from None
    return text


def given(path: str, environment: Dict[str, str]) -> Dict[str, Any]:
    """What a file and the environment (UMQTT_WIFI_SSID, ...) say; the environment wins. Raises ToolError."""
    config: Dict[str, Any] = {}
    if path:
        try:
            # bytes: json knows UTF-16 and the mark before UTF-8, which editors of Windows write
            config = json.loads(Path(path).read_bytes(), object_pairs_hook=each_once)
        except OSError as e:
            raise ToolError("cannot read %s: %s" % (path, e.strerror), 2) from None
        except UnicodeDecodeError as e:
            raise ToolError("%s is not UTF-8, in which JSON is written: %s" % (path, e)) from None
        except (ValueError, RecursionError) as e:
            raise ToolError("%s is not JSON: %s" % (path, e)) from None
        if not isinstance(config, dict):
            raise ToolError("%s holds no object: {...}" % path)
    for key, default in keys().items():
        text = environment.get("UMQTT_" + key.upper())
        if text is not None:
            config[key] = value_of(key, text, default)
    return config


def each_once(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    """An object of JSON. Raises ValueError for a key that stands in it twice: json would take the last one."""
    found: Dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError('the key "%s" stands there twice' % key)
        found[key] = value
    return found


def ask(config: Dict[str, Any]) -> Optional[bytes]:
    """Ask at the terminal, a wrong answer again; the CA's certificate, when one was named. Secrets are not shown.

    Raises EOFError.
    """
    print("Enter keeps what stands in brackets, - puts back the default.")
    defaults = keys()
    for key, words in ASKED:
        now = config.get(key, defaults[key])
        shown = as_words(now) if key == "sensors" else "unchanged" if key in SECRETS and now else now
        text = _answer(words, shown, lambda text, key=key: value_of(key, text, defaults[key]), key in SECRETS)
        if text == "-":
            config.pop(key, None)
        elif text:
            config[key] = value_of(key, text, defaults[key])
    if any(on_i2c(entry) for entry in config.get("sensors", ())):
        now = config.get("i2c")
        text = _answer("I2C bus, as SDA:SCL (21:22)", "%d:%d" % (now["sda"], now["scl"]) if now else "", wires)
        if text not in ("", "-"):
            config["i2c"] = wires(text)
    over_the_air = _answer("updates over the air (yes or no)", "yes" if config.get("ota_key") else "no", yes_or_no)
    if over_the_air == "-" or over_the_air and not yes_or_no(over_the_air):
        config.pop("ota_key", None)
    elif over_the_air and not config.get("ota_key"):
        config["ota_key"] = NEW
    path = "-"
    if config.get("tls"):
        now = "unchanged" if config.get("tls_ca") else ""
        path = _answer("file with its CA's certificate (empty: the broker is not checked)", now, read_ca)
    if path == "-":
        config.pop("tls_ca", None)
    config.pop("tls_insecure", None)
    if config.get("tls") and path in ("", "-") and not config.get("tls_ca"):
        config["tls_insecure"] = True  # as was answered
    return read_ca(path) if path not in ("", "-") else None


def on_i2c(entry: dict) -> bool:
    """Whether the driver of a sensor says that its chip is on I2C."""
    path = types(os.environ.get("SENSORS", "")).get(entry.get("type", ""))
    return path is not None and " on I2C" in path.read_text(encoding="utf-8")


def _answer(words: str, now: Any, check: Callable[[str], Any], secret: bool = False) -> str:
    """One answer; asked again until check() does not object. "" for Enter alone, "-" for the default."""
    prompt = "%s%s: " % (words, "" if now in (None, "") else " [%s]" % printable(str(now)))
    while True:
        text = getpass.getpass(prompt) if secret else input(prompt).strip()
        try:
            if text not in ("", "-"):
                check(text)
            return text
        except ToolError as e:
            print(printable(str(e)))


def yes_or_no(text: str) -> bool:
    """What an answer means. Raises ToolError."""
    return value_of("the answer", text, False)


def with_key(config: Dict[str, Any]) -> Dict[str, Any]:
    """A key is made where one is asked for (ota_key: "new"); updates come as commands."""
    if config.get("ota_key") == NEW:
        config.update(ota_key=make_key(), commands=True)
    return config


def as_words(entries: Any) -> str:
    """Sensors as sensors() takes them."""
    plain = all(set(entry) <= {"type", "name", "pin"} for entry in entries)
    if not plain:
        return json.dumps(entries)
    return " ".join(":".join(str(entry[k]) for k in ("type", "name", "pin") if k in entry) for entry in entries)


def chip_of(found: Found) -> str:
    """Which chip the board has: esp8266, esp32, esp32s3 ...; "" for an ESP32 that does not say which one it is."""
    named = re.search(r"with (esp8266|esp32(?:-?[schp]\d)?)", found.machine.lower())
    return named[1].replace("-", "") if named else "" if found.port_name == "esp32" else found.port_name


def check(config: Dict[str, Any], chip: str = "") -> Dict[str, Any]:
    """The configuration with its defaults. `chip`: as chip_of() has it. Raises ToolError with a line for each
    thing that the firmware would refuse."""
    wrong = ['config.json: %s is "%s", as in the example; needed is your own network\'s' % (key, EXAMPLE[key])
             for key in ("wifi_ssid", "wifi_password") if config.get(key) == EXAMPLE[key]]  # fmt: skip
    checked: Dict[str, Any] = {}
    try:
        checked = _firmware_config().check(config)
        asked = subprocess.run([sys.executable, "-m", "tools.device.sensor_check", chip], cwd=ROOT, text=True,
                               input=json.dumps(checked), stdout=subprocess.PIPE, check=True)  # fmt: skip
        wrong += ["config.json: " + line for line in asked.stdout.splitlines()]
    except ValueError as e:
        wrong += str(e).splitlines()
    if chip == "esp8266" and config.get("tls_ca"):
        wrong.append("config.json: tls_ca is given; needed is none on an ESP8266, whose TLS (axTLS) checks no"
                     " certificate")  # fmt: skip
    if wrong:
        raise ToolError("nothing was written:\n  " + "\n  ".join(wrong))
    return checked


def read_ca(path: str) -> bytes:
    """The CA's certificate as the board gets it, from a PEM or DER file. Raises ToolError."""
    try:
        data = Path(path).read_bytes()
    except OSError as e:
        raise ToolError("cannot read %s: %s" % (path, e.strerror), 2) from None
    return der(data, path)


def der(data: bytes, path: str) -> bytes:
    """The certificate in `data` in DER, for it is smaller; several, of a chain, as PEM. Raises ToolError, which calls
    the data `path`."""
    found = re.findall(b"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", data, re.S)
    try:
        each = [base64.b64decode(text) for text in found] or [data]
        for one in each:
            ssl.create_default_context(cadata=one)
    except (ValueError, ssl.SSLError):
        raise ToolError("%s is no certificate: neither PEM nor DER" % path) from None
    return each[0] if len(each) == 1 else "".join(ssl.DER_cert_to_PEM_cert(one) for one in each).encode()


def trusting(ca: Optional[bytes]) -> ssl.SSLContext:
    """A context for what der() has made of the CA's file."""
    if not ca:
        return ssl.create_default_context()
    return ssl.create_default_context(cadata=ca.decode() if ca.startswith(b"-----") else ca)


def why_no_tls(e: OSError, where: str) -> str:
    """What is wrong with the broker's certificate, or that there is no TLS."""
    said = getattr(e, "verify_message", "") or str(e)
    if "mismatch" in said:
        return "the certificate of the broker at %s is for another name (%s): `broker` must be the name in it" % (
            where, said.rstrip("."))  # fmt: skip
    if "expired" in said:
        return "the certificate of the broker at %s has expired" % where
    if "not yet valid" in said:
        return "the certificate of the broker at %s is not valid yet; is this computer's clock right?" % where
    no_tls = any(words in said for words in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF", "record layer"))
    if no_tls or isinstance(e, ConnectionResetError):  # Mosquitto resets what is no MQTT
        return "the broker at %s does not speak TLS on this port (with TLS it is 8883 as a rule)" % where
    if isinstance(e, ssl.SSLCertVerificationError):
        return "the certificate of the broker at %s is signed by another CA than the one in --ca (%s)" % (where, said)
    return "no TLS with the broker at %s: %s" % (where, said)


def try_brokers(config: Dict[str, Any], ca: Optional[bytes]) -> None:
    """try_broker() with each of the list. Raises ToolError when none of them lets us in."""
    places = config["broker"] if isinstance(config["broker"], list) else [config["broker"]]
    wrong = []
    for place in places:
        server, _, port = place.partition(":")
        try:
            try_broker({**config, "broker": server, "port": int(port or config["port"])}, ca)
        except ToolError as e:
            wrong.append(str(e))
    if len(wrong) == len(places):
        raise ToolError("\n".join(wrong))
    for line in wrong:
        print(printable("note: " + line))


def try_broker(config: Dict[str, Any], ca: Optional[bytes]) -> None:
    """Log in to the broker from this computer as the board will. Raises ToolError in words."""
    import paho.mqtt.client as paho

    answered, answer = threading.Event(), []

    def connected(client, userdata, flags, reason, properties):
        answer.append(reason)
        answered.set()

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="", protocol=paho.MQTTv311)
    client.on_connect = connected
    client.on_disconnect = lambda *_: answered.set()  # before an answer: what listens there is no MQTT
    if config["user"]:
        client.username_pw_set(config["user"], config["password"])
    port = config["port"] or (8883 if config["tls"] else 1883)
    where = "%s port %d" % (config["broker"], port)
    if config["tls"]:
        context = trusting(ca)
        if not ca:  # as the board does without tls_ca
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            print("note: without --ca nobody checks that the broker is the right one, the board neither")
        client.tls_set_context(context)
    client.connect_timeout = BROKER_TIMEOUT_S
    try:
        client.connect(config["broker"], port, 30)
    except OSError as e:
        if config["tls"] and isinstance(e, (ssl.SSLError, ConnectionResetError)):
            raise ToolError(why_no_tls(e, where)) from None
        raise ToolError("no connection to the broker at %s: %s" % (where, e)) from None
    client.loop_start()
    try:
        if not answered.wait(BROKER_TIMEOUT_S) or not answer:
            raise ToolError("the broker at %s does not answer as MQTT does%s" % (
                where, "" if config["tls"] else "; is this its port for TLS?"))  # fmt: skip
        if answer[0].is_failure:
            raise ToolError("the broker at %s refuses: %s" % (where, answer[0]))
    finally:
        client.disconnect()
        client.loop_stop()
    print("the broker at %s lets us in" % where)


def write_to_board(transport: SerialTransport, config: Dict[str, Any], ca: Optional[bytes]) -> None:
    """config.json and the certificate, each whole or not at all. Raises TransportError, OSError."""
    files = {"/config.json": (json.dumps(config, indent=1) + "\n").encode()}
    if ca:
        files["/" + config["tls_ca"]] = ca
    for path, data in files.items():
        try:
            transport.fs_writefile(path + ".new", data, 512)
        except OSError:  # full: half of it would take the room that is left
            transport.fs_rmfile(path + ".new")
            raise
        transport.exec("import os\nos.rename(%r, %r)" % (path + ".new", path))


def write_to_file(path: Path, config: Dict[str, Any]) -> None:
    """For `make image`: readable by its owner only."""
    part = path.with_name(path.name + ".new")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.chmod(part, 0o600)  # also when the file was there with other rights
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        json.dump(config, f, indent=1)
    part.replace(path)


def read_from_board(transport: SerialTransport) -> Dict[str, Any]:
    """What is configured there already; nothing when there is none that can be read."""
    try:
        old = json.loads(transport.fs_readfile("/config.json"))
        return old if isinstance(old, dict) else {}
    except (OSError, ValueError):
        return {}


def ca_on_board(transport: SerialTransport, config: Dict[str, Any]) -> Optional[bytes]:
    """The certificate that an earlier run wrote there; None when the configuration names none. Raises ToolError."""
    name = config.get("tls_ca")
    if not name:
        return None
    try:
        found = transport.fs_readfile("/" + name.lstrip("/"))
    except OSError:
        raise ToolError("tls_ca is %s, but that file is not on the board: give it with --ca" % name) from None
    return der(found, "tls_ca: the file %s on the board" % name)


def watch_start(transport: Transport) -> None:
    """Start the board's program and see whether it takes its configuration. Raises ToolError when it refuses."""
    transport.leave()
    end = time.monotonic() + START_S
    text, refused = b"", []
    while time.monotonic() < end:
        data = transport.serial.read(transport.serial.in_waiting)
        if not data:
            time.sleep(0.02)
            continue
        text += data
        *lines, text = text.split(b"\n")
        for line in (printable(raw.decode("utf-8", "replace").strip()) for raw in lines):
            if line.startswith("config.json"):
                refused.append(line)
            if line.startswith(TAKEN):
                return
        if text.endswith(b">>> "):  # the program has ended, or there is none
            break
    if refused:
        raise ToolError(
            "config.json is on the board, but the firmware there refuses it:\n  %s\nThe firmware of this clone takes"
            " it: `make deploy` puts that there" % "\n  ".join(refused)
        )


def keep_key(config: Dict[str, Any], client_id: str) -> None:
    """Note the board's ota_key on this computer, for `make ota`. Raises ToolError, OSError."""
    if config.get("ota_key"):
        name = "%s/%s" % (config.get("topic") or keys()["topic"], client_id)
        note_key(name, config["ota_key"])
        print(printable("the key for updates of %s is in %s: keep a copy of that file" % (name, KEYS)))


def shown(config: Dict[str, Any]) -> List[str]:
    """The configuration for a terminal, secrets left out."""
    lines = []
    for key, value in config.items():
        if key in SECRETS:
            value = "(%d characters)" % len(value) if value else "(none)"
        lines.append("  %-14s %s" % (key, as_words(without_secrets(value)) if key == "sensors" else value))
    return lines


def collect(a: argparse.Namespace, before: Dict[str, Any], chip: str) -> Tuple[Dict[str, Any], Optional[bytes]]:
    """The checked configuration and the CA's certificate. Raises ToolError."""
    config = {**before, **given(a.file, dict(os.environ))}
    ca = read_ca(a.ca) if a.ca else None
    if ca:
        config["tls"], config["tls_ca"] = True, CA_NAME
        config.pop("tls_insecure", None)
    while True:
        if asks(a):
            ca = ask(config) or ca
            if ca:
                config["tls_ca"] = CA_NAME
        with_key(config)
        try:
            check(config, chip)
            return config, ca
        except ToolError as e:
            if not asks(a) or not any(key in str(e) for key, _ in ASKED):
                raise
            print(printable("%s\nOnce more:" % e))


def asks(a: argparse.Namespace) -> bool:
    """Whether questions are asked."""
    return sys.stdin.isatty() and not a.file and not a.no_questions


def main(argv: Optional[List[str]] = None) -> int:
    p = parser(
        "config",
        "Write config.json to the board: WiFi, broker, sensors. Asks at a terminal; scripts give --file or"
        " environment variables named UMQTT_ and the key (UMQTT_WIFI_SSID, UMQTT_PASSWORD, UMQTT_SENSORS ...), which"
        " keeps passwords out of the list of processes. What is on the board already stays where nothing new is given.",
        "PORT",
    )
    p.add_argument("--file", default="", help="JSON with any of the keys; see firmware/config.example.json")
    p.add_argument("--ca", default="", help="certificate of the CA that signed the broker's (PEM or DER); turns TLS on")
    p.add_argument("--output", default="", metavar="FILE",
                   help="write to this file (mode 600) instead of to a board, for `make image`")  # fmt: skip
    p.add_argument("--test-broker", action="store_true", help="log in to the broker from this computer first")
    p.add_argument("--no-questions", action="store_true", help="do not ask, also at a terminal")
    add_wait(p)
    a = p.parse_args(argv)
    let_any_text_out()
    if a.output:
        to_file(a)
        return 0
    port = choose(a.port, a.wait)
    try:
        with repl(port, wait_s=a.wait) as transport:
            found = Found(transport)
            check_version(found)
            before = read_from_board(transport)
            if not asks(a):
                config, ca = collect(a, before, chip_of(found))
                to_board(a, transport, config, ca, chip_of(found))
        if asks(a):  # while they are answered the program runs: its watchdog would reset the board
            config, ca = collect(a, before, chip_of(found))
            sleeps_s = 2 * float(before.get("interval_s", 60)) if before.get("deep_sleep") else 0
            with repl(port, wait_s=max(WAIT_S, sleeps_s) if a.wait is None else a.wait) as transport:
                to_board(a, transport, config, ca, chip_of(found))
    except LOST as e:
        raise ToolError(in_words(port, e)) from None
    print("config.json is on the board. Next: make deploy")
    return 0


def to_file(a: argparse.Namespace) -> None:
    """--output. Raises ToolError."""
    path = Path(a.output)
    config, ca = collect(a, {}, "")
    if config.get("tls_ca") and not ca:
        ca = read_ca(str(path.with_name(config["tls_ca"])))
    if a.test_broker:
        try_brokers(check(config), ca)
    try:
        write_to_file(path, config)
        if ca:
            path.with_name(config["tls_ca"]).write_bytes(ca)
    except OSError as e:
        raise ToolError("cannot write %s: %s" % (path, e.strerror), 2) from None
    keep_key(config, config.get("client_id") or ANY_ID)
    print(printable("\n".join(shown(config))))


def to_board(
    a: argparse.Namespace, transport: Transport, config: Dict[str, Any], ca: Optional[bytes], chip: str
) -> None:
    """Write it, and see whether the firmware there takes it. Raises ToolError."""
    on_board = ca or ca_on_board(transport, config)
    if a.test_broker:
        try_brokers(check(config, chip), on_board)
    write_to_board(transport, config, ca)
    keep_key(config, config.get("client_id") or transport.exec(_ID).decode().strip())
    print(printable("\n".join(shown(config))), flush=True)
    if any(transport.fs_exists(folder + "/app.mpy") for folder in ("", "/rom")):
        watch_start(transport)


if __name__ == "__main__":
    run_tool("config", main)
