import gc
import sys

import config

cfg = config.load()
# read first, and dropped again: its 6 KB are what the program and the library need next
del config, sys.modules["config"]
gc.collect()
if cfg:
    __import__("app").run(cfg)
