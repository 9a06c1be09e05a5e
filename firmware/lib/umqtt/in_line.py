"""How a task of umqtt.aio waits until there is room for its packet. The client imports it when one has to."""

from asyncio import core  # pyright: ignore[reportAttributeAccessIssue] - MicroPython's

NETWORK = (0,)  # lines of a client, each a list of tasks: for the network to take older bytes,
SLOT = (1,)  # for a slot
BOTH = (0, 1)  # a stream needs both at once


async def stand(client, lines, end) -> None:
    """Wait until it is this task's turn in these lines, and there is room for its packet, or no connection. Who came
    first goes first: a task that publishes all the time would else take each slot, and fill the network again, before
    the others have run. Raises OSError at `end`."""
    task = core.cur_task
    for i in lines:
        client._in_line[i].append(task)
    try:
        while not client._is_over() and not _is_next(client, lines, task):
            await client._turn(end)
    finally:
        for i in lines:
            line = client._in_line[i]
            line.remove(task)
            if line and line[0] in client._callers:
                client._wake(line[0])


def _is_next(client, lines, task):
    for i in lines:
        if client._in_line[i][0] is not task or (not client.free_slots() if i else client._send_blocked):
            return False
    return True
