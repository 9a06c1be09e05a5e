"""Any bytes are survived, and no event is invented."""

import re
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tools.mosqlog import parse, words
from tools.mosqlog.analyse import Analyser
from tools.mosqlog.events import (
    Accept,
    Ack,
    Bridging,
    Broker,
    Command,
    Connack,
    Connected,
    Control,
    Detail,
    Dropping,
    Ended,
    Expired,
    Foreign,
    Host,
    Listening,
    Note,
    Plugin,
    Publish,
    Refused,
    Saving,
    Tls,
    Trouble,
    Unknown,
    UnknownPid,
    Violation,
    Will,
)
from tools.mosqlog.parse import Parser

HERE = Path(__file__).parent
LINES = [
    line
    for path in sorted((HERE / "golden").glob("*.txt"))
    for line in path.read_bytes().splitlines()
    if not line.startswith(b"    ")
]

# What an event of each kind cannot come from: a line without these words.
NEEDS = {
    Accept: "New connection from",
    Connected: "New (client|bridge) connected from",
    Will: "Will message specified",
    Connack: "Sending CONNACK to",
    Publish: "(Received|Sending) PUBLISH (from|to)",
    Ack: "(Received|Sending) PUB(ACK|REC|REL|COMP) (from|to)",
    Control: "(Received|Sending) [A-Z]+ (from|to)",
    Ended: "[Cc]lient .*(disconnect|closed its|closing old|Bad socket)|Bad socket",
    Refused: "(Denied|Rejected|Dropped|Dropping)",
    Dropping: "being dropped for client",
    UnknownPid: "unknown packet identifier",
    Expired: "Expiring",
    Violation: "from|Client|client|sent CONNECT",
    Broker: "mosquitto version .* (starting|running|terminating)",
    Saving: "Saving in-memory",
    Listening: "Opening .* listen socket",
    Trouble: "rror|arning|nable|deprecated|max_|roker|alive|only|ote|OCSP|uplicate",
    Bridging: "ridge|onnection Refused|CONNACK",
    Command: "dynsec: ",
    Tls: "Error",
    Plugin: r"auth|uth|level|\|-- ",
    Host: "mosquitto",
}
CODED = (Bridging, Command, Host, Trouble)  # they hold words that are no part of the line
# Text as it can stand in a log line: no end of line; NUL cannot be in an id.
anything = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)), min_size=1, max_size=30)
plain = anything.filter(lambda x: " (d" not in x)  # the one text that nobody can tell apart
pids = st.integers(0, 65535)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=30))
@example([b"\xff\xfe\0\0"])
@example([b"99999999999999999999: Received PINGREQ from \xff"])
@example(["\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661: x".encode()])
def test_any_bytes_are_survived(lines):
    parser, analyser = Parser(), Analyser(at=[0.0], sequence=5)
    for line in lines:
        analyser.feed(parser.parse(line))
        parse.parse(line)
    analyser.finish()
    assert analyser.account.lines == len(lines)


@settings(max_examples=700, deadline=None)
@given(st.data())
def test_damaged_lines_give_no_event_that_is_not_in_them(data):
    line = data.draw(st.sampled_from(LINES))
    how = data.draw(st.sampled_from(["cut", "behead", "drop", "flip", "insert", "splice"]))
    at = data.draw(st.integers(0, len(line)))
    if how == "cut":
        line = line[:at]
    elif how == "behead":
        line = line[at:]
    elif how == "drop":
        line = line[:at] + line[at + data.draw(st.integers(1, 9)) :]
    elif how == "flip":
        line = line[:at] + bytes([data.draw(st.integers(0, 255))]) + line[at + 1 :]
    elif how == "insert":
        line = line[:at] + data.draw(st.binary(min_size=1, max_size=9)) + line[at:]
    else:
        line = line[:at] + data.draw(st.sampled_from(LINES))
    event = Parser().parse(line)
    text = line.decode("utf-8", "surrogateescape")
    if not isinstance(event, (Unknown, Note, Detail, Foreign)):
        assert re.search(NEEDS[type(event)], text, re.DOTALL), (line, event)
        for value in event:
            # Every figure and every name of the event stands in the line.
            if isinstance(value, str) and not isinstance(event, (Ended, Violation, Refused, *CODED)):
                assert value in text or value in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"), (line, event)
            elif type(value) is int and not isinstance(event, Connected):
                assert str(value) in text or value == event.t, (line, event)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=80)), max_size=60))
def test_lines_in_any_order_never_upset_the_analyser(lines):
    parser, analyser = Parser(), Analyser(sequence=10)
    for line in lines:
        analyser.feed(parser.parse(line))
    analyser.finish()
    for client in analyser.worst_first():
        assert sum(client.ends.values()) + (client.session is not None) == sum(
            session.merged for session in client.sessions
        )
        assert client.connected_s >= 0
        for finding in client.findings.values():
            assert finding.count > 0
            for facts in finding.examples:
                words.example(facts)


@settings(max_examples=200, deadline=None)
@given(
    client=plain,
    topic=anything,
    pid=pids,
    qos=st.integers(0, 2),
    dup=st.booleans(),
    retain=st.booleans(),
    size_b=st.integers(0, 268435455),
    sent=st.booleans(),
)
def test_a_publish_of_any_names_is_read_back(client, topic, pid, qos, dup, retain, size_b, sent):
    way = "Sending PUBLISH to" if sent else "Received PUBLISH from"
    line = f"1795348562: {way} {client} (d{dup:d}, q{qos}, r{retain:d}, m{pid}, '{topic}', ... ({size_b} bytes))\n"
    for event in (parse.parse(line), parse.parse(line.encode())):
        assert event == Publish(1795348562, sent, client, dup, qos, retain, pid, topic, size_b)


@settings(max_examples=200, deadline=None)
@given(
    client=anything,
    pid=pids,
    name=st.sampled_from(["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"]),
    sent=st.booleans(),
    form=st.sampled_from(["Mid: ", "m"]),
)
def test_an_ack_of_any_client_is_read_back(client, pid, name, sent, form):
    line = f"1795348562: {'Sending' if sent else 'Received'} {name} {'to' if sent else 'from'} {client} ({form}{pid})"
    assert parse.parse(line) == Ack(1795348562, sent, name, client, pid, None)


@settings(max_examples=200, deadline=None)
@given(
    client=anything.filter(lambda text: " [" not in text),
    how=st.sampled_from(
        [
            (" closed its connection.", "closed", None),
            (" has exceeded timeout, disconnecting.", "timeout", None),
            (" disconnected.", "clean", None),
            (" already connected, closing old connection.", "takeover", None),
            (" [10.0.0.7:5] disconnected: session taken over.", "takeover", "10.0.0.7:5"),
            (" [10.0.0.7:5] disconnected.", "clean", "10.0.0.7:5"),
        ]
    ),
)
def test_an_end_of_any_client_is_read_back(client, how):
    words_of_end, name, address = how
    detail = "already connected" if "already" in words_of_end else ""
    assert parse.parse(f"Client {client}{words_of_end}") == Ended(None, client, name, address, detail)


@settings(max_examples=200, deadline=None)
@given(
    client=anything,
    user=st.one_of(st.none(), anything.filter(lambda text: "(" not in text)),
    clean=st.booleans(),
    keepalive_s=pids,
)
def test_a_connect_of_any_client_is_read_back(client, user, clean, keepalive_s):
    who = "" if user is None else f", u'{user}'"
    line = f"New client connected from 10.0.0.7:5 as {client} (p2, c{clean:d}, k{keepalive_s}{who})."
    assert parse.parse(line) == Connected(None, client, "10.0.0.7:5", 4, clean, keepalive_s, user, False)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_not_utf_8_come_back_unchanged(raw):
    raw = raw.replace(b"\n", b"").replace(b"\r", b"") or b"x"
    event = parse.parse(b"Received PINGREQ from " + raw)
    assert event.client.encode("utf-8", "surrogateescape") == raw


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_nothing_that_is_shown_moves_the_cursor(text):
    assert words.shown(text).isprintable()
