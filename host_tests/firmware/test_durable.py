"""Readings that survive a reset or a power cut, awake or over sleeps."""

import builtins
import os

from fakes.check import equal, raises
from fakes.clock import ticks_add, ticks_diff
from fakes.net import Plan
from fakes.folder import Folder
from on_board import World, conf, radio, said, started

import durable
import ending
import kept
import remembered
import sleeper
import fake_board
import network
import node
import waking
from umqtt import takeback

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}


class Board(World):
    """A World that starts again and again: boot() is a start, sleep() runs wakes; in a folder of its own."""

    def __init__(self, script=None, **keys):
        self.home = os.getcwd()
        self.folder = Folder()
        os.chdir(self.folder.__enter__())
        self.keys = {"sensors": [ROOM], "keep_in": "rtc", "interval_s": 60}
        self.keys.update(keys)
        World.__init__(self, SCRIPT if script is None else script)
        self.slept_ms = []
        self.awake_ms = []
        self.told = ""  # all lines of waking
        self.start_ms = 0  # from waking to the program
        self.load_ms = 0  # of it, from its first line to the node

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        crashed = "crash.log" in os.listdir(".")
        os.chdir(self.home)
        self.folder.__exit__()
        assert kind or not crashed, "crash.log tells of something that no test wanted"

    def boot(self, kind=sleeper.Sleeper):
        """Everything in RAM is gone, and the links with it."""
        for link in self.net.links:
            link.end("silence")
        network.WLAN._the.clear()
        started(self.clock)
        kept.Kept.taken_b = 0
        sleeper.ticks_ms, sleeper.ticks_diff, sleeper.ticks_add = self.clock.ticks_ms, ticks_diff, ticks_add
        sleeper.sleep_ms = self.clock.sleep_ms
        self.said = said()
        durable.print = sleeper.print = node.print
        waking.print = self.tell
        began_ms = self.clock.ticks_ms()
        self.clock.sleep_ms(self.load_ms)
        wifi = radio()
        if kind is sleeper.Sleeper:  # as app.make() does it
            known = remembered.Remembered()
            if not known.skip:
                known.join(wifi, conf(**self.keys))
            self.node = kind(conf(**self.keys), wifi, known, began_ms)
        else:
            self.node = kind(conf(**self.keys), wifi)
        return self.node

    def sleep(self, wakes):
        """So many wakes with the sleep after each."""
        self.keys["deep_sleep"] = True
        for _ in range(wakes):
            began = self.clock.now
            got = raises(fake_board.Reset, self.boot().run)
            self.awake_ms.append(self.clock.now - began)
            self.slept_ms.append(got.args[1])
            self.clock.sleep_ms(got.args[1] + self.start_ms)

    def tell(self, *words):
        self.told += " ".join([str(word) for word in words]) + "\n"

    def power_cut(self):
        fake_board.rtc[0] = b""

    def seqs(self):
        return [reading["seq"] for reading in self.readings()]


def up_to(count):
    return list(range(1, count + 1))


def test_no_flash_is_written_while_rtc_memory_has_room():
    with Board(connect_every=5) as board:
        board.sleep(11)
        equal((os.listdir("queue"), [count for count in os.listdir(".") if count != "queue"]), ([], []))
        equal(board.seqs(), up_to(22))
    many = [dict(ROOM, name="room %d" % i) for i in range(4)]
    with Board(sensors=many) as board:
        board.broker.ack_ms = 100  # eight readings, so all slots are in use
        board.sleep(3)
        equal((os.listdir("queue"), [count for count in os.listdir(".") if count != "queue"]), ([], []))
        equal(board.seqs(), up_to(24))


def test_what_does_not_fit_rtc_memory_overflows_to_flash():
    with Board(connect_every=30) as board:
        board.sleep(1)
        board.sleep(29)
        assert os.listdir("queue"), "58 readings are more than 2 KB"
        board.sleep(1)
        equal(board.seqs(), up_to(62))


def test_in_flight_and_waiting_readings_survive_a_power_cut_on_flash():
    for cut in range(30, 900, 60):
        with Board(keep_in="flash") as board:
            board.net.plans = [Plan(), Plan(cut_out=cut, how="silence")]
            board.sleep(1)
            board.power_cut()
            board.net.plans = []
            board.sleep(4)
            board.sleep(2)
            equal(board.seqs(), up_to(14), "cut %d" % cut)
            equal(board.broker.violations, [])


def test_awake_nodes_keep_readings_over_a_reset_too():
    for keep_in in ("rtc", "flash"):
        with Board(keep_in=keep_in, interval_s=5) as board:
            board.boot(durable.DurableNode)
            board.run(20000)
            board.net.plan = Plan(refuse=True)
            board.broker.stop()
            board.run(20000)
            taken = board.node.outbox.next
            if keep_in == "flash":
                board.power_cut()
            board.net.plan = Plan()
            board.boot(durable.DurableNode)
            board.run(30000)
            ending.finish(board.node, 10000)
            assert board.node.outbox.next > taken > len(board.seqs()) - 20
            equal(board.seqs(), up_to(board.node.outbox.next))
            equal([topic for topic in board.broker.retained if "/room/" in topic], [])
            equal(board.broker.violations, [])


def test_a_reading_that_was_put_behind_others_counts_as_one_that_waits_until_it_is_sent():
    with Board(interval_s=3600, diag=False) as board:
        board.boot(durable.DurableNode)
        board.run(5000)
        board.node.doubt()
        board.node.aside = [(b"umqtt/n1/room/temperature", b'{"seq":0}')]
        equal(board.node.waiting(), 1)
        board.run(5000)
        equal((board.node.waiting(), board.seqs()), (0, [1, 2, 0]))


def test_lives_that_hear_no_acknowledgement_repeat_and_count_each_reading_once():
    with Board(keep_in="flash", diag=False) as board:
        board.boot(durable.DurableNode)
        board.run(5000)
        board.net.plan = Plan(cut_in=4, how="silence")  # CONNACK, and nothing after it
        for _ in range(4):
            board.boot(durable.DurableNode)
            board.run(5000)
        held = ending.readings_in_flight(board.node)
        assert held
        board.net.plan = Plan()
        board.boot(durable.DurableNode)
        board.run(5000)
        equal(board.node.before, held)
        equal(board.status(), [b"online"] * 2)
        ending.sum_up(board.node)
        # those of the first life, too: its last acknowledgements were to go to flash with the next message
        assert " acknowledged=12 dropped=0" in board.said[-1], board.said[-1]
        equal(board.seqs(), up_to(12))
        equal(board.broker.violations, [])


def test_messages_in_flight_are_acknowledged_too_when_the_configuration_wants_qos_0_meanwhile():
    for qos, dup in ((2, 0), (1, 1)):  # a new message, or the same again
        with Board(keep_in="flash", diag=False, qos=qos) as board:
            board.boot(durable.DurableNode)
            take, board.broker._incoming = board.broker._incoming, lambda link, kept, packet: None
            board.run(5000)
            equal(board.node.client.inflight, 3)
            came = []

            def incoming(link, kept, packet):
                came.append((packet.topic.rpartition("/")[2], packet.qos, packet.dup))  # noqa: B023
                take(link, kept, packet)  # noqa: B023

            board.broker._incoming = incoming
            board.keys["qos"] = 0
            board.boot(durable.DurableNode)
            board.run(5000)
            of_before = [("temperature", 1, dup), ("humidity", 1, dup)]
            equal([each for each in came if each[0] != "status"][:3], of_before + [("temperature", 0, 0)])


def test_lives_without_an_acknowledgement_do_not_fill_the_slots_with_their_statuses():
    with Board({"wifi": {"lab": "12345678"}}, keep_in="flash", diag=False) as board:  # no sensor answers
        board.boot(durable.DurableNode)
        board.run(5000)
        board.net.plan = Plan(cut_in=4, how="silence")  # CONNACK, and nothing after it
        for _ in range(4):
            board.boot(durable.DurableNode)
            board.run(5000)
            equal([topic for _, topic, _ in takeback.unacknowledged(board.node.client)], [b"umqtt/n1/status"])


def test_a_board_that_could_not_say_offline_says_online_after_its_restart():
    for keep_in in ("rtc", "flash"):
        for cut in (2, 30, 45):  # before, and after the broker has it
            with Board(keep_in=keep_in) as board:
                board.boot(durable.DurableNode)
                board.run(5000)
                link = board.net.links[-1]
                link.plan = Plan(cut_out=link.out_b + cut, how="silence")
                ending.finish(board.node, 10000)
                board.boot(durable.DurableNode)
                board.run(5000)
                equal(board.status()[-1], b"online", (keep_in, cut))
                equal(board.node.client.inflight, 0)
                equal(board.broker.violations, [])


def without_qos_2(board):
    """The broker swallows what comes in QoS 2. Returns the list of what it has swallowed."""
    real = board.broker._incoming
    swallowed = []

    def incoming(link, kept_session, packet):
        return swallowed.append(packet.pid) if packet.qos == 2 else real(link, kept_session, packet)

    board.broker._incoming = incoming
    return swallowed


def test_a_broker_without_qos_2_is_noticed_once_by_boards_whose_readings_survive():
    for keep_in in ("rtc", "flash"):
        with Board(keep_in=keep_in) as board:
            swallowed = without_qos_2(board)
            board.boot(durable.DurableNode)
            board.run(900000)
            swallowed_before = len(swallowed), len(board.net.links)
            board.run(600000)
            equal(
                (len(swallowed), len(board.net.links)), swallowed_before, "QoS 2 and connections after it was noticed"
            )
            equal(board.seqs(), up_to(board.node.taken))
            equal((board.node.waiting(), board.node.dropped), (0, 0))


def test_only_the_newest_of_a_topic_is_sent_when_that_is_asked_for():
    with Board(only_latest=True, connect_every=6) as board:
        board.sleep(7)
        equal(board.seqs(), [1, 2, 13, 14])


def test_readings_expire_by_their_age_over_sleeps():
    with Board(expire_s=150, connect_every=6) as board:
        board.sleep(7)
        equal(board.seqs(), [1, 2, 9, 10, 11, 12, 13, 14])  # the oldest of these was taken 120 s ago


def test_a_full_store_refuses_and_says_so_once():
    with Board(keep_in="flash", queue_kb=4, connect_every=200) as board:
        board.sleep(1)
        refused = []
        for _ in range(80):
            board.sleep(1)
            refused += [line for line in board.said if line.startswith("storage: ")]
        assert refused and "full" in refused[0], refused
        first = board.node.outbox.next
        waiting = board.node.waiting()
        assert 30 < waiting < 160
        board.sleep(1)
        equal((first, waiting, 2), (board.node.outbox.next, board.node.waiting(), board.node.dropped))
        board.keys["connect_every"] = 1
        board.power_cut()
        board.sleep(4)
        assert len(board.seqs()) > waiting and board.node.waiting() == 0 and board.node.dropped == 0, board.seqs()


def test_a_full_store_refuses_a_whole_message_of_readings_and_counts_it():
    with Board(keep_in="flash", queue_kb=4, connect_every=200, payload="json") as board:
        board.sleep(81)
        count, waiting = board.node.outbox.next, board.node.waiting()
        assert 15 < waiting < 80, waiting
        board.sleep(1)
        equal((board.node.outbox.next, board.node.waiting(), board.node.dropped), (count, waiting, 1))


def test_what_a_sleeper_remembers_lies_before_the_journal():
    with Board(connect_every=3) as board:
        board.sleep(3)
        equal(board.node.journal.journal.region.at, remembered.SIZE_B)


def test_what_sensors_remember_and_what_waits_in_rtc_memory_do_not_touch_each_other():
    values = [[20 + i / 10, 40.0] for i in range(100)]
    script = dict(SCRIPT, values={"dht22 4": values})
    with Board(script, sensors=[dict(ROOM, delta={"temperature": 0.05, "humidity": 5}, send_every_s=86400)]) as board:
        board.sleep(1)
        board.net.plan = Plan(connect_ms=None)
        board.sleep(40)
        board.net.plan = Plan()
        board.sleep(6)
        equal(board.seqs(), up_to(48), "each temperature, and one humidity")
        equal(
            [reading["value"] for reading in board.readings("temperature")], [round(20 + i / 10, 1) for i in range(47)]
        )


def test_the_sum_of_pulses_and_what_waits_survive_a_reset_side_by_side():
    meter = {"type": "pulse", "name": "meter", "pin": 12}
    with Board(sensors=[meter], interval_s=10) as board:
        board.boot(durable.DurableNode)
        board.net.plan = Plan(refuse=True)
        for _ in range(20):
            fake_board.set_level(12, 0)
            board.clock.sleep_ms(20)
            fake_board.set_level(12, 1)
            board.run(10000)
        board.boot(durable.DurableNode)
        board.net.plan = Plan()
        board.run(100000)
        got = [reading["value"] for reading in board.readings("meter/count")]
        equal(board.seqs(), up_to(len(got)))
        equal(got, sorted(got))
        equal((len(got) > 25, got[-1]), (True, 20))


class Flash:
    """In place of durable's os: a file system of blocks of 4096 B, `free` of them, with files of `queue_b` in it."""

    def __init__(self, free, *queue_b):
        self.free = free
        self.queue_b = queue_b

    def statvfs(self, path):
        return 4096, 512, 500, self.free, 7, 0, 0, 0, 0, 255

    def listdir(self, path):
        if not self.queue_b:
            raise OSError(2)
        return [str(i) for i in range(len(self.queue_b))]

    def stat(self, path):
        return 0, 0, 0, 0, 0, 0, self.queue_b[int(path.split("/")[1])], 99, 99, 99


def test_a_queue_takes_no_more_than_half_of_what_flash_has_beside_a_reserve_of_24_kib():
    with Board(keep_in="flash") as board:
        node = board.boot(durable.DurableNode)
        try:
            for flash, room_kb, told in (
                (Flash(200), 64, []),
                (Flash(30), 48, ["storage: 120 KiB of flash are free: 48 KiB of the 64 of queue_kb are used"]),
                (
                    Flash(20, 30000, 10960),
                    48,
                    ["storage: 80 KiB of flash are free: 48 KiB of the 64 of queue_kb are used"],
                ),
                (Flash(2), 4, ["storage: 8 KiB of flash are free: 4 KiB of the 64 of queue_kb are used"]),
            ):
                del board.said[:]
                durable.os = flash
                equal(node.room_b(65536), room_kb * 1024)
                equal(board.said, told)
        finally:
            durable.os = os


def test_a_flash_that_is_full_when_readings_are_handed_over_is_told_as_storage_and_what_ends_that_too():
    with Board(keep_in="flash", interval_s=5) as board:
        node = board.boot(durable.DurableNode)
        board.run(1000)
        real = node.outbox.drain

        def full(client, most):
            raise OSError(28)

        node.outbox.drain = full
        board.run(3000)
        assert [line for line in board.said if line.startswith("storage: the flash is full")], board.said
        node.outbox.drain = real
        board.run(120000)
        equal(len([line for line in board.said if line.startswith("storage: well again")]), 1)
        equal(board.seqs(), up_to(node.outbox.next))


def test_a_file_or_folder_that_has_the_name_of_ours_is_set_aside_and_told():
    for name, make in (("queue", lambda: open("queue", "w").close()), ("journal", lambda: os.mkdir("journal"))):
        with Board(keep_in="flash") as board:
            make()
            board.boot(durable.DurableNode)
            assert "storage: %s was not ours: it is %s.mine now" % (name, name) in board.said, board.said
            board.run(60000)
            equal(board.seqs(), up_to(2))
            assert name + ".mine" in os.listdir(".")
            board.boot(durable.DurableNode)
            equal([line for line in board.said if "not ours" in line], [])


class Flashless:
    """Within it nothing can be written: the flash raises OSError(number)."""

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        self.real = open
        builtins.open = self.open

    def __exit__(self, *_):
        builtins.open = self.real

    def open(self, name, mode="r", *more):
        if mode in ("r", "rb"):
            return self.real(name, mode, *more)
        raise OSError(self.number)


def test_a_flash_that_is_read_only_or_broken_is_told_as_that_and_not_as_full():
    for number, words in ((30, "can only be read (30)"), (5, "cannot be read or written (5)"), (84, "(84)")):
        with Board(keep_in="flash", interval_s=5) as board:
            board.boot(durable.DurableNode)
            board.run(8000)
            with Flashless(number):
                board.run(30000)
            told = [line for line in board.said if "storage: " in line]
            equal(len(told), 1, board.said)
            assert words in told[0] and "full" not in told[0], told
            refused = [line for line in board.said if line.startswith("queue: ")]
            assert len(refused) == 1 and words in refused[0], refused


def test_a_reading_is_tried_as_soon_as_flash_can_be_written_to_again():
    for keys in ({}, {"payload": "json"}):
        with Board(keep_in="flash", interval_s=5, **keys) as board:
            board.boot(durable.DurableNode)
            board.run(8000)
            with Flashless(28):
                board.run(60000)
            dropped = board.node.dropped
            assert dropped > 10, dropped
            board.run(20000)
            equal(board.node.dropped, dropped)
            assert [line for line in board.said if line.startswith("storage: well again")], board.said
