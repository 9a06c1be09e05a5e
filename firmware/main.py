import gc
from time import ticks_ms

began_ms = ticks_ms()
# The configuration comes first, and its code goes again: the program and the library need those 6 KB next.
cfg = __import__("config").take()
gc.collect()
if cfg:
    __import__("app").run(cfg, began_ms)
