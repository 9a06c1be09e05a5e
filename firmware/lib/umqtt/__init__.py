"""The MQTT client of umqtt-node. The version stands here and nowhere else: tools/release reads it.

PEP 440: `2.0.0`, and `2.1.0.dev0` while the library is ahead of its last release. It costs 64 B of a board's heap.
"""

__version__ = "2.1.0"
