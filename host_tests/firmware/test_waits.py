"""How often does the board wait for its socket? On an ESP32 each `ipoll` takes 6 to 9 ms more than it was asked for."""

import on_board  # noqa: F401 - the paths
from fakes.check import equal
from fakes.net import Poll
from test_durable import Board

import durable
import ram

INTERVAL_MS = 60000
IDLE_MS = 5000  # the longest wait, with nothing to do
ACK_MS = 30  # what the broker takes over each answer


class Counted(Board):
    """Counts the calls of ipoll: those that wait, and those that only look."""

    def __enter__(self):
        Board.__enter__(self)
        self.waits = self.looks = 0
        self.plain = Poll.ipoll

        def ipoll(poll, ms=-1, flags=0):
            self.waits += ms != 0
            self.looks += ms == 0
            return self.plain(poll, ms, flags)

        Poll.ipoll = ipoll
        self.broker.ack_ms = ACK_MS
        return self

    def __exit__(self, *what):
        Poll.ipoll = self.plain
        Board.__exit__(self, *what)

    def counted(self, call, *args):
        """(waits, looks, readings) of call(*args)."""
        self.waits = self.looks = 0
        before = len(self.readings())
        call(*args)
        return self.waits, self.looks, len(self.readings()) - before


def test_readings_take_a_wait_for_each_answer_and_none_beside_the_idle_ones():
    idle = INTERVAL_MS // IDLE_MS
    for kind, keep_in in ((ram.RamNode, "ram"), (durable.DurableNode, "flash")):
        for qos, answers in ((0, 0), (1, 1), (2, 2)):
            with Counted(keep_in=keep_in, qos=qos, ntp_host="", stop_pin=-1, diag=False) as board:
                board.boot(kind)
                board.run(2 * INTERVAL_MS + IDLE_MS)
                waits, looks, readings = board.counted(board.run, 5 * INTERVAL_MS)
                equal(readings, 10, "two at a time: their answers come together")
                # in five minutes QoS 0 has six PINGRESPs, each an answer, and the end of a wait too soon
                most = 5 * (idle + answers) + 12
                assert waits <= most, (keep_in, qos, waits, most)
                # PUBREL waits until the store has it on flash: one look whether more has come, for one write
                assert looks <= (10 if keep_in == "flash" and qos == 2 else 0), (keep_in, qos, looks)


def test_a_wake_waits_for_tcp_for_connack_and_for_each_answer():
    for qos, most in ((0, 3), (1, 3), (2, 4)):
        with Counted(qos=qos, ntp_host="") as board:
            board.sleep(2)
            waits, looks, readings = board.counted(board.sleep, 1)
            equal(readings, 2)
            assert waits <= most and looks <= 2, (qos, waits, looks)
            assert board.awake_ms[-1] <= 2 * ACK_MS + qos * ACK_MS, board.awake_ms
