"""Whether the firmware's own sensors take their configuration: `python -m tools.device.sensor_check CHIP <config.json`.

Makes each sensor as the board does, on stand-ins for the board's modules, in this process of its own. Prints a line for
each thing that is wrong. CHIP: esp32 or esp8266.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    sys.path[:0] = [str(ROOT / p) for p in ("firmware", "firmware/lib", "host_tests/fakes/board", "host_tests")]
    import fakes.shim  # noqa: F401, I001 - MicroPython's names on CPython, which the others want
    import fake_board
    from config import closest  # the firmware's

    fake_board.use({"port": sys.argv[1]})
    types = sorted(p.stem for p in (ROOT / "firmware" / "sensors").glob("[a-z]*.py"))
    for i, conf in enumerate(json.load(sys.stdin)["sensors"]):
        kind = conf["type"]
        if kind not in types:
            print('sensors[%d].type is "%s", which there is not; the closest is %s' % (i, kind, closest(kind, types)))
            continue
        try:
            __import__("sensors." + kind, None, None, ("Sensor",)).Sensor(conf)
        except (ValueError, TypeError) as e:
            print("sensors[%d] of type %s: %s" % (i, kind, e))


if __name__ == "__main__":
    main()
