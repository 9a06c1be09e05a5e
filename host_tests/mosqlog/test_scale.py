"""One pass, and memory that does not grow with the lines. docs/mosqlog.md has the figures of 1 GB."""

import random
import subprocess
import sys
import tempfile
from pathlib import Path

from .make_log import lines

START = 1700000000
ROOT = Path(__file__).resolve().parents[2]
_MEASURE = """
import resource, runpy, sys, time
sys.argv = ["mosqlog", "--json", sys.argv[1]]
out, sys.stdout = sys.stdout, open("/dev/null", "w")
began = time.process_time()
try:
    runpy.run_module("tools.mosqlog", run_name="__main__")
except SystemExit:
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time() - began, file=out)
"""


def measured(path):
    """-> (peak memory in kB, CPU seconds) of a run of the program."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path)], cwd=ROOT, check=True, capture_output=True, text=True, timeout=300
    )
    peak_kb, cpu_s = done.stdout.split()
    return int(peak_kb), float(cpu_s)


def test_many_ids_of_one_forgetful_device_take_the_memory_of_a_few():
    """60,000 of them take no more than 10,000 do; 300,000 take 52 MB in all (docs/mosqlog.md)."""
    dice, peaks_kb = random.Random(1), []
    with tempfile.TemporaryDirectory(prefix="mosqlog-") as folder:
        path = Path(folder) / "ids.log"
        for count in (10_000, 60_000):
            with path.open("w") as file:
                for i in range(count):
                    address = f"10.0.{dice.randrange(4)}.7:{30000 + i % 30000}"
                    name = f"mqttjs_{dice.getrandbits(32):08x}"
                    file.write(
                        f"{START + i}: New connection from {address} on port 1883.\n"
                        f"{START + i}: New client connected from {address} as {name} (p2, c1, k60, u'node').\n"
                        f"{START + i}: Client {name} closed its connection.\n"
                    )
            peaks_kb.append(measured(path)[0])
    assert peaks_kb[1] - peaks_kb[0] < 6_000, peaks_kb


def test_memory_does_not_grow_with_the_lines_and_the_pace_is_kept():
    with tempfile.TemporaryDirectory(prefix="mosqlog-") as folder:
        small, large = Path(folder) / "small.log", Path(folder) / "large.log"
        for path, size_b in ((small, 4_000_000), (large, 24_000_000)):
            with path.open("w") as file:
                file.writelines(lines(size_b, clients=200))
        small_kb, _ = measured(small)
        large_kb, large_s = measured(large)
    assert large_kb - small_kb < 4_000, (small_kb, large_kb)
    # 1 GB in ten minutes of one CPU, on a machine several times slower than those it was made on.
    assert large_s < 24 * 0.6, large_s
