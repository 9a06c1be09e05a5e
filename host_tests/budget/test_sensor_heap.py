"""The page about the firmware says what a sensor costs of the heap, and that is so."""

import re

from tools.measure.sensors import ROOT, SENSORS, measure

PAGE = (ROOT / "docs" / "firmware.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \|.*\| ([\d.]+) / ([\d.]+)(?:; all of `also` ([\d.]+) / ([\d.]+))? \|", re.M)
NEAR_KB = 0.2  # a name more or less


def on_page():
    """{sensor: (KB from files, KB from ROM)}."""
    found = {}
    for kind, files, rom, more_files, more_rom in ROW.findall(PAGE):
        found[kind] = float(files), float(rom)
        if more_files:
            found[kind + " also"] = float(more_files), float(more_rom)
    return found


def test_each_sensor_has_its_row():
    assert set(on_page()) == set(SENSORS)
    types = {path.stem for path in (ROOT / "firmware" / "sensors").glob("*.py")}
    assert {name.split()[0] for name in SENSORS} == types


def test_the_figures_are_those_of_today():
    for name, measured in measure(("internal", "bme280", "ads1115")).items():
        for said_kb, got_b in zip(on_page()[name], measured):
            assert abs(said_kb - got_b / 1000) < NEAR_KB, (name, said_kb, got_b)
