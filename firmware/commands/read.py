"""read: all sensors now; the next regular reading is an interval later."""


def carry_out(node, payload: bytes, flags: int) -> str:
    before = node.taken
    node.measure_in(0)
    node.measure()
    if node.taken == before:
        raise ValueError("no sensor answers, or nothing has changed")
    return "%d readings" % (node.taken - before)
