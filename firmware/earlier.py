"""What did an earlier life leave in flight? Imported at a start that finds something, and forgotten again with all that
it loads: on an ESP8266 that is what would be missing later."""

from sys import modules

from umqtt.takeback import take_back, unacknowledged


def count(node) -> None:
    """Count its readings in node.before; of the statuses that earlier lives could not send the last one is enough."""
    del modules[__name__], modules["umqtt.takeback"], modules["umqtt"].takeback  # pyright: ignore
    had_ending = "ending" in modules
    from ending import is_reading

    for pid, topic, _ in unacknowledged(node.client):
        if topic == node.topic.encode() + b"status":
            take_back(node.client, node.status_pid)
            node.status_pid = pid
        elif is_reading(node, topic):
            node.before += 1
    if not had_ending:
        del modules["ending"]
