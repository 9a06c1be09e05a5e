"""Each report of docs/testing.md names its tests, and they exist."""

import re

SOURCE_FORM_ONLY = "it reads the documentation"

HOST_TESTS = __file__.replace("\\", "/").rsplit("/", 1)[0] + "/../"


def rows():
    """[(report, [(file, test), ...]), ...]"""
    with open(HOST_TESTS + "../docs/testing.md") as file:
        text = file.read()
    out = []
    for line in text.split("## What users")[1].split("\n## ")[0].split("\n"):
        named = [part.split("::") for part in line.split("`") if "::test_" in part]
        if line.startswith("|") and not line.startswith(("|---", "| report")):
            out.append((line.split("|")[1].strip(), named))
    return out


def test_every_report_names_a_test_that_exists():
    found = rows()
    assert len(found) >= 18, len(found)
    for report, named in found:
        assert named, "no test for: " + report
        for path, test in named:
            with open(HOST_TESTS + path) as file:
                source = file.read()
            assert re.search("def " + test + r"\(", source), "%s: there is no %s in %s" % (report, test, path)
