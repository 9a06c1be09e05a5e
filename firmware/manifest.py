"""The firmware frozen into a MicroPython of one's own; docs/board.md says how. boot.py and main.py stay files.

Not together with a manifest that requires umqtt.simple: two modules of one name do not compile.
"""
# ruff: noqa: F821 - the names are those of MicroPython's manifest language
# pyright: reportUndefinedVariable=false

package("umqtt", base_path="lib", opt=3)
package("sensors", opt=3)
for name in ("app", "clock", "config", "discovery", "durable", "health", "power", "tls_context", "wifi"):
    module(name + ".py", opt=3)
