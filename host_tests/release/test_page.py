"""The files of a release's page: whole, checked by their sums, the same bytes each time."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.release import package, page
from tools.release.version import version
from tools.virtual_board import fake_image

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:1"
# Another order of sets and dicts, and nothing copied that was built before.
ANEW = """
import sys
from tools import built_before
from tools.release import page
built_before.copied = lambda *_: False
sys.exit(page.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def micropython(tmp_path_factory):
    """A stand-in of MicroPython for an ESP8266, named as the site names it."""
    path = tmp_path_factory.mktemp("micropython") / "ESP8266_GENERIC-FLASH_2M_ROMFS-20260824-v1.29.0.bin"
    fake_image.build("esp8266", path)
    return path


@pytest.fixture(scope="module")
def released(micropython, tmp_path_factory):
    """The folder of the page, and what was said."""
    out = tmp_path_factory.mktemp("page")
    command = [sys.executable, "-m", "tools.release.page", "--output", str(out), "--site", NOWHERE,
               "--micropython", str(micropython)]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, SENSORS="/no/such/driver.py"))  # fmt: skip
    assert done.returncode == 0, done.stdout
    return out, done.stdout


def test_the_page_has_library_image_types_changes_and_sums(released):
    out, _ = released
    v = version()
    assert sorted(path.name for path in out.iterdir()) == sorted([
        "CHANGES.md", "SHA256SUMS", "umqtt-%s-mpy6.zip" % v, "umqtt-%s-py.zip" % v,
        "umqtt-node-%s-esp8266-micropython-1.29.0.bin" % v, "umqtt_node_stubs-%s-py3-none-any.whl" % v,
    ])  # fmt: skip


def test_each_sum_is_that_of_its_file(released):
    out, _ = released
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sorted(sums) == sorted(path.name for path in out.iterdir() if path.name != "SHA256SUMS")
    for name, digest in sums.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest, name


def test_the_library_is_that_of_mip_at_its_places_on_the_board(released):
    out, _ = released
    with zipfile.ZipFile(out / ("umqtt-%s-mpy6.zip" % version())) as z:
        there = {name: z.read(name) for name in z.namelist()}
    assert there == page.on_board(package.library())
    assert "lib/umqtt/client.mpy" in there and "umqtt/__init__.mpy" in there
    with zipfile.ZipFile(out / ("umqtt-%s-py.zip" % version())) as z:
        assert z.read("lib/umqtt/client.py") == (ROOT / "firmware" / "lib" / "umqtt" / "client.py").read_bytes()
        assert version() in z.read("umqtt/__init__.py").decode()


def test_the_image_has_micropython_and_the_firmware_and_no_configuration(released, micropython):
    out, _ = released
    image = (out / ("umqtt-node-%s-esp8266-micropython-1.29.0.bin" % version())).read_bytes()
    whole = micropython.read_bytes()
    assert image[4 : len(whole)].startswith(whole[4:0x8000])  # byte 3 tells the size of the flash
    assert b"umqtt-node: started by" in image and version().encode() in image
    assert b"config.json" in image and b'wifi_password": ' not in image


def test_what_has_no_image_is_said_with_the_reason(released):
    _, said = released
    lines = re.findall(r"^no image for (\w+): (.*)$", said, re.M)
    assert "esp32" in [chip for chip, _ in lines] and "esp8266" not in [chip for chip, _ in lines]
    assert "Connection refused" in lines[0][1] and all("not to be reached" in why for _, why in lines[1:]), said


def test_two_builds_are_the_same_bytes(released, micropython, tmp_path):
    out, _ = released
    command = [sys.executable, "-c", ANEW, "--output", str(tmp_path), "--micropython", str(micropython)]
    done = subprocess.run([*command, "--only", "esp8266"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=dict(os.environ, PYTHONHASHSEED="7"))  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "SHA256SUMS").read_text() == (out / "SHA256SUMS").read_text()


def test_a_release_with_an_old_package_is_not_built(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(page, "version", lambda: "9.0.0")
    monkeypatch.setattr(package, "version", lambda: "9.0.0")
    monkeypatch.setattr(page, "ROOT", tmp_path)
    (tmp_path / "package.json").write_text(json.dumps({"version": "8.0.0", "urls": []}))
    assert page.main(["--output", str(tmp_path / "out")]) == 1
    assert "`make package`" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_changes_are_those_of_the_version(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "ROOT", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- new\n\n## 2.1.0 (2026-12-01)\n\n### Firmware\n- a\n\n"
        "## 2.0.0 (2026-11-27)\n- b\n"
    )
    assert page.changes("2.1.0") == "### Firmware\n- a\n"
    assert page.changes("2.0.0") == "- b\n"
    assert page.changes("2.2.0.dev0") == "- new\n"
    with pytest.raises(page.ToolError, match=r"no heading for 3\.0\.0"):
        page.changes("3.0.0")


def test_an_archive_depends_on_nothing_but_its_files():
    files = {"b": b"2", "a": b"1"}
    one = page.archive(files)
    assert one == page.archive(dict(reversed(list(files.items()))))
    with zipfile.ZipFile(io.BytesIO(one)) as z:
        assert [(i.filename, i.date_time[0], i.external_attr >> 16) for i in z.infolist()] == [
            ("a", 2020, 0o644),
            ("b", 2020, 0o644),
        ]


def test_an_image_that_is_none_is_refused(tmp_path, capsys):
    path = tmp_path / "x.bin"
    assert page.main(["--micropython", str(path), "--output", str(tmp_path / "out")]) == 2
    path.write_bytes(b"<html>")
    assert page.main(["--micropython", str(path), "--output", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()
