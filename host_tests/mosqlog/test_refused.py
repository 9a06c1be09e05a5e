"""Refused logins: one each in every version's words, with their address where it is certain, in lines for fail2ban."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.mosqlog import refusals
from tools.mosqlog.model import Refusal

from .program import ROOT, run
from .test_analyse import found, read

CAME = "New connection from 10.0.0.9:40001 on port 1883."
FAILREGEX = re.search(r"^ *failregex = (.*)$", refusals.__doc__ or "", re.M)[1]


def who(analyser):
    return [(refusal.client, refusal.address, refusal.why) for refusal in analyser.refusals]


@pytest.mark.parametrize(
    "lines, client, address",
    [
        ([CAME, "Client <unknown> disconnected, not authorised."], None, "10.0.0.9:40001"),
        ([CAME, "Client dev disconnected, not authorised."], "dev", "10.0.0.9:40001"),
        ([CAME, "Sending CONNACK to dev (0, 5)", "Client dev disconnected, not authorised."], "dev", "10.0.0.9:40001"),
        (
            [CAME, "Sending CONNACK to 10.0.0.9 (0, 5)", "Client <unknown> disconnected, not authorised."],
            None,
            "10.0.0.9:40001",
        ),
        (
            [
                "New connection from 10.0.0.9 on port 1883.",
                "Sending CONNACK to 10.0.0.9 (0, 5)",
                "Socket error on client <unknown>, disconnecting.",
            ],
            None,
            "10.0.0.9",
        ),
        ([CAME, "Client dev [10.0.0.9:40001] disconnected: not authorised."], "dev", "10.0.0.9:40001"),
        ([CAME, "Client dev disconnected, bad username or password."], "dev", "10.0.0.9:40001"),
        ([CAME, "Client dev disconnected, client identifier not valid."], "dev", "10.0.0.9:40001"),
        (["Client dev disconnected, not authorised."], "dev", None),
    ],
)
def test_one_refused_login_is_one_in_every_versions_words(lines, client, address):
    analyser = read(*lines, 600)
    assert [(each.client, each.address) for each in analyser.refusals] == [(client, address)]
    assert analyser.refused == 1 and sum(c.refused for c in analyser.clients.values()) == (client is not None)
    assert not any(c.sessions or c.ends for c in analyser.clients.values())
    if address:
        stranger = analyser.strangers["10.0.0.9"]
        assert (stranger.refused, stranger.connections) == (1, 1)
        assert stranger.findings["refused-login"].count == 1


@pytest.mark.parametrize("client", ["deadbeef", "12345", "10.0.0.77", "fe80", "abc::1"])
def test_an_id_that_looks_like_an_address_is_an_id(client):
    analyser = read(
        CAME,
        f"Client {client} disconnected, not authorised.",
        5,
        f"New client connected from 10.0.0.9:40002 as {client} (p2, c1, k60).",
        30,
        f"Client {client} closed its connection.",
    )
    assert who(analyser) == [(client, "10.0.0.9:40001", "not authorised")]
    assert analyser.clients[client].ends == {"closed": 1} and analyser.clients[client].connects == 1


def test_the_refusal_of_another_with_the_same_id_ends_no_session():
    analyser = read(
        "New client connected from 10.0.0.7:50000 as dev (p2, c1, k60).",
        600,
        CAME,
        "Client dev disconnected, not authorised.",
        30,
    )
    assert analyser.clients["dev"].session is not None and found(analyser) == {"refused-login": 1}


def test_who_is_put_out_later_was_not_refused():
    analyser = read(
        "New client connected from 10.0.0.7:50000 as dev (p2, c1, k60).",
        600,
        "Client dev disconnected, not authorised.",
        30,
    )
    assert analyser.refused == 0 and found(analyser) == {"not-authorised": 1}


def test_of_two_at_the_door_the_one_that_goes_in_was_not_refused():
    other = "New connection from 10.0.0.8:50001 on port 1883."
    analyser = read(
        CAME,
        other,
        "Client <unknown> disconnected, not authorised.",
        1,
        "New client connected from 10.0.0.8:50001 as good (p2, c1, k60).",
        60,
    )
    assert who(analyser) == [(None, "10.0.0.9:40001", "not authorised")] and "10.0.0.8" not in analyser.strangers


def test_an_address_that_is_not_certain_is_not_named():
    analyser = read(
        CAME, "New connection from 10.0.0.8:50001 on port 1883.", "Client <unknown> disconnected, not authorised.", 60
    )
    assert who(analyser) == [(None, None, "not authorised")]


def test_an_id_cannot_have_another_address_banned(tmp_path):
    evil = "x mosquitto: login refused from 198.51.100.1 port 1, client "
    (tmp_path / "m.log").write_text(f"1795348562: {CAME}\n1795348562: Client {evil} disconnected, not authorised.\n")
    status, out, err = run("--refused", str(tmp_path / "m.log"), env={"TZ": "UTC"})
    assert (status, err) == (0, "")
    assert out.startswith('2026-11-22 11:56:02 mosquitto: login refused from 10.0.0.9 port 40001, client "x ')
    banned = re.match(FAILREGEX.replace("<ADDR>", r"(\S+?)"), out[20:])
    assert banned and banned[1] == "10.0.0.9"


def test_a_refusal_without_an_address_bans_nobody():
    line = refusals.line(Refusal(None, "dev", None, None, "not authorised"))
    assert not re.match(FAILREGEX.replace("<ADDR>", r"(\S+?)"), line[20:])


def _fail2ban_regex():
    """The program, from $FAIL2BAN_REGEX or PATH; None: it is not there."""
    return os.environ.get("FAIL2BAN_REGEX") or shutil.which("fail2ban-regex")


@pytest.mark.skipif(not _fail2ban_regex(), reason="no fail2ban-regex (apt install fail2ban, or $FAIL2BAN_REGEX)")
def test_fail2ban_takes_every_line_with_its_address(tmp_path):
    field = Path(__file__).parent / "field"
    status, out, _ = run(
        "--refused", str(field / "34-fail2ban-format.log"), str(field / "11-ha-addon7-not-authorised.log")
    )
    assert status == 0 and len(out.splitlines()) == 9
    (tmp_path / "refused.log").write_text(out)
    done = subprocess.run(
        [_fail2ban_regex(), "-o", "ip", str(tmp_path / "refused.log"), FAILREGEX],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert sorted(set(done.stdout.split())) == ["192.0.2.11", "192.0.2.12", "203.0.113.100", "fd00:5e:2100::1"]
