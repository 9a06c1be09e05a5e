"""What `make fleet` holds against the boards, and what against a broker that was killed."""

from tools.prove.fleet import acknowledged_before_kills, by_life

LOG = """\
100: mosquitto version 2.0.11 starting
110: Sending PUBREC to dev-001 (m1, rc0)
{end}120: mosquitto version 2.0.11 starting
121: Sending PUBREC to dev-003 (m1, rc0)
130: mosquitto version 2.0.11 terminating
"""


def test_only_what_was_acknowledged_just_before_a_kill_may_be_forgotten():
    killed = LOG.format(end="118: Sending PUBREC to dev-002 (m1, rc0)\n118: Sending PUBREC to dev-002 (m2, rc0)\n")
    assert acknowledged_before_kills(killed) == {"dev-002": 2}  # dev-001's is saved, dev-003's end was no kill


def test_a_broker_that_was_stopped_forgets_nothing():
    stopped = LOG.format(end="118: Sending PUBREC to dev-002 (m1, rc0)\n119: mosquitto version 2.0.11 terminating\n")
    assert acknowledged_before_kills(stopped) == {}


def test_a_board_that_counts_from_1_again_has_started_again_and_no_other_repetition_is_a_life():
    assert by_life([1, 2, 3, 1, 2]) == [[1, 2, 3], [1, 2]]
    assert by_life([1, 2, 2, 3]) == [[1, 2, 2, 3]], "a reading that came twice is no life"
    assert by_life([1, 1, 2]) == [[1, 1, 2]], "nor is the first one"
    assert by_life([3, 4, 2]) == [[3, 4, 2]] and by_life([]) == []
