"""The answer to a command that there is not."""

COMMANDS = ("config", "crash", "identify", "interval", "log", "ota", "read", "restart", "stay_awake")


def refuse(name: str) -> None:
    """Raises ValueError with the commands that there are."""
    raise ValueError("there is no command %s; there are %s" % (name, ", ".join(COMMANDS)))
