"""What does the broker not take? Imported when an acknowledgement is late, or the broker ends a connection."""

from time import ticks_diff, ticks_ms

from micropython import const
from umqtt.takeback import connect_again, send_again, take_back, unacknowledged
from umqtt.wire import LEVEL_5

import clock
from ending import is_reading

_UNTAKEN_S = const(60)  # no acknowledgement for so long on a link that lives: the broker does not take the message
_AT_ONCE_S = const(5)  # a connection that is ended so soon, with a message in flight, was ended for that message
_STRIKES = const(3)  # so often the same message in QoS 2, and QoS 1 is used
_QUOTA_S = const(60)  # so long they take at least
_MOST_STRIKES = const(8)  # so often in QoS 1, and the message is given up


class Untaken:
    """Watches over messages that stay in flight. pid, strikes: the message that the broker did not take, how often."""

    def __init__(self, pid: int = 0, strikes: int = 0):
        self.pid = pid
        self.strikes = strikes
        self.asked_for = 0  # the wait in which the link was asked whether it lives
        self.t_asked = 0
        self.asked = False
        self.since_s = -1 - _QUOTA_S  # when they began: those of another wake long ago
        self.given_up = ""  # the topic of the last message that was: the next one of it needs fewer
        self.quiet_s = 0  # without an acknowledgement, though the link lives
        self.one_by_one = None  # a OneByOne, once a connection ended with several messages in flight

    def look(self, node) -> None:
        """An acknowledgement is late by timeout_s: ask whether the link lives. One that does not answer is ended; one
        that lives while nothing is acknowledged for a minute has a broker that does not take the message. Raises
        OSError."""
        c = node.client
        now = ticks_ms()
        limit_ms = node.cfg["timeout_s"] * 1000
        if self.asked_for != node.t_wait:  # there was an acknowledgement since, or another connection
            self.asked = False
            self.quiet_s = 0
            self.asked_for = node.t_wait
        if not self.asked:
            c.ping()
            node.heard = False
            self.asked = True
            self.t_asked = now
        elif node.heard:
            self.quiet_s += ticks_diff(now, node.t_wait) // 1000
            node.t_wait = self.asked_for = now
            self.asked = False
            if self.quiet_s > max(_UNTAKEN_S, 3 * node.cfg["timeout_s"]):
                self.quiet_s = 0
                self.strike(node, "does not acknowledge")
                # the next connection repeats it: there is no other way to ask again
                connect_again(c, "no acknowledgement, though the link lives")
        elif ticks_diff(now, self.t_asked) >= limit_ms:
            connect_again(c, "no answer for %d s: the link is dead" % (2 * limit_ms // 1000))

    def ended(self, node) -> None:
        """The connection has ended with a message in flight while WiFi stands. Was it the broker, for that message?"""
        words = node.linking.words
        if "no ack for packet" in words:  # the client's own watch
            return self.strike(node, "does not acknowledge")
        if "closed by the broker" in words or "link is down" in words:
            if clock.uptime_s() - node.up_s < _AT_ONCE_S:
                self.separate(node.client)
                self.strike(node, "ends the connection at")

    def separate(self, c) -> None:
        """The broker may have taken all but one of the messages in flight: on the next connection they leave one by
        one, and it is seen which it ends at. One of MQTT 5 says so."""
        if c.inflight > 1 and c.protocol < LEVEL_5:
            if not self.one_by_one:
                from umqtt.one_by_one import OneByOne

                self.one_by_one = OneByOne(c)
            self.one_by_one.separate()

    def strike(self, node, words: str) -> None:
        """The broker did not take the oldest message in flight. QoS 2, three times in a row: QoS 1 from now on. QoS 1,
        eight times: the message is given up. Told and counted."""
        c = node.client
        for pid, topic, qos in unacknowledged(c):
            break
        else:
            return
        now_s = clock.uptime_s()
        if pid != self.pid:
            self.pid = pid
            self.strikes = 0
            self.since_s = now_s
        self.strikes += 1
        reading = is_reading(node, topic)
        topic = str(topic, "utf-8") or "a message that it has"
        known = topic == self.given_up
        if qos > 1:
            if self.strikes >= _STRIKES:
                self.strikes = 0
                print("broker: it %s %s in QoS 2: QoS 1 from now on (set qos to 1)" % (words, topic))
                node.lower(1)
        elif self.strikes >= (_MOST_STRIKES if reading and not known else _STRIKES):
            # a quota of messages a minute is no reason to give up a reading
            if reading and not known and now_s - self.since_s <= _QUOTA_S:
                return
            self.strikes = 0
            self.given_up = topic
            take_back(c, pid)
            if reading:
                node.refused += 1
                print("broker: it %s %s: given up, %d so far" % (words, topic, node.refused))
            else:
                if topic == node.topic + "status":
                    node.greeting = False
                print("broker: it %s %s: not sent any more (if it takes no retained message: set retain to false)" % (
                    words, topic))  # fmt: skip


def lower(client, qos: int) -> None:
    """What is in flight in a higher QoS is sent in this one (0: 1, for it has its slot), as new messages."""
    qos = max(qos, 1)
    for pid, _, had in unacknowledged(client):
        if had > qos:
            send_again(client, pid, qos)  # unless the broker has it
