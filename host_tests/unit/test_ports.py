"""What a port may lack. A fresh CPython stands for one."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CPYTHON_ONLY = "it starts a CPython that lacks it"

WITHOUT_A_SCHEDULER = """
import fakes.shim, micropython
del micropython.schedule
from fakes.bench import World
from fakes.model import Model
w = World(Model, ack_ms=3)
c = w.client()
c.connect()
c.subscribe("in", 1)
c.publish("t", "1", qos=2)
print([payload for _, payload, _ in w.broker.accepted])
"""


def test_a_port_without_a_scheduler_has_a_client_that_waits_and_works():
    paths = [str(HERE.parent), str(HERE.parents[1] / "firmware" / "lib")]
    program = "import sys; sys.path[:0] = %r\n%s" % (paths, WITHOUT_A_SCHEDULER)
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (got.stdout, got.stderr) == ("[b'1']\n", "")
