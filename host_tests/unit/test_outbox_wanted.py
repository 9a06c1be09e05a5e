"""Which waiting messages the outbox still hands over: the latest, the last n, none that is too old."""

import os

from fakes.check import equal, raises, skip
from fakes.desk import YEAR_2026_S, Desk
from fakes.folder import Folder, read
from umqtt.outbox import LATEST


def test_only_the_latest_and_only_the_last_three_are_handed_over():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(5):
            desk.outbox.add("latest", "l%d" % i, 2, keep=LATEST)
            desk.outbox.add("three", "t%d" % i, 2, keep=3)
            desk.outbox.add("must", "m%d" % i, 2)
        equal(desk.deliver(), ["m0", "m1", "t2", "m2", "t3", "m3", "l4", "t4", "m4"])
        equal(desk.outbox.dropped, 6)
        desk.outbox.add("latest", "l5", 2, keep=LATEST)
        equal(desk.deliver()[-1], "l5")


def test_the_latest_is_handed_over_after_a_reset_too():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(5):
            desk.outbox.add("t", "%d" % i, 2, keep=LATEST)
        desk.start()
        equal(desk.deliver(), ["4"])


def test_what_is_too_old_is_passed_over():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "old", 2, expire_s=60)
        desk.outbox.add("t", "taken long ago", 2, expire_s=60, taken=desk.now - 61)
        desk.outbox.add("t", "patient", 2)
        desk.now += 61
        desk.start()  # age is counted over sleeps
        desk.outbox.add("t", "young", 2, expire_s=60)
        desk.now += 60
        equal(desk.deliver(), ["patient", "young"])
        equal(desk.outbox.expired, 2)


def test_an_age_that_is_not_known_expires_nothing():
    with Folder() as folder:
        desk = Desk(folder)
        desk.now = 100  # the clock was not set
        desk.outbox.add("t", "unset", 2, expire_s=60)
        desk.now = YEAR_2026_S
        desk.outbox.add("t", "set", 2, expire_s=60)
        desk.now = 50  # a power cut: it is not set again
        desk.start()
        equal(desk.deliver(), ["unset", "set"])


def test_what_is_useless_makes_room():
    with Folder() as folder:
        desk = Desk(folder, limit_b=1024, segment_b=256)
        for i in range(200):
            desk.outbox.add("latest", "%d" % i, 2, keep=LATEST)
            if i % 20 == 0:
                desk.outbox.add("must", "m%d" % i, 2)
        assert len(desk.file_names()) <= 4, desk.file_names()
        desk.start()
        equal(desk.deliver(), ["m%d" % i for i in range(0, 200, 20)] + ["199"])


def test_an_age_by_a_clock_that_was_never_set_expires_nothing():
    # after a power cut such a clock begins anew, and says nothing about a message of the life before
    with Folder() as folder:
        desk = Desk(folder)
        desk.now = 100
        desk.outbox.add("t", "unset at both times", 2, expire_s=60)
        desk.now = 5000
        desk.start()
        equal(desk.deliver(), ["unset at both times"])
        equal(desk.outbox.expired, 0)


def test_a_time_that_cannot_be_is_no_age():
    with Folder() as folder:
        desk = Desk(folder)
        for taken in (-5, 1 << 40, 0):
            desk.outbox.add("t", "%d" % taken, 2, expire_s=60, taken=taken)
        equal(desk.deliver(), ["-5", "%d" % (1 << 40), "0"])


def test_a_squeeze_keeps_the_order_and_the_room_of_one_file_more():
    with Folder() as folder:
        desk = Desk(folder, limit_b=2048, segment_b=256)
        most = 0
        for i in range(150):
            desk.outbox.add("latest", "%d" % i, 2, keep=2)
            if i % 10 == 0:
                desk.outbox.add("must", "m%d" % i, 2)
            most = max(most, len(desk.file_names()))
        assert most <= 8, most
        desk.start()
        equal(desk.deliver(), ["m%d" % i for i in range(0, 150, 10)] + ["148", "149"])


def test_policies_at_random_hand_over_what_they_say_in_order_through_squeezes_and_resets():
    seed = 3

    def any(above):
        nonlocal seed
        seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
        return (seed >> 8) % above

    squeezed = 0
    for _ in range(12):
        with Folder() as folder:
            desk = Desk(folder, limit_b=1536, segment_b=256)
            taken = []
            for i in range(60 + any(60)):
                topic = "ab"[any(2)]
                keep = (0, 1, 1, 2, 3)[any(5)]
                expire_s = 0 if keep else (0, 0, 50)[any(3)]
                try:
                    desk.outbox.add(topic, "%03d" % i + "x" * any(40), 2, keep=keep, expire_s=expire_s)
                    taken.append((topic, "%03d" % i, keep, expire_s, desk.now))
                except OSError as error:
                    assert "outbox full" in str(error), error
                desk.now += any(3)
                if any(25) == 0:
                    desk.start()
            before = desk.outbox.dropped + desk.outbox.expired
            squeezed += before > 0
            want = []
            for i in range(len(taken)):
                topic, payload, keep, expire_s, at = taken[i]
                newer = len([later for later in taken[i + 1 :] if later[0] == topic and later[2]])
                if not (expire_s and desk.now - at > expire_s) and not (keep and newer >= keep):
                    want.append(payload)
            equal([payload[:3] for payload in desk.deliver()], want)
            equal(desk.file_names(), [])
    assert squeezed > 6, squeezed


def test_a_squeeze_keeps_the_latest_though_an_older_one_of_a_larger_n_waits():
    with Folder() as folder:
        desk = Desk(folder, limit_b=1024, segment_b=256)
        for i in range(40):
            desk.outbox.add("t", "older %02d" % i, 2, keep=3)
        desk.outbox.add("t", "latest", 2, keep=LATEST)
        for i in range(60):
            desk.outbox.add("filler", "%d" % i, 2, keep=LATEST)  # squeezes it more than once
        equal([payload for payload in desk.deliver() if not payload.isdigit()], ["older 38", "older 39", "latest"])


def test_each_message_that_is_passed_over_is_counted_once():
    with Folder() as folder:
        desk = Desk(folder, limit_b=1024, segment_b=256)
        for i in range(100):
            desk.outbox.add("t", "%d" % i, 2, keep=2)
        desk.outbox.add("old", "x", 2, expire_s=5)
        desk.now += 6
        equal(desk.deliver(), ["98", "99"])
        equal((desk.outbox.dropped, desk.outbox.expired), (98, 1))


def test_a_message_expires_a_second_after_its_age_and_not_at_it():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "young", 2, expire_s=60, taken=desk.now - 60)
        desk.outbox.add("t", "old", 2, expire_s=60, taken=desk.now - 61)
        equal(desk.deliver(), ["young"])
        desk.now = 600000000  # the first moment of a clock that was set
        desk.outbox.add("t", "set", 2, expire_s=60, taken=desk.now)
        desk.now += 61
        equal(desk.deliver(), ["young"])


def test_a_squeeze_fills_files_and_makes_none_larger_than_its_share():
    with Folder() as folder:
        desk = Desk(folder, limit_b=2048, segment_b=256)
        for i in range(60):
            desk.outbox.add("latest", "%03d" % i + "x" * 60, 2, keep=LATEST)
            desk.outbox.add("must", "%03d" % i + "x" * 60, 2, keep=12)
            sizes = [len(read(folder + "/q/" + name)) for name in desk.file_names()]
            assert max(sizes) <= 256, sizes
        equal([payload[:3] for payload in desk.deliver()], ["%03d" % i for i in range(48, 60)] + ["059"])


def test_the_latest_of_qos_0_that_could_not_be_sent_yet_is_next_again():
    for first_keep, waiting, delivered in ((LATEST, 1, ["x", "2"]), (3, 3, ["x", "0", "2"])):
        with Folder() as folder:
            desk = Desk(folder)
            for i in range(3):
                desk.outbox.add("latest", "%d" % i, 0, keep=LATEST if i else first_keep)
            desk.client.connect()
            desk.client.poll(0)
            plan = desk.world.link.plan
            room = plan.buffer
            plan.buffer = 0
            desk.client.publish("older", b"x", wait=False)
            equal((desk.outbox.drain(desk.client), desk.outbox.waiting), (0, waiting))
            plan.buffer = room
            equal(desk.deliver(), delivered)


def test_wanted_are_the_latest_of_topics_that_differ_in_their_first_letter_or_are_long():
    with Folder() as folder:
        desk = Desk(folder)
        topics = ["a/t", "b/t", "c" * 300 + "1", "c" * 300 + "2"]
        for payload in ("/old", "/new"):
            for topic in topics:
                desk.outbox.add(topic, payload, 2, keep=LATEST)
        desk.deliver()
        equal(
            [(topic, payload) for topic, payload, _ in desk.world.broker.accepted],
            [(topic, b"/new") for topic in topics],
        )


def test_wanted_messages_of_a_full_outbox_are_not_written_again_when_that_frees_no_file():
    with Folder() as folder:
        desk = Desk(folder, limit_b=512, segment_b=256)
        for _ in range(2):
            desk.outbox.add("t", "x" * 200, 2)
        before = [os.stat(folder + "/q/" + name) for name in desk.file_names()]
        for _ in range(3):
            raises(OSError, desk.outbox.add, "t", "x" * 200, 2)
        equal([os.stat(folder + "/q/" + name) for name in desk.file_names()], before)
        equal(desk.outbox._tail_b >= 0, True)


def test_wanted_is_what_was_before_a_squeeze_that_found_no_room():
    with Folder() as folder:
        desk = Desk(folder, limit_b=1024, segment_b=256)
        desk.outbox.add("latest", "00", 2, keep=2)
        names = getattr(desk.outbox._chooser.squeeze, "__globals__", None)
        if names is None:
            skip("CPython tells the names that a method uses")
        full = OSError(28, "")

        def no_room(*_):
            raise full

        count = 1
        names["open"] = no_room
        try:
            while count < 100:
                desk.outbox.add("latest", "%02d" % count + "x" * 40, 2, keep=2)
                count += 1
        except OSError as fault:
            assert fault is full, fault
        finally:
            del names["open"]
        assert 10 < count < 100, count
        equal([payload[:2] for payload in desk.deliver()], ["%02d" % (count - 2), "%02d" % (count - 1)])


def test_wanted_is_the_latest_of_what_is_staged_too():
    with Folder() as folder:
        desk = Desk(folder, stage=400)
        equal(desk.outbox.drain(desk.client), 0)
        for i in range(4):
            desk.outbox.add("t", "%d" % i, 2, keep=LATEST)
        equal((desk.file_names(), desk.outbox.drain(desk.client)), ([], 0), "without a link")
        equal(desk.deliver(), ["3"])
        equal(desk.outbox.drain(desk.client), 0)
        for i in range(4, 6):
            desk.outbox.add("t", "%d" % i, 2, keep=LATEST)
        equal(desk.deliver(), ["3", "5"])
