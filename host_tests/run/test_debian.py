"""The set-up when the Debian mirror does not give what is asked: words, and nothing half done."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "setup"))
import debian

# Refuses `update` of the suites in $BAD, unpacks a "package" that holds the name of its suite, and counts its calls.
APT = """#!/bin/sh
case "$*" in *--print-uris*) exit 0;; esac
suite=$(basename "$PWD")
[ "$1 $2" = "-q -c" ] && [ -r "$3" ] && shift 3
echo "$suite $*" >>"$CALLS"
case "$*" in
  *update*) case " $BAD " in *" $suite "*) echo "E: $suite: Hash Sum mismatch"; exit ${BAD_STATUS:-100};; esac;;
  *install*) mkdir -p cache/archives && echo "$suite" >cache/archives/x.deb;;
esac
"""
DPKG_DEB = '#!/bin/sh\nmkdir -p "$3" && cp "$2" "$3/from"\n'
DPKG = "#!/bin/sh\necho amd64\n"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Programs that play apt and dpkg; `mirror` is a folder for what is unpacked."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, text in (("apt-get", APT), ("dpkg-deb", DPKG_DEB), ("dpkg", DPKG)):
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (bin_, os.environ["PATH"]))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("BAD", "")
    monkeypatch.setattr(debian, "KEYRING", os.devnull)
    monkeypatch.setattr(debian.network, "why_not", lambda uri: "")
    (tmp_path / "got").mkdir()
    return tmp_path / "got"


def test_a_suite_in_the_middle_of_a_sync_is_tried_twice_then_the_next_is_taken(mirror, monkeypatch, tmp_path):
    monkeypatch.setenv("BAD", "trixie")
    assert debian.unpack(["mosquitto"], ("trixie", "forky"), "i386", mirror / "root") == "forky"
    assert (mirror / "root" / "from").read_text() == "forky\n"
    assert (tmp_path / "calls").read_text().splitlines() == [
        "trixie update", "trixie update", "forky update",
        "forky -y --download-only --no-remove install mosquitto",
    ]  # fmt: skip


def test_a_list_that_could_not_be_fetched_is_a_refusal_though_apt_ends_with_0(mirror, monkeypatch):
    monkeypatch.setenv("BAD", "trixie")
    monkeypatch.setenv("BAD_STATUS", "0")
    assert debian.unpack(["mosquitto"], ("trixie", "forky"), "i386", mirror / "root") == "forky"


def test_when_no_suite_has_it_each_refusal_is_told_once_and_nothing_changed(mirror, monkeypatch):
    (mirror / "root").mkdir()
    (mirror / "root" / "from").write_text("earlier\n")
    monkeypatch.setenv("BAD", "trixie forky")
    with pytest.raises(debian.NotAvailable) as refused:
        debian.unpack(["mosquitto"], ("trixie", "forky"), "i386", mirror / "root")
    assert str(refused.value).count("Hash Sum mismatch") == 2
    assert "trixie i386" in str(refused.value) and "forky i386" in str(refused.value)
    assert (mirror / "root" / "from").read_text() == "earlier\n"
    assert [p.name for p in mirror.iterdir()] == ["root"]


def test_a_mirror_that_cannot_be_reached_is_not_asked_for_other_suites(mirror, monkeypatch, tmp_path):
    apt = tmp_path / "bin" / "apt-get"
    apt.write_text(APT.replace("Hash Sum mismatch", "Could not connect to 127.0.0.1:9"))
    monkeypatch.setenv("BAD", "trixie forky")
    with pytest.raises(debian.NotAvailable, match="cannot be reached: Could not connect to 127.0.0.1:9"):
        debian.unpack(["mosquitto"], ("trixie", "forky"), "i386", mirror / "root")
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_a_mirror_out_of_reach_is_told_before_apt_tries_for_minutes(mirror, monkeypatch, tmp_path):
    monkeypatch.setattr(debian.network, "why_not", lambda uri: "mirror.example: no answer within 4 s")
    with pytest.raises(debian.NoMirror, match="no network: .*mirror.example: no answer within 4 s"):
        debian.unpack(["mosquitto"], ("trixie",), "i386", mirror / "root")
    assert not (tmp_path / "calls").exists()


def test_where_there_is_no_apt_it_says_so(mirror, monkeypatch):
    monkeypatch.setenv("PATH", str(mirror))
    with pytest.raises(debian.NotAvailable, match="not a Debian or Ubuntu system"):
        debian.unpack(["mosquitto"], ("trixie",), "amd64", mirror / "root")
