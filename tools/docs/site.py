"""A hook of mkdocs (mkdocs.yml): the site has the pages of docs/ alone, so a link that leaves them becomes its text."""

import re

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")


def on_page_markdown(markdown: str, **_) -> str:
    """Called by mkdocs for each page."""
    return OUTSIDE.sub(r"\1", markdown)
