"""How does the board speak MQTT 5? Its client, in place of umqtt.client's. Imported only when `protocol` asks for it.

A broker of MQTT 5 says what it does not do, and why it refuses. That is obeyed at once, and told once in words, where
with MQTT 3.1.1 the board has to find out by trying (untaken.py).
"""

import machine
from micropython import const
from umqtt.errors import MQTTException
from umqtt.v5 import MQTTClient

import power

_LEVEL_4 = const(4)
_LEVEL_5 = const(5)
_MONTH_S = const(2592000)
_CONNECTIONS = const(20)  # of a board that sleeps: for so many of its pauses the broker keeps the session, at least
_MOST_TOLD = const(32)  # topics of which a refusal is told once
_GIVEN_UP = const(-1)  # in place of a packet id: true, and not pending
_WILL_QOS = const(1)

# Reason codes and properties of MQTT 5 [5.0: 2.4, 2.2.2.2].
_LEVEL_REFUSED_BY_4 = const(1)  # a return code of MQTT 3.1.1
_LEVEL_REFUSED = const(0x84)
_TOO_LARGE = const(0x95)
_RATE = const(0x96)
_QUOTA = const(0x97)
_NO_RETAIN = const(0x9A)
_NO_QOS = const(0x9B)
_SESSION_EXPIRY = const(17)
_SERVER_KEEPALIVE = const(19)
_RECEIVE_MAXIMUM = const(33)
_MAXIMUM_QOS = const(36)
_RETAIN_AVAILABLE = const(37)
_MAXIMUM_PACKET = const(39)


def of(cfg):
    """BoardClient, for this configuration."""
    # A topic that is sent once on a connection is longer with an alias. An ESP8266 has no memory for them.
    is_esp8266 = hasattr(machine.RTC, "ALARM0")
    BoardClient.repeats = not is_esp8266 and (not cfg["deep_sleep"] or cfg["connect_every"] > 1)
    return BoardClient


class BoardClient(MQTTClient):
    """umqtt.v5's, with the arguments of umqtt.client's in their order; protocol: 5 or "auto"."""

    repeats: bool  # whether topics come again on a connection

    def __init__(self, client_id, server, port, user, password, keepalive, ssl, clean_session, protocol, *more):
        slots, rx_size, tx_size, timeout_ms, reconnect, journal = more
        MQTTClient.__init__(
            self, client_id, server, port, user, password, keepalive, ssl, clean_session, protocol=protocol,
            inflight=slots, rx_size=rx_size, tx_size=tx_size, timeout_ms=timeout_ms, reconnect=reconnect,
            store=journal, topic_aliases=self.repeats,
        )  # fmt: skip

    def bind(self, node) -> None:
        """It is the node's from now on: will and session are as its configuration wants them."""
        self.owner = Terms(self, node)

    def publish(self, topic, msg, retain=False, qos=0, *more, **named):
        """As umqtt.v5's. A message that the broker has said it does not take is given up, and told; one that it would
        not retain goes out all the same. Then the packet id is -1, as of one whose QoS was lowered to 0."""
        retain = retain and self.connack.get(_RETAIN_AVAILABLE, 1)
        try:
            pid = MQTTClient.publish(self, topic, msg, retain, qos, *more, **named)
        except MQTTException as e:
            self.owner.judge(topic, e)
            return _GIVEN_UP
        return pid or (_GIVEN_UP if qos and pid is not None else pid)


class Terms:
    """What the broker of `client` has said that it does and does not do, and what becomes of it."""

    def __init__(self, client, node):
        self.client = client
        self.node = node
        self.words = ""  # what was told of the broker
        self.refusals = {}  # topic: reason code
        self.will_qos = _WILL_QOS
        self.will_retain = node.retain
        cfg = node.cfg
        node.reconnect.on_state = self.on_link
        client.on_refused = self.refused
        self.away_s = int(cfg["interval_s"] * cfg["connect_every"]) if cfg["deep_sleep"] else 0
        client.session_expiry_s = max(_MONTH_S, _CONNECTIONS * self.away_s)
        self.make_will()
        if cfg["deep_sleep"] and node.known.level_4 and cfg["protocol"] == "auto":
            client.protocol = _LEVEL_4
        self.level = client.protocol

    def make_will(self) -> None:
        """A board that is back in time has not been away."""
        cfg = self.node.cfg
        if cfg["will"]:
            topic = self.node.topic + "status"
            self.client.set_last_will(topic, "offline", self.will_retain, self.will_qos, cfg["will_delay_s"])

    def judge(self, topic, fault) -> None:
        """A call of publish has raised an MQTTException. Raises it again when it has ended the connection."""
        if fault is self.node.reconnect.fault:
            raise fault
        if fault.args[0] == _TOO_LARGE:  # else the broker's acknowledgement, which `refused` is told of
            self.refused(topic if isinstance(topic, bytes) else topic.encode(), fault)

    def refused(self, topic: bytes, fault) -> None:
        """The broker does not take a message, and says so: it is given up, told and counted."""
        from ending import is_reading

        node = self.node
        name = str(topic, "utf-8")
        code, words = fault.args
        reading = is_reading(node, topic)
        if reading and code == _QUOTA:
            return node.doubt().over_quota(node, topic, fault.payload)
        words = "%s: %s" % (name, words)
        is_new = self.refusals.get(name) != code
        if len(self.refusals) < _MOST_TOLD:
            self.refusals[name] = code
        if reading:
            node.refused += 1
            words += ": given up, %d so far" % node.refused
        elif name == node.topic + "status":
            node.greeting = False
        if is_new:
            print("broker: it refuses", words)

    def on_link(self, up: bool, words: str) -> None:
        """The node's, but what is mended here is no failure."""
        node = self.node
        level = self.client.protocol
        fault = node.reconnect.fault
        if not up:
            if self.gave_way(fault):
                return
            if level == _LEVEL_5 and isinstance(fault, MQTTException) and fault.args[0] == _LEVEL_REFUSED_BY_4:
                node.reconnect.fault = MQTTException(_LEVEL_REFUSED, "the broker does not speak MQTT 5")
        node.link_changed(up, words)
        if not up and fault.args[0] in (_RATE, _QUOTA) and isinstance(fault, MQTTException) and node.fell:
            node.doubt().slower(node, True)
        if up:
            self.tell_level(level)
            if node.cfg["deep_sleep"]:
                node.known.level_4 = level == _LEVEL_4
            if level == _LEVEL_5:
                self.tell()

    def tell_level(self, level) -> None:
        """Once, when "auto" has come to another version."""
        if level != self.level:
            self.level = level
            print("broker: it does not speak MQTT 5, but MQTT 3.1.1")

    def gave_way(self, fault) -> bool:
        """Whether the broker did not take what the connection began with, and gets something else the next time."""
        client = self.client
        code = fault.args[0] if isinstance(fault, MQTTException) else 0
        if code not in (_TOO_LARGE, _NO_RETAIN, _NO_QOS):
            return False
        if client.inflight and "in flight" in fault.args[1]:  # of an earlier connection, whose broker took it
            from umqtt.takeback import send_again, unacknowledged

            most = client.connack.get(_MAXIMUM_QOS, 2)
            for pid, topic, qos in unacknowledged(client):
                if topic and (qos > most or "packet %d " % pid in fault.args[1]):
                    send_again(client, pid, max(1, min(qos, most)))
            return True
        if code == _NO_RETAIN and self.will_retain:
            self.will_retain = False
            print("broker: it retains nothing, so the will is not retained")
        elif code == _NO_QOS and self.will_qos:
            self.will_qos = 0
            print("broker: it takes no QoS 1 from this board, so the will has QoS 0")
        else:
            return False
        self.make_will()
        return True

    def tell(self) -> None:
        """What is special about this broker, when that is something new."""
        cfg = self.node.cfg
        get = self.client.connack.get
        kept_s = get(_SESSION_EXPIRY, self.client.session_expiry_s)
        words = "MQTT 5, it keeps the session for %d s" % kept_s
        if kept_s < self.away_s:
            words += " (sooner than this board is back: commands sent meanwhile are lost)"
        if cfg["will"]:
            words += ", and says offline once the board was away for %d s" % min(cfg["will_delay_s"], kept_s)
        if get(_MAXIMUM_QOS, 2) < cfg["qos"]:
            words += "; QoS %d at most" % get(_MAXIMUM_QOS)
        if not get(_RETAIN_AVAILABLE, 1):
            words += "; nothing is retained"
        if get(_MAXIMUM_PACKET):
            words += "; no packet over %d B" % get(_MAXIMUM_PACKET)
        if get(_RECEIVE_MAXIMUM, self.node.slots) < self.node.slots:
            words += "; %d unacknowledged at most" % get(_RECEIVE_MAXIMUM)
        if get(_SERVER_KEEPALIVE, cfg["keepalive_s"]) != cfg["keepalive_s"]:
            words += "; a keep-alive of %d s" % get(_SERVER_KEEPALIVE) if get(_SERVER_KEEPALIVE) else "; no keep-alive"
        if words != self.words and power.cause() != power.WOKE:  # once, not at each wake
            print("broker:", words)
        self.words = words
