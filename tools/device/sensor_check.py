"""Whether the sensors of a configuration can be what they are said to be, and whether a driver keeps the contract:

    python -m tools.device.sensor_check CHIP <config.json       CHIP: esp8266, esp32, esp32s3 ..; "" any
    python -m tools.device.sensor_check CHIP --contract

SENSORS in the environment names drivers of the user's own. Makes each sensor as the board does, on stand-ins for the
board's modules, in this process of its own. Prints a line for each thing that is wrong, with what to write instead.

A driver says which keys it takes in `_KEYS = const(((key, allowed, default, words), ...))`, of which nothing goes onto
the board: a const() with an underscore is written where it is used, and nowhere else. default None: it must be given.
allowed: "gpio", "gpio_in", "adc"; (least, most) of a number, a fraction where they are; the choices, a tuple of texts
or of more than two numbers; "bool"; "text"; "list a b", a list of some of these words. A driver without _KEYS is
checked by what its constructor raises.
"""

import difflib
import gc
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Tuple

from tools.device.drivers import ROOT, added, types

# GPIOs that a chip can use so; which of them a board has led out nobody but its maker knows. Left out are those that it
# does not have and those of its flash. "": an ESP32 of which it is not known which one. Source: the data sheets.
ANY = "ESP32"
ESP8266_IO = [*range(6), 12, 13, 14, 15]  # 16 has no interrupt and no open drain
ESP32_IO = [*range(6), *range(12, 20), 21, 22, 23, 25, 26, 27, 32, 33]
S2_S3_IO = [*range(22), *range(33, 49)]
PINS = {
    "": {"gpio": [*range(49)], "gpio_in": [*range(49)], "adc": [*range(21), 25, 26, 27, *range(32, 40)]},
    "esp8266": {"gpio": ESP8266_IO, "gpio_in": ESP8266_IO, "adc": [0]},
    "esp32": {
        "gpio": ESP32_IO, "gpio_in": [*ESP32_IO, *range(34, 40)],
        "adc": [0, 2, 4, 12, 13, 14, 15, 25, 26, 27, *range(32, 40)],
    },
    "esp32s2": {"gpio": S2_S3_IO, "gpio_in": S2_S3_IO, "adc": [*range(1, 21)]},
    "esp32s3": {"gpio": S2_S3_IO, "gpio_in": S2_S3_IO, "adc": [*range(1, 21)]},
    "esp32c3": {"gpio": [*range(12), *range(18, 22)], "gpio_in": [*range(12), *range(18, 22)], "adc": [*range(6)]},
}  # fmt: skip
WITHOUT_RESISTORS = {"esp32": range(34, 40)}
COMMON = ("type", "name", "i2c", "offset", "scale", "min", "max", "median", "mean", "delta", "send_every_s")
PASSED_ON = ("treatment", "asleep_s")  # config_check.check() adds it


def closest(word: str, words: Any) -> str:
    """The one of `words` that is nearest to a mistaken one."""
    return difflib.get_close_matches(word, list(words), 1, 0)[0]


def load(kind: str, path: Path) -> ModuleType:
    """A driver as the board imports it. Raises what it raises."""
    spec = importlib.util.spec_from_file_location("sensors." + kind, path)
    module = importlib.util.module_from_spec(spec)  # pyright: ignore[reportArgumentType]
    sys.modules["sensors." + kind] = module
    spec.loader.exec_module(module)  # pyright: ignore[reportOptionalMemberAccess]
    return module


def needed(allowed: Any, value: Any, chip: str) -> str:
    """What is right, when `value` is not; else ""."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if allowed == "bool":
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(allowed, str) and allowed.startswith("list "):
        choices = allowed.split()[1:]
        right = isinstance(value, list) and all(isinstance(word, str) and word in choices for word in value)
        return "" if right else "a list of some of %s" % ", ".join(choices)
    if allowed == "text":
        return "" if isinstance(value, str) and value else "a text"
    if isinstance(allowed, str):
        pins = PINS[chip][allowed]
        if number and value in pins:
            return ""
        return "a GPIO that an %s can use so: %s" % (chip.upper() or ANY, ranges(pins))
    if len(allowed) == 2 and not isinstance(allowed[0], str):
        fraction = isinstance(allowed[0], float)
        if number and (fraction or isinstance(value, int)) and allowed[0] <= value <= allowed[1]:
            return ""
        return "a %s from %s to %s" % ("number" if fraction else "whole number", *allowed)
    if value in allowed or isinstance(allowed[0], str) and str(value).lower() in allowed:
        return ""
    if isinstance(allowed[0], str) and isinstance(value, int) and hex(value) in allowed:
        return ""
    return "one of " + ", ".join(json.dumps(choice) for choice in allowed)


def ranges(numbers: List[int]) -> str:
    """[0, 1, 2, 5] as "0 to 2, 5"."""
    runs: List[List[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else "%d to %d" % (first, last) for first, last in runs)


def of_keys(conf: Dict[str, Any], keys: Any, chip: str) -> List[str]:
    """What is wrong with the keys of one entry."""
    known = {row[0] for row in keys} | set(COMMON)
    wrong = [
        "%s is not a key of it; the closest is %s" % (key, closest(key, known))
        for key in conf
        if key not in known and key not in PASSED_ON
    ]
    for key, allowed, default, words in keys:
        if key not in conf:
            if default is None:
                wrong.append("%s is missing; needed is the %s" % (key, words))
        elif needed(allowed, conf[key], chip):
            wrong.append("%s is %s; needed is %s (%s)" % (
                key, json.dumps(conf[key]), needed(allowed, conf[key], chip), words))  # fmt: skip
    pin = conf.get("pin")
    if pin in WITHOUT_RESISTORS.get(chip, ()) and any(row[0] == "pull" for row in keys) and conf.get("pull") != "none":
        wrong.append('pin is %s, which has no resistor of its own; needed is "pull": "none" and one outside, or another'
                     ' pin' % pin)  # fmt: skip
    return wrong


def pins_of(config: Dict[str, Any], keys: Dict[str, Any], chip: str) -> List[Tuple[int, str, str]]:
    """(GPIO, who uses it, how) of everything that uses one."""
    used = [(config["i2c"][line], "i2c." + line, "") for line in ("sda", "scl") if config.get("i2c")]
    used += [(config[key], key, "") for key in ("stop_pin", "led") if config.get(key, -1) >= 0]
    if chip == "esp8266" and config.get("deep_sleep"):
        used.append((16, "deep_sleep, which wakes by it", ""))
    for i, conf in enumerate(config["sensors"]):
        for key, allowed, _, _ in keys.get(conf["type"], ()):
            is_pin = isinstance(allowed, str) and allowed in PINS[chip] and isinstance(conf.get(key), int)
            if is_pin and (chip, allowed) != ("esp8266", "adc"):  # whose ADC is a pin of its own
                shared = allowed if allowed == "adc" else conf["type"] if "rom" in conf else ""
                used.append((conf[key], "sensors[%d]" % i, shared))
    return used


def which_chip(sensor: Any, conf: Dict[str, Any]) -> List[Tuple[str, Tuple[Any, ...]]]:
    """What tells the chip of a sensor from all others, and the key that says so; nothing for one that has a pin of its
    own. Two entries with one chip would be one measurement under two names."""
    if "rom" in conf:
        return [("rom %s" % conf["rom"], (conf["pin"], conf["rom"].lower()))]
    if "i2c" in conf and hasattr(sensor, "address"):
        input_of = (conf["type"], conf["channel"]) if "channel" in conf else ()
        place = conf["i2c"]["sda"], conf["i2c"]["scl"], sensor.address
        return [("address 0x%02x" % sensor.address, place + input_of)]
    return []


def of_config(config: Dict[str, Any], chip: str, drivers: Dict[str, Path]) -> List[str]:
    """What is wrong with the sensors of a configuration that firmware/config_check.py takes."""
    wrong: List[str] = []
    keys: Dict[str, Any] = {}
    chips: Dict[Tuple[Any, ...], int] = {}
    for i, conf in enumerate(config["sensors"]):
        kind = conf["type"]
        if kind not in drivers:
            wrong.append('sensors[%d].type is "%s", which there is not; the closest is %s. There are %s' % (
                i, kind, closest(kind, drivers), ", ".join(drivers)))  # fmt: skip
            continue
        where = "sensors[%d] of type %s: " % (i, kind)
        try:
            module = load(kind, drivers[kind])
            keys[kind] = getattr(module, "_KEYS", ())
            found = of_keys(conf, keys[kind], chip) if hasattr(module, "_KEYS") else []
            if config.get("deep_sleep") and hasattr(module, "_NOT_ASLEEP"):
                found.append("deep_sleep is true; " + module._NOT_ASLEEP)
            if not found:
                sensor = module.Sensor(dict(conf))
                found += [
                    "%s is that of sensors[%d], too; needed is one of its own" % (name, chips[one])
                    for name, one in which_chip(sensor, conf)
                    if chips.setdefault(one, i) != i
                ]
                if "treatment" in conf:
                    from treatment import Treated  # pyright: ignore[reportMissingImports]

                    Treated(sensor, conf["treatment"])
        except KeyError as error:
            found = ["%s is missing" % error.args[0]]
        except Exception as error:  # whatever the constructor of a driver raises
            found = [str(error) or repr(error)]
        wrong += [where + line for line in found]
    users: Dict[int, Tuple[str, str]] = {}
    for pin, user, shared in pins_of(config, keys, chip):
        if pin in users and not (shared and shared == users[pin][1]):
            wrong.append("GPIO %d is used twice, by %s and by %s" % (pin, users[pin][0], user))
        users.setdefault(pin, (user, shared))
    return wrong


def example(keys: Any, chip: str) -> Dict[str, Any]:
    """An entry that gives what must be given."""
    conf: Dict[str, Any] = {"i2c": {"sda": 4, "scl": 5}}
    for key, allowed, default, _ in keys:
        if default is None:
            conf[key] = (
                True if allowed == "bool" else "x" if allowed == "text" else allowed[0] if not isinstance(allowed, str)
                else PINS[chip][allowed][-1]
            )  # fmt: skip
    return conf


def of_driver(kind: str, path: Path, chip: str) -> List[str]:
    """How a driver breaks the contract (the docstring of firmware/sensors/internal.py), on a board to which nothing is
    connected: there it must say so, by OSError in words, or read what can be read."""
    try:
        module = load(kind, path)
    except Exception as error:
        return ["it cannot be imported: %r" % error]
    if not hasattr(module, "Sensor"):
        return ["it has no class Sensor"]
    try:
        sensor = module.Sensor(dict(example(getattr(module, "_KEYS", ()), chip), type=kind))
    except (ValueError, KeyError) as error:
        if not hasattr(module, "_KEYS"):
            return []  # which keys it takes nobody knows: it is checked when it is configured
        return ["Sensor() refuses what _KEYS asks for: %r" % error]
    except Exception as error:
        return ["Sensor() raises %r; a configuration that is wrong is a ValueError that names the key" % error]
    wrong: List[str] = []
    for call in ("probe", "read"):
        if not callable(getattr(sensor, call, None)):
            wrong.append("Sensor has no %s()" % call)
            continue
        try:
            got = getattr(sensor, call)()
        except OSError as error:
            if len(error.args) != 1 or not isinstance(error.args[0], str):
                wrong.append("%s() raises %r; needed is an OSError in words" % (call, error))
            continue
        except Exception as error:
            wrong.append("%s() raises %r where nothing is connected; needed is an OSError in words" % (call, error))
            continue
        if call == "read" and not of_fields(getattr(sensor, "fields", None), ()):
            wrong += of_values(got, sensor.fields)
    return wrong + of_fields(getattr(sensor, "fields", None), getattr(sensor, "limits", ()))


def of_fields(fields: Any, limits: Any) -> List[str]:
    """What is wrong with what a sensor says of its values."""
    try:
        for quantity, unit, places in fields:
            if not (isinstance(quantity, str) and quantity and not set(quantity) & set("+#/ ")):
                return ["fields: %r is no quantity: a text without + # / and spaces" % (quantity,)]
            if not isinstance(unit, str) or not (callable(places) or isinstance(places, int) and 0 <= places <= 9):
                return ["fields: %s has unit %r and %r decimals; needed are a text and 0 to 9" % (
                    quantity, unit, places)]  # fmt: skip
    except (TypeError, ValueError):
        return ["fields is %r; needed is ((quantity, unit, decimals), ...)" % (fields,)]
    if limits and len(limits) != 2 * len(fields):
        return ["limits has %d numbers; needed are the least and the most of %d fields" % (len(limits), len(fields))]
    return []


def of_values(values: Any, fields: Any) -> List[str]:
    """What is wrong with what read() gave."""
    if not isinstance(values, list) or len(values) != len(fields):
        return ["read() gives %r; needed is a list with a value for each of fields" % (values,)]
    return [
        "read() gives %r for %s; needed is an integer scaled by 10 ** decimals, None or ..." % (value, fields[i][0])
        for i, value in enumerate(values)
        if value is not None and value is not ... and (not isinstance(value, int) or isinstance(value, bool))
    ]


def main(chip: str, contract: bool) -> None:
    own = os.environ.get("SENSORS", "")
    sys.path[:0] = [
        str(ROOT / folder) for folder in ("firmware", "firmware/lib", "host_tests/fakes/board", "host_tests")
    ]
    import fakes.shim  # noqa: F401, I001 - MicroPython's names on CPython, which the others want
    import fake_board

    gc.mem_free = lambda: 1 << 16  # pyright: ignore[reportAttributeAccessIssue]
    fake_board.use({"port": "esp8266" if chip == "esp8266" else "esp32"})
    now_ms = [0]  # nobody waits for a sensor that is not there

    def sleep_ms(ms: int) -> None:
        now_ms[0] += ms

    def ticks_ms() -> int:
        now_ms[0] += 1
        return now_ms[0]

    for module in (time, fake_board):
        module.sleep_ms, module.ticks_ms = sleep_ms, ticks_ms  # pyright: ignore[reportAttributeAccessIssue]
    if contract:
        for path in added(own):
            for line in of_driver(path.stem, path, chip):
                print("%s: %s" % (path.name, line))
    else:
        for line in of_config(json.load(sys.stdin), chip, types(own)):
            print(line)


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1] in PINS else "", "--contract" in sys.argv)
