"""The firmware frozen into a MicroPython of one's own: `make BOARD=... FROZEN_MANIFEST=.../firmware/manifest.py`.

For a port whose own manifest has no umqtt in it: two of one name do not go together. boot.py and main.py stay files.
Such an image was not built yet.
"""
# ruff: noqa: F821 - the names are those of MicroPython's manifest language
# pyright: reportUndefinedVariable=false

package("umqtt", base_path="lib", opt=3)
package("sensors", opt=3)
for name in ("app", "clock", "config", "discovery", "durable", "health", "power", "tls_context", "wifi"):
    module(name + ".py", opt=3)
