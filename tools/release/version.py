"""The version of library, firmware and all that is built from them: the one that stands in umqtt/__init__.py.

    python -m tools.release.version               says it
    python -m tools.release.version 2.0.0         sets it, and turns "Unreleased" of the changelog into it
    python -m tools.release.version 2.0.1.dev0    sets it, and begins a new "Unreleased"

Exit status: 0 done, 2 nothing was changed, for what is said.
"""

import ast
import datetime
import re
import sys
from pathlib import Path
from typing import List

from tools.ship import LIBRARY

ROOT = Path(__file__).resolve().parents[2]
SOURCE = LIBRARY / "__init__.py"
CHANGELOG = ROOT / "CHANGELOG.md"
UNRELEASED = "## Unreleased\n"
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


def key(number: str) -> List[int]:
    """What versions are ordered by: one on the way to a release comes before it."""
    numbers = [int(part) for part in re.findall(r"\d+", number)]
    return numbers[:3] + [int(is_release(number))] + numbers[3:]


def change(source: str, changelog: str, number: str, day: str) -> List[str]:
    """The texts of umqtt/__init__.py and of the changelog with the version `number`. Raises ValueError."""
    old = version(source)
    new = version("__version__ = %r" % number)
    if key(new) <= key(old):
        raise ValueError("%s is not newer than %s" % (new, old))
    source = source.replace('__version__ = "%s"' % old, '__version__ = "%s"' % new)
    if version(source) != new:
        raise ValueError('%s: write __version__ = "%s" in double quotes' % (SOURCE.name, old))
    if is_release(new):
        if UNRELEASED not in changelog:
            raise ValueError('CHANGELOG.md: there is no "Unreleased" that could become %s' % new)
        changelog = changelog.replace(UNRELEASED, "## %s (%s)\n" % (new, day), 1)
    elif UNRELEASED not in changelog:
        changelog = changelog.replace("\n## ", "\n%s\n## " % UNRELEASED, 1)
    return [source, changelog]


def main(arguments: List[str]) -> int:
    try:
        if not arguments:
            print(version())
            return 0
        (number,) = arguments
        texts = change(SOURCE.read_text(), CHANGELOG.read_text(), number, datetime.date.today().isoformat())
    except ValueError as error:
        print("version: %s" % error, file=sys.stderr)
        return 2
    for path, text in zip((SOURCE, CHANGELOG), texts):
        path.write_text(text)
    print("%s; next: make package" % number if is_release(number) else number)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
