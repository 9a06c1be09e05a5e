"""Which names do the boards have in their ROM?"""

import functools
from pathlib import Path
from typing import FrozenSet

PORT_NAMES = Path(__file__).with_name("port_names.txt")


@functools.lru_cache(None)
def port_names() -> FrozenSet[str]:
    """Names of the ports' own modules, and of what they freeze."""
    lines = PORT_NAMES.read_text().splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
