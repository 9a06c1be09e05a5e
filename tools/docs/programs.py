"""Put the programs of examples/ into the pages that show them: `python -m tools.docs.programs`.

A page has `<!-- examples/NAME -->` in front of a block of Python: the file is the source, the block its copy.
"""

import re
import sys
from pathlib import Path
from typing import List

ROOT = Path(__file__).resolve().parents[2]
SHOWN = re.compile(r"(<!-- (examples/\w+\.py) -->\n```python\n)(.*?)(```\n)", re.S)


def pages() -> List[Path]:
    """The Markdown pages that may show a program."""
    return [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("examples/*.md"))]


def with_programs(text: str) -> str:
    """The text of a page with its programs as they are in examples/. Raises OSError when a file is missing."""
    return SHOWN.sub(lambda shown: shown[1] + (ROOT / shown[2]).read_text() + shown[4], text)


def main() -> int:
    for page in pages():
        text = page.read_text()
        new = with_programs(text)
        if new != text:
            page.write_text(new)
            print("%s: programs are those of examples/ again" % page.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
