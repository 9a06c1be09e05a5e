"""One version number, and everything that shows one has it from there."""

import json
import re
from pathlib import Path

import pytest

from tools.device.mip import build_package
from tools.release.version import SOURCE, change, is_release, version

ROOT = Path(__file__).resolve().parents[2]


def test_a_version_is_a_release_or_on_the_way_to_one():
    assert version('"""doc"""\n__version__ = "10.2.3"\n') == "10.2.3" and is_release("10.2.3")
    assert version("__version__ = '2.0.0.dev4'") == "2.0.0.dev4" and not is_release("2.0.0.dev4")
    for wrong in ("2.0", "2.0.0-beta", "v2.0.0", ""):
        with pytest.raises(ValueError, match="write 2.0.0, or"):
            version("__version__ = %r" % wrong)
    with pytest.raises(ValueError, match="there is no __version__"):
        version("x = 1")


LOG = "# Changelog\n\n%s## 2.0.0 (2026-11-27)\n- b\n"


def test_a_release_takes_what_is_unreleased_and_the_next_way_begins_anew():
    source, log = '"""doc"""\n\n__version__ = "2.1.0.dev0"\n', LOG % "## Unreleased\n\n### Firmware\n- a\n\n"
    source, log = change(source, log, "2.1.0", "2026-12-24")
    assert source == '"""doc"""\n\n__version__ = "2.1.0"\n'
    assert log == LOG % "## 2.1.0 (2026-12-24)\n\n### Firmware\n- a\n\n"
    source, log = change(source, log, "2.1.1.dev0", "2026-12-25")
    assert version(source) == "2.1.1.dev0"
    assert log == LOG % "## Unreleased\n\n## 2.1.0 (2026-12-24)\n\n### Firmware\n- a\n\n"


def test_a_version_that_is_not_newer_and_a_release_of_nothing_are_refused():
    way, log = '__version__ = "2.1.0.dev3"\n', LOG % "## Unreleased\n- a\n\n"
    for number in ("2.1.0.dev3", "2.1.0.dev2", "2.0.9", "1.9.9", "2.0.10.dev9"):
        with pytest.raises(ValueError, match="not newer than 2.1.0.dev3"):
            change(way, log, number, "")
    assert [version(change(way, log, n, "")[0]) for n in ("2.1.0.dev4", "2.1.0", "2.10.0")] == [
        "2.1.0.dev4",
        "2.1.0",
        "2.10.0",
    ]
    with pytest.raises(ValueError, match='no "Unreleased" that could become 2.1.0'):
        change(way, LOG % "", "2.1.0", "")
    with pytest.raises(ValueError, match="write 2.0.0, or"):
        change(way, log, "2.1", "")


def headings():
    return re.findall(r"^## (\S+)(?: \((\d{4}-\d\d-\d\d)\))?$", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_the_changelog_begins_with_this_version_or_with_what_is_not_released():
    (first, day), *older = headings()
    if is_release(version()):
        assert (first, bool(day)) == (version(), True), "give the newest heading of CHANGELOG.md number and day"
    else:
        assert first == "Unreleased", "a version on the way to a release has its lines under Unreleased"
    numbers = [tuple(int(n) for n in name.split(".")) for name, _ in older]
    assert numbers == sorted(numbers, reverse=True) and all(day for _, day in older)
    assert tuple(int(n) for n in version().split(".")[:3]) > numbers[0]


def test_no_other_file_of_ours_has_a_number_of_its_own():
    own = re.compile(r"""^__version__\s*=|^version\s*=\s*["']\d""", re.M)
    for folder in ("firmware", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            assert path == SOURCE or not own.search(path.read_text()), path
    assert not own.search((ROOT / "pyproject.toml").read_text())


def test_the_package_for_mip_has_the_version_of_the_library(tmp_path):
    build_package(tmp_path, "http://host/umqtt/")
    listed = json.loads((tmp_path / "package.json").read_text())
    assert listed["version"] == version()
    for _, url in listed["urls"]:  # whole addresses, of files that are there
        assert (tmp_path / url.replace("http://host/umqtt/", "", 1)).is_file(), url
    for kind in ("6", "py"):
        lists = (tmp_path / "package" / kind / "umqtt").iterdir()
        assert sorted(path.stem for path in lists) == sorted(["latest", version()])
