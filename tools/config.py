"""`make config`: ask what the firmware must know, check it as the firmware does, write it to the board.

Exit status: 0 written, 1 something is wrong, in words, and nothing was changed; 2 wrong arguments, no board.
"""

import argparse
import base64
import getpass
import importlib.util
import json
import os
import re
import ssl
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from tools.ports import GONE, ToolError, choose, in_words, parser, repl, run_tool

ROOT = Path(__file__).resolve().parents[1]
SECRETS = ("wifi_password", "password")
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
    ("sensors", "sensors, as TYPE:NAME:PIN (internal dht22:room:4 adc:battery:34)"),
)
CA_NAME = "ca.der"  # on the board
BROKER_TIMEOUT_S = 10


def _firmware_config():
    """firmware/config.py, which knows the keys: it runs on the host as on the board."""
    spec = importlib.util.spec_from_file_location("firmware_config", ROOT / "firmware" / "config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys() -> Dict[str, Any]:
    """Every key of config.json with its default; None where it must be given."""
    return {row[0]: row[1] for row in _firmware_config()._KEYS}


def sensors(text: str) -> List[dict]:
    """Sensors from a JSON list or from words like dht22:room:4. Raises ToolError."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError as e:
            raise ToolError("sensors: this is not JSON: %s" % e) from None
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


def value_of(key: str, text: str, default: Any) -> Any:
    """What a text from the environment or the terminal means for this key. Raises ToolError."""
    if key == "sensors":
        return sensors(text)
    if isinstance(default, bool):
        if text.lower() in ("true", "yes", "y", "1"):
            return True
        if text.lower() in ("false", "no", "n", "0", ""):
            return False
        raise ToolError("%s is true or false" % key)
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
            config = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as e:
            raise ToolError("cannot read %s: %s" % (path, e.strerror), 2) from None
        except ValueError as e:
            raise ToolError("%s is not JSON: %s" % (path, e)) from None
        if not isinstance(config, dict):
            raise ToolError("%s holds no object: {...}" % path)
    for key, default in keys().items():
        text = environment.get("UMQTT_" + key.upper())
        if text is not None:
            config[key] = value_of(key, text, default)
    return config


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
    path = "-"
    if config.get("tls"):
        now = "unchanged" if config.get("tls_ca") else ""
        path = _answer("file with its CA's certificate (empty: the broker is not checked)", now, read_ca)
    if path == "-":
        config.pop("tls_ca", None)
    return read_ca(path) if path not in ("", "-") else None


def _answer(words: str, now: Any, check: Callable[[str], Any], secret: bool = False) -> str:
    """One answer; asked again until check() does not object. "" for Enter alone, "-" for the default."""
    prompt = "%s%s: " % (words, "" if now in (None, "") else " [%s]" % now)
    while True:
        text = getpass.getpass(prompt) if secret else input(prompt).strip()
        try:
            if text not in ("", "-"):
                check(text)
            return text
        except ToolError as e:
            print(e)


def as_words(entries: Any) -> str:
    """Sensors as sensors() takes them."""
    plain = all(set(entry) <= {"type", "name", "pin"} for entry in entries)
    if not plain:
        return json.dumps(entries)
    return " ".join(":".join(str(entry[k]) for k in ("type", "name", "pin") if k in entry) for entry in entries)


def check(config: Dict[str, Any]) -> Dict[str, Any]:
    """The configuration with its defaults. Raises ToolError with a line for each thing that is wrong."""
    try:
        return _firmware_config().check(config)
    except ValueError as e:
        raise ToolError("nothing was written:\n  " + str(e).replace("\n", "\n  ")) from None


def read_ca(path: str) -> bytes:
    """A CA certificate in DER from a PEM or DER file. Raises ToolError."""
    try:
        data = Path(path).read_bytes()
    except OSError as e:
        raise ToolError("cannot read %s: %s" % (path, e.strerror), 2) from None
    found = re.findall(b"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", data, re.S)
    if len(found) > 1:
        raise ToolError("%s holds %d certificates. The board takes one: the CA's alone" % (path, len(found)))
    try:
        der = base64.b64decode(found[0]) if found else data
        ssl.create_default_context(cadata=der)
    except (ValueError, ssl.SSLError):
        raise ToolError("%s is no certificate: neither PEM nor DER" % path) from None
    return der


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
        context = ssl.create_default_context(cadata=ca) if ca else ssl.create_default_context()
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
    os.fchmod(fd, 0o600)  # also when the file was there with other rights
    with os.fdopen(fd, "w", encoding="utf-8") as f:
        json.dump(config, f, indent=1)
    part.rename(path)


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
    try:
        return transport.fs_readfile("/" + name) if name else None
    except OSError:
        raise ToolError("tls_ca is %s, but that file is not on the board: give it with --ca" % name) from None


def check_for(port_name: str, config: Dict[str, Any]) -> None:
    """What this board cannot do. `port_name`: its sys.platform. Raises ToolError."""
    if port_name != "esp8266":
        return
    wrong = []
    if config.get("tls_ca"):
        wrong.append("tls_ca is given; needed is none on an ESP8266, whose TLS (axTLS) checks no certificate")
    if wrong:
        raise ToolError("nothing was written:\n  config.json: " + "\n  config.json: ".join(wrong))


def shown(config: Dict[str, Any]) -> List[str]:
    """The configuration for a terminal, secrets left out."""
    lines = []
    for key, value in config.items():
        if key in SECRETS:
            value = "(%d characters)" % len(value) if value else "(none)"
        lines.append("  %-14s %s" % (key, as_words(value) if key == "sensors" else value))
    return lines


def collect(a: argparse.Namespace, before: Dict[str, Any]) -> Tuple[Dict[str, Any], Optional[bytes]]:
    """The checked configuration and the CA's certificate. Raises ToolError."""
    config = {**before, **given(a.file, dict(os.environ))}
    ca = read_ca(a.ca) if a.ca else None
    if ca:
        config["tls"], config["tls_ca"] = True, CA_NAME
    asks = sys.stdin.isatty() and not a.file and not a.no_questions
    while True:
        if asks:
            ca = ask(config) or ca
            if ca:
                config["tls_ca"] = CA_NAME
        try:
            check(config)
            return config, ca
        except ToolError as e:
            if not asks or not any(key in str(e) for key, _ in ASKED):
                raise
            print("%s\nOnce more:" % e)


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
    a = p.parse_args(argv)

    if a.output:
        config, ca = collect(a, {})
        if a.test_broker:
            try_broker(check(config), ca)
        write_to_file(Path(a.output), config)
        if ca:
            Path(a.output).with_name(config["tls_ca"]).write_bytes(ca)
        print("\n".join(shown(config)))
        return 0
    port = choose(a.port)
    try:
        with repl(port) as transport:
            config, ca = collect(a, read_from_board(transport))
            check_for(transport.eval("__import__('sys').platform"), config)
            if a.test_broker:
                try_broker(check(config), ca or ca_on_board(transport, config))
            write_to_board(transport, config, ca)
    except (TransportError, *GONE) as e:
        raise ToolError(in_words(port, e)) from None
    print("\n".join(shown(config)))
    print("config.json is on the board. Next: make deploy")
    return 0


if __name__ == "__main__":
    run_tool("config", main)
