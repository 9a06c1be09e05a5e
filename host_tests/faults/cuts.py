"""Cuts at every byte of an exchange, and Ctrl-C at every line of it: it is resumed, and what must hold holds."""

import sys

from fakes.check import skip
from fakes.ctrl_c import interrupted
from fakes.net import Plan
from faults.exchanges import TALLY, Run, lengths, run

HOWS = ("fin", "rst", "silence")


def cuts(exchange, step=1, **named):
    """(words, Plan) for a cut at every byte, in each direction, of each kind; named: arguments of the client."""
    out, into = lengths(exchange, **named)
    for how in HOWS:
        for at in range(0, out + 1, step):
            yield "%s: out cut at %d of %d by %s" % (exchange.__name__, at, out, how), Plan(cut_out=at, how=how)
        for at in range(0, into + 1, step):
            yield "%s: in cut at %d of %d by %s" % (exchange.__name__, at, into, how), Plan(cut_in=at, how=how)


def survive(exchange, note, plans, **named):
    """The exchange over links that follow these plans; `note` says which, should something not hold."""
    TALLY["cut points"] += 1
    try:
        run(exchange, plans, **named).verdict(note)
    except Exception as error:
        raise AssertionError("%s: %s: %r" % (note, error.__class__.__name__, error))


def ctrl_c_in_a_publish(files, **named):
    """At each line of these files, one after the other, while a message of QoS 2 is published without waiting."""
    if sys.implementation.name != "cpython":
        skip("needs CPython's settrace")
    at = came = 1
    while came:
        run = Run((), **named)
        run.up()
        came = interrupted(lambda run=run: run.publish(2, False), at, files)
        run.client.connect()
        run.publish(1)
        run.settle()
        run.verdict("%r, Ctrl-C at line %d" % (named, at))
        at += 1
    assert at > 20, at


def ctrl_c_in_everything(files, without, plan, step, **named):
    """At each `step`-th line of these files, without those functions, while messages go both ways over such a link."""
    if sys.implementation.name != "cpython":
        skip("needs CPython's settrace")
    at = came = 1
    while came:
        run = Run([Plan(**plan)], **named)
        run.up()
        run.subscribe()

        def exchange(run=run):
            run.publish(2, False)
            run.publish(1, False)
            run.give(1)
            run.publish(0)
            run.unsubscribe()

        came = interrupted(exchange, at, files, without)
        # Beside the callback it is as if that had raised: the message comes again on the next connection.
        if not run.client.isconnected() or at % 2 or isinstance(getattr(run.client, "_fault", None), KeyboardInterrupt):
            run.client.connect()
        run.publish(1)
        for slot in run.client._packet_slots[run.client.inflight :]:
            slot[2] = slot[3] = b""  # of a slot that was not taken after all
        run.settle()
        run.verdict("%r, %r, Ctrl-C at line %d" % (named, plan, at))
        at += step
