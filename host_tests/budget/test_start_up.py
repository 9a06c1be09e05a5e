"""No more is loaded before the first reading, and before it can be sent, than tools/measure/budgets.json says."""

import json
import shutil

import pytest

from tools.broker import mosquitto
from tools.measure import start_up
from tools.measure.size import BUDGETS, micropython

SAID = """import gc 9
import slots 100
import json 0
import config 400
umqtt-node: started
reading 2000
import umqtt.client 700
broker: connected to 127.0.0.1 as umqtt/x/
import ending 50
reading 3000
"""


def test_each_life_loads_no_more_than_its_budget():
    try:
        micropython()
    except FileNotFoundError as e:
        pytest.skip(str(e))
    if not mosquitto() or not shutil.which(str(mosquitto())):
        pytest.skip("no Mosquitto: run `make setup`")
    assert {row["life"] for row in json.loads(BUDGETS.read_text())["start_up"]} == set(start_up.KINDS)
    starts = start_up.measure(["ram", "ram, config.json changed", "ram, from files", "asleep"], times=1)
    assert not start_up.over(starts)
    assert all(start.modules > 5 and start.sent_b > start.loaded_b > 10_000 for start in starts.values()), starts


def test_what_is_loaded_before_the_first_reading_is_told_from_what_comes_behind_it(tmp_path):
    for name, size_b in (("slots", 10), ("config", 200), ("lib/umqtt/client", 3000), ("ending", 40000)):
        path = tmp_path / (name + ".mpy")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size_b))
    start = start_up.read(SAID, tmp_path)
    assert start[:4] == (2, 210, 3, 3210)
    assert start.reading_ms == 2.0 and abs(start.import_part - 509 / 2000) < 1e-9
    with pytest.raises(ValueError, match="no reading"):
        start_up.read("import slots 100\n", tmp_path)


def test_what_loads_too_much_is_told_in_words():
    (words,) = start_up.over({"ram": start_up.Start(9, 99_000, 10, 30_000, 1.0, 0.5)})
    assert "ram: 99000 B are loaded before the first reading, at most" in words
