"""What the analyser makes of short logs, one story each."""

import pytest

from tools.mosqlog import clients, topics
from tools.mosqlog.analyse import Analyser
from tools.mosqlog.findings import KINDS
from tools.mosqlog.model import SESSIONS, Restart, host
from tools.mosqlog.parse import Parser

UP = "New client connected from 10.0.0.7:50000 as dev (p2, c1, k60)."
KEPT = "New client connected from 10.0.0.7:50000 as dev (p2, c0, k60)."
OK, RESUMED = "Sending CONNACK to dev (0, 0)", "Sending CONNACK to dev (1, 0)"


def read(*lines, **options):
    """Lines, each after an optional time: "+10" goes on by 10 s, a number is the second itself."""
    analyser, parser, t = Analyser(**options), Parser(), 1000000000
    for line in lines:
        if isinstance(line, int):
            t += line
        else:
            analyser.feed(parser.parse(f"{t}: {line}"))
    analyser.finish()
    return analyser


def found(analyser, client="dev"):
    return {code: finding.count for code, finding in analyser.clients[client].findings.items()}


def published(sent=False, dup=0, qos=1, pid=5, topic="t/x"):
    way = "Sending PUBLISH to" if sent else "Received PUBLISH from"
    return f"{way} dev (d{dup}, q{qos}, r0, m{pid}, '{topic}', ... (9 bytes))"


def test_a_clean_session_has_a_length_and_no_finding():
    analyser = read(UP, OK, 30, "Received DISCONNECT from dev", "Client dev disconnected.")
    (session,) = analyser.clients["dev"].sessions
    assert (session.start, session.end, session.how) == (1000000000, 1000000030, "clean")
    assert analyser.clients["dev"].ends == {"clean": 1} and found(analyser) == {}


def test_the_disconnect_of_1_3_is_an_end_by_itself():
    analyser = read(UP, 5, "Received DISCONNECT from dev", 5, "Socket error on client dev, disconnecting.")
    assert analyser.clients["dev"].ends == {"clean": 1} and found(analyser) == {}


def test_a_disconnect_that_the_broker_takes_offence_at_is_no_clean_end():
    analyser = read(
        UP,
        "Received DISCONNECT from dev",
        "Protocol error from dev: DISCONNECT packet with incorrect flags E1.",
        "Client dev [10.0.0.7:50000] disconnected: protocol error.",
    )
    assert analyser.clients["dev"].ends == {"protocol-error": 1} and found(analyser) == {"protocol-error": 1}
    assert analyser.clients["dev"].sessions[0].how == "protocol-error"


@pytest.mark.parametrize(
    "lines",
    [
        ["Client dev has exceeded timeout, disconnecting.", "Socket error on client dev, disconnecting."],  # 1.4, 1.5
        ["Client dev has exceeded timeout, disconnecting."],
        ["Client dev [10.0.0.7:50000] disconnected: exceeded timeout."],
    ],
)
def test_one_keep_alive_miss_is_one_end_in_every_version(lines):
    analyser = read(UP, 90, *lines)
    assert analyser.clients["dev"].ends == {"timeout": 1} and found(analyser) == {"keepalive-missed": 1}
    (example,) = analyser.clients["dev"].findings["keepalive-missed"].examples
    assert (example["after_s"], example["keepalive_s"]) == (90, 60)


@pytest.mark.parametrize(
    "lines",
    [
        ["Client dev already connected, closing old connection."],
        ["Client dev already connected, closing old connection.", "Client dev disconnected."],  # 1.4
        ["Client dev already connected, closing old connection.", "Socket error on client dev, disconnecting."],  # 1.5
        ["Client dev disconnected, session taken over."],  # 2.1.0
        ["Client dev [10.0.0.7:50000] disconnected: session taken over."],
    ],
)
def test_a_takeover_is_one_takeover_in_every_version(lines):
    analyser = read(UP, 20, *lines, "New client connected from 10.0.0.9:40000 as dev (p2, c1, k60).")
    assert analyser.clients["dev"].ends == {"takeover": 1} and found(analyser) == {"taken-over": 1}
    (example,) = analyser.clients["dev"].findings["taken-over"].examples
    assert (example["old"], example["new"]) == ("10.0.0.7:50000", "10.0.0.9:40000")


@pytest.mark.parametrize(
    "echo",
    [
        "Client dev disconnected.",  # 1.4
        "Client dev [10.0.0.7:50000] disconnected: session taken over.",
    ],
)  # 2.1
def test_the_end_line_of_a_session_that_had_ended_ends_nothing(echo):
    analyser = read(
        KEPT,
        "Received DISCONNECT from dev",
        20,
        echo,
        "New client connected from 10.0.0.7:50001 as dev (p2, c0, k60).",
        RESUMED,
    )
    assert analyser.clients["dev"].ends == {"clean": 1} and found(analyser) == {}
    assert analyser.clients["dev"].session.start == 1000000020


def test_an_end_that_names_an_older_connection_does_not_end_the_new_one():
    analyser = read(
        UP,
        "New client connected from 10.0.0.7:50001 as dev (p4, c1, k60).",
        "Client dev [10.0.0.7:50000] disconnected: connection closed by client.",
    )
    assert analyser.clients["dev"].session is not None


def test_a_log_that_begins_in_the_middle_invents_no_takeover():
    analyser = read("Client dev [10.0.0.7:50000] disconnected: session taken over.", UP)
    assert found(analyser) == {} and analyser.clients["dev"].ends == {}


def test_a_client_from_before_the_log_is_known_by_its_packets():
    analyser = read("Received PINGREQ from dev", 30, "Client dev closed its connection.")
    (session,) = analyser.clients["dev"].sessions
    assert session.start is None and session.how == "closed"
    assert analyser.clients["dev"].connected_s == 30


def two(address_a, address_b, times, pause_s):
    lines = [f"New client connected from {address_a}:40000 as dev (p2, c1, k60)."]
    for i in range(times):
        lines += [
            pause_s,
            "Client dev already connected, closing old connection.",
            f"New client connected from {(address_b, address_a)[i % 2]}:4{i:04d} as dev (p2, c1, k60).",
        ]
    return lines


def test_two_devices_with_one_id_are_told_by_their_addresses():
    analyser = read(*two("10.0.0.7", "10.0.0.9", 3, 20))
    assert found(analyser) == {"taken-over": 3, "two-devices": 2}
    example = analyser.clients["dev"].findings["two-devices"].examples[0]
    assert {example["a"].split(":")[0], example["b"].split(":")[0]} == {"10.0.0.7", "10.0.0.9"}


def test_one_address_that_takes_its_own_id_over_is_one_client_that_does_not_close():
    assert "never-closes" in found(read(*two("10.0.0.7", "10.0.0.7", 4, 10)))
    assert "two-devices" not in found(read(*two("10.0.0.7", "10.0.0.7", 3, 10)))
    assert "two-devices" not in found(read(*two("10.0.0.7", "10.0.0.7", 4, 3600)))


def test_a_device_that_moves_once_is_not_two():
    assert found(read(*two("10.0.0.7", "10.0.0.9", 1, 20))) == {"taken-over": 1}


def test_ipv6_addresses_are_told_apart_without_their_ports():
    analyser = read(*two("2001:db8::7", "2001:db8::9", 2, 20))
    assert "two-devices" in found(analyser)
    assert host("2001:db8::7:50812") == "2001:db8::7" and host("::1") == "::1"
    assert (
        host("fd00:5e:2100::1:1883") == "fd00:5e:2100::1"
        and host("fd00:5e:2100::1:1883", has_port=False) == "fd00:5e:2100::1:1883"
    )
    assert host("fe80::1:80", has_port=True) == "fe80::1" and host("10.0.0.7:80") == "10.0.0.7" == host("10.0.0.7")


def test_five_broken_sessions_in_ten_minutes_are_flapping_and_four_are_not():
    lines = []
    for length_s in (60, 23, 41, 9, 80):
        lines += [UP, length_s, "Client dev closed its connection.", 120 - length_s]
    assert found(read(*lines[:-4])) == {"closed-without-disconnect": 4}
    analyser = read(*lines)
    assert found(analyser) == {"closed-without-disconnect": 5, "flapping": 1}
    (example,) = analyser.clients["dev"].findings["flapping"].examples
    assert (example["ends"], example["within_s"]) == (5, 500)


def test_a_battery_device_that_says_goodbye_does_not_flap():
    assert found(read(*[UP, 2, "Received DISCONNECT from dev", 28] * 20)) == {}


def test_a_heartbeat_is_late_only_beyond_the_keep_alive():
    assert found(read(UP, 61, "Received PINGREQ from dev")) == {}
    analyser = read(UP, 62, "Received PINGREQ from dev", 60, published(qos=0, pid=0))
    assert found(analyser) == {"late-heartbeat": 1} and analyser.clients["dev"].longest_silence_s == 62


def test_what_the_broker_sends_is_no_heartbeat():
    assert found(read(UP, 50, published(sent=True, qos=0, pid=0), 50, "Received PINGREQ from dev")) == {
        "late-heartbeat": 1
    }


def test_both_directions_of_one_packet_id_are_two_flows():
    analyser = read(
        UP,
        published(pid=1),
        published(sent=True, pid=1),
        2,
        "Sending PUBACK to dev (m1, rc0)",
        3,
        "Received PUBACK from dev (Mid: 1, RC:0)",
        "Received DISCONNECT from dev",
    )
    dev = analyser.clients["dev"]
    assert found(analyser) == {} and dev.flows == {}
    assert (dev.delays[False].worst_s, dev.delays[True].worst_s) == (2, 5)


QOS_2_IN = [
    published(qos=2),
    "Sending PUBREC to dev (m5, rc0)",
    "Received PUBREL from dev (Mid: 5)",
    "Sending PUBCOMP to dev (m5)",
]
QOS_2_OUT = [
    published(sent=True, qos=2),
    "Received PUBREC from dev (Mid: 5)",
    "Sending PUBREL to dev (m5)",
    "Received PUBCOMP from dev (Mid: 5, RC:0)",
]


@pytest.mark.parametrize("flow", [QOS_2_IN, QOS_2_OUT], ids=["from the client", "to the client"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_qos_2_flow_is_followed_step_by_step(flow, steps):
    analyser = read(UP, *flow[:steps], "Received DISCONNECT from dev")
    if steps == 4:
        assert found(analyser) == {}
        return
    assert found(analyser) == {"unfinished-flow": 1}
    (example,) = analyser.clients["dev"].findings["unfinished-flow"].examples
    assert example["last"] == ("PUBLISH", "PUBREC", "PUBREL")[steps - 1]
    assert (example["pid"], example["topic"], example["sent"]) == (5, "t/x", flow is QOS_2_OUT)


@pytest.mark.parametrize("flow", [QOS_2_IN, QOS_2_OUT], ids=["from the client", "to the client"])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_kept_session_goes_on_with_its_flow(flow, cut):
    analyser = read(KEPT, OK, *flow[:cut], "Received DISCONNECT from dev", 5, KEPT, RESUMED, *flow[cut:])
    assert found(analyser) == {} and analyser.clients["dev"].flows == {}


def test_a_session_that_the_broker_forgot_leaves_its_flows_unfinished():
    assert found(read(KEPT, OK, *QOS_2_IN[:2], "Received DISCONNECT from dev", 5, KEPT, OK)) == {"unfinished-flow": 1}


def test_a_flow_of_a_client_that_is_away_at_the_end_waits():
    assert found(read(KEPT, OK, *QOS_2_IN[:2], "Received DISCONNECT from dev")) == {"waiting-flow": 1}


def test_a_flow_that_has_just_begun_at_the_end_of_the_log_is_nothing():
    assert found(read(KEPT, OK, 5, *QOS_2_IN[:2])) == {}


def test_a_mqtt_5_session_is_not_given_up_at_its_end():
    v5 = "New client connected from 10.0.0.7:50000 as dev (p5, c{}, k60)."
    assert (
        found(read(v5.format(1), *QOS_2_IN[:2], "Received DISCONNECT from dev", v5.format(0), RESUMED, *QOS_2_IN[2:]))
        == {}
    )


def test_a_mqtt_5_refusal_ends_the_flow():
    analyser = read(UP, published(qos=2), "Sending PUBREC to dev (m5, rc135)")
    assert analyser.clients["dev"].flows == {}


def test_a_repeated_publish_is_named_with_its_topic():
    analyser = read(
        UP, published(), "Sending PUBACK to dev (m5, rc0)", 5, published(dup=1), "Sending PUBACK to dev (m5, rc0)"
    )
    assert found(analyser) == {"sent-twice": 1}
    (example,) = analyser.clients["dev"].findings["sent-twice"].examples
    assert (example["pid"], example["topic"]) == (5, "t/x")


def test_a_message_that_the_broker_repeats_is_told_from_one_of_the_client():
    assert found(
        read(UP, published(sent=True), 5, published(sent=True, dup=1), "Received PUBACK from dev (Mid: 5)")
    ) == {"resent-by-broker": 1}


def test_a_pubrel_that_the_broker_repeats_is_found():
    assert found(read(KEPT, OK, *QOS_2_OUT[:3], "Received DISCONNECT from dev", KEPT, RESUMED, *QOS_2_OUT[2:])) == {
        "resent-by-broker": 1
    }


def test_a_packet_id_used_while_in_flight_is_found():
    assert found(read(UP, published(qos=2), published(qos=2, topic="t/y"))) == {"pid-reused": 1}


def test_ten_seconds_to_the_last_ack_are_slow():
    analyser = read(
        UP, published(), 9, "Sending PUBACK to dev (m5, rc0)", published(pid=6), 10, "Sending PUBACK to dev (m6, rc0)"
    )
    assert found(analyser) == {"slow-ack": 1}
    assert analyser.clients["dev"].delays[False].at_most_s(1) == 10


def test_a_denied_publish_that_is_acknowledged_opens_no_flow():
    assert found(
        read(
            UP, "Denied PUBLISH from dev (d0, q1, r0, m3, 'secret', ... (5 bytes))", "Sending PUBACK to dev (m3, rc135)"
        )
    ) == {"denied": 1}


def test_a_denied_subscription_of_2_1_is_found():
    assert found(
        read(UP, "Received SUBSCRIBE from dev", "\tsecret/# (QoS 1)", "\tsecret/# (denied)", "Sending SUBACK to dev")
    ) == {"denied": 1}


def test_subscriptions_are_those_in_force():
    lines = [
        KEPT,
        OK,
        "Received SUBSCRIBE from dev",
        "\ta (QoS 1)",
        "dev 1 a",
        "\tb (QoS 0)",
        "dev 0 b",
        "Sending SUBACK to dev",
        "Received UNSUBSCRIBE from dev",
        "\ta",
        "dev a",
        "Sending UNSUBACK to dev",
    ]
    assert read(*lines).clients["dev"].subscriptions == {"b": 0}
    assert read(*lines, "Received DISCONNECT from dev", KEPT, RESUMED).clients["dev"].subscriptions == {"b": 0}
    assert read(*lines, "Received DISCONNECT from dev", KEPT, OK).clients["dev"].subscriptions == {}


def test_refused_credentials_stand_under_the_address_before_2_1():
    analyser = read(
        "New connection from 10.0.0.9:40000 on port 1883.",
        "Sending CONNACK to 10.0.0.9 (0, 5)",
        "Client <unknown> disconnected, not authorised.",
    )
    assert analyser.clients == {}
    assert analyser.strangers["10.0.0.9"].findings["refused-login"].examples[0]["words"] == "not authorised"


def test_refused_credentials_of_2_1_do_not_end_the_session_of_the_same_id():
    analyser = read(UP, "Sending CONNACK to dev (0, 5)", "Client dev [10.0.0.9:40000] disconnected: not authorised.")
    assert analyser.clients["dev"].session is not None and found(analyser) == {"refused-login": 1}


def test_a_complaint_and_the_end_after_it_are_one_finding():
    analyser = read(
        UP, "Bad client dev sending multiple CONNECT messages.", "Client dev disconnected due to protocol error."
    )
    assert found(analyser) == {"protocol-error": 1}
    assert "multiple CONNECT" in analyser.clients["dev"].findings["protocol-error"].examples[0]["words"]


def test_a_complaint_about_an_address_finds_its_client():
    analyser = read(
        UP,
        "Bad client 10.0.0.7:50000 sending multiple CONNECT messages.",
        "Client dev [10.0.0.7:50000] disconnected: protocol error.",
    )
    assert found(analyser) == {"protocol-error": 1} and analyser.strangers == {}


def test_a_complaint_about_an_ip_without_a_port_blames_no_client_behind_it():
    analyser = read(
        "New client connected from 10.0.0.7 as dev (c1, k60).", "Invalid protocol version 7 in CONNECT from 10.0.0.7."
    )
    assert found(analyser) == {} and set(analyser.strangers["10.0.0.7"].findings) == {"misbehaved"}


def test_a_broker_that_was_killed_is_told_from_one_that_was_stopped():
    start, stop = "mosquitto version 2.0.11 starting", "mosquitto version 2.0.11 terminating"
    killed = read(start, UP, 10, start)
    at_most_s = 10  # since the line before
    assert killed.broker.restarts == [Restart(1000000010, "2.0.11", announced=False, away_s=at_most_s)]
    assert killed.clients["dev"].ends == {"broker-stopped": 1} and found(killed) == {}
    stopped = read(start, UP, stop, 10, start)
    assert stopped.broker.restarts == [Restart(1000000010, "2.0.11", announced=True, away_s=10)]
    assert read(start, UP).broker.restarts == []


def test_a_flow_survives_the_broker_when_the_session_does():
    start = "mosquitto version 2.0.11 starting"
    assert found(read(start, KEPT, OK, *QOS_2_IN[:2], start, KEPT, RESUMED, *QOS_2_IN[2:])) == {}


def test_who_was_connected_at_a_moment():
    t = 1000000000
    analyser = read(
        UP,
        10,
        "New client connected from 10.0.0.8:50000 as two (p2, c1, k60).",
        10,
        "Client dev closed its connection.",
        10,
        "Received PINGREQ from two",
        at=[t - 5, t, t + 10, t + 19, t + 25, t + 99],
    )
    assert analyser.connected_at == {
        t - 5: [],
        t: ["dev"],
        t + 10: ["dev", "two"],
        t + 19: ["dev", "two"],
        t + 25: ["two"],
        t + 99: ["two"],
    }


def test_topics_are_counted_with_their_rate():
    analyser = read(UP, *[published(qos=0, pid=0), 10] * 7, published(sent=True, qos=0, pid=0))
    topic = analyser.topics["t/x"]
    assert (topic.received, topic.received_b, topic.sent, topic.sent_b) == (7, 63, 1, 9)
    assert topic.rate() == 0.1


def test_the_will_belongs_to_its_session():
    analyser = read(UP, "Will message specified (4 bytes) (r1, q1).", "\twill/dev", OK)
    assert analyser.clients["dev"].session.will == "will/dev"


def test_without_times_everything_but_durations_works():
    analyser, parser = Analyser(), Parser()
    for line in [UP, OK, *QOS_2_IN[:2], "Client dev has exceeded timeout, disconnecting."]:
        analyser.feed(parser.parse(line))
    analyser.finish()
    assert found(analyser) == {"keepalive-missed": 1, "unfinished-flow": 1}


def test_keep_alive_zero_is_told():
    assert found(read("New client connected from 10.0.0.7:50000 as dev (p2, c1, k0).")) == {"no-keepalive": 1}


def test_the_worst_client_comes_first():
    analyser = read(
        UP,
        "Received DISCONNECT from dev",
        "New client connected from 10.0.0.8:50000 as zz (p2, c1, k60).",
        90,
        "Client zz has exceeded timeout, disconnecting.",
    )
    assert [client.id for client in analyser.worst_first()] == ["zz", "dev"]


def test_many_sessions_are_merged_and_still_counted():
    count = SESSIONS * 5
    analyser = read(*[UP, 700, "Client dev closed its connection.", 700] * count)
    dev = analyser.clients["dev"]
    assert len(dev.sessions) <= SESSIONS
    assert sum(session.merged for session in dev.sessions) == count == dev.ends["closed"]
    assert dev.sessions[0].start == 1000000000
    assert all(earlier.end <= later.start for earlier, later in zip(dev.sessions, dev.sessions[1:]))


def test_many_topics_are_gathered(monkeypatch):
    monkeypatch.setattr(topics, "TOPICS", 10)
    analyser = read(UP, *[published(qos=0, pid=0, topic=f"t/{i}") for i in range(100)])
    assert len(analyser.topics) <= 11
    assert sum(topic.received for topic in analyser.topics.values()) == 100


def test_visitors_that_left_cleanly_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(clients, "CLIENTS", 10)
    lines = [UP]
    for i in range(100):
        lines += [
            f"New client connected from 10.0.0.8:50000 as auto-{i} (p2, c1, k60).",
            f"Received DISCONNECT from auto-{i}",
        ]
    analyser, parser = Analyser(), Parser()
    for line in lines:
        analyser.feed(parser.parse(line))
    assert len(analyser.clients) <= 20 and analyser.forgotten + len(analyser.clients) == 101
    assert analyser.clients["dev"].session is not None


def test_every_finding_says_what_it_means_and_what_to_do():
    assert all(kind.title and kind.means and kind.do and kind.weight >= 0 for kind in KINDS.values())


def test_broken_sessions_far_apart_are_not_flapping():
    assert "flapping" not in found(read(*[UP, 60, "Client dev closed its connection.", 100] * 8))


def test_a_second_disconnect_ends_nothing():
    assert read(UP, "Received DISCONNECT from dev", "Received DISCONNECT from dev").clients["dev"].ends == {"clean": 1}


def test_subscriptions_of_a_clean_session_end_with_it():
    analyser = read(UP, OK, "Received SUBSCRIBE from dev", "\ta (QoS 1)", "dev 1 a", "Received DISCONNECT from dev")
    assert analyser.clients["dev"].subscriptions == {}


def test_lines_a_little_out_of_order_do_not_move_the_end_of_the_log():
    analyser = read(UP, 10, "Received PINGREQ from dev", -5, "Received PINGREQ from dev")
    assert (analyser.account.first, analyser.account.last) == (1000000000, 1000000010)
