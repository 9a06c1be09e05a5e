"""Short logs of every kind that people post, each with its cause: written here after the shape of posted ones, with
invented ids, hosts, users and addresses."""

import gzip
import json
import os

import pytest

from tools.mosqlog import jobs, words
from tools.mosqlog.analyse import Analyser
from tools.mosqlog.parse import Parser

START = 1700000000


def analysed(tmp_path, text):
    """The text as a log file, as the program reads it."""
    path = tmp_path / "log"
    path.write_text(text, encoding="utf-8")
    os.utime(path, (START + 3600, START + 3600))
    analyser = Analyser()
    for event in jobs.events([str(path)], Parser(), pytest.fail):
        analyser.feed(event)
    analyser.finish()
    return analyser


def codes(subject):
    return set(subject.findings)


def lines(*parts):
    """Lines, each after "+n: " (seconds since the one before) or at once."""
    t, out = START, []
    for part in parts:
        wait, sign, text = part.partition("|")
        if sign and wait.isdigit():
            t += int(wait)
            out.append(f"{t}: {text}")
        else:
            out.append(f"{t}: {part}")
    return "\n".join(out) + "\n"


# -- strangers and TLS


@pytest.mark.parametrize(
    "words_of_end",
    [
        "Socket error on client <unknown>, disconnecting.",
        "Client <unknown> closed its connection.",
        "Client <unknown> [172.30.32.2:4000] disconnected: connection closed by client.",
    ],
)
def test_a_monitor_that_looks_at_the_port_is_a_port_check(tmp_path, words_of_end):
    analyser = analysed(tmp_path, lines(*["120|New connection from 172.30.32.2:4000 on port 1883.", words_of_end] * 12))
    stranger = analyser.strangers["172.30.32.2"]
    assert codes(stranger) == {"port-check"} and stranger.every_s == 120 and stranger.connections == 12
    assert analyser.clients == {} and stranger.ports == {1883: 12}


def test_a_port_scanner_is_no_regular_check(tmp_path):
    waits = (3, 500, 2, 9000, 1, 77)
    analyser = analysed(
        tmp_path,
        lines(
            *[
                part
                for i, wait in enumerate(waits)
                for part in (
                    f"{wait}|New connection from 198.51.100.{i % 2}:4{i:03d} on port 1883.",
                    "Client <unknown> disconnected due to protocol error.",
                )
            ]
        ),
    )
    assert codes(analyser.strangers["198.51.100.0"]) == codes(analyser.strangers["198.51.100.1"]) == {"no-connect"}


@pytest.mark.parametrize(
    "openssl, side, plain",
    [
        (
            "error:14094416:SSL routines:ssl3_read_bytes:sslv3 alert certificate unknown",
            "client",
            "does not accept the broker's",
        ),
        (
            "error:14037418:SSL routines:ACCEPT_SR_KEY_EXCH:tlsv1 alert unknown ca",
            "client",
            "does not trust the broker's",
        ),
        (
            "error:0A000086:SSL routines::certificate verify failed",
            "client",
            "the broker does not trust the certificate",
        ),
        ("error:140760FC:SSL routines:SSL23_GET_CLIENT_HELLO:unknown protocol", "client", "plain MQTT"),
        ("error:1408F10B:SSL routines:ssl3_get_record:wrong version number", "client", "plain MQTT"),
        ("error:0A00009C:SSL routines::http request", "client", "HTTP"),
        ("error:0A000102:SSL routines::unsupported protocol", "both", "no TLS version"),
        (
            "error:140890C7:SSL routines:ssl3_get_client_certificate:peer did not return a certificate",
            "client",
            "no client cert",
        ),
        ("error:1417A0C1:SSL routines:tls_post_process_client_hello:no shared cipher", "both", "no cipher"),
        ("error:14094415:SSL routines:ssl3_read_bytes:sslv3 alert certificate expired", "both", "expired"),
        ("error:1417A0DF:SSL routines:tls_psk:psk identity not found", "client", "PSK"),
    ],
)
def test_a_tls_error_says_whose_doing_it_is(tmp_path, openssl, side, plain):
    analyser = analysed(
        tmp_path,
        lines(
            "New connection from 192.0.2.9:4000 on port 8883.",
            f"OpenSSL Error[0]: {openssl}",
            "Client <unknown> disconnected: Protocol error.",
        ),
    )
    (example,) = analyser.strangers["192.0.2.9"].findings["tls-failed"].examples
    assert example["side"] == side and plain in str(example["plain"]) and example["do"]
    assert analyser.strangers["192.0.2.9"].ends == {"tls": 1}


def test_an_end_without_tls_goodbye_is_no_trouble(tmp_path):
    analyser = analysed(
        tmp_path,
        lines(
            "New connection from 192.0.2.9:4000 on port 8883.",
            "OpenSSL Error[0]: error:0A000126:SSL routines::unexpected eof while reading",
            "Client <unknown> closed its connection.",
        ),
    )
    assert codes(analyser.strangers["192.0.2.9"]) == set()


# -- bridges


@pytest.mark.parametrize(
    "log, code, why",
    [
        (
            [
                "Bridge local.b1 doing local SUBSCRIBE on topic out/#",
                "Connecting bridge cloud (h.example.org:1883)",
                "Bridge b1 sending CONNECT",
                "59|Socket error on client local.b1, disconnecting.",
            ],
            "bridge-closed-at-once",
            "no answer to its CONNECT for 59 s",
        ),
        (
            [
                "Connecting bridge cloud (h.example.org:1883)",
                "Bridge dev322 sending CONNECT",
                "Received CONNACK on connection dev233.",
                "Connection Refused: identifier rejected",
                "Socket error on client dev233, disconnecting.",
            ],
            "bridge-refused",
            "client id rejected",
        ),
        (
            [
                "Connecting bridge (step 1) cloud (h.example.org:8883)",
                "Connecting bridge (step 2) cloud (h.example.org:8883)",
                "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed",
                "Client local.box.cloud disconnected: A TLS error occurred.",
            ],
            "bridge-tls",
            "bridge_cafile",
        ),
        (
            ["Connecting bridge cloud (nowhere.example.org:1883)", "Error creating bridge: Name or service not known."],
            "bridge-unreachable",
            "DNS",
        ),
        (
            ["Connecting bridge cloud (h.example.org:1883)", "Error creating bridge: Connection refused."],
            "bridge-unreachable",
            "nobody listens",
        ),
        (
            [
                "Connecting bridge (step 1) cloud (192.0.2.5:1883)",
                "Connecting bridge (step 2) cloud (192.0.2.5:1883)",
                "60|Socket error on client local.other-id, disconnecting.",
            ],
            "bridge-lost",
            "closed by the far end",
        ),
    ],
)
def test_a_bridge_that_fails_says_why_and_is_no_device(tmp_path, log, code, why):
    analyser = analysed(tmp_path, lines(*log * 4))
    (bridge,) = analyser.bridges.values()
    assert bridge.id == "cloud" and bridge.attempts == 4 and analyser.clients == {}
    assert codes(bridge) == {code} and bridge.findings[code].count == 4
    assert why in words.example(bridge.findings[code].examples[-1])


def test_a_bridge_that_stands_is_connected(tmp_path):
    analyser = analysed(
        tmp_path,
        lines(
            "Connecting bridge cloud (h.example.org:1883)",
            "Bridge box.cloud sending CONNECT",
            "Received CONNACK on connection local.box.cloud.",
            "Bridge local.box.cloud sending SUBSCRIBE (Mid: 1, Topic: a/#, QoS: 0, Options: 0x00)",
            "30|Sending PUBLISH to local.box.cloud (d0, q1, r0, m7, 'a/b', ... (9 bytes))",
        ),
    )
    bridge = analyser.bridges["cloud"]
    assert (bridge.state, bridge.connects, codes(bridge)) == ("connected", 1, set())
    assert analyser.clients == {} and bridge.client.sent == 1 and len(bridge.client.flows) == 1


def test_what_a_plugin_refuses_is_a_refused_login_also_where_the_broker_does_not_say_so(tmp_path):
    analyser = analysed(
        tmp_path,
        lines("New connection from 192.0.2.30 on port 1883.")
        + "error: received null username or password for unpwd check\n"
        + lines(
            "Socket error on client <unknown>, disconnecting.",
            "5|New connection from 192.0.2.31 on port 1883.",
            "Socket error on client <unknown>, disconnecting.",
        ),
    )
    assert [(each.address, "null username" in each.why) for each in analyser.refusals] == [("192.0.2.30", True)]
    assert analyser.strangers["192.0.2.31"].refused == 0 and codes(analyser.broker) == {"plugin-refuses"}


# -- ids


def test_a_program_with_ever_new_ids_is_one_device(tmp_path):
    analyser = analysed(
        tmp_path,
        lines(
            *[
                part
                for i in range(40)
                for part in (
                    "60|New connection from 172.30.32.1 on port 1883.",
                    f"New client connected from 172.30.32.1 as mosq-Zq{i * 7919:06d}kLmN{i} (p2, c1, k60, u'addons').",
                    f"Client mosq-Zq{i * 7919:06d}kLmN{i} disconnected.",
                )
            ]
        ),
    )
    families = [family for family in analyser.families.values() if family.address]
    assert [(family.id, family.ids, family.address) for family in families] == [("mosq-*", 40, "172.30.32.1")]
    assert codes(families[0]) == {"new-id-each-time"} and len(analyser.clients) < 40


def test_a_fleet_whose_ids_look_alike_is_no_family(tmp_path):
    analyser = analysed(
        tmp_path,
        lines(*[f"1|New client connected from 10.0.0.1 as sensor-{i:05d} (p2, c1, k60, u'fleet')." for i in range(40)]),
    )
    assert analyser.families == {} and len(analyser.clients) == 40


# -- takeovers


def test_one_address_that_takes_itself_over_every_minute_never_closes(tmp_path):
    analyser = analysed(
        tmp_path,
        lines(
            "New client connected from 10.5.0.43:5000 as hub (p2, c1, k15, u'u').",
            *[
                part
                for i in range(6)
                for part in (
                    f"63|New connection from 10.5.0.43:{5100 + i} on port 1883.",
                    "Client hub already connected, closing old connection.",
                    f"New client connected from 10.5.0.43:{5100 + i} as hub (p2, c1, k15, u'u').",
                )
            ],
        ),
    )
    assert codes(analyser.clients["hub"]) == {"taken-over", "never-closes"}


def test_two_addresses_that_throw_each_other_out_are_two_devices(tmp_path):
    analyser = analysed(
        tmp_path,
        lines(
            *[
                part
                for i in range(6)
                for part in (
                    "5|Client cam already connected, closing old connection.",
                    f"New client connected from 10.0.0.{i % 2}:4{i:04d} as cam (p2, c1, k60).",
                )
            ]
        ),
    )
    assert "two-devices" in codes(analyser.clients["cam"]) and "never-closes" not in codes(analyser.clients["cam"])


# -- many at once


def test_all_cut_at_the_same_moment_are_one_event(tmp_path):
    up = [f"New client connected from 10.0.0.{i} as dev{i} (p2, c1, k60)." for i in range(12)]
    analyser = analysed(
        tmp_path,
        lines(
            "mosquitto version 2.0.18 starting",
            *up,
            *[f"{900 if i == 0 else 0}|Client dev{i} closed its connection." for i in range(10)],
        ),
    )
    (storm,) = analyser.storms
    assert (storm.count, storm.connected, storm.cause) == (10, 12, "network")
    assert not any(codes(client) for client in analyser.clients.values())


def test_a_broker_that_stops_is_no_such_event(tmp_path):
    up = [f"New client connected from 10.0.0.{i} as dev{i} (p2, c1, k60)." for i in range(12)]
    analyser = analysed(
        tmp_path,
        lines(
            "mosquitto version 2.0.18 starting",
            *up,
            "900|mosquitto version 2.0.18 terminating",
            *[f"Client dev{i} closed its connection." for i in range(12)],
        ),
    )
    assert analyser.storms == [] and not any(codes(client) for client in analyser.clients.values())


# -- who comes back late

UP = [f"New client connected from 10.0.0.{i} as dev{i} (p2, c0, k60)." for i in range(12)]
OUTAGES = {
    "restart": ["900|mosquitto version 2.0.18 terminating", "8|mosquitto version 2.0.18 starting"],
    "kill": ["900|mosquitto version 2.0.18 starting"],
    "network": [f"{900 if i == 0 else 0}|Client dev{i} closed its connection." for i in range(12)],
}


def back(number, after_s):
    return f"{after_s}|New client connected from 10.0.0.{number}:4 as dev{number} (p2, c0, k60)."


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_device_that_came_back_long_after_the_others_is_named_first(tmp_path, outage):
    soon = [back(i, 1) for i in range(12) if i != 7]
    analyser = analysed(tmp_path, lines("mosquitto version 2.0.18 starting", *UP, *OUTAGES[outage], *soon, back(7, 36)))
    assert [client.id for client in analyser.worst_first()][0] == "dev7"
    assert [client.id for client in analyser.clients.values() if "back-late" in codes(client)] == ["dev7"]
    (example,) = analyser.clients["dev7"].findings["back-late"].examples
    assert example["away_s"] == 47 and example["back"] and example["others"] == 11 and example["others_s"] == 6
    assert words.example(example).startswith("back 47 s after ") and "half of 11 others within 6 s" in words.example(
        example
    )


def test_a_device_that_never_came_back_is_named_too(tmp_path):
    soon = [back(i, 1) for i in range(11)]
    text = lines("mosquitto version 2.0.18 starting", *UP, *OUTAGES["restart"], *soon, "600|Received PINGREQ from dev0")
    analyser = analysed(tmp_path, text)
    assert [client.id for client in analyser.clients.values() if "back-late" in codes(client)] == ["dev11"]
    assert words.example(analyser.clients["dev11"].findings["back-late"].examples[0]).startswith(
        "not back 10 min 11 s after "
    )


def test_devices_that_come_back_one_by_one_are_not_late(tmp_path):
    one_by_one = [back(i, 5) for i in range(12)]
    analyser = analysed(tmp_path, lines("mosquitto version 2.0.18 starting", *UP, *OUTAGES["restart"], *one_by_one))
    assert not any(codes(client) for client in analyser.clients.values())
    assert [client.id for client in analyser.worst_first()] == [f"dev{i}" for i in reversed(range(12))], (
        "the last first"
    )


def test_a_device_that_had_said_goodbye_is_not_waited_for(tmp_path):
    asleep = ["10|Received DISCONNECT from dev3", "Client dev3 disconnected."]
    soon = [back(i, 1) for i in range(12) if i != 3]
    text = lines("mosquitto version 2.0.18 starting", *UP, *asleep, *OUTAGES["restart"], *soon, back(3, 900))
    assert not codes(analysed(tmp_path, text).clients["dev3"])


# -- the broker


@pytest.mark.parametrize(
    "code, text",
    [
        ("broker-port", "Opening ipv4 listen socket on port 1883.\n1700000000: Error: Address already in use"),
        ("broker-configuration", 'Error: Unknown configuration variable "allow_anonymus".'),
        ("broker-configuration", "Error found at /etc/mosquitto/conf.d/a.conf:3."),
        ("broker-certificates", 'Error: Unable to load server key file "/etc/ssl/private/k.pem". Check keyfile.'),
        ("broker-database", "Error saving in-memory database, unable to open /data/mosquitto.db.new for writing."),
        ("broker-database-lost", "Error: Unable to restore persistent database. Unrecognised file format."),
        (
            "broker-local-only",
            "Starting in local only mode. Connections will only be possible from clients running on this machine.",
        ),
        ("broker-plugin", 'Error: Unable to load auth plugin "/mosquitto/go-auth.so".'),
        ("broker-plugin", "Error loading Dynamic security plugin config: File is not valid JSON.\n"),
        ("broker-limit", "Client connection from 10.0.0.9 denied: max_connections exceeded."),
        ("broker-memory", "Error: Out of memory."),
        ("broker-files", "Error: Unable to open log file /mosquitto/log/mosquitto.log for writing."),
        ("broker-loop", "Error in poll: Interrupted system call."),
        ("broker-error", "Error: A thing that no version writes."),
    ],
)
def test_the_brokers_own_trouble_comes_with_what_to_do(tmp_path, code, text):
    analyser = analysed(tmp_path, f"{START}: mosquitto version 2.0.18 starting\n{START}: {text}\n")
    assert codes(analyser.broker) == {code}
    assert str(analyser.broker.findings[code].examples[0]["words"]).split(" Error:")[0].rstrip(".") in text


@pytest.mark.parametrize(
    "code, text",
    [
        ("broker-oom", "kernel: Out of memory: Killed process 812 (mosquitto) total-vm:929000kB"),
        ("broker-oom", "kernel: oom-kill:constraint=CONSTRAINT_MEMCG,task=mosquitto,pid=812,uid=1883"),
        ("broker-crashed", "systemd[1]: mosquitto.service: Main process exited, code=dumped, status=11/SEGV"),
        (
            "broker-crashed",
            "kernel: mosquitto[812]: segfault at 10 ip 00005581 sp 00007ffd error 4 in mosquitto[5581+3000]",
        ),
        ("broker-crashed", "mosquitto[812]: mosquitto: db_mosq.c:210: db__msg_store_remove: Assertion `store' failed."),
        ("broker-killed", "systemd[1]: mosquitto.service: Main process exited, code=killed, status=9/KILL"),
        ("broker-failed", "systemd[1]: mosquitto.service: Main process exited, code=exited, status=1/FAILURE"),
        ("broker-failed", "systemd[1]: mosquitto.service: Start request repeated too quickly."),
    ],
)
def test_what_the_host_says_of_the_broker_is_heard(tmp_path, code, text):
    head = "Nov 14 22:13:{:02d} box "
    analyser = analysed(
        tmp_path,
        head.format(10) + f"mosquitto[812]: {START - 10}: New client connected from 10.0.0.1 as d (p2, c1, "
        f"k60).\n{head.format(20)}{text}\n"
        f"{head.format(26)}mosquitto[990]: {START + 6}: mosquitto version 2.0.18 starting\n",
    )
    assert codes(analyser.broker) == {code}
    (restart,) = analyser.broker.restarts
    assert not restart.announced and restart.away_s == 6 and text in restart.why
    assert analyser.clients["d"].ends == {"broker-stopped": 1}


# -- shapes: the same four lines behind whatever stands before them

STORY = [
    "New connection from 10.0.0.9:40001 on port 1883.",
    "New client connected from 10.0.0.9:40001 as d (p2, c1, k60).",
    "Received PINGREQ from d",
    "Client d closed its connection.",
]


def stamped(form):
    return lambda t, text: f"{form(t)}: {text}"


def iso(t, sep="T"):
    return f"2023-11-14{sep}22:13:{20 + t - START:02d}"


SHAPES = {
    "epoch": lambda t, text: f"{t}: {text}",
    "compose v1": lambda t, text: f"mqtt_1      | {t}: {text}",
    "compose -t": lambda t, text: f"broker-1  | {iso(t)}.123456789Z {t}: {text}",
    "swarm": lambda t, text: f"own_mosquitto.1.y674af75frvx@dm1.example.org    | {t}: {text}",
    "docker -t": lambda t, text: f"{iso(t)}.123456789Z {t}: {text}",
    "docker json-file": lambda t, text: json.dumps(
        {"log": f"{t}: {text}\n", "stream": "stderr", "time": f"{iso(t)}.1Z"}
    ),
    "journalctl -o json": lambda t, text: json.dumps(
        {"MESSAGE": f"{t}: {text}", "SYSLOG_IDENTIFIER": "mosquitto", "__REALTIME_TIMESTAMP": str(t * 1_000_000)}
    ),
    "CRI": lambda t, text: f"{iso(t)}.123456789+00:00 stderr F {t}: {text}",
    "stern": lambda t, text: f"mosquitto-7d9f8b-x2x mosquitto {t}: {text}",
    "kubectl --prefix": lambda t, text: f"[pod/mosquitto-0/mosquitto] {t}: {text}",
    "journal short": lambda t, text: f"Nov 14 22:13:{20 + t - START:02d} box mosquitto[812]: {text}",
    "journal full": lambda t, text: f"Tue 2023-11-14 22:13:{20 + t - START:02d} UTC box mosquitto[812]: {t}: {text}",
    "journal with-unit": lambda t, text: (
        f"Tue 2023-11-14 22:13:{20 + t - START:02d} UTC box mosquitto.service[812]: {t}: {text}"
    ),
    "journal precise": lambda t, text: f"Nov 14 22:13:{20 + t - START:02d}.123456 box mosquitto[812]: {t}: {text}",
    "add-on": lambda t, text: f"Nov 14 22:13:{20 + t - START:02d} ha addon_core_mosquitto[453]: {t}: {text}",
    "logread": lambda t, text: f"Tue Nov 14 22:13:{20 + t - START:02d} 2023 daemon.notice mosquitto[1847]: {text}",
    "syslog German": lambda t, text: f"14. Nov 22:13:{20 + t - START:02d} box mosquitto[812]: {t}: {text}",
    "syslog Czech": lambda t, text: f"lis 14 22:13:{20 + t - START:02d} box mosquitto[812]: {t}: {text}",
    "syslog 5424": lambda t, text: f"<30>1 {iso(t)}+00:00 box mosquitto 812 - - {t}: {text}",
    "Synology": lambda t, text: f"2023/11/14 22:13:{20 + t - START:02d}\tstderr\t{t}: {text}",
    "csv": lambda t, text: f'{iso(t, " ")},stderr,"{t}: {text}"',
    "ANSI": lambda t, text: f"\x1b[36mmosquitto-1  |\x1b[0m {t}: {text}\x1b[0m",
    "grep -n": lambda t, text: f"{t % 100}:{t}: {text}",
    "grep -H": lambda t, text: f"/var/log/mosquitto/mosquitto.log:{t}: {text}",
    "quoted": lambda t, text: f"> {t}: {text}",
    "$SYS": lambda t, text: f"$SYS/broker/log/N {t}: {text}",
    "bracketed ISO": lambda t, text: f"[{iso(t, ' ')}]: {text}",
    "%d/%b/%Y": lambda t, text: f"14/Nov/2023 22:13:{20 + t - START:02d}: {text}",
    "%Y-%m-%d|%H:%M:%S": lambda t, text: f"{iso(t, '|')}: {text}",
    "%d.%m.%y": lambda t, text: f"14.11.23 22:13:{20 + t - START:02d}: {text}",
    "%m/%d/%Y %I:%M:%S %p": lambda t, text: f"11/14/2023 10:13:{20 + t - START:02d} PM: {text}",
    "%H:%M:%S %d-%m-%Y": lambda t, text: f"22:13:{20 + t - START:02d} 14-11-2023: {text}",
    "%a %b %e": lambda t, text: f"Tue Nov 14 22:13:{20 + t - START:02d} 2023: {text}",
    "zone": lambda t, text: f"2023-11-15T00:13:{20 + t - START:02d}+0200: {text}",
    "Loki": lambda t, text: json.dumps({"line": f"{t}: {text}", "timestamp": f"{iso(t)}Z"}),
    "fluentd": lambda t, text: f"{iso(t, ' ')}.000000000 +0000 docker.mosquitto: {t}: {text}",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_story(tmp_path, shape):
    foreign = "Attaching to something\n[22:13:19] INFO: Starting\nfarm-app | Client d disconnected.\n"
    analyser = analysed(
        tmp_path, foreign + "\n".join(SHAPES[shape](START + i, text) for i, text in enumerate(STORY)) + "\n"
    )
    client = analyser.clients["d"]
    assert (client.connects, client.ends, client.pings, list(analyser.clients)) == (1, {"closed": 1}, 1, ["d"])
    (session,) = client.sessions
    assert (int(session.start), int(session.end)) == (START + 1, START + 3)
    assert (
        int(analyser.account.first) == START
        and int(analyser.account.last) == START + 3
        and analyser.account.unknown == 0
    )


def test_lines_glued_together_are_several(tmp_path):
    analyser = analysed(
        tmp_path,
        f"{START}: New connection from 10.0.0.9 on port 1883.{START}: New client connected from 10.0.0.9 as d "
        f"(p2, c1, k60).{START + 9}: Client d closed its connection.{START + 9}: Client e closed its connection.\n",
    )
    assert (
        analyser.clients["d"].ends == {"closed": 1}
        and analyser.clients["e"].ends == {"closed": 1}
        and analyser.accepts == 1
    )


def test_a_log_of_0_15_is_counted(tmp_path):
    analyser = analysed(
        tmp_path,
        lines(
            "mosquitto version 0.15 (build date 2013-08-23 19:23:43+0000) starting",
            "New connection from 127.0.0.1.",
            'Invalid protocol "MQTT" in CONNECT from 127.0.0.1.',
            "Socket read error on client (null), disconnecting.",
            "New connection from 127.0.0.1.",
            "New client connected from 127.0.0.1 as dev.",
            "9|Socket read error on client dev, disconnecting.",
            "Client  already connected, closing old connection.",
        ),
    )
    assert (
        analyser.broker.versions == ["0.15"]
        and analyser.clients["dev"].ends == {"error": 1}
        and analyser.account.unknown == 0
    )
    assert "misbehaved" in codes(analyser.strangers["127.0.0.1"])


def test_a_clock_that_goes_back_is_told_once_and_gives_no_absurd_figures(tmp_path):
    analyser = analysed(
        tmp_path,
        lines("New client connected from 10.0.0.1 as d (p2, c1, k60).").replace(str(START), str(START + 3600))
        + lines("5|Received PINGREQ from d", "5|Client d closed its connection."),
    )
    assert [back for _, back in analyser.account.steps_back] == [3595] and "went back" in words.clock(analyser.account)[
        0
    ]
    client = analyser.clients["d"]
    assert client.connected_s == 0 and client.longest_silence_s == 0
    assert words.example(client.findings["closed-without-disconnect"].examples[0]).count("-") == 0


def test_a_log_whose_times_cannot_be_read_says_so(tmp_path):
    analyser = analysed(tmp_path, "".join(f"watch {i} of day 3: {text}\n" for i, text in enumerate(STORY)))
    assert analyser.clients["d"].ends == {"closed": 1} and analyser.account.first is None
    assert "--time-format" in words.clock(analyser.account)[0]


def test_a_packed_log_is_the_same(tmp_path):
    (tmp_path / "log.gz").write_bytes(
        gzip.compress("\n".join(f"{START + i}: {x}" for i, x in enumerate(STORY)).encode())
    )
    analyser = Analyser()
    for event in jobs.events([str(tmp_path / "log.gz")], Parser(), pytest.fail):
        analyser.feed(event)
    assert analyser.clients["d"].ends == {"closed": 1}


def test_a_fraction_of_a_second_is_shown_as_it_was_logged():
    assert words.moment(START + 0.1).endswith(".100") and words.moment(START + 0.25).endswith(".250")
    assert words.moment(START + 0.9999).endswith(".999") and words.moment(START).endswith(":20")
