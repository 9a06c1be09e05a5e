"""A question and its answer (umqtt.request)."""

from fakes.bench5 import connected5
from fakes.check import equal, raises
from fakes.packets import (
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
)
from fakes.packets5 import encode

NOT_ON_ASYNCIO = ()


def test_a_request_gets_the_answer_that_is_meant_for_it():
    from umqtt.request import request

    broker, client = connected5()
    callback = client.cb
    broker.expect(SUBSCRIBE, filters=[("answers/c1", 1)])
    broker.reply(SUBACK, codes=(1,))
    for turn in range(2):
        broker.expect(PUBLISH, topic="lamp/get", payload="?", qos=1, retain=0)
        broker.reply(PUBACK)
        broker.wait(100)
        broker.send(PUBLISH, topic="answers/c1", payload="late", props=[(9, b"old")])
        broker.send(PUBLISH, topic="news", payload="else")

        def answer():
            props = dict(broker.got[-1].props)
            equal(props[8], "answers/c1")
            broker.link.push(encode(PUBLISH, topic="answers/c1", payload="on", props=[(9, props[9])]))

        broker.call(answer)
        equal(request(client, "lamp/get", "?"), b"on")
        broker.done()
        equal([payload for _, payload, _ in client.world.inbox], [b"late", b"else"] * (turn + 1))
    equal(client.cb, callback)
    broker.send(PUBLISH, topic="news", payload="after")
    client.world.serve(client, 50)
    equal(client.world.inbox[-1][1], b"after")


def test_a_request_whose_answers_the_broker_refuses_asks_nothing():
    from umqtt.errors import MQTTException
    from umqtt.request import request

    broker, client = connected5()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(0x87,))
    equal(raises(MQTTException, request, client, "lamp/get", "?").args[0], 0x87)
    broker.done()


def test_a_request_without_an_answer_ends_at_its_deadline():
    from umqtt.request import request

    broker, client = connected5(props=[(26, "mine/")])
    broker.expect(SUBSCRIBE, filters=[("mine/c1", 1)])
    broker.reply(SUBACK, codes=(1,))
    broker.expect(PUBLISH)
    broker.reply(PUBACK)
    began = client.world.clock.now
    assert "no answer in time" in str(raises(OSError, request, client, "lamp/get", "?", 700))
    equal(client.world.clock.now - began, 700)
    client.set_view(lambda *_: None)
    raises(ValueError, request, client, "lamp/get", "?")
    broker.done()


def test_a_topic_that_answers_cannot_come_to_is_told_with_who_has_named_it():
    from umqtt.request import request

    for information, client_id, response_topic, words in (
        ("in/#", "c1", "", "response information of the broker: wrong wildcard"),
        ("in/+/", "c1", "", "response information of the broker: wrong wildcard"),
        ("in/", "c1", "to/+", "response_topic: wrong wildcard"),
        ("", "c+1", "", "client_id: wrong wildcard"),
    ):
        broker, client = connected5(props=[(26, information)], client_id=client_id)
        equal(str(raises(ValueError, request, client, "lamp/get", "?", 700, 1, response_topic)), words)
        broker.done()  # nothing was asked for


def test_a_request_that_the_broker_refuses_is_told_so_at_once():
    from umqtt.errors import MQTTException
    from umqtt.request import request

    broker, client = connected5(client_id=b"c1")
    broker.expect(SUBSCRIBE, filters=[("answers/c1", 1)])
    broker.reply(SUBACK, codes=(1,))
    broker.expect(PUBLISH)
    broker.reply(PUBACK, reason=0x87)
    began_ms = client.world.clock.now
    equal(raises(MQTTException, request, client, "lamp/get", "?").args[0], 0x87)
    equal(client.world.clock.now, began_ms)
    broker.done()


def test_a_callback_cannot_wait_for_an_answer_and_hears_so():
    from umqtt.request import request

    broker, client = connected5()
    faults = []
    client.set_callback(lambda *message: faults.append(raises(OSError, request, client, "lamp/get", "?")))
    broker.send(PUBLISH, topic="in", payload="x")
    client.world.serve(client, 50)
    assert "not inside a callback" in str(faults[0]), faults
    broker.done()
