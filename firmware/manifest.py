"""The firmware frozen into a MicroPython of one's own; docs/board.md says how. boot.py and main.py stay files.

`make ship` comes first: the library is frozen as it is shipped, from build/ship. Not together with a manifest that
requires umqtt.simple: two modules of one name do not compile.
"""
# ruff: noqa: F821 - the names are those of MicroPython's manifest language
# pyright: reportUndefinedVariable=false

import os

SHIPPED = "../build/ship/py"
if not os.path.isdir(SHIPPED):  # a manifest is run in its own folder
    raise SystemExit("umqtt-node: run `make ship` first, which builds the library that is frozen")
package("umqtt", base_path=SHIPPED, opt=3)
package("commands", opt=3)
package("sensors", opt=3)
for name in (
    "announcement", "announcing", "answering", "app", "board_facts", "clock", "config", "config_check", "config_file",
    "contact", "crc8", "diagnosis", "discovery", "durable", "earlier", "ending", "flags", "ha_device", "health", "i2c",
    "improv", "json_message", "kept", "led", "listening", "low_battery", "moved", "mqtt5", "node", "power",
    "probation", "radio", "ram", "reasons", "reconfigure", "remembered", "retry", "sleeper", "slots", "subscribing",
    "tail", "tls_context", "treatment", "trial", "untaken", "update", "waking", "wifi",
):  # fmt: skip
    module(name + ".py", opt=3)
