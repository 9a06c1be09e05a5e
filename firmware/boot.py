import gc
import sys

# Stock firmware freezes an umqtt of its own, and sys.path is ['', '.frozen', '/lib']: it would hide ours, so /lib goes
# first (/rom/lib where the board executes it in place). A package is found once: after the first import it is too late.
for path in ("/rom/lib", "/lib"):
    if path not in sys.path[:2]:
        sys.path.insert(0, path)
# Collecting early keeps what stays together: left to itself, the garbage of one import scatters what the next keeps.
gc.threshold(1024)
