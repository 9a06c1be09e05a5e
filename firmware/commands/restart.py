"""restart: what waits is sent, then the board is reset. Any text does; an empty message is the end of a retained one.

Once for each message: QoS 2 and the store see to it; without a store the next life wipes the broker's session. In QoS 1
a repetition cannot be told from one that the life before has obeyed, so it is refused.
"""

import power
from flags import DUP, EARLIER, QOS_1


def carry_out(node, payload: bytes, flags: int) -> str:
    if flags & EARLIER:
        return "the board has started since"
    if not payload:
        raise ValueError("an empty message restarts nothing: send a text, 1 will do")
    if flags & DUP and flags & QOS_1:
        raise ValueError("a repetition in QoS 1, which may have been obeyed already: send it in QoS 2")
    node.listener.afterwards(restart)
    return "restarting"


def restart(node) -> None:
    from ending import finish, sum_up

    finish(node, node.cfg["timeout_s"] * 1000)
    sum_up(node)
    power.restart()
