"""What did an earlier life leave in flight? Imported at a start that finds something, and forgotten again with all that
it loads: on an ESP8266 that is what would be missing later."""

from sys import modules

from umqtt.takeback import take_back, unacknowledged


def count(node) -> None:
    """Count its readings in node.before. Statuses that earlier lives could not send are taken back, for they may say
    "offline": a new one is sent. But one that the broker has been seen not to take is kept, for its strikes go on."""
    del modules[__name__], modules["umqtt.takeback"], modules["umqtt"].takeback  # pyright: ignore
    had_ending = "ending" in modules
    from ending import is_reading

    doubted = node.doubts.pid if node.doubts else 0
    for pid, topic, _ in unacknowledged(node.client):
        if topic == node.topic.encode() + b"status":
            if pid == doubted:
                node.status_pid = pid
            else:
                take_back(node.client, pid)
        elif is_reading(node, topic):
            node.before += 1
    if not had_ending:
        del modules["ending"]
