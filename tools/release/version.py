"""The version of library, firmware and all that is built from them: the one that stands in umqtt/__init__.py."""

import ast
import re

from tools.ship import LIBRARY

SOURCE = LIBRARY / "__init__.py"
# PEP 440 as far as we use it; pip and mip take both.
RELEASE = re.compile(r"\d+\.\d+\.\d+")
AHEAD = re.compile(r"\d+\.\d+\.\d+\.dev\d+")  # of the last release, on the way to this one


def version(text: str = "") -> str:
    """`__version__` in the text of umqtt/__init__.py; default: the file's. Raises ValueError when it is neither a
    release (2.0.0) nor ahead of one (2.0.0.dev0)."""
    for statement in ast.parse(text or SOURCE.read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__version__":
            found = ast.literal_eval(statement.value)
            if not RELEASE.fullmatch(found) and not AHEAD.fullmatch(found):
                raise ValueError("%s: __version__ is %r: write 2.0.0, or 2.0.0.dev0 before it" % (SOURCE.name, found))
            return found
    raise ValueError("%s: there is no __version__" % SOURCE.name)


def is_release(number: str) -> bool:
    """Whether `number` is a release, not on the way to one."""
    return RELEASE.fullmatch(number) is not None
