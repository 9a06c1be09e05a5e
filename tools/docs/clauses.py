"""An extension of griffe, which reads the docstrings for mkdocstrings: [3.8] is a section of MQTT 3.1.1, not a link."""

import re

from griffe import Extension

CLAUSE = re.compile(r"\[(\d+(?:\.\d+)*(?:-\d+)?(?:, \d+(?:\.\d+)*(?:-\d+)?)*)\]")


class Clauses(Extension):
    def on_instance(self, *, obj, **_):
        """Called by griffe for each module, class and function."""
        if obj.docstring:
            obj.docstring.value = CLAUSE.sub(r"\[\1\]", obj.docstring.value)
