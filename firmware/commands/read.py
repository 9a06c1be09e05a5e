"""read: all sensors now; the next regular reading is an interval later."""


def carry_out(node, payload: bytes, flags: int) -> str:
    waiting = node.waiting()
    # what is asked for must push out nothing that waits, nor leave no room for the next regular readings
    fields = sum([len(source.sensor.fields) for source in node.sources])
    if waiting and not node.journal and waiting + 2 * fields > node.queue.most:
        raise ValueError("%d readings wait to be sent: nothing was read" % waiting)
    before = node.taken
    node.measure_in(0)
    node.measure()
    if node.taken == before:
        raise ValueError("no sensor answers, or nothing has changed")
    return "%d readings" % (node.taken - before)
