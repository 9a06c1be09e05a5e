"""One wake of a board that sleeps: measure, connect if it is time to, send what waits, sleep. Imported only when
`deep_sleep` asks for it."""

from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const

import clock
import power
from durable import DurableNode
from ending import finish, send, sum_up
from health import crashed
from probation import LIMIT_S

_MOST_USES = const(50)  # so often an address is used again before DHCP is asked
_CLOCK_MS = const(5000)  # what asking the time server may take
_SCAN_MS = const(3000)  # what a scan takes, and a little
_PATIENT = const(2)  # so many attempts have all of awake_ms, then
_SHORT_MS = const(4000)  # they have this, or twice what the last good one took
_FULL_EVERY = const(10)  # but each tenth has all of it: the network may have become slow
_STEP_MS = const(50)
_PAUSE_MS = const(1000)  # between two attempts
_OF_ITSELF = const(1)  # in `fell`: node's
_TOLD = const(255)  # in `announced`: discovery's
_MOST_START_MS = const(20000)
_CALM = const(64)  # wakes
_DRIFTS_S = const(1200)  # between two looks of one whose clock goes wrong while it sleeps
_STRIKES = const(31)  # in a byte with the pause between two messages
_MOST_PACE = const(224)
_ASK_MS = const(1000)  # for the answer to a PINGREQ at the end of a wake


class Sleeper(DurableNode):
    """awake_ms is the longest time awake, but for name look-ups, which no port can cut short. known: a Remembered.
    MicroPython's connect takes no channel: the radio finds that."""

    def __init__(self, cfg: dict, wifi, known, began_ms: int):
        self.known = known
        self.failures = 0  # attempts of this wake
        super().__init__(cfg, wifi)
        self.t_began = began_ms
        self.qos = min(self.qos, 1) if known.qos_1 else self.qos
        if known.late_pid or known.strikes:
            from untaken import Untaken

            self.doubts = Untaken(known.late_pid, known.strikes & _STRIKES, (1 << (known.strikes >> 5) >> 1) * 1000)
        self.budget_ms = self.budget()
        if power.cause() != power.WOKE:
            known.told = 0  # another configuration, perhaps
        for i, thing in enumerate(self.announcer.things if self.announcer else ()):
            if known.told >> i & 1:
                thing.announced = _TOLD
        now = clock.unix_s(clock.uptime_s())
        if now and known.synced_s:
            self.synced_s = known.synced_s - now
        if known.drifts:
            self.resync_s = _DRIFTS_S
        late_ms = clock.now_ms() - known.due_ms - ticks_diff(ticks_ms(), self.t_began)
        if 0 <= late_ms <= _MOST_START_MS:  # else the clock was set meanwhile, or the board was reset
            known.start_ms = late_ms

    def opened(self) -> None:
        super().opened()
        if self.doubts:
            self.doubts.separate(self.client)

    def budget(self) -> int:
        """Milliseconds that this wake may take. A night without the broker must not empty the battery: after two
        attempts that failed each further one costs no more than a good wake does."""
        known = self.known
        if self.cfg.get("trials"):
            return LIMIT_S * 1000
        full_ms = self.cfg["awake_ms"]
        if known.fails < _PATIENT or known.fails % _FULL_EVERY == 0:
            return full_ms
        return min(full_ms, max(_SHORT_MS, 2 * known.took_ms))

    def run(self) -> None:
        """Never returns, unless the stop button is pressed: then the board stays awake, for whoever wants to talk to
        it."""
        if self.stopped():
            print("stop button: awake")
            return
        known = self.known
        try:
            self.wake()
        except Exception as e:
            crashed(e)  # and sleep: awake it would only empty the battery
        try:
            awake_ms = ticks_diff(ticks_ms(), self.t_began)
            print("wake %d: awake %d ms, %d readings wait" % (known.wakes, awake_ms, self.waiting()))
            sum_up(self)
            self.remember()
        except Exception as e:
            crashed(e)
        if self.cfg.get("trials"):  # the broker was not reached: back to what was before, and not after a long sleep
            power.restart()
        if self.cfg.get("start"):
            from trial import slept

            slept(self)
        ms = self.rest_ms()
        known.due_ms = clock.now_ms() + ms
        known.save()
        if self.watched:
            from waking import arm

            arm(self)
        power.deep_sleep(ms)

    def remember(self) -> None:
        """What the next wake is to know."""
        known = self.known
        known.synced_s = clock.unix_s(self.synced_s) or 0
        known.drifts = self.resync_s <= _DRIFTS_S
        doubts = self.doubts  # only once there was one: it takes 900 B
        known.late_pid = known.strikes = 0
        if doubts:
            known.late_pid = doubts.pid
            known.strikes = min(doubts.strikes, _STRIKES)
            if not (known.strikes or known.wakes % _CALM):
                doubts.pace_ms //= 2  # it may take more by now
            while doubts.pace_ms >= 1000 << (known.strikes >> 5) and known.strikes < _MOST_PACE:
                known.strikes += _STRIKES + 1
        known.qos_1 = self.qos < self.cfg["qos"]
        known.told = 0
        for i, thing in enumerate(self.announcer.things if self.announcer else ()):
            if thing.announced == _TOLD:
                known.told |= 1 << i

    def rest_ms(self) -> int:
        """The rest of the interval, which counts from wake to wake: less what the board needs to start."""
        interval_ms = max(int(self.cfg["interval_s"] * 1000), self.rest_s * 1000)
        awake_ms = ticks_diff(ticks_ms(), self.t_began)
        return max(1, interval_ms - awake_ms - min(self.known.start_ms, interval_ms // 2))

    def left_ms(self) -> int:
        """Milliseconds until it must sleep."""
        return self.budget_ms - ticks_diff(ticks_ms(), self.t_began)

    def wake(self) -> None:
        """Measure; connect and send when it is time to."""
        known = self.known
        known.wakes += 1
        skip = known.skip
        if skip and self.watched:
            from waking import by_contact

            if by_contact():
                skip = 0  # what it has to tell does not wait
        if not skip and self.cfg["ntp_host"] and clock.unix_s(0) is None and self.join():
            self.set_clock()  # else the first readings had no time
        self.measure()
        if skip:
            known.skip = skip - 1
            return
        every = self.cfg["connect_every"]
        # should it fail: again at the next wake, then at each second one, so that it is soon back when the broker is
        known.skip = every - 1 if every > 1 else 1 if known.fails else 0
        known.fails += 1
        self.open()
        if self.reach():
            known.took_ms = ticks_diff(self.t_wait, self.t_began)
            had = self.waiting() + self.client.inflight
            if self.listener:
                self.attend()
            if self.trials:
                self.end_trial()
            finish(self, self.left_ms() - _ASK_MS, True, self.unfinished)
            left = self.waiting() + self.client.inflight
            if left < had or not left:
                known.fails = 0
                known.skip = every - 1 if not left else 0
            self.look_around()
        elif known.fails < _PATIENT or not known.fails % _FULL_EVERY:
            # the next attempt has the time to ask for an address: this one may be of a network that is another by now
            known.address = bytes(16)
            known.bssid = bytes(6)
            known.uses = known.hidden = 0
        elif not any(known.address) and self.wifi.isconnected():
            known.note_address(self.wifi)
        if self.fell == _OF_ITSELF and self.client.inflight:  # no turn comes that would look
            self.doubt().ended(self)
            self.storing.attempt(self.journal.sync)  # what it gave up does not come back
        self.wifi.off()

    def reach(self) -> bool:
        """Whether the broker is reached: by one attempt at each of the list; on trial by as many as the time allows."""
        c = self.client
        many = len(self.reconnect.brokers or (c.server,))
        while self.left_ms() > 0:
            if not self.join():
                if not self.cfg.get("trials"):
                    return False
                sleep_ms(_PAUSE_MS)
            else:
                if not c.isconnected() and self.left_ms() > _CLOCK_MS:
                    self.set_clock()
                # name look-up aside: a life without a session has two connections, each within its part
                parts = (many - self.failures % many) * (2 if self.journal.pid < 0 else 1)
                c.timeout_ms = max(min(self.cfg["timeout_s"] * 1000, self.left_ms() // parts), 1)
                if not self.linking.attempt(self.serve, min(self.left_ms(), _STEP_MS)):
                    sleep_ms(self.linking.pause_ms)
                if self.was_up:
                    return True
                if self.failures >= many and not self.cfg.get("trials"):
                    return False
            self.feed()
        return False

    def link_changed(self, up: bool, words: str) -> None:
        self.failures += not up
        super().link_changed(up, words)

    def attend(self) -> None:
        """Hear what the broker has for us, as far as the budget goes; stay awake for as long as a command asks for."""
        listener = self.listener
        send(self, self.left_ms() - _ASK_MS)
        while clock.uptime_s() < listener.awake_until_s:
            self.budget_ms = ticks_diff(ticks_ms(), self.t_began) + self.cfg["awake_ms"]
            self.turn()
            self.feed()

    def end_trial(self) -> None:
        """What is on trial is kept when all was sent with it; what came back is told."""
        from trial import passed

        send(self, self.left_ms() - _ASK_MS)
        if self.client.isconnected() and not (self.waiting() or self.client.inflight):
            passed(self)

    def unfinished(self) -> None:
        """Time is over, and the broker has not acknowledged all: if the link lives, it does not take the message."""
        c = self.client
        if ticks_diff(ticks_ms(), self.t_wait) > _ASK_MS:
            c.ping()
            if c.poll(_ASK_MS):
                self.doubt().strike(self, "does not acknowledge")

    def join(self) -> bool:
        """Whether WiFi is joined; waits for it within the budget. First by what is known of the network; when that
        fails it is forgotten."""
        known = self.known
        wifi = self.wifi
        limit_ms = self.cfg["wifi_timeout_s"] * 1000
        for by_place in (True, False):
            if wifi.isconnected() and not wifi.joining:
                return True
            known_place = any(known.address)
            if by_place and not known_place and not wifi.joining:
                continue
            left_ms = self.left_ms()
            if left_ms <= 0:
                break
            try:
                if not wifi.joining:
                    if by_place:
                        known.join(wifi, self.cfg)
                    else:
                        wifi.start(min(limit_ms, left_ms))
                end = ticks_add(ticks_ms(), min(limit_ms, left_ms // 2 if known_place and by_place else left_ms))
                while not wifi.joined():
                    if ticks_diff(end, ticks_ms()) <= 0:
                        raise OSError('"%s": no answer in time' % wifi.ssid)
                    sleep_ms(_STEP_MS)
                    self.feed()
            except OSError as e:
                self.joining.failed(e)
                known.address = bytes(16)  # it may be another access point, another address now: ask for any
                known.bssid = bytes(6)
                known.uses = known.hidden = 0
                wifi.off()
                continue
            self.joining.ended()
            known.uses += 1
            return True
        return False

    def look_around(self) -> None:
        """Remember the access point and the address, while there is time for it: it is of no use in this wake, and
        whatever fails in it costs nothing but itself."""
        known = self.known
        wifi = self.wifi
        try:
            if known.uses >= _MOST_USES:
                known.address = bytes(16)
                known.bssid = bytes(6)
                known.uses = known.hidden = 0
            elif not any(known.address):
                known.note_address(wifi)
                known.uses = 0
            if any(known.address) and not any(known.bssid) and not known.hidden and self.left_ms() > _SCAN_MS:
                known.note_access_point(wifi)
        except Exception as e:  # of the ports each raises its own
            known.hidden = 1  # no scan at each wake
            print("wifi: the scan failed:", e)
