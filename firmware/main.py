import gc
from time import sleep_ms, ticks_ms

began_ms = ticks_ms()
try:
    # The configuration comes first, and its code goes again: the program and the library need those 6 KB next.
    cfg = __import__("config").take()
    gc.collect()
    if cfg:
        __import__("app").run(cfg, began_ms)
except MemoryError:
    # Never a prompt: whoever is far from the board could not start it again.
    print("memory: not enough to load the firmware: put it into ROM (make deploy); trying again in a minute")
    sleep_ms(60000)
    __import__("machine").reset()
