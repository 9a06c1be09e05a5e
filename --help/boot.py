import gc
import sys

# Stock firmware freezes an umqtt of its own, and sys.path is ['', '.frozen', '/lib']: it would hide ours, so /lib
# goes first. A package is found once: after the first import of umqtt this comes too late.
if sys.path[0] != "/lib":
    sys.path.insert(0, "/lib")
# Collecting early keeps what stays together: left to itself, the garbage of one import scatters what the next one
# keeps.
gc.threshold(1024)
