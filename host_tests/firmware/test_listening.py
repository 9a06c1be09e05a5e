"""What the board hears and answers: messages whole, in the memory that is there for them, and each answer where the
broker has it before what follows is done."""

import json
import sys

from fakes.check import equal
from fakes.packets import PINGREQ
from on_board import World

import listening

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}
MOST_B = 2048  # of the payloads that wait
COMMAND = "umqtt/n1/cmd/none"
TOO_MUCH = "over 2048 B, too many at once, or no memory: nothing was done"


def make_world(**keys):
    given = {"sensors": [ROOM], "commands": True, "interval_s": 60}
    given.update(keys)
    world = World(SCRIPT, **given)
    world.run(30000)
    return world


def answers(world):
    """(name, ok, words) of each answer that the broker took, in order."""
    return [
        (topic.split("/")[-1],) + tuple(json.loads(bytes(payload).decode())[key] for key in ("ok", "words"))
        for topic, payload, _ in world.broker.accepted
        if "/ack/" in topic
    ]


def heard_by(world, topic_filter, *more):
    """What a filter's function is given, in a list."""
    got = []
    world.node.listener.hear(topic_filter, 0, lambda *message: got.append(message), *more)
    world.run(1000)
    return got


def note(listener, topic, pieces):
    """A message comes in these pieces, as the client's view gives them."""
    head = len(topic).to_bytes(2, "big") + topic
    for i, piece in enumerate(pieces):
        later = 32 if i else 0
        more = 16 if i < len(pieces) - 1 else 0
        listener.note((b"" if i else head) + piece, 0 if i else len(head), 0 if i else len(head), 9999, later | more)


def test_a_message_of_any_size_is_given_whole_or_not_at_all():
    world = make_world()
    got = heard_by(world, "a/b")
    for size_b in (0, 1, 100, MOST_B - 1, MOST_B, MOST_B + 1, 5000):
        world.broker.inject("a/b", b"x" * size_b)
        world.run(1000)
        topic, payload, _ = got.pop()
        equal((topic, payload), (b"a/b", b"x" * size_b if size_b <= MOST_B else None))
    # whatever pieces the network makes of it
    for pieces in ([b"x" * MOST_B, b"y"], [b"x" * (MOST_B - 1), b"y", b"z"], [b"x" * (MOST_B + 1), b"y"]):
        note(world.node.listener, b"a/b", pieces)
        world.run(1000)
        equal(got.pop()[1], None, [len(piece) for piece in pieces])
    equal(got, [])


def test_of_a_message_that_is_wanted_in_part_only_its_beginning_is_kept():
    world = make_world()
    got = heard_by(world, "a/+", 3)
    for payload in (b"", b"on", b"xyz", b"begins", b"z" * 5000):
        world.broker.inject("a/b", payload)
        world.run(1000)
        equal(got.pop()[1], payload[:3])
    note(world.node.listener, b"a/b", [b"x", b"y", b"zz", b"z"])
    equal(world.node.listener.waiting[-1][1], b"xyz")
    world.run(1000)
    world.broker.inject("umqtt/n1/cmd/none", b"a message of a filter that wants all is whole")
    world.node.listener.work = lambda client: None
    world.run(1000)
    equal(world.node.listener.waiting[-1][1], b"a message of a filter that wants all is whole")


def test_what_waits_has_2048_bytes_of_payload_and_3072_with_all_that_belongs_to_it():
    for size_b, whole, refused in ((700, 2, 19), (100, 17, 1), (0, 38, 1)):
        world = make_world()
        work, world.node.listener.work = world.node.listener.work, lambda client: None
        for i in range(50):
            world.broker.inject(COMMAND, b"%03d" % i + b"x" * (size_b - 3) if size_b else b"", 1)
            world.run(100)
        waiting = world.node.listener.waiting
        equal([payload is not None for _, payload, _ in waiting], [True] * whole + [False] * refused)
        oldest = [b"%03d" % i for i in range(whole)] if size_b else []
        equal([bytes(payload[:3]) for _, payload, _ in waiting if payload], oldest)
        world.node.listener.work = work
        world.run(60000)
        equal([words == TOO_MUCH for _, _, words in answers(world)], [False] * whole + [True] * refused)
        equal([line for line in world.said if "trying again" in line], [])


def test_a_message_for_which_there_is_no_memory_is_answered_so_and_the_next_one_is_obeyed():
    world = make_world()

    calls = []

    def full(*buf):
        calls.append(buf)
        if len(calls) == 2:  # there was room for the topic
            raise MemoryError("memory allocation failed")
        return memoryview(*buf)

    listening.memoryview = full
    try:
        note(world.node.listener, COMMAND.encode(), [b"x", b"y"])
        note(world.node.listener, COMMAND.encode(), [b"x"])
    finally:
        del listening.memoryview
    world.run(2000)
    equal([words == TOO_MUCH for _, _, words in answers(world)], [True, False])


def test_a_command_without_memory_for_its_work_is_answered_with_what_to_do():
    from commands import inbox

    world = make_world()

    def full(*_):
        raise MemoryError("memory allocation failed")

    real, inbox.obey = inbox.obey, full
    sys.modules["commands.inbox"] = inbox
    try:
        world.broker.inject(COMMAND, b"", 1)
        world.run(2000)
    finally:
        inbox.obey = real
    words = "no memory for it: fewer sensors, a shorter queue, or a restart"
    equal(answers(world), [("none", False, words)])
    equal([name for name in sys.modules if name.startswith("commands")], [], "forgotten")
    equal({qos for topic, _, qos in world.broker.accepted if "/ack/" in topic}, {1})


def test_what_follows_an_answer_is_done_once_the_broker_has_it():
    done = []
    for slots_taken in (False, True):
        world = make_world(timeout_s=5)
        listener = world.node.listener
        world.broker.ack_ms = 2000
        if slots_taken:
            world.node.measure_in(0)
            world.node.qos = 1
            while world.node.client.free_slots():
                world.node.client.publish("a/b", "x", False, 1, False)
        listener.answer("restart", True, "in a moment")
        asked = world.clock.now
        listener.afterwards(lambda node: done.append(world.clock.now - asked))  # noqa: B023
        world.run(9000)
        assert 2000 <= done[-1] <= (4600 if slots_taken else 2300), done
        equal(len(answers(world)), 1)
    equal(len(done), 2)


def test_what_follows_an_answer_that_the_broker_does_not_acknowledge_is_done_after_twice_the_timeout():
    world = make_world(timeout_s=5)
    world.broker._incoming = lambda link, kept, packet: None
    done = []
    world.node.listener.answer("restart", True, "in a moment")
    asked = world.clock.now
    world.node.listener.afterwards(lambda node: done.append(world.clock.now - asked))
    world.run(30000)
    equal(len(done), 1)
    assert 10000 <= done[0] <= 15100, done  # a turn without a packet is 5 s long


def test_no_command_is_taken_between_an_answer_and_what_follows_it():
    world = make_world()
    world.node.listener.answer("restart", True, "in a moment")
    world.broker.ack_ms = 1000
    world.node.listener.afterwards(lambda node: None)
    world.broker.inject(COMMAND, b"", 0)
    world.run(500)
    equal(len(world.node.listener.waiting), 1)
    world.run(6000)
    equal([name for name, _, _ in answers(world)], ["restart", "none"])


def test_a_link_that_falls_is_no_fault_of_a_subscription_that_stands():
    world = make_world()
    subscribe, asked = world.broker._subscribe, []
    world.broker._subscribe = lambda *packet: asked.append(packet) or subscribe(*packet)
    for _ in range(4):
        world.broker.stop()
        world.run(20000)
    equal((world.node.listener.failures, asked), (0, []), "the broker has it with the session")
    world.broker.inject(COMMAND, b"", 1)
    world.run(2000)
    equal(len(answers(world)), 1)


def test_a_subscription_that_the_broker_took_in_the_end_has_its_three_tries_again():
    world = World(SCRIPT, sensors=[ROOM], commands=True, interval_s=3600)
    take = world.broker._subscribe
    ends = [True, True]
    world.broker._subscribe = lambda *packet: ends and ends.pop() and world.broker._drop(packet[0]) or take(*packet)
    world.run(120000)
    equal((ends, world.node.listener.failures, list(world.broker.kept("n1").subs)), ([], 0, ["umqtt/n1/cmd/+"]))


def test_a_stop_does_not_wait_for_a_subscription_that_was_given_up():
    import ending

    world = World(SCRIPT, sensors=[ROOM], commands=True, interval_s=3600)
    world.broker._subscribe = lambda link, kept, packet: world.broker._drop(link)
    world.run(300000)
    assert world.node.client.isconnected()
    before = world.clock.now
    ending.send(world.node, 10000)
    assert world.clock.now - before < 300, world.clock.now - before


def test_until_a_subscription_is_asked_for_and_answered_something_is_to_be_heard():
    world = World(SCRIPT, sensors=[ROOM], commands=True)
    equal(world.node.listener.busy(), True)
    world.run(5000)
    equal(world.node.listener.busy(), False)
    world.node.listener.hear("a/b", 0, print)
    equal(world.node.listener.busy(), True)
    world.run(2000)
    equal(world.node.listener.busy(), False)
    world.node.listener.unhear("a/b")
    equal([ear[0] for ear in world.node.listener.ears], [b"umqtt/n1/cmd/+"])


def test_an_answer_is_not_retained_and_no_turn_waits_until_the_broker_has_it():
    world = make_world()
    world.broker.ack_ms = 5000
    world.node.listener.answer("none", True, "done")
    before = world.clock.now
    world.node.listener.work(world.node.client)
    equal((world.clock.now, world.node.client.inflight), (before, 1))
    world.run(6000)
    equal(len(answers(world)), 1)
    equal([topic for topic in world.broker.retained if "/ack/" in topic], [])


def test_a_message_that_nobody_wants_any_more_or_an_old_one_that_was_too_long_is_not_answered():
    world = make_world()
    world.node.listener.waiting += [(b"umqtt/n1/other", b"", 0), (b"", b"", 1), (b"", b"", 0)]
    world.run(2000)
    equal([(name, ok) for name, ok, _ in answers(world)], [("unknown", False)])


def test_a_board_that_sleeps_waits_until_what_a_new_subscription_brings_has_come():
    world = make_world()
    world.node.cfg["deep_sleep"] = True
    came, pings = world.broker._came, []

    def without_answer_to_a_ping(link, packet):
        if packet.kind == PINGREQ:
            pings.append((link, packet))
        else:
            came(link, packet)

    world.broker._came = without_answer_to_a_ping
    world.node.listener.hear("a/b", 0, print)
    world.run(2000)
    equal((len(pings), world.node.listener.busy()), (1, True))
    world.broker._came = came
    came(*pings[0])
    world.run(1000)
    equal(world.node.listener.busy(), False)


def test_a_filter_covers_what_the_standard_says():
    for topic_filter, topic, covers in (
        ("a/b", "a/b", True), ("a/b", "a/c", False), ("a/b", "a", False), ("a", "a/b", False), ("a/+", "a/b", True),
        ("a/+", "a", False), ("a/+", "a/b/c", False), ("a/+/c", "a/b/c", True), ("a/+/c", "a/b/d", False),
        ("+/+", "/", True), ("a/#", "a/b/c", True), ("a/#", "b/a", False), ("a/+/#", "a/b", True),
    ):  # fmt: skip
        equal(listening.matches(topic_filter.encode(), topic.encode()), covers, topic_filter + " " + topic)
