"""`make size PORT=...`: what each module of the firmware takes of the heap of the board at PORT, after `make deploy`.

Exit status: 0 told, 1 a module cannot be imported there, in words, 2 no board.
"""

from typing import List, Optional, Tuple

from mpremote.transport import TransportExecError

from tools.device.deploy import Found
from tools.device.serial_port import ToolError, choose, in_words, parser, repl, run_tool

# In an order in which each module's own imports are there before it. What stands beneath the client is merged into it.
MODULES = ("umqtt.client", "umqtt.simple", "umqtt.robust")

_MEASURE = """
import gc
gc.collect()
_b = gc.mem_free()
__import__(%r)
gc.collect()
print(_b - gc.mem_free())
"""


def measure(port: str) -> Tuple[int, List[Tuple[str, int]]]:
    """(free heap after boot.py, [(module, bytes of heap)]). Stops the program and starts it again. Raises ToolError."""
    with repl(port) as transport:
        free_b = Found(transport).free_b
        try:
            rows = [(name, int(transport.exec(_MEASURE % name))) for name in MODULES]
        except TransportExecError as error:
            raise ToolError(in_words(port, error) + ". Is the firmware there (`make deploy`)?") from None
        transport.exit_raw_repl()
        transport.serial.write(b"\x04")
    return free_b, rows


def main(argv: Optional[List[str]] = None) -> int:
    p = parser(
        "size",
        "Tell what the library's modules take of the heap on the board. The program there is stopped"
        " for that, and started again.",
        "PORT",
    )
    args = p.parse_args(argv)
    free_b, rows = measure(choose(args.port))
    print("%-18s %7d B" % ("free at the start", free_b))
    for name, taken_b in rows:
        print("%-18s %7d B" % (name, taken_b))
    print("%-18s %7d B" % ("together", sum(taken_b for _, taken_b in rows)))
    return 0


if __name__ == "__main__":
    run_tool("size", main)
