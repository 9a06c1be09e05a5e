"""What the world outside does to the board, for tests: read when it is asked for, for its names are some of those that
a program has room for."""

from fake_board import handlers, script


def set_level(pin, level):
    """The world outside gives a GPIO a level: its interrupt comes, when there is one."""
    levels = script.setdefault("levels", {})
    before = levels.get(str(pin), 1)
    levels[str(pin)] = level
    handler, trigger, own = handlers.get(pin, (None, 0, None))
    if handler and level != before and trigger & (1 if level else 2):
        handler(own)
