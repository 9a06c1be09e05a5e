"""Every name of a client that a program could not know begins with an underscore: a subclass is free with all
others."""

from fakes.bench import HOST, World
from fakes.check import equal
from fakes.model import Model
from umqtt import client, robust, simple

UPSTREAM = """
    client_id sock server port ssl pid cb user pswd keepalive lw_topic lw_msg lw_qos lw_retain set_callback
    set_last_will connect disconnect ping publish subscribe wait_msg check_msg DELAY DEBUG delay log reconnect
""".split()
OURS = """
    clean_session protocol timeout_ms inflight set_view isconnected unsubscribe poll diag pending free_slots
    on_ended on_oversize
""".split()
# what subclasses in the field have of their own
FREE = """
    start stop run loop read write send recv receive open close flush free get put push pop packet message topic msg
    buf buffer data payload queue store state status flags mode now time error errors fail addr host led wifi up
    busy left need more big skip view will mask answer resume again slots slot held subs rx tx phase wait step work
    due _subs _read _write _topic _up _now _is_connected _connected _callback _cb _client _client_id _subscriptions
    _topics _last_ping _last_msg _timeout _timer _queue _lock _loop _run _log _logger _debug _on_message _on_connect
    _on_disconnect _reconnect _retry _retries _state _status _msg _payload _buffer _buf _wifi _wlan _server _host
    _port _user _password _keepalive _ssl _sock _isipv4 _recv_all _send _receive _publish _subscribe _connect
    _disconnect _ping _handlers _qos _pid _id _name
""".split()


def test_names_that_are_not_documented_begin_with_an_underscore():
    for module in (client, simple, robust):
        instance = module.MQTTClient("c1", HOST)
        equal([name for name in dir(instance) if name[0] != "_" and name not in UPSTREAM and name not in OURS], [])


def test_a_subclass_with_names_of_its_own_works():
    world = World(Model)

    class Node(simple.MQTTClient):
        pass

    client = Node("c1", HOST)
    got = []
    client.set_callback(lambda topic, msg: got.append(bytes(msg)))
    for name in FREE:
        setattr(Node, name, None)
        setattr(client, name, None)
    client.connect()
    client.subscribe("t", 1)
    for qos in (0, 1, 2):
        client.publish("t", b"%d" % qos, qos=qos)
        while len(got) <= qos:
            client.check_msg()
            world.clock.sleep_ms(10)
    client.ping()
    client.disconnect()
    equal(got, [b"0", b"1", b"2"])
    for name in FREE:
        equal(getattr(client, name), None, name)
