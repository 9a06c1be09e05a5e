"""Logs as people posted them when they asked for help (ids, hosts, users and addresses are invented): the summary
leads to the cause that was found, and says nothing that contradicts it.

Each log in field/ has a row: what the summary must say (in this order), and what it must not."""

from pathlib import Path

import pytest

from .program import run

FIELD = Path(__file__).parent / "field"

SAYS = {
    "01-ha-watchdog-probe": (
        [
            "0 clients",
            "port-check: connects and closes without a word of MQTT, regularly",
            "172.30.32.2: 20 times",
            "port 1883",
            "every 2 min 0 s",
            "Harmless",
        ],
        ["no-connect", "flapping"],
    ),
    "04-tasmota-timeout-nano-cut": (
        [
            "DVES_10AA89",
            "flapping",
            "one every",
            "silent-after-connect: falls silent right after its CONNECT",
            "6 times, after 21 s",
        ],
        ["two-devices", "taken over"],
    ),
    "11-ha-addon7-not-authorised": (
        [
            "Mosquitto 2.1.2",
            "0 accepted and 6 refused",
            "everybody-refused: every login is refused",
            "since the start of 2.1.2: the broker's credentials, not the devices",
            "fd00:5e:2100::1",
        ],
        ["not understood", "put out"],
    ),
    "17-tls-plain-client": (
        [
            "tls-failed",
            "192.0.2.2: 2 times",
            "it speaks plain MQTT (no TLS) to a TLS port",
            "(address not logged)",
            "they share no TLS version",
        ],
        ["malformed"],
    ),
    "20-compose-several-services": (
        ["Mosquitto 2.0.18; 1 clients", "192.0.2.77", "it sent no client certificate"],
        ["not understood", "restarted"],
    ),
    "24-bridge-peer-closes": (
        [
            "0 clients",
            "bridge-closed-at-once: bridge: closed by the far end right after CONNECT",
            "yard: 5 times",
            "mqtt.example.org:1883",
        ],
        ["device", "flapping"],
    ),
    "26-bridge-port-as-address": (
        ["bridge-address: bridge: its address is a port number", "bridge-01", "1883:1883", "invalid argument"],
        ["local.host.bridge-01", "broker-error"],
    ),
    "30-openbk-broken-packets": (
        [
            "IoTSocket8AAA2BE4",
            "?",
            "9 protocol error",
            "5 malformed packet",
            "3 keep-alive missed",
            "two threads that write to one socket",
        ],
        ["0 %", "two-devices"],
    ),
    "33-socket-limit": (
        ["broker-sockets: the broker is out of sockets", "ulimit -n", "LimitNOFILE", "broker-tcpd"],
        ["misbehaved"],
    ),
    "34-fail2ban-format": (
        ["1 accepted and 3 refused", "refused-login", "203.0.113.100: 3 times"],
        ["192.0.2.111: 1", "192.0.2.111: 2025", "(address not logged)"],
    ),
    "36-ha-host-journal-batch": (
        [
            "2022-01-23 19:15:59 to 2022-01-23 19:19:26",
            "DVES_F60000",
            "2 keep-alive missed",
            "2022-01-23 19:17:14 to 2022-01-23 19:19:26",
            "after 1 min 43 s",
        ],
        ["2021", "2022-01-24"],
    ),
    "40-persistence-errors": (
        [
            "broker-database: the broker cannot save its database",
            "unable to open",
            "No such file or directory",
            "Retained messages",
            "broker-files",
        ],
        ["not understood"],
    ),
    "43-oom-killed": (
        [
            "2018-07-17 15:33:20",
            "restarted without having stopped after 6 s",
            "Out of memory: Kill process 812",
            "broker-oom: the kernel killed the broker",
            "broker stopped",
        ],
        ["closed-without", "not understood"],
    ),
    "46-pipe-time-format": (
        [
            "2021-09-30 16:22:15 to 2021-09-30 16:22:19",
            "203.0.113.44",
            "2 connections, port 8883",
            "to 1.6, which does not say so) a refused login",
        ],
        ["not understood"],
    ),
    "48-every-300-seconds": (
        ["client-7AAA", "like-clockwork: falls out like clockwork", "7 sessions of 5 min 0 s each", "not the network"],
        ["two-devices", "flapping"],
    ),
    "49-openwrt-logread": (
        [
            "2025-04-07 12:05:23 to 2025-04-07 12:05:41 (18 s)",
            "Unable to open pwfile",
            "iBox_2910",
            "2 x refused-login",
            "allow_anonymous",
        ],
        ["365 d", "iBox_2910                      2"],
    ),
    "52-only-ends-logged": (
        ["5 clients", "?", "5 closed without DISCONNECT", "flapping", "5 ends within 28 s, one every 7 s"],
        ["many-at-once", "two-devices", "0 %"],
    ),
    "60-auth-backend-stalls-broker": (
        [
            "broker-slow: the broker or its host is slow",
            "authentication plugin",
            "many-at-once",
            "5 of 8 clients",
            "the broker or its host was stalled",
        ],
        ["keepalive-missed", "flapping"],
    ),
    "61-dynsec-default-log": (
        ["10 accepted and 8 refused", "admin", "createClient", "disableClient", "deleteClient", "127.0.0.1: 8 times"],
        ["many-at-once", "not understood"],
    ),
    "63-all-time-out-after-save": (
        ["3 x many-at-once", "6 clients within 1 s (6 keep-alive missed): 31 s after the broker began to save"],
        ["keepalive-missed", "flapping"],
    ),
}


@pytest.mark.parametrize("name", sorted(SAYS))
def test_the_summary_leads_to_the_cause(name):
    status, out, err = run(str(FIELD / f"{name}.log"))
    assert (status, err) == (0, "")
    text, at = " ".join(out.split()), 0
    wanted, unwanted = SAYS[name]
    for words in wanted:
        found = text.find(words, at)
        assert found >= 0, f"{words!r} is missing, or comes too early:\n{out}"
        at = found
    for words in unwanted:
        assert words not in text, f"{words!r} is false:\n{out}"


def test_every_log_has_its_row():
    assert {path.stem for path in FIELD.glob("*.log")} == set(SAYS)
