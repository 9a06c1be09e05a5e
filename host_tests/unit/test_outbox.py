"""Store and forward: each message goes out once, in order, with the QoS, topic and flag that it was given."""

import io
import os

from fakes.bench import World
from fakes.check import equal, raises
from fakes.desk import Desk
from fakes.folder import Folder, read
from fakes.model import Model
from umqtt.outbox import DROP, Outbox
from umqtt.store import FileJournal, Store, records


def test_messages_go_out_in_order_and_their_files_go():
    with Folder() as folder:
        desk = Desk(folder)
        numbers = [desk.outbox.add("t", "%d" % i, i % 3) for i in range(30)]
        equal(numbers, list(range(30)))
        equal(desk.outbox.waiting, 30)
        equal(desk.deliver(), ["%d" % i for i in range(30)])
        equal([qos for topic, payload, qos in desk.world.broker.accepted], [i % 3 for i in range(30)])
        equal((desk.file_names(), desk.outbox.waiting), ([], 0))


def test_most_qos_bounds_what_waits_and_nothing_else():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(3):
            desk.outbox.add("t", "%d" % i, i)
        desk.outbox.most_qos = 1
        desk.client.connect()
        desk.client.publish("other", "by itself", qos=2)
        equal(desk.deliver(), ["by itself", "0", "1", "2"])
        equal([qos for topic, payload, qos in desk.world.broker.accepted], [2, 0, 1, 1])


def test_numbers_go_on_after_a_reset():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(5):
            desk.outbox.add("t", "%d" % i, 2)
        desk.start()
        equal((desk.outbox.next, desk.outbox.waiting), (5, 5))
        desk.deliver()
        desk.client.disconnect()
        desk.start()
        equal(desk.outbox.add("t", "5", 2), 5)
        equal(desk.deliver(), ["%d" % i for i in range(6)])


def test_retained_and_topic_are_kept():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("a/b", "x", 1, True)
        desk.deliver()
        equal(desk.world.broker.retained, {"a/b": (b"x", 1)})


def test_drop_is_dropped_offline_and_sent_at_once_online():
    with Folder() as folder:
        desk = Desk(folder)
        equal(desk.outbox.add("t", "gone", 1, keep=DROP), None)
        equal((desk.outbox.dropped, desk.outbox.waiting, desk.file_names()), (1, 0, []))
        desk.client.connect()
        assert desk.outbox.add("t", "sent", 1, keep=DROP) > 0
        equal(desk.deliver(), ["sent"])


def test_bad_arguments_change_nothing():
    with Folder() as folder:
        desk = Desk(folder, segment_b=128)
        for args in (("", "x"), ("a/#", "x"), ("t", 5), ("t", "x", 3), ("t", "x", 1, False, 256), ("t", "x" * 128)):
            raises(ValueError, desk.outbox.add, *args)
        equal((desk.outbox.next, desk.file_names()), (0, []))
        raises(ValueError, Outbox, folder + "/q", desk.store, 256, 1024, 128)


def test_the_place_is_not_lost_when_all_files_are_gone():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "x", 0)
        desk.outbox.add("t", "y", 0)
        desk.deliver()
        desk.client.disconnect()
        desk.start()
        equal((desk.outbox.next, desk.outbox.waiting), (2, 0))
        equal((desk.store.window, desk.store.report), (0, ""))


def test_a_message_that_the_client_never_takes_does_not_block_the_others():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(3):
            desk.outbox.add("t", "%d" % i, 2)
        publish = desk.client.publish

        def refusing(topic, payload, *rest):
            if payload == b"1":
                raise ValueError("not this one")
            return publish(topic, payload, *rest)

        desk.client.publish = refusing
        equal(desk.deliver(), ["0", "2"])
        equal(desk.outbox.dropped, 1)
        assert "not this one" in desk.outbox.report, desk.outbox.report


def test_a_message_that_the_journal_could_never_take_is_refused_by_add():
    with Folder() as folder:
        st = Store(FileJournal(folder + "/j", 64, 400))
        outbox = Outbox(folder + "/q", st)
        fault = raises(ValueError, outbox.add, "t", "x" * 300)
        assert "at most 200" in str(fault), fault
        outbox.add("t", "x" * 150)
        equal(outbox.next, 1)


def test_what_is_handed_over_never_exceeds_the_journal():
    # 40 slots, and a journal with room for a few of the messages
    with Folder() as folder:
        world = World(Model)
        st = Store(FileJournal(folder + "/j", 64, 1000))
        outbox = Outbox(folder + "/q", st)
        for i in range(30):
            outbox.add("t", "%02d" % i + "x" * 120, 2)
        client = world.client(store=st, inflight=40)
        client.connect()
        most = 0
        for _ in range(2000):
            try:
                outbox.drain(client)
            except OSError as error:
                assert "store full" in str(error), error
            client.poll(0)
            world.clock.sleep_ms(1)
            most = max(most, os.stat(folder + "/j")[6])
        equal([payload[:2] for topic, payload, qos in world.broker.accepted], [b"%02d" % i for i in range(30)])
        equal((outbox.waiting, client.diag()["connects"]), (0, 1))
        assert most <= 1000, most


def test_what_was_handed_over_is_in_the_journal_before_its_file_or_its_stage_goes():
    for stage in (None, 300):
        with Folder() as folder:
            desk = Desk(folder, stage=stage)
            for i in range(3):
                desk.outbox.add("t", "%d" % i, 2)
            desk.client.connect()
            equal(desk.outbox.drain(desk.client), 3)
            equal(desk.file_names(), [])
            desk.start()  # a reset before anything left
            equal((desk.store.window, desk.outbox.waiting), (3, 0))
            equal(desk.deliver(), ["0", "1", "2"])


def test_the_client_of_the_constructor_takes_what_is_not_to_wait():
    with Folder() as folder:
        desk = Desk(folder)
        outbox = Outbox(folder + "/q2", desk.store, client=desk.client)
        desk.client.connect()
        assert outbox.add("t", "x", 1, keep=DROP) > 0


def test_a_message_that_was_not_to_be_retained_is_not():
    with Folder() as folder:
        desk = Desk(folder)
        for qos in range(3):
            desk.outbox.add("a/b", "x", qos)
        desk.deliver()
        equal(desk.world.broker.retained, {})


def test_a_message_without_a_payload_is_handed_over():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "", 2)
        equal(desk.deliver(), [""])


def test_what_is_not_to_wait_is_on_its_way_when_add_returns_and_its_ack_is_not_awaited():
    with Folder() as folder:
        desk = Desk(folder)
        desk.client.connect()
        desk.world.broker.ack_ms = 500
        now = desk.world.clock.now
        for qos in (1, 2):
            assert desk.outbox.add("t", "now", qos, keep=DROP) > 0
        equal((desk.world.clock.now - now, desk.client.inflight), (0, 2))


def test_what_a_program_publishes_itself_is_on_flash_at_once_after_a_hand_over_too():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "0", 2)
        desk.deliver()
        desk.client.publish("t", b"by itself", qos=1, wait=False)
        assert b"by itself" in read(folder + "/j")


def test_a_hand_over_is_one_write_for_all_its_messages():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "before", 0)
        desk.deliver()
        for i in range(3):
            desk.outbox.add("t", "%d" % i, 1)
        writes = []
        for name in ("append", "rewrite"):
            plain = getattr(desk.store.journal, name)
            setattr(desk.store.journal, name, lambda data, plain=plain: writes.append(bytes(data)) or plain(data))
        equal(desk.outbox.drain(desk.client, 2), 2)
        equal(desk.outbox.drain(desk.client), 1)
        desk.client.poll(0)
        assert len(writes) == 1, writes
        # each is out of the outbox in the very record that makes it the client's
        puts = [body for kind, body in records(io.BytesIO(writes[0])) if kind == 3]
        equal([(body[2:6], body[-1:]) for body in puts], [(b"\0\0\0" + bytes((i + 2,)), b"%d" % i) for i in range(3)])
