"""diag(): counters and the last error in words."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.packets import PUBACK, PUBLISH
from umqtt.errors import MQTTException

NOT_ON_ASYNCIO = ("test_the_text_of_a_client_says_who_where_state_and_last_error",)


def test_counters_tell_what_happened():
    broker, client = pair(rx_size=64)
    broker.accept()
    broker.expect(PUBLISH)
    broker.cut()
    client.connect()
    raises(OSError, client.publish, "t", "x", qos=1)
    diag = client.diag()
    equal((diag["connects"], diag["inflight"], diag["resends"], diag["oversize"]), (1, 1, 0, 0))
    assert "closed" in diag["error"], diag
    broker.accept(sp=1)
    broker.expect(PUBLISH, dup=1)
    broker.send(PUBACK, 1)
    broker.send(PUBLISH, payload="z" * 100)
    client.connect()
    raises(MQTTException, client.world.serve, client, 50)
    diag = client.diag()
    equal((diag["connects"], diag["inflight"], diag["resends"], diag["oversize"]), (2, 0, 1, 1))
    assert "rx_size" in diag["error"], diag


def test_the_text_of_a_client_says_who_where_state_and_last_error():
    broker, client = pair(client_id="kitchen")
    where = "kitchen at %s:%d, connected: " % (client.server, client.port)
    equal(str(client), where + "False, no error so far")
    broker.accept()
    client.connect()
    equal(str(client), where + "True, no error so far")
    broker.cut()
    raises(OSError, client.world.serve, client, 100)
    equal(str(client), where + "False, " + client.diag()["error"])
    assert "closed" in str(client), client
    broker.accept(sp=1)
    client.connect()
    assert "connected: True, " in str(client) and "closed" in str(client), client  # the last error stays told


def test_no_error_is_a_bare_minus_one():
    for how in ("fin", "rst"):
        broker, client = pair()
        broker.accept()
        client.connect()
        broker.cut(how)
        fault = raises(OSError, client.world.serve, client, 100)
        assert fault.args[0] > 0 and len(str(fault)) > 10, fault
