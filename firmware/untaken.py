"""What does the broker not take? Imported when an acknowledgement is late, or the broker ends a connection."""

from time import ticks_add, ticks_diff, ticks_ms

from micropython import const
from umqtt.takeback import connect_again, send_again, take_back, unacknowledged
from umqtt.wire import LEVEL_5

import clock
from ending import is_reading

_UNTAKEN_S = const(60)  # no acknowledgement for so long on a link that lives: the broker does not take the message
_AT_ONCE_S = const(5)  # a connection that is ended so soon, with a message in flight, was ended for that message
_STRIKES = const(3)  # so often the same message in QoS 2, and QoS 1 is used
_QUOTA_S = const(60)  # so long they take at least
_MOST_STRIKES = const(8)  # so often in QoS 1, and others go first; if they are taken, it is given up
_ROUNDS = const(2)  # so often others were taken in its place: that they were the first of a new quota is chance
_SOON_S = const(900)  # two messages that the broker took late within this: it takes so many in a time
_FIRST_PACE_MS = const(1000)
_CALM_S = const(3600)  # without a strike: it may take more by now
_ALL = const(65535)  # that wait


class Untaken:
    """Watches over messages that stay in flight. pid, strikes: the message that the broker did not take, how often;
    pace_ms: the pause between two messages for a broker with a quota, 0: none."""

    def __init__(self, pid: int = 0, strikes: int = 0, pace_ms: int = 0):
        self.pid = pid
        self.strikes = strikes
        self.pace_ms = pace_ms
        self.t_slower = ticks_ms()  # the pause became longer
        self.t_pace = ticks_add(self.t_slower, -pace_ms)  # the last message left
        self.in_vain = 0  # strikes though the pause cannot be longer
        self.hasty_until_s = 0  # the uptime before which there is none
        self.asked_for = 0  # the wait in which the link was asked whether it lives
        self.t_asked = 0
        self.asked = False
        self.since_s = -1 - _QUOTA_S  # when they began: those of another wake long ago
        self.given_up = []  # topics of which a message was: the next one of them needs fewer strikes
        self.quiet_s = 0  # without an acknowledgement, though the link lives
        self.one_by_one = None  # a OneByOne, once a connection ended with several messages in flight
        self.suspect = ""  # a topic: does the broker take others?
        self.rounds = 0  # so often it was asked
        self.takes_others = self.was_late = False  # since then; and the message that had strikes
        self.status_pid = 0  # of the message that is no reading
        self.is_told = False  # that it takes nothing

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
            # a broker that is known to lose some is asked again sooner: nothing else leaves meanwhile
            if self.quiet_s > (node.cfg["timeout_s"] if self.pace_ms else max(_UNTAKEN_S, 3 * node.cfg["timeout_s"])):
                self.quiet_s = 0
                self.separate(c)
                # the next connection repeats it: there is no other way to ask again
                connect_again(c, "no acknowledgement, though the link lives")
                self.strike(node, "does not acknowledge")
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

    def acknowledged(self, pid: int, codes) -> None:
        """The client's: an exchange has ended; with b"" the broker has taken it."""
        if codes == b"":
            self.takes_others = self.takes_others or pid != self.status_pid  # a quota spares what is retained, perhaps
            if pid == self.pid:
                self.was_late = True
                self.strikes = 0

    def separate(self, c) -> None:
        """The broker may have taken all but one of the messages in flight: on the next connection they leave one by
        one, and it is seen which it ends at. One of MQTT 5 says so."""
        if c.on_ended is None:  # else a subscription is under way
            c.on_ended = self.acknowledged
        if c.inflight > 1 and c.protocol < LEVEL_5:
            if not self.one_by_one:
                from umqtt.one_by_one import OneByOne

                self.one_by_one = OneByOne(c)
            self.one_by_one.separate(self.pace_ms > 0)

    def strike(self, node, words: str) -> None:
        """The broker did not take the oldest message in flight. QoS 2, three times in a row: QoS 1 from now on. QoS 1,
        eight times: others go first, and if they are taken, the message is given up. Told and counted."""
        c = node.client
        for pid, topic, qos in unacknowledged(c):
            break
        else:
            return
        now_s = clock.uptime_s()
        reading = is_reading(node, topic)
        is_taken = not topic  # its PUBREC came
        topic = str(topic, "utf-8")
        if pid != self.pid:
            if self.was_late and now_s - self.since_s < _SOON_S:
                self.slower(node)
            self.was_late = False
            self.pid = pid
            self.strikes = 0
            self.since_s = now_s
        self.strikes += 1
        if is_taken:
            if self.strikes >= _STRIKES:
                self.pid = self.strikes = 0
                print("broker: it takes messages in QoS 2 and never completes that: QoS 1 from now on (set qos to 1)")
                for pid, name, _ in unacknowledged(c):
                    if not name:
                        take_back(c, pid)
                node.lower(1)
            return
        known = topic in self.given_up and not self.pace_ms
        if qos > 1:
            if self.strikes >= _STRIKES:
                self.pid = self.strikes = 0
                print("broker: it %s %s in QoS 2: QoS 1 from now on (set qos to 1)" % (words, topic))
                node.lower(1)
            return
        if self.suspect and reading and not self.takes_others:
            if topic == self.suspect:
                self.pid = send_again(c, pid, qos) or 0  # behind the others
                return
            self.suspect = ""
            self.rounds = 0
            if not self.is_told:
                self.is_told = True
                print("broker: it takes no message at all now, they wait: a quota that is spent, or its ACL?")
        is_proven = known or self.rounds >= _ROUNDS or node.cfg["deep_sleep"]
        if self.strikes < (_MOST_STRIKES if reading and not (known or self.suspect) else _STRIKES):
            return
        # a quota of messages a minute is no reason to give up a reading
        if reading and not known and now_s - self.since_s <= _QUOTA_S:
            return
        if reading and not is_proven:
            self.let_others_go(node, pid, topic)
            return
        self.pid = self.strikes = self.rounds = 0
        self.suspect = ""
        self.is_told = False
        take_back(c, pid)
        if reading:
            if topic not in self.given_up:
                self.given_up.append(topic)
            node.refused += 1
            print("broker: it %s %s: given up, %d so far" % (words, topic, node.refused))
        else:
            if topic == node.topic + "status":
                node.greeting = False
            print("broker: it %s %s: not sent any more (if it takes no retained message: set retain to false)" % (
                words, topic))  # fmt: skip

    def let_others_go(self, node, pid: int, topic: str) -> None:
        """Put the message aside: is it that one alone which the broker does not take?"""
        message = take_back(node.client, pid)
        if message:
            self.pid = self.strikes = 0
            self.rounds = self.rounds + 1 if topic == self.suspect else 1
            self.suspect = topic
            self.takes_others = False
            self.put_behind(node, message[0], message[1])

    def put_behind(self, node, topic: bytes, payload) -> None:
        """A reading that is not in flight any more waits anew, behind the others."""
        try:
            node.store(topic, payload)
        except (AttributeError, OSError):  # those in RAM have no text, or flash is full
            node.aside = list(node.aside) + [(topic, payload)]
        node.published -= 1

    def over_quota(self, node, topic: bytes, payload) -> None:
        """A broker of MQTT 5 has said so of a reading."""
        self.put_behind(node, topic, payload)
        self.slower(node, True)

    def slower(self, node, it_says_so: bool = False) -> None:
        """The broker takes so many messages in a time: they leave one at a time, with a pause that doubles. It is no
        longer than readings need to come, which a queue could not hold for ever; where the longest does not help, the
        messages or their acknowledgements are lost for another reason, and more in flight get more through."""
        cfg = node.cfg
        many = 1 if node.json_messages else sum([len(source.sensor.fields) for source in node.sources])
        most_ms = int(cfg["interval_s"] * 900) // max(many, 1)
        if cfg["deep_sleep"]:
            most_ms = cfg["awake_ms"] * 3 // 4
        now = ticks_ms()
        now_s = clock.uptime_s()
        pace_ms = 2 * self.pace_ms or _FIRST_PACE_MS
        # several that were in flight are one trouble
        if self.pace_ms and 0 <= ticks_diff(now, self.t_slower) < self.pace_ms or now_s < self.hasty_until_s:
            return
        self.t_slower = now
        self.since_s = now_s
        if pace_ms <= most_ms:
            self.pace_ms = pace_ms
            self.in_vain = 0
            print("broker: it takes so many messages in a time, it seems: one in %d ms from now on, the others wait"
                  " (a longer interval_s, or payload json, spares some)" % pace_ms)  # fmt: skip
        elif not it_says_so:
            self.in_vain += 1
            if self.in_vain >= _STRIKES:
                self.in_vain = self.pace_ms = 0
                self.hasty_until_s = now_s + _CALM_S
                print("broker: it takes no more of them so: as fast as before, for an hour")

    def send(self, node):
        """As node's own, one message at a time, each pace_ms after the one before it has ended. Returns whether
        readings are held back."""
        c = node.client
        now = ticks_ms()
        now_s = clock.uptime_s()
        self.status_pid = node.status_pid
        if c.on_ended is None:
            c.on_ended = self.acknowledged
        if now_s - self.since_s > _CALM_S:
            self.since_s = now_s
            self.pace_ms = self.pace_ms // 2 if self.pace_ms >= 2 * _FIRST_PACE_MS else 0
            if not node.greeting and c.protocol < LEVEL_5:
                node.greeting = node.greet = True
        if self.pace_ms:
            is_due = not 0 <= ticks_diff(now, self.t_pace) < self.pace_ms
            if c.inflight and not (self.one_by_one and self.one_by_one.waits()):
                self.t_pace = now
                return True
            if not is_due:
                node.t_wait = now  # nothing is late
                return True
            self.t_pace = now
            if c.inflight:
                self.one_by_one.go_on()
                return True
            if node.cfg["deep_sleep"] and node.waiting() and not node.aside:
                node.hand_over(1)  # the broker had its status at another wake
                return True
        elif self.one_by_one and self.one_by_one.waits():
            self.one_by_one.go_on()  # a pause is over for good
        if node.aside and c.free_slots() and (not self.suspect or self.takes_others):
            topic, payload = node.aside[0]
            c.publish(topic, payload, False, node.qos, False)
            node.aside.pop(0)
            node.published += 1
            return True
        return node.send(c, 1 if self.pace_ms else _ALL)


def lower(client, qos: int) -> None:
    """What is in flight in a higher QoS is sent in this one (0: 1, for it has its slot), as new messages."""
    qos = max(qos, 1)
    for pid, _, had in unacknowledged(client):
        if had > qos:
            send_again(client, pid, qos)  # unless the broker has it
