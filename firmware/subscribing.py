"""How is a subscription asked for, and what if the broker does not like it? Imported for that, and forgotten again."""

from micropython import const
from umqtt.errors import MQTTException

_REFUSED = const(0x80)
_TOO_LARGE = const(0x95)  # with MQTT 5: what the broker has said that it does not do
_NO_WILDCARDS = const(0xA2)
_FILTER = const(0)  # of an ear
_QOS = const(1)
_ASKED = const(3)
TRIES = const(3)  # so many connections in a row that end at a subscription, and there is none


def ask(c, ear: list) -> None:
    """Let client c subscribe; its packet id stands in the ear until the broker has answered. Once there is a
    subscription, the client renews it itself. Raises what subscribe does."""

    def ended(packet_id, codes):
        if packet_id == ear[_ASKED]:
            c.on_ended = None
            if codes and codes[0] >= _REFUSED:
                name = str(ear[_FILTER], "utf-8")
                print("commands: the broker lets nobody here subscribe to %s: check its ACL" % name)

    try:
        c.subscribe(ear[_FILTER], ear[_QOS], False)
    except MQTTException as e:
        if e.args[0] not in (_TOO_LARGE, _NO_WILDCARDS):
            raise
        ear[_ASKED] = True
        name = str(ear[_FILTER], "utf-8")
        print("commands: the broker takes no subscription to %s: %s" % (name, e.args[1]))
        return
    ear[_ASKED] = c.pid
    c.on_ended = ended


def give_up(listener, c, ear: list) -> None:
    """The connection has ended, perhaps because of this subscription: it is not repeated on the next one, or might end
    that, too. Some brokers say no so."""
    from umqtt.takeback import take_back

    c.on_ended = None
    take_back(c, ear[_ASKED])
    ear[_ASKED] = False
    listener.failures += 1
    if listener.failures == TRIES:
        name = str(ear[_FILTER], "utf-8")
        print("commands: the broker ends the connection at a subscription to %s: there is none" % name)
