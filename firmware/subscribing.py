"""How is a subscription asked for? Imported when there is one to ask for, and forgotten again."""

from micropython import const
from umqtt.client import MQTTException

_REFUSED = const(0x80)
TRIES = const(3)  # so many connections in a row that end at a subscription, and there is none


def ask(listener, c, topic_filter: bytes, qos: int) -> None:
    """Subscribe client c; once there is one, the client renews it itself. Some brokers say no by ending the connection.
    Raises what subscribe does, but a refusal."""
    listener.failures += 1
    name = str(topic_filter, "utf-8")
    try:
        c.subscribe(topic_filter, qos)
    except MQTTException as e:
        if e.args[0] != _REFUSED:
            raise
        print("commands: the broker lets nobody here subscribe to %s: check its ACL" % name)
    except OSError:
        from umqtt.takeback import take_back

        take_back(c, c.pid)  # else it is sent again, and ends the next connection
        if listener.failures == TRIES:
            print("commands: the broker ends the connection at a subscription to %s: there is none" % name)
        raise
    listener.failures = 0
    if listener.node.cfg["deep_sleep"]:
        c.ping()
        listener.pinged = True
