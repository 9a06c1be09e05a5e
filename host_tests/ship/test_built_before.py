"""What was built before is copied: the same bytes in no time, and never those of another source."""

import pytest

from tools import build, built_before, ship


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(built_before, "KEPT", tmp_path / "kept")
    return tmp_path / "kept"


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*py")}


def test_the_second_build_is_the_first_and_a_changed_source_is_built(kept, tmp_path, monkeypatch):
    source = tmp_path / "firmware"
    (source / "lib" / "umqtt").mkdir(parents=True)
    for name, text in (
        ("boot", ""), ("main", '__import__("app").run()\n'), ("app", "def run():\n    print(1)\n"),
        ("lib/umqtt/__init__", '__version__ = "1"\n'), ("lib/umqtt/client", "class MQTTClient:\n    pass\n"),
    ):  # fmt: skip
        (source / (name + ".py")).write_text(text)
    names = build.build(tmp_path / "first", source)
    monkeypatch.setattr(ship, "ship_firmware", None)  # a second build would call it
    assert build.build(tmp_path / "second", source) == names
    assert content(tmp_path / "second") == content(tmp_path / "first") and "main.py" in names
    # a traceback is told by what was shipped for that build
    assert ship.ship_board(tmp_path / "shipped", source) and ship.read_map(tmp_path / "shipped")["functions"]
    with open(source / "app.py", "a") as app:
        app.write("\n# changed\n")
    with pytest.raises(TypeError):
        build.build(tmp_path / "third", source)


def test_the_latest_are_kept_and_a_folder_that_cannot_be_written_is_done_without(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(built_before, "MOST_KEPT", 2)
    made = tmp_path / "made"
    made.mkdir()
    for key in ("one", "two", "three"):
        built_before.keep(key, made)
    assert len(list(kept.iterdir())) == 2 and built_before.copied("three", tmp_path / "copy")
    monkeypatch.setattr(built_before, "KEPT", made / "file")
    (made / "file").write_text("")
    built_before.keep("four", made)
    assert not built_before.copied("four", tmp_path / "other")
