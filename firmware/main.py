from time import sleep_ms, ticks_ms

start = ticks_ms()
try:
    # Which firmware, and its configuration, come first, and their code goes again: the program needs those 8 KB next.
    __import__("slots").choose()
    config = __import__("config").take()
    __import__("gc").collect()
    __import__("app").run(config, start) if config else __import__("improv").serve()
except KeyboardInterrupt:
    __import__("improv").interrupted()
except Exception as e:
    # Never a prompt: whoever is far from the board could not start it again.
    try:
        print("%r: the firmware cannot be loaded: put it into ROM (make deploy)? Trying again in a minute" % e)
        __import__("slots").ended(repr(e))
    except Exception:
        pass  # no memory, or a flash that is full
    sleep_ms(60000)
    __import__("machine").reset()
