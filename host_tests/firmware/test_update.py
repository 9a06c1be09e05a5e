"""An update over the air, taken from a host piece by piece: who may send one, what is asked for, what is refused."""

import os
import sys
from binascii import hexlify

import fakes.clock
import on_board  # noqa: F401 - the paths
from fakes.check import equal, raises
from fakes.folder import Folder, read, write
from fakes.ota_host import KEY, TOPIC, Asking, Host, digest

import update
import slots

FILES = {"app.mpy": b"new app" * 100, "lib/umqtt/client.mpy": b"new client" * 300, "same.mpy": b"the same" * 50}
WITH_EMPTY = dict(FILES, **{"a/__init__.py": b"", "lib/__init__.py": b"", "z.py": b""})
OF_ONE_SIZE = {"a.mpy": b"a" * 700, "b.mpy": b"b" * 700, "same.mpy": FILES["same.mpy"], "t.mpy": b"t" * 400}


class Flash(Folder):
    """The root of a board with the cable's firmware, of which one file is the same."""

    def __enter__(self):
        path = super().__enter__()
        slots.ROOT = path + "/"
        write(path + "/app.mpy", b"old app")
        write(path + "/same.mpy", FILES["same.mpy"])
        self.clock = fakes.clock.Clock()
        update.ticks_ms = self.clock.ticks_ms
        update.ticks_diff = fakes.clock.ticks_diff
        return self

    def __exit__(self, *_):
        super().__exit__()
        slots.ROOT = ""


def take(host, coming, node, spoil=lambda chunk: chunk):
    """Turns until the update is over; the requests that it took."""
    requests = []
    for _ in range(300):
        coming.work()
        if coming.over:
            return requests
        for asked in node.take():
            requests.append(asked)
            for chunk in host.chunks(asked):
                coming.chunk(b"", spoil(chunk), 2)
    raise AssertionError("no end")


def test_hmac_is_rfc_4231s():
    for key, message, mac in (
        (b"\x0b" * 20, b"Hi There", b"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            b"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        # the longest ota_key; by CPython's hmac
        (b"k" * 64, b"a key of one block", b"87d4475d303a1ffef49cdd952afe3446f8725596e02389e6edaa379cca48c52b"),
    ):
        equal(hexlify(update.hmac(key, message)), mac)


def test_what_differs_is_asked_for_and_the_whole_is_offered():
    with Flash():
        host = Host(FILES, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        requests = take(host, coming, node)
        equal(coming.over, update.WHOLE)
        assert host.names.index("same.mpy") not in [asked["file"] for asked in requests], requests
        equal({asked["update"] for asked in requests}, {digest(host.listed)[:8]})
        assert node.fed > len(FILES), "the watchdog sees each step"
        for name in FILES:
            equal(read(slots.at("1/" + name)), FILES[name], name)
        offered = slots.read("boot.new")
        equal((offered["run"], offered["old"]["run"]), ("1", ""))
        equal(read(slots.ROOT + "app.mpy"), b"old app", "the cable's firmware is not written over")


def test_a_manifest_of_somebody_else_is_refused_and_changes_nothing():
    with Flash():
        host = Host(FILES, 7)
        good = host.manifest()
        longer = good.replace(b" 7 ", b" 8 ")
        for bad in (host.manifest("x" * 32), host.manifest(topic="umqtt/n2"), longer, good[:-1] + b"!", good[:-1]):
            words = str(raises(ValueError, update.Update, Asking(), bad))
            assert "ota_key" in words, words
        for bad in (b"1", b"\xff\xfe", b"a b c d e"):
            raises(ValueError, update.Update, Asking(), bad)
        assert not slots.is_there(slots.ROOT + "ota")


def test_a_list_that_no_update_has_ends_it_in_words_and_nothing_outside_of_its_folder_is_written():
    before = {"app.mpy": b"old app"}
    for line in (
        "%s 4 ../../boot.py", "%s 4 lib/../../../boot.py", "%s 4 /boot.py", "%s 4 lib//x.py", "%s 4 ./x.py", "%s 4 ",
        "%s 4 lib/", "%s 4", "%s", "", "%s -4 x.py", "%s 4x x.py", "%s 4 x.py y.py", "%s  x.py", "\xff",
    ):  # fmt: skip
        with Flash():
            host = Host({"app.mpy": b"evil"}, 7)
            host.listed += ((line % digest(b"evil") if "%" in line else line) + "\n").encode()
            host.parts[0] = host.listed
            host.parts.append(b"evil")
            node = Asking()
            coming = update.Update(node, host.manifest())
            take(host, coming, node)
            assert "the list of files" in coming.over, (line, coming.over)
            for name in before:
                equal(read(slots.ROOT + name), before[name])
            assert not slots.is_there(slots.ROOT + "boot.py") and not slots.is_there(slots.at("boot.new"))


def test_a_list_of_a_size_that_no_list_has_and_a_serial_that_is_no_number_are_refused():
    with Flash():
        for size in ("7 -1", "7 0", "7 70000", "7 %d" % 2**31, "7 x", "7 1e3", "7 ", "x 700", "-7 700", "7.5 700"):
            host = Host(FILES, 7)
            text = "umqtt-ota1 %s %s" % (size, digest(host.listed))
            mac = hexlify(update.hmac(KEY.encode(), ("%s %s" % (TOPIC, text)).encode())).decode()
            words = str(raises(ValueError, update.Update, Asking(), ("%s %s" % (text, mac)).encode()))
            assert "no manifest" in words, (size, words)
        assert not slots.is_there(slots.ROOT + "ota")


def test_an_older_manifest_is_refused_in_words():
    with Flash():
        host = Host(FILES, 7)
        node = Asking()
        take(host, update.Update(node, host.manifest()), node)
        older = Host({"app.mpy": b"a hole that was mended"}, 6)
        words = str(raises(ValueError, update.Update, Asking(), older.manifest()))
        assert "older" in words and words.endswith("newest: 7"), words
        for serial, writes in ((8, 1), (8, 0), (10, 1)):  # the one with 7 is sent anew; the board starts again
            real, written = slots.write, []
            slots.write = lambda name, values: written.append(name) or real(name, values)  # noqa: B023
            try:
                update.Update(Asking(), Host(dict(FILES, more=b"more"), serial).manifest())
            finally:
                slots.write = real
            equal(written, ["taken"] * writes, serial)
        between = Host(dict(FILES, more=b"more"), 9).manifest()
        assert "newest: 10" in str(raises(ValueError, update.Update, Asking(), between))


def test_an_update_goes_on_where_it_was_in_a_life_before():
    with Flash():
        host = Host(FILES, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        got = []
        while [name for name in host.names if name and not slots.is_there(slots.at("1/" + name))][:1] == ["app.mpy"]:
            coming.work()
            for asked in node.take():
                got.append(asked["file"])
                for chunk in host.chunks(asked):
                    coming.chunk(b"", chunk, 2)
        again = Asking()
        coming = update.Update(again, Host(FILES, 8).manifest())  # the host was ended, and was started again
        asked = [request["file"] for request in take(host, coming, again)]
        equal(coming.over, update.WHOLE)
        assert 0 in got and 0 not in asked and 1 not in asked, (got, asked)


def test_a_piece_that_is_late_repeated_or_of_another_update_does_nothing():
    with Flash():
        host = Host(FILES, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        coming.work()
        chunks = host.chunks(node.take()[0], 50)
        for chunk in (chunks[1], chunks[0], chunks[0], Host({"x": b"x"}, 9).chunk(0, 50, b"z"), b"", b"123456789"):
            coming.chunk(b"", chunk, 2)
        for chunk in chunks[1:]:
            coming.chunk(b"", chunk, 2)
        coming.work()
        equal(read(coming.list), host.listed)


def spoiling(host, numbers, times):
    """What take() does to a chunk: the first one of each of these files comes wrong so often."""
    left = {host.chunk(number, 0, b""): times for number in numbers}

    def spoil(chunk):
        if left.get(chunk[:10], 0):
            left[chunk[:10]] -= 1
            return chunk[:-1] + b"!"
        return chunk

    return spoil


def test_bytes_that_are_not_the_files_are_asked_for_again_and_given_up_after_three_times():
    for number, name in ((0, "1.list"), (1, "app.mpy")):
        with Flash():
            host = Host(FILES, 7)
            node = Asking()
            coming = update.Update(node, host.manifest())
            requests = take(host, coming, node, spoiling(host, (number,), 99))
            assert name in coming.over and "SHA-256" in coming.over, coming.over
            equal(len([asked for asked in requests if asked["file"] == number and not asked["from"]]), 3)
            assert not slots.is_there(slots.at("boot.new"))
    with Flash():
        host = Host(FILES, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        take(host, coming, node, spoiling(host, range(4), 2))
        equal(coming.over, update.WHOLE, "each file has its own three")


def test_a_board_that_executes_its_firmware_from_rom_is_told_what_can_change_that():
    with Flash():
        real = slots.is_there
        slots.is_there = lambda path: path == "/rom/app.mpy" or real(path)
        try:
            words = str(raises(ValueError, update.Update, Asking(), Host(FILES, 7).manifest()))
        finally:
            slots.is_there = real
        assert "`make deploy`" in words, words
        assert not slots.is_there(slots.ROOT + "ota"), "nothing has changed"


def test_files_for_another_micropython_are_refused_before_they_are_sent():
    with Flash():
        host = Host(FILES, 7, mpy=99)
        node = Asking()
        coming = update.Update(node, host.manifest())
        requests = take(host, coming, node)
        assert "99" in coming.over and "make flash" in coming.over, coming.over
        equal({asked["file"] for asked in requests}, {0})


def test_a_flash_without_room_is_told_before_anything_is_sent():
    with Flash():
        host = Host(FILES, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        room = update.os
        update.os = _Full(room)
        try:
            take(host, coming, node)
        finally:
            update.os = room
        assert "KiB free" in coming.over, coming.over


class _Full:
    def __init__(self, real):
        self.real = real

    def statvfs(self, path):
        return (4096, 4096, 100, 8, 8, 0, 0, 0, 0, 255)

    def __getattr__(self, name):
        return getattr(self.real, name)


def test_silence_is_asked_into_again_and_less_and_less_often():
    with Flash() as flash:
        host = Host(FILES, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        times = []
        for _ in range(700):
            coming.work()
            if node.take():
                times.append(flash.clock.now)
            flash.clock.sleep_ms(300)
        pauses = [(later - earlier) // 1000 for earlier, later in zip(times, times[1:])]
        equal(pauses, ([5, 10, 20, 40] + [60] * 9)[: len(pauses)])
        assert len(pauses) > 5, pauses
        began = flash.clock.now
        coming.chunk(b"", host.chunk(0, 0, host.listed[:50]), 2)  # the host is back, and goes again
        asked_ms = []
        while len(asked_ms) < 2:
            flash.clock.sleep_ms(100)
            coming.work()
            if node.take():
                asked_ms.append(flash.clock.now - began)
        assert 5000 < asked_ms[0] <= 5200 and 15000 < asked_ms[1] <= 15500, asked_ms


def test_without_a_free_slot_of_the_client_it_is_asked_in_the_next_turn():
    with Flash():
        node = Asking()
        coming = update.Update(node, Host(FILES, 7).manifest())
        node.no_slot = True
        coming.work()
        node.no_slot = False
        equal(node.take(), [])
        coming.work()
        equal(len(node.take()), 1)


def test_what_runs_already_is_said_and_what_has_failed_is_tried_again_only_when_it_is_sent_anew():
    with Flash():
        host = Host(FILES, 7)
        node = Asking()
        take(host, update.Update(node, host.manifest()), node)
        equal(update.Update(node, host.manifest()).over, update.ON_TRIAL)
        os.rename(slots.at("boot.new"), slots.at("boot.try"))
        equal(update.Update(node, host.manifest()).over, update.ON_TRIAL)
        other = Host({"app.mpy": b"another"}, 8)
        assert "on trial" in str(raises(ValueError, update.Update, node, other.manifest()))
        slots.go_back("it is bad")
        equal(update.Update(node, host.manifest()).over, "it is bad")
        anew = Host(FILES, 9)
        coming = update.Update(node, anew.manifest())
        take(anew, coming, node)
        equal(coming.over, update.WHOLE)
        assert not slots.is_there(slots.at("boot.bad")), "nobody is told of it any more"
        os.rename(slots.at("boot.new"), slots.at("boot"))
        runs = update.Update(node, Host(FILES, 10).manifest())
        equal(runs.over, update.RUNS)
        node.take()
        runs.work()
        equal((runs.over, node.take()), (update.RUNS, []), "there is nothing to be done")


class Hearing(Asking):
    """A node with as much of a listener as an update uses; `afterwards` is what is to be done once it is answered."""

    journal = None
    inflight = 0

    def __init__(self, trials):
        super().__init__()
        self.cfg = {"ota_key": KEY, "trials": trials}
        self.listener = self
        self.turns = {}
        self.then = None

    def hear(self, topic_filter, qos, take):
        self.take_chunk = take

    def unhear(self, topic_filter):
        self.take_chunk = None

    def stay(self, seconds):
        self.awake_s = seconds

    def answer(self, name, ok, words):
        self.answered = name, ok, words

    def waiting(self):
        return 0

    def afterwards(self, then):
        self.then = then


def test_an_update_that_is_whole_waits_for_the_end_of_a_trial_of_config_json():
    # its restart would end that trial as a failure
    with Flash():
        host = Host(FILES, 7)
        node = Hearing(("config.json",))
        update.begin(node, host.manifest())
        turn = node.turns["ota"]
        for _ in range(100):
            assert turn(node)
            for asked in node.take():
                assert "state" not in asked
                for chunk in host.chunks(asked):
                    node.take_chunk(b"", chunk, 2)
        assert slots.is_there(slots.at("boot.new")) and not node.then
        node.cfg["trials"] = ()
        assert not turn(node)
        assert node.then


def test_a_newer_update_takes_the_place_of_one_that_was_half_there():
    with Flash():
        host = Host(FILES, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        coming.work()
        for chunk in host.chunks(node.take()[0]):
            coming.chunk(b"", chunk, 2)
        coming.work()
        newer = Host({"app.mpy": b"newer"}, 8)
        node = Asking()
        coming = update.Update(node, newer.manifest())
        take(newer, coming, node)
        equal(coming.over, update.WHOLE)
        left = sorted(name for name in os.listdir(slots.ROOT + "ota") if name[0].isdigit())
        equal(left, ["2", "2.list"])


def test_a_large_file_goes_on_at_the_last_block_that_is_on_flash():
    with Flash():
        host = Host({"app.mpy": b"0123456789" * 1200}, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        while coming.had_b < 9000:
            coming.work()
            for asked in node.take():
                for chunk in host.chunks(asked):
                    coming.chunk(b"", chunk, 2)
        again = Asking()
        requests = take(host, update.Update(again, host.manifest()), again)
        assert requests[0]["from"] >= 8192, requests
        equal(read(slots.at("1/app.mpy")), b"0123456789" * 1200)


def test_the_folder_that_runs_stays_and_the_one_before_goes_when_the_next_update_begins():
    with Flash():
        for serial, left in ((1, ["1"]), (2, ["1", "2"]), (3, ["2", "3"])):
            host = Host({"app.mpy": b"app %d" % serial}, serial)
            node = Asking()
            take(host, update.Update(node, host.manifest()), node)
            folders = sorted(name for name in os.listdir(slots.ROOT + "ota") if name.isdigit())
            equal(folders, left)
            os.rename(slots.at("boot.new"), slots.at("boot"))


def test_an_update_that_was_whole_and_never_started_is_not_started_once_a_newer_one_has_come():
    with Flash():
        host = Host(FILES, 7)
        node = Asking()
        take(host, update.Update(node, host.manifest()), node)
        update.Update(node, Host({"app.mpy": b"newer"}, 8).manifest())
        assert not slots.is_there(slots.at("boot.new"))


class _Room(_Full):
    """A flash with so many blocks of 4 KiB free."""

    def __init__(self, real, blocks):
        super().__init__(real)
        self.blocks = blocks

    def statvfs(self, path):
        return (4096, 4096, 100, self.blocks, self.blocks, 0, 0, 0, 0, 255)


def test_an_update_leaves_24_kib_of_flash_to_the_node_and_says_how_much_is_missing():
    for blocks, over in (
        (9, update.WHOLE),
        (8, "the flash has 32 KiB free, the update needs 36"),
    ):  # a block for each file
        with Flash():
            host = Host(FILES, 7)
            node = Asking()
            coming = update.Update(node, host.manifest())
            room = update.os
            update.os = _Room(room, blocks)
            try:
                take(host, coming, node)
            finally:
                update.os = room
            equal(coming.over, over)


def test_a_list_whose_head_is_of_another_release_ends_the_update_in_words():
    for head in (b"umqtt-node 2 %d", b"umqtt-nose 1 %d", b"umqtt-node 1 %d more", b"umqtt-node 1", b""):
        with Flash():
            host = Host(FILES, 7)
            mpy = int(host.listed.split()[2])
            host.listed = (head % mpy if b"%" in head else head) + host.listed[host.listed.index(b"\n") :]
            host.parts[0] = host.listed
            node = Asking()
            coming = update.Update(node, host.manifest())
            requests = take(host, coming, node)
            assert "of another release" in coming.over, (head, coming.over)
            equal({asked["file"] for asked in requests}, {0})


def test_of_a_list_that_cannot_be_used_the_first_reason_is_told():
    for head, rest, part in (
        (b"umqtt-node 2 6", b"app.mpy 7000\n", "of another release"),
        (b"umqtt-node 1 99", b"%s 7000000 app.mpy\n" % digest(b"").encode(), "`make flash`"),
    ):
        with Flash():
            host = Host(FILES, 7)
            host.listed = host.parts[0] = head + b"\n" + rest
            coming = update.Update(Asking(), host.manifest())
            room = update.os
            update.os = _Full(room)
            try:
                take(host, coming, coming.node)
            finally:
                update.os = room
            assert part in coming.over, (head, coming.over)


def test_a_file_whose_name_is_not_ascii_hides_none_behind_it():
    files = dict(FILES, **{"sensors/f\u00fchler.mpy": b"a driver of their own"})
    with Flash():
        host = Host(files, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        take(host, coming, node)
        equal(coming.over, "whole")
        for name in files:
            equal(read(slots.at("1/" + name)), files[name], name)


def test_a_part_that_is_whole_is_not_asked_for_again_and_one_that_is_too_long_is_begun_anew():
    for more, asks_for_it in ((b"", False), (b"!", True)):
        with Flash():
            host = Host(FILES, 7)
            node = Asking()
            coming = update.Update(node, host.manifest())
            write(coming.part, host.listed + more)  # a power cut came before it had its name
            requests = take(host, coming, node)
            equal(coming.over, update.WHOLE)
            equal([asked["from"] for asked in requests if not asked["file"]], [0] if asks_for_it else [])


def test_a_file_that_comes_is_opened_once_for_each_block_of_flash():
    opened = []

    def counted(name, mode="r"):
        if mode == "ab":
            opened.append(name)
        return open(name, mode)  # noqa: SIM115

    with Flash():
        host = Host({"app.mpy": b"0123456789" * 1200}, 7)
        node = Asking()
        coming = update.Update(node, host.manifest())
        update.open = counted
        try:
            take(host, coming, node)
        finally:
            del update.open
        equal(coming.over, update.WHOLE)
        equal(len(opened), 1 + 3, "the list, and 4096, 8192, 12000 B")


def test_an_update_that_is_whole_waits_until_what_is_in_ram_has_gone_out():
    for journal, starts_at_once in ((None, False), ("a store keeps it", True)):
        with Flash():
            host = Host(FILES, 7)
            node = Hearing(())
            node.journal = journal
            waits = [2, 1]
            node.waiting = lambda: waits[0]  # noqa: B023
            update.begin(node, host.manifest())
            turn = node.turns["ota"]
            for _ in range(100):
                if not turn(node):
                    break
                for asked in node.take():
                    if "state" not in asked:
                        for chunk in host.chunks(asked):
                            node.take_chunk(b"", chunk, 2)
            equal(node.then is not None, starts_at_once)
            if not starts_at_once:
                waits[0] = 0
                node.inflight = 1
                node.awake_s = 0
                assert turn(node) and not node.then, "nor while a message is in flight"
                equal(node.awake_s, 10, "nor does a sleeper sleep before that")
                node.inflight = 0
                node.no_slot = True
                assert turn(node) and not node.then, "nor before the host can be told"
                node.no_slot = False
                assert not turn(node) and node.then


def served(host, node, spoil=lambda chunk: chunk, most=100):
    """Turns of a node that hears until it wants no more of them, or so many."""
    for _ in range(most):
        if not node.turns["ota"](node):
            return
        for asked in node.take():
            for chunk in host.chunks(asked) if "state" not in asked else ():
                node.take_chunk(b"", spoil(chunk), 2)


def test_while_pieces_come_the_next_window_is_asked_for_at_once_and_a_sleeper_stays_awake():
    with Flash():
        host = Host({"app.mpy": b"0123456789" * 1200}, 7)
        node = Hearing(())
        update.begin(node, host.manifest())
        equal(node.awake_s, 10)
        served(host, node, most=1)  # the list, and the first window of the file
        node.take()
        for at in range(0, 1024, 128):
            node.awake_s = 0
            node.take_chunk(b"", host.chunk(1, at, host.parts[1][at : at + 128]), 2)
            equal(node.awake_s, 10)
        equal([(asked["file"], asked["from"], asked["b"]) for asked in node.take()], [(1, 1024, 1024)])
        update.begin(node, b"")


def test_an_update_that_is_given_up_hears_no_more_and_one_that_fails_is_answered():
    with Flash():
        host = Host(FILES, 7)
        node = Hearing(())
        update.begin(node, host.manifest())
        served(host, node, most=1)
        equal((update.begin(node, b""), node.turns, node.take_chunk), (None, {}, None))
        update._take(b"", host.chunk(1, 0, b"late"), 2)
        equal(update.begin(node, b""), None, "there is none")
        update.begin(node, host.manifest())
        sys.modules["update"], sys.modules["slots"] = update, slots
        served(host, node, spoiling(host, (1,), 99))
        name, ok, words = node.answered
        assert (name, ok) == ("ota", False) and "SHA-256" in words, node.answered
        equal(node.take_chunk, None)
        assert "update" not in sys.modules, "the heap has it back"
        sys.modules["update"], sys.modules["slots"] = update, slots


def test_a_manifest_that_was_obeyed_before_is_answered_with_what_has_become_of_it():
    with Flash():
        host = Host(FILES, 7)
        node = Hearing(())
        take(host, update.Update(node, host.manifest()), node)
        os.rename(slots.at("boot.new"), slots.at("boot.try"))
        equal(update.begin(node, host.manifest()), None, "on trial: the answer comes at its end")
        slots.go_back("it is bad")
        equal(str(raises(ValueError, update.begin, node, host.manifest())), "it is bad")
        slots.write("boot", {"run": "1", "digest": digest(host.listed)})
        equal(update.begin(node, host.manifest()), "this firmware runs")
        equal((node.turns, node.take()), ({}, []))
        assert "update" not in sys.modules, "the heap has it back"
        sys.modules["update"], sys.modules["slots"] = update, slots


def test_before_the_restart_into_an_update_the_broker_has_all_that_was_read():
    from fakes.net import Plan

    import fake_board

    room = {"type": "dht22", "name": "room", "pin": 4}
    world = on_board.World({"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2]]}}, sensors=[room])
    world.net.plan = Plan(latency_ms=800)
    world.run(20000)
    world.node.measure()
    raises(fake_board.Reset, update._restart, world.node)
    equal((world.node.waiting(), world.node.client.inflight, len(world.readings())), (0, 0, world.node.taken))
    assert world.said[-1].startswith("summary: "), world.said


def test_files_without_a_byte_and_files_of_one_size_are_files_of_an_update():
    for files in (WITH_EMPTY, OF_ONE_SIZE):
        with Flash():
            host = Host(files, 7)
            node = Asking()
            coming = update.Update(node, host.manifest())
            take(host, coming, node)
            equal(coming.over, update.WHOLE)
            for name in files:
                equal(read(slots.at("1/" + name)), files[name], name)


def test_what_has_come_of_a_file_already_needs_no_room_again():
    data = b"0123456789" * 1200
    for blocks, over in ((7, update.WHOLE), (6, "the flash has 32 KiB free, the update needs 36")):
        with Flash():
            host = Host({"app.mpy": data}, 7)
            coming = update.Update(Asking(), host.manifest())
            os.mkdir(slots.at("1"))
            write(coming.list, host.listed)
            write(coming.part, data[:8192])  # of an earlier life
            node = Asking()
            coming = update.Update(node, host.manifest())
            room = update.os
            update.os = _Room(room, blocks)
            try:
                requests = take(host, coming, node)
            finally:
                update.os = room
            equal(coming.over, over)
            equal([asked["from"] for asked in requests][:1], [8192] if over == update.WHOLE else [])


class _Failing:
    """An open file of which one call fails: of a flash that is full, or worn."""

    def __init__(self, name, mode, what):
        if what == "open":
            raise OSError(28)
        self.file = open(name, mode)  # noqa: SIM115
        self.what = what

    def write(self, data):
        if self.what == "write":
            raise OSError(28)
        return self.file.write(data)

    def close(self):
        self.file.close()
        if self.what == "close":
            self.what = ""
            raise OSError(28)


def test_a_flash_that_fails_while_a_piece_comes_ends_the_update_and_not_the_link():
    for what in ("open", "write", "close"):
        with Flash() as flash:
            host = Host(FILES, 7)
            node = Asking()
            coming = update.Update(node, host.manifest())
            coming.work()
            update.open = lambda name, mode="r": (_Failing(name, mode, what) if mode == "ab" else open(name, mode))  # noqa
            try:
                coming.chunk(b"", host.chunks(node.take()[0], 50)[0], 2)
                flash.clock.sleep_ms(5001)  # after a silence what came is closed
                coming.work()
            finally:
                del update.open
            equal((coming.over[:11], coming.file, node.take()), ("the flash: ", None, []), what)
