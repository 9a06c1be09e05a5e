"""The questions that operators ask of a log, one option each."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys

import pytest

from tools.mosqlog import cluster, lines, live, options, selection
from tools.mosqlog.model import Client, Session, Stranger
from tools.mosqlog.parse import parse

from .program import LOG, ROOT, following, objects, run

START = 1795348560
STORY = [
    f"{START}: New connection from 10.0.0.7:50001 on port 1883.",
    f"{START}: New client connected from 10.0.0.7:50001 as lamp (p2, c1, k60, u'home').",
    f"{START}: Will message specified (4 bytes) (r0, q1).",
    f"{START}: \twill/lamp",
    f"{START}: Sending CONNACK to lamp (0, 0)",
    f"{START + 1}: Received PUBLISH from lamp (d0, q0, r0, m0, 'home/lamp', ... (100 bytes))",
    f"{START + 11}: Received PUBLISH from lamp (d0, q0, r0, m0, 'home/lamp', ... (100 bytes))",
    f"{START + 12}: Received PUBLISH from lamp (d0, q0, r0, m0, 'home/power', ... (5 bytes))",
    f"{START + 20}: New client connected from 10.0.1.8:50002 as meter (p2, c1, k30).",
    f"{START + 21}: Received PUBLISH from meter (d0, q0, r0, m0, 'home/meter', ... (7 bytes))",
    f"{START + 30}: Client lamp closed its connection.",
    f"{START + 4000}: Received PINGREQ from meter",
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "mosquitto.log"
    path.write_text("\n".join(STORY) + "\n")
    return path


def described_options():
    """{option: the text of its help}"""
    help_text = options.parser().format_help()
    parts = re.split(r"^  (--[a-z-]+)", help_text.partition("show this help")[2], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def test_every_option_has_an_example_in_its_help_that_works():
    described = described_options()
    assert len(described) > 20
    for option, text in described.items():
        example = re.search(r"^ {24}Example: (.*)$", text, re.MULTILINE)  # on a line of its own, to be copied
        assert example and example[1].startswith(option), option
        extra = ["--follow"] if option in ("--exec", "--publish") else []
        options.arguments(["mosquitto.log", *shlex.split(example[1]), *extra])
    assert f"\n{' ' * 24}Example: north=/var/log/north.log south=" in options.parser().format_help()


def test_every_option_is_in_the_manual():
    page = (ROOT / "docs" / "mosqlog.md").read_text()
    assert [option for option in described_options() if f"`{option}" not in page] == []


# -- the log itself


@pytest.mark.parametrize(
    "line, shown",
    [
        (
            "1795348562: mosquitto version 2.0.21 starting",
            "2026-11-22 15:26:02+0330: mosquitto version 2.0.21 starting",
        ),
        ("1795348562.25: x", "2026-11-22 15:26:02.25+0330: x"),
        ("2026-11-22T11:56:02Z: x", "2026-11-22 15:26:02+0330: x"),
        ("2026-11-22 11:56:02.5 +0000: x", "2026-11-22 15:26:02.5+0330: x"),
        ("2026-11-22T12:56:02,123+01:00 x", "2026-11-22 15:26:02.123+0330 x"),
        ("mosquitto-1  | 1795348562: x", "mosquitto-1  | 2026-11-22 15:26:02+0330: x"),
        ("2026-11-22T11:56:02: no zone", "2026-11-22T11:56:02: no zone"),
        (
            "Nov 22 11:56:02 host mosquitto[7]: 1795348562: x",
            "Nov 22 11:56:02 host mosquitto[7]: 2026-11-22 15:26:02+0330: x",
        ),
        ("Client 1795348562abc disconnected.", "Client 1795348562abc disconnected."),
        ("2026-99-99T11:56:02Z: no time", "2026-99-99T11:56:02Z: no time"),
        ("\x1b[32m1795348562: x\x1b[0m", "2026-11-22 15:26:02+0330: x"),
        ("1795348562: \tt/# \x1b[2J", "2026-11-22 15:26:02+0330:     t/# \\x1b[2J"),
    ],
)
def test_lines_are_told_in_local_time_and_cannot_move_the_cursor(line, shown, monkeypatch):
    import time

    monkeypatch.setenv("TZ", "XXX-03:30")
    time.tzset()
    lines.local_second.cache_clear()
    try:
        assert lines.local(line) == shown
    finally:
        monkeypatch.undo()
        time.tzset()
        lines.local_second.cache_clear()


def test_lines_of_one_client_come_alone(log):
    status, out, err = run("--lines", "--client", "meter", log, env={"TZ": "UTC"})
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "2026-11-22 11:56:20+0000: New client connected from 10.0.1.8:50002 as meter (p2, c1, k30).",
        "2026-11-22 11:56:21+0000: Received PUBLISH from meter (d0, q0, r0, m0, 'home/meter', ... (7 bytes))",
        "2026-11-22 13:02:40+0000: Received PINGREQ from meter",
    ]


def test_lines_of_a_network_are_those_of_its_clients_while_they_are_connected_from_there(log):
    status, out, _ = run("--lines", "--address", "10.0.0.0/24", log)
    assert status == 0
    assert len(out.splitlines()) == 9 and "meter" not in out
    assert "Client lamp closed its connection." in out


def test_lines_of_several_brokers_are_one_story_in_the_order_of_time(tmp_path):
    (tmp_path / "a").write_text(f"{START}: Received PINGREQ from x\n{START + 9}: Received PINGREQ from x\n")
    (tmp_path / "b").write_text(f"{START + 3}: Received PINGREQ from y\n")
    _, out, _ = run("--lines", f"north={tmp_path / 'a'}", f"south={tmp_path / 'b'}")
    assert [line.split()[0] for line in out.splitlines()] == ["north", "south", "north"]


@pytest.mark.parametrize(
    "arguments, first, last, count",
    [
        (["--since", str(START + 20)], START + 20, START + 4000, 4),
        (["--until", str(START + 12)], START, START + 12, 8),
        (["--since", "2026-11-22T11:56:11", "--until", "2026-11-22T11:56:12"], START + 11, START + 12, 2),
        (["--since", "1h"], START + 4000, START + 4000, 1),
    ],
)
def test_only_what_was_logged_in_the_time_asked_for_is_counted(log, arguments, first, last, count):
    head = objects(*arguments, log)[0]
    assert (head["first"], head["last"], head["lines"]) == (first, last, count)


def test_a_length_of_time_before_the_end_of_a_pipe_is_refused_in_words():
    status, _, err = run("--since", "1h", "-", stdin=b"")
    assert status == 2 and "give --since and --until as times" in err


# -- whom an event is of


@pytest.mark.parametrize(
    "address, network, inside",
    [
        ("10.0.0.7:50001", "10.0.0.7", True),
        ("10.0.0.7", "10.0.0.0/24", True),
        ("10.0.1.7:1", "10.0.0.0/24", False),
        ("::ffff:10.0.0.7:50001", "10.0.0.7", True),
        ("2001:db8::7:50001", "2001:db8::7", True),
        ("[2001:db8::7]:5", "2001:db8::/32", True),
        ("<unknown>", "0.0.0.0/0", False),
        (None, "0.0.0.0/0", False),
        ("lamp", "0.0.0.0/0", False),
    ],
)
def test_an_address_is_known_in_every_form_that_a_broker_writes(address, network, inside):
    assert selection.Addresses.one(network).hold(address) is inside


def test_a_client_that_moves_away_from_an_address_is_not_of_it_any_more():
    wanted = selection.Selection(addresses=selection.Addresses.one("10.0.0.7"))
    story = [
        "New client connected from 10.0.0.7:5 as a (p2, c1, k60).",
        "Received PINGREQ from a",
        "New client connected from 10.0.0.9:5 as a (p2, c1, k60).",
        "Received PINGREQ from a",
    ]
    assert [wanted.wants(parse(line)) for line in story] == [True, True, False, False]


# -- who is there, who is gone, who talks


def test_who_is_connected_at_the_end_is_told(log):
    status, out, _ = run("--connected", log)
    assert status == 0 and "Connected at the end of the log: 1" in out
    assert re.search(r"meter +2026-11-22 11:56:20 +1 h 6 min +10\.0\.1\.8:50002", out) and "lamp" not in out
    assert [(each["client"], each["for_s"]) for each in objects("--connected", log) if each["type"] == "connected"] == [
        ("meter", 3980)
    ]


def test_who_has_been_gone_for_an_hour_is_told_with_how_it_went(log):
    status, out, _ = run("--gone", "1h", log)
    assert status == 0 and re.search(r"lamp +1 h 6 min +2026-11-22 11:56:30 +closed without DISCONNECT", out)
    assert "lamp" not in run("--gone", "2h", log)[1].split("at the end of the log: ")[1]


def test_who_publishes_what_is_told_with_its_rate(log):
    status, out, _ = run("--talkers", log)
    assert status == 0 and re.search(r"lamp +2 +200 B +6 a min +home/lamp", out)
    told = [
        (each["client"], each["topic"], each["messages"], each["size_b"], each["rate_per_s"])
        for each in objects("--talkers", log)
        if each["type"] == "talker"
    ]
    assert told == [
        ("lamp", "home/lamp", 2, 200, 0.1),
        ("meter", "home/meter", 1, 7, None),
        ("lamp", "home/power", 1, 5, None),
    ]


def test_who_only_listens_does_not_talk_and_who_is_silent_is_not_gone(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        f"{START}: New client connected from 10.0.0.7:1 as listener (p2, c1, k0).\n"
        f"{START + 1}: Sending PUBLISH to listener (d0, q0, r0, m0, 't', ... (5 bytes))\n"
        f"{START + 9000}: Received PUBLISH from other (d0, q0, r0, m0, 't', ... (5 bytes))\n"
    )
    found = objects("--talkers", "--gone", "1h", "--connected", log)
    assert [(each["type"], each["client"]) for each in found if each["type"] in ("talker", "gone", "connected")] == [
        ("connected", "listener"),
        ("connected", "other"),
        ("talker", "other"),
    ]


def test_topics_that_contain_an_id_do_not_fill_the_memory(monkeypatch):
    from tools.mosqlog import talkers

    monkeypatch.setattr(talkers, "TALKERS", 100)
    counted = talkers.Talkers()
    for i in range(1000):
        counted.feed(parse(f"Received PUBLISH from a (d0, q0, r0, m0, 't/{i}', ... ({i + 1} bytes))"))
    found = counted.loudest()
    assert len(found) <= 101
    assert sum(talker.messages for talker in found) == 1000
    assert sum(talker.size_b for talker in found) == sum(range(1, 1001))
    assert found[0].topic in ("(other topics)", "t/999")


def test_a_will_is_fired_by_an_end_without_disconnect_only(log):
    fired = {each["client"]: each["wills_fired"] for each in objects(log) if each["type"] == "client"}
    assert fired == {"lamp": 1, "meter": 0}
    fired = {each["client"]: each["wills_fired"] for each in objects(LOG) if each["type"] == "client"}
    assert (fired["killed"], fired["steady"]) == (1, 0)
    assert "last will sent once" in run("--client", "lamp", log)[1]


@pytest.mark.parametrize("key, first", [("connects", "twin"), ("published", "steady"), ("name", "again")])
def test_the_order_of_the_clients_is_the_one_asked_for(key, first):
    assert next(each["client"] for each in objects("--sort", key, LOG) if each["type"] == "client") == first
    out = run("--sort", key, LOG)[1].splitlines()
    assert out[next(i for i, line in enumerate(out) if line.startswith("client")) + 1].startswith(first + " ")


def test_whoever_came_from_an_address_is_shown(log):
    status, out, _ = run("--address", "10.0.0.7", log)
    assert status == 0 and "lamp" in out and "meter" not in out
    assert "nobody came from 10.9.9.9" in run("--address", "10.9.9.9", log)[2]


# -- several brokers


def two_logs(tmp_path):
    (tmp_path / "north").write_text(
        f"{START}: New client connected from 10.0.0.7:1 as lamp (p2, c1, k60).\n"
        f"{START + 90}: Client lamp has exceeded timeout, disconnecting.\n"
        f"{START + 200}: New client connected from 10.0.0.7:3 as lamp (p2, c1, k60).\n"
        f"{START + 300}: Received PINGREQ from only-north\n"
    )
    (tmp_path / "south").write_text(
        f"{START + 50}: New client connected from 10.0.0.7:2 as lamp (p2, c1, k60).\n"
        f"{START + 150}: Received DISCONNECT from lamp\n{START + 150}: Client lamp disconnected.\n"
    )
    return f"north={tmp_path / 'north'}", f"south={tmp_path / 'south'}"


def test_the_way_of_a_client_over_several_brokers_is_told(tmp_path):
    logs = two_logs(tmp_path)
    moves = [each for each in objects(*logs) if each["type"] == "move"]
    assert [(each["client"], each["t"], each["left"], each["to"], each["overlap_s"]) for each in moves] == [
        ("lamp", START + 50, "north", "south", 40),
        ("lamp", START + 200, "south", "north", -50),
    ]
    out = run("--client", "lamp", *logs)[1]
    assert "2026-11-22 11:56:50 came to south while north still believed in it, for 40 s" in out
    out = run(*logs)[1]
    assert re.search(r"lamp +2 +1, up to 40 s +north, south", out)


def test_a_session_that_outlasts_another_is_what_the_next_can_overlap():
    way = [
        cluster.Stay(broker, Session(start=start, end=end))
        for broker, start, end in (("north", 0, 1000), ("south", 100, 200), ("south", 300, 400), ("north", 1100, 1200))
    ]
    assert [(move.left, move.to, move.overlap_s) for move in cluster.moves(way)] == [
        ("north", "south", 100),
        ("north", "south", 100),
    ]


def test_a_bridge_between_two_brokers_is_told_as_both_see_it(tmp_path):
    (tmp_path / "north").write_text(
        "".join(
            f"{START + i * 60}: Connecting bridge (step 1) yard (south.example.org:1883)\n"
            f"{START + i * 60 + 1}: Connecting bridge (step 2) yard (south.example.org:1883)\n"
            for i in range(3)
        )
    )
    (tmp_path / "south").write_text(
        "".join(
            f"{START + i * 60 + 1}: New bridge connected from 10.0.0.1:500{i} as north.yard (p2, c0, k60).\n"
            f"{START + i * 60 + 9}: Client north.yard closed its connection.\n"
            for i in range(3)
        )
        + f"{START}: New client connected from 10.0.0.1:1 as lamp.yard (p2, c0, k60).\n"
    )
    logs = f"north={tmp_path / 'north'}", f"south={tmp_path / 'south'}"
    (link,) = (each for each in objects(*logs) if each["type"] == "link")
    assert (link["broker"], link["bridge"], link["client"], link["on"]) == ("north", "yard", "north.yard", "south")
    assert re.search(r"yard +north +3 .*north\.yard +south +3 +3 closed without DISCONNECT", run(*logs)[1])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["north=a.log", "b.log"], "has no name"),
        (["north=-", "south=b.log"], "goes alone"),
        (["--gone", "soon", "a"], "is not a length of time"),
        (["--address", "lamp", "a"], "is no IP address"),
        (["--since", "noon", "a"], "a length of time before the end of the log"),
        (["--fail-on", "fire", "a"], "is no kind of finding; there are any, "),
        (["--exec", "true", "a"], "add --follow"),
        (["--publish", "mqtt://h/t", "a"], "add --follow"),
        (["--follow", "--publish", "mqtt://u:secret@h/t", "a"], "list of processes"),
        (["--follow", "--publish", "http://h/t", "a"], "is no address of a topic"),
        (["--follow", "--publish", "mqtt://h/a/+", "a"], "has + or # in it"),
        (["--follow", "--until", "1h", "a"], "leave one of them out"),
        (["--lines", "--json", "a"], "leave out --json"),
        (["--lines", "--fail-on", "any", "a"], "leave out --fail-on"),
        (["--lines", "--refused", "a"], "leave out --lines"),
        (["--lines", "--gone", "1h", "a"], "leave out --gone"),
        (["--refused", "--parquet", "d", "a"], "leave out --parquet"),
        (["--sort", "colour", "a"], "invalid choice"),
    ],
)
def test_mistakes_are_answered_in_words(arguments, words):
    status, _, err = run(*arguments)
    assert status == 2 and words in " ".join(err.split()) and "Traceback" not in err
    assert "secret" not in err


# -- alarms


@pytest.mark.parametrize(
    "kinds, status", [("two-devices", 1), ("flapping,two-devices", 1), ("any", 1), ("flapping", 0)]
)
def test_the_exit_status_says_whether_a_kind_of_trouble_was_found(kinds, status):
    assert run("--fail-on", kinds, LOG)[0] == status


def test_any_trouble_is_none_in_a_log_without(tmp_path):
    (tmp_path / "log").write_text(f"{START}: Received PINGREQ from a\n")
    assert run("--fail-on", "any", tmp_path / "log")[0] == 0
    assert run("--fail-on", "any", tmp_path / "none")[0] == 2


def test_a_command_runs_once_for_each_new_trouble_and_an_id_is_no_part_of_it(tmp_path):
    log, told = tmp_path / "log", tmp_path / "told"
    evil = f"$(touch {tmp_path / 'owned'})`id`;'"
    log.write_text(
        f"{START}: New client connected from 10.0.0.7:1 as old (p2, c1, k60).\n"
        f"{START + 90}: Client old has exceeded timeout, disconnecting.\n"
    )
    program = following("--exec", f'printf "%s|%s\\n" "$MOSQLOG_CODE" "$MOSQLOG_CLIENT" >> {told}; cat >> {told}', log)
    try:
        with log.open("a") as file:
            for i in range(3):
                file.write(
                    f"{START + 100 + i}: New client connected from 10.0.0.8:{i + 1} as {evil} (p2, c1, k60).\n"
                    f"{START + 100 + i}: Client {evil} has exceeded timeout, disconnecting.\n"
                )
        for line in program.stdout:
            if "touch" in line and "keep-alive missed" in line:
                break
        program.send_signal(signal.SIGTERM)
        out, err = program.communicate(timeout=120)
    finally:
        program.kill()
        program.communicate()
    assert (program.returncode, err) == (0, "")
    first, as_json, *rest = told.read_text().splitlines()
    assert first == f"keepalive-missed|{evil}" and '"type": "trouble"' in as_json and rest == []
    assert not (tmp_path / "owned").exists()
    assert "3 x keepalive-missed" in out


def test_a_command_that_takes_its_time_is_waited_for_at_the_end(tmp_path):
    log, told = tmp_path / "log", tmp_path / "told"
    log.write_text("")
    program = following("--exec", f"sleep 2; echo done > {told}", log)
    try:
        with log.open("a") as file:
            file.write(f"{START}: New client connected from 10.0.0.8:1 as a (p2, c1, k0).\n")
        told_until(program, "keep-alive 0")
        ended(program)
    finally:
        program.kill()
        program.communicate()
    assert told.read_text() == "done\n"


def test_a_command_that_fails_is_told_and_the_log_read_on(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    program = following("--exec", "exit 3", log)
    try:
        with log.open("a") as file:
            file.write(f"{START}: New client connected from 10.0.0.8:1 as a (p2, c1, k0).\n")
        assert "ended with status 3" in program.stderr.readline()
        program.send_signal(signal.SIGTERM)
        out, _ = program.communicate(timeout=120)
    finally:
        program.kill()
        program.communicate()
    assert program.returncode == 0 and "1 lines" in out


def test_a_broker_that_cannot_be_reached_is_told_once_and_the_log_read_on(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    with socket.socket() as taken:  # bound, not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        program = following("--publish", f"mqtt://127.0.0.1:{taken.getsockname()[1]}/t", log)
        try:
            complaint, *more = program.complaints or [program.stderr.readline()]
            assert "cannot be reached" in complaint and more == []
            program.send_signal(signal.SIGTERM)
            _, err = program.communicate(timeout=120)
        finally:
            program.kill()
            program.communicate()
    assert (program.returncode, err) == (0, "")


# -- following


def told_until(program, words):
    """The lines that a following program writes, up to one with these words."""
    lines = []
    while not lines or words not in lines[-1]:
        lines.append(program.stdout.readline())
        assert lines[-1], "the program ended"
    return "".join(lines)


def ended(program):
    """-> what it still writes after SIGTERM"""
    program.send_signal(signal.SIGTERM)
    out, err = program.communicate(timeout=120)
    assert (program.returncode, err) == (0, "")
    return out


def missed(client, t, address="10.0.0.7"):
    return (
        f"{t}: New client connected from {address}:5 as {client} (p2, c1, k60).\n"
        f"{t + 90}: Client {client} has exceeded timeout, disconnecting.\n{t + 300}: Received PINGREQ from other\n"
    )


def test_a_trouble_is_told_once_and_again_when_it_comes_back_after_an_hour(tmp_path):
    log = tmp_path / "log"
    log.write_text(missed("lamp", START))
    program = following(log)
    try:
        with log.open("a") as file:
            file.write(
                missed("lamp", START + 600)
                + missed("lamp", START + 1200)
                + missed("lamp", START + 9000)
                + missed("last", START + 12000)
            )
        out = told_until(program, "last: fell silent")
        rest = ended(program)
    finally:
        program.kill()
        program.communicate()
    assert out.count("lamp: fell silent") == 1 and out.count("lamp: 4 times: fell silent") == 1
    assert out.index("lamp: fell silent") < out.index("lamp: 4 times")
    assert "4 x keepalive-missed" in rest


def test_a_refused_login_is_told_once_though_client_and_address_have_it(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    program = following(log)
    try:
        with log.open("a") as file:
            for t in (START, START + 300):
                file.write(
                    f"{t}: New connection from 10.0.0.9:5 on port 1883.\n"
                    f"{t}: Client lamp disconnected, not authorised.\n"
                )
            file.write(missed("last", START + 900))
        out = told_until(program, "last: fell silent")
        ended(program)
    finally:
        program.kill()
        program.communicate()
    assert out.count("login refused") == 1 and "lamp: login refused: as lamp, from 10.0.0.9:5" in out


def test_a_client_whose_id_is_an_address_is_not_that_address():
    told = []
    heard = live.Live(told.append, lambda change: None)
    heard.caught_up(None, [])
    for subject, t in ((Client("10.0.0.9"), START), (Stranger("10.0.0.9"), START + 1), (Client("10.0.0.9"), START + 2)):
        heard.teller(None)("finding", subject, {"code": "misbehaved", "t": t, "words": "x"})
    assert [type(alarm.subject) for alarm in told] == [Client, Stranger]


def test_several_logs_are_followed_at_once_also_one_that_is_not_there_yet(tmp_path):
    north, south = tmp_path / "north.log", tmp_path / "south.log"
    north.write_text("")
    program = following(f"north={north}", f"south={south}")
    try:
        assert any("waiting for it" in complaint for complaint in [*program.complaints, program.stderr.readline()])
        south.write_text(missed("lamp", START))
        assert "south: 2026-11-22 11:57:30 lamp: fell silent" in told_until(program, "fell silent")
        with north.open("a") as file:
            file.write(missed("meter", START))
        assert "north: 2026-11-22 11:57:30 meter: fell silent" in told_until(program, "fell silent")
        program.stderr.readline()  # "following" of the second
        assert "south" in ended(program)
    finally:
        program.kill()
        program.communicate()


def test_only_those_asked_for_are_told_of_while_following(tmp_path):
    log = tmp_path / "log"
    log.write_text("")
    program = following(log, "--address", "10.0.9.0/24", "--client", "named")
    try:
        with log.open("a") as file:
            file.write(missed("lamp", START) + missed("named", START + 500) + missed("there", START + 1000, "10.0.9.7"))
        out = told_until(program, "there: fell silent")
        ended(program)
    finally:
        program.kill()
        program.communicate()
    assert "named: fell silent" in out and "lamp" not in out


def test_a_pipe_is_followed_and_all_of_it_is_news(tmp_path):
    program = subprocess.Popen(
        [sys.executable, "-m", "tools.mosqlog", "--follow", "-"],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        program.stdin.write(missed("lamp", START))
        program.stdin.flush()
        assert "lamp: connected, from 10.0.0.7:5" in told_until(program, "lamp: fell silent")
        program.stdin.write(missed("meter", START + 500))
        program.stdin.flush()
        told_until(program, "meter: fell silent")
        program.send_signal(signal.SIGTERM)
        rest, _ = program.communicate(timeout=120)
    finally:
        program.kill()
        program.communicate()
    assert program.returncode == 0 and "3 clients" in rest


def test_the_log_itself_is_followed_in_local_time(tmp_path):
    log = tmp_path / "log"
    log.write_text(f"{START}: Received PINGREQ from old\n")
    arguments = ["--follow", "--lines", "--client", "new", str(log)]
    program = subprocess.Popen(
        [sys.executable, "-m", "tools.mosqlog", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TZ": "UTC"},
    )
    try:
        with log.open("a") as file:
            file.write(f"{START + 1}: Received PINGREQ from new\n")
        assert program.stdout.readline() == "2026-11-22 11:56:01+0000: Received PINGREQ from new\n"
        ended(program)
    finally:
        program.kill()
        program.communicate()
