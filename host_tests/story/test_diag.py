"""diag(): counters and the last error in words."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.packets import PUBACK, PUBLISH
from umqtt.errors import MQTTException

NOT_ON_ASYNCIO = ("test_the_text_of_a_client_says_who_where_state_and_last_error",)


def test_counters_tell_what_happened():
    b, c = pair(rx_size=64)
    b.accept()
    b.expect(PUBLISH)
    b.cut()
    c.connect()
    raises(OSError, c.publish, "t", "x", qos=1)
    d = c.diag()
    equal((d["connects"], d["inflight"], d["resends"], d["oversize"]), (1, 1, 0, 0))
    assert "closed" in d["error"], d
    b.accept(sp=1)
    b.expect(PUBLISH, dup=1)
    b.send(PUBACK, 1)
    b.send(PUBLISH, payload="z" * 100)
    c.connect()
    raises(MQTTException, c.world.serve, c, 50)
    d = c.diag()
    equal((d["connects"], d["inflight"], d["resends"], d["oversize"]), (2, 0, 1, 1))
    assert "rx_size" in d["error"], d


def test_the_text_of_a_client_says_who_where_state_and_last_error():
    b, c = pair(client_id="kitchen")
    where = "kitchen at %s:%d, connected: " % (c.server, c.port)
    equal(str(c), where + "False, no error so far")
    b.accept()
    c.connect()
    equal(str(c), where + "True, no error so far")
    b.cut()
    raises(OSError, c.world.serve, c, 100)
    equal(str(c), where + "False, " + c.diag()["error"])
    assert "closed" in str(c), c
    b.accept(sp=1)
    c.connect()
    assert "connected: True, " in str(c) and "closed" in str(c), c  # the last error stays told


def test_no_error_is_a_bare_minus_one():
    for how in ("fin", "rst"):
        b, c = pair()
        b.accept()
        c.connect()
        b.cut(how)
        e = raises(OSError, c.world.serve, c, 100)
        assert e.args[0] > 0 and len(str(e)) > 10, e
