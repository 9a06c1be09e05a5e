"""package.json and mip/, which `mip install` takes from the repository: never older than the source that claims their
version."""

import json
from pathlib import Path

import pytest

from tools import built_before
from tools.release import package

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_of_this_repository_is_of_its_source_or_of_an_older_release():
    assert package.check(ROOT) == []


@pytest.fixture(scope="module")
def built():
    return package.library()


@pytest.fixture
def repository(tmp_path, monkeypatch, built):
    """A repository whose library is of release 3.1.0, with its package."""
    monkeypatch.setattr(package, "library", lambda: dict(built))
    monkeypatch.setattr(package, "version", lambda: "3.1.0")
    package.write(tmp_path)
    assert package.check(tmp_path) == []
    return tmp_path


def test_every_file_is_named_lies_there_and_loads_as_the_mpy_version_that_the_list_says(repository):
    listed = json.loads((repository / "package.json").read_text())
    assert listed["version"] == "3.1.0" and listed["deps"] == []
    there = {p.relative_to(repository).as_posix() for p in (repository / "mip").rglob("*.mpy")}
    assert {url for _, url in listed["urls"]} == there
    for target, url in listed["urls"]:
        data = (repository / url).read_bytes()
        assert data[:1] == b"M" and data[1] == listed["mpy"] == 6, target
        assert not data[2] >> 2, target + " has machine code, which is for one chip only"
    targets = [target for target, _ in listed["urls"]]
    assert {"umqtt/__init__.mpy", "umqtt/client.mpy", "umqtt/simple.mpy", "umqtt/robust.mpy"} <= set(targets)
    assert targets[-1] == "../umqtt/__init__.mpy"  # whoever installs into the root has all others by then


def test_a_file_that_is_not_what_the_source_makes_is_told(repository):
    path = repository / "mip" / "6" / "umqtt" / "routes.mpy"
    path.write_bytes(path.read_bytes() + b"x")
    (wrong,) = package.check(repository)
    assert "umqtt/routes.mpy is not what" in wrong and "`make package`" in wrong
    path.unlink()
    (wrong,) = package.check(repository)
    assert "umqtt/routes.mpy, which is not there" in wrong


def test_the_source_changed_since_is_told(repository, monkeypatch, built):
    changed = {**built, "umqtt/client.mpy": b"M\x06 another", "umqtt/brand_new.mpy": b"M\x06"}
    monkeypatch.setattr(package, "library", lambda: changed)
    wrong = "\n".join(package.check(repository))
    assert "umqtt/client.mpy is not what" in wrong and "umqtt/brand_new.mpy is not what" in wrong


def test_a_module_that_is_gone_is_told(repository, monkeypatch, built):
    monkeypatch.setattr(package, "library", lambda: {k: v for k, v in built.items() if "rtc" not in k})
    assert package.check(repository) == ["mip/6/umqtt/rtc.mpy is of no module: `make package`"]


def test_a_package_of_another_version_is_old_for_a_release_and_right_on_the_way_to_the_next(repository, monkeypatch):
    monkeypatch.setattr(package, "library", lambda: {"umqtt/client.mpy": b"of tomorrow"})
    monkeypatch.setattr(package, "version", lambda: "3.2.0")
    assert package.check(repository) == ["package.json is of 3.1.0, the library of 3.2.0: `make package`"]
    monkeypatch.setattr(package, "version", lambda: "3.2.0.dev0")
    assert package.check(repository) == []
    (repository / "mip" / "6" / "umqtt" / "client.mpy").unlink()
    assert len(package.check(repository)) == 1  # but never with a file missing


def test_before_the_first_release_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(package, "version", lambda: "1.0.0.dev0")
    assert package.check(tmp_path) == []
    monkeypatch.setattr(package, "version", lambda: "1.0.0")
    assert package.check(tmp_path) == ["there is no package.json: `make package`"]


def test_whole_addresses_are_checked_like_relative_ones(repository):
    package.write(repository, "some-body/umqtt.node")
    assert "github:some-body/umqtt.node/mip/6/umqtt/client.mpy" in (repository / "package.json").read_text()
    assert package.check(repository) == []
    (repository / "mip" / "6" / "umqtt" / "client.mpy").unlink()
    assert len(package.check(repository)) == 1


def test_a_repository_that_is_none_is_refused(capsys):
    for repo in ("https://github.com/me/it", "me", "me/it/more", "me/"):
        with pytest.raises(SystemExit) as end:
            package.main(["--repo", repo])
        assert end.value.code == 2 and "OWNER/NAME" in capsys.readouterr().err


def test_the_same_source_makes_the_same_bytes(built, monkeypatch):
    monkeypatch.setattr(built_before, "copied", lambda *_: False)
    assert package.library() == built
