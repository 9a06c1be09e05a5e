"""Each life of the firmware leaves an ESP8266 the heap that tools/measure/budgets.json says; with less it says so, and
never ends."""

import shutil

import pytest

from tools.broker import mosquitto
from tools.firmware_process import RESET_STATUS
from tools.measure import firmware_heap
from tools.measure.firmware_heap import LIVES, Life, pools_b
from tools.measure.size import micropython
from tools.prove.heaps import FAULT, NO_START, SAYS, WORKS, sweep, verdict


@pytest.fixture(autouse=True)
def tools_are_there():
    try:
        micropython()
    except FileNotFoundError as e:
        pytest.skip(str(e))
    if not mosquitto() or not shutil.which(str(mosquitto())):
        pytest.skip("no Mosquitto: run `make setup`")


def test_every_life_leaves_its_budget_free_and_never_lacks_memory():
    least = firmware_heap.least_free()
    assert set(least) == set(LIVES)
    for name, life in firmware_heap.measure(list(LIVES)).items():
        assert life.published, (name, life.said)
        assert not life.lacked, (name, life.said)
        assert life.free_b >= least[name], (name, life.free_b, life.names)


def test_with_too_little_heap_it_says_so_and_tries_again():
    rows = sweep(["ram", "rtc"], [9000, 15000, 17500, 28000])
    words = [(kind, heap_b, word) for kind, heap_b, word, _ in rows]
    assert FAULT not in [word for _, _, word in words], [row for row in rows if row[2] == FAULT]
    assert {SAYS, WORKS} <= {word for _, _, word in words}, words
    assert all(word == WORKS for _, heap_b, word in words if heap_b == 28000), words


def test_a_program_that_ends_by_itself_is_a_fault():
    begun = "umqtt-node: started by power on\nTraceback ...\nMemoryError\n"
    assert verdict(Life(0, 0, 0, begun, 1)) == FAULT
    assert verdict(Life(0, 0, 0, "memory: not enough", 0)) == FAULT  # no reset: a prompt
    assert verdict(Life(0, 0, 0, begun, None)) == FAULT  # stuck, and no word of memory
    assert verdict(Life(0, 0, 0, "MemoryError: memory allocation failed\n", 1)) == NO_START
    assert verdict(Life(0, 0, 0, "memory: not enough; trying again", RESET_STATUS)) == SAYS
    assert verdict(Life(9000, 100, 5, begun, None)) == WORKS


def test_the_pools_of_names_are_what_micropython_makes_of_them():
    # 20, 40, 80, 160 places of 7 B, each with 24 B before them, in blocks of 16 B
    assert [pools_b(n) for n in (0, 1, 20, 21, 140, 141)] == [0, 176, 176, 480, 1072, 2224]
