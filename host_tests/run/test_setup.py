"""The set-up: without a network, with another Python than before, beside one that is broken."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "setup"))
import get  # noqa: E402
import network  # noqa: E402


@pytest.fixture
def clone(tmp_path):
    """A clone in which nothing is set up; its path has a space."""
    folder = tmp_path / "my clone"
    (folder / "tools").mkdir(parents=True)
    shutil.copytree(ROOT / "tools" / "setup", folder / "tools" / "setup", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "requirements.txt", "requirements-broker.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(clone, *arguments, **env):
    ours = ("MAKEFLAGS", "MFLAGS", "MICROPYTHON", "MOSQUITTO", "PYTHON3")
    plain = {k: v for k, v in os.environ.items() if k not in ours}
    return subprocess.run(["make", *arguments], cwd=clone, env={**plain, **env}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=240)  # fmt: skip


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make here")
def test_no_network_is_told_in_those_words_and_nothing_is_begun(clone):
    done = make(clone, "setup", PIP_INDEX_URL="https://127.0.0.1:1/simple", https_proxy="", HTTPS_PROXY="")
    assert done.returncode == 2 and "setup: no network: " in done.stdout, done.stdout
    assert "127.0.0.1: Connection refused" in done.stdout and "make setup` tries again" in done.stdout
    assert not (clone / ".venv" / "bin").exists()


def test_a_name_look_up_that_hangs_is_no_network_within_five_seconds(monkeypatch):
    ends = []
    monkeypatch.setattr(network.urllib.request, "getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: ends.append(time.sleep(60)))
    began_s = time.monotonic()
    assert network.why_not("https://index.example/simple", 0.5) == "index.example: no answer within 0 s"
    assert time.monotonic() - began_s < 30 and not ends and network.TIMEOUT_S < 5


def test_a_server_is_reached_and_a_proxy_in_its_place(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = "http://127.0.0.1:%d/" % server.getsockname()[1]
        monkeypatch.setattr(network.urllib.request, "getproxies", dict)
        assert network.why_not(url) == ""
        monkeypatch.setattr(network.urllib.request, "getproxies", lambda: {"https": url})
        monkeypatch.setattr(network.urllib.request, "proxy_bypass", lambda host: False)
        assert network.why_not("https://nowhere.invalid/") == ""
    assert network.why_not("file:///wheels") == "" and network.why_not("") == ""


def test_pip_is_asked_where_it_is_configured_to_ask(monkeypatch, tmp_path):
    for name in ("PIP_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://here.example/simple?a=%20\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert network.pip_index() == "https://here.example/simple?a=%20"
    for no_index in ("true", "1"):
        (tmp_path / "pip.conf").write_text("[global]\nno-index = %s\n" % no_index)
        assert network.pip_index() == ""
    (tmp_path / "pip.conf").write_text("[download]\nno-index = no\nindex-url = https://a.example/\n")
    assert network.pip_index() == "https://a.example/"
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@other.example/simple")
    assert network.pip_index() == "https://me:****@other.example/simple"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert network.pip_index() == ""


def test_without_a_pip_no_index_is_known(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    assert network.pip_index(str(python)) == ""


@pytest.fixture
def venv(tmp_path, monkeypatch):
    """get's .venv in a folder of its own; nothing is installed into it."""
    monkeypatch.setattr(get, "VENV", tmp_path / "venv")
    monkeypatch.setattr(get, "PYTHON", tmp_path / "venv" / "bin" / "python")
    monkeypatch.setattr(get, "CACHE", tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    return tmp_path / "venv"


# What a .venv may be that is not this Python's: its python is another version, is gone, fails, or is no venv's at all.
STRANGE = {
    "another version": "#!/bin/sh\necho '3.8.1 (default) True'\n",
    "another build of the same version": "#!/bin/sh\necho '%s' | sed 's/GCC/Clang/'\n" % get.HERE,
    "broken": "#!/bin/sh\nexit 1\n",
    "not a venv": "#!/bin/sh\nexec '%s' \"$@\"\n" % os.path.realpath(sys.executable),
    "gone": None,
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_venv_that_is_not_this_pythons_is_made_anew_as_a_whole(venv, kind, monkeypatch):
    made = []
    monkeypatch.setattr(get, "must_run", lambda what, *command: made.append(command))
    (venv / "bin").mkdir(parents=True)
    (venv / "lib").mkdir()
    (venv / "lib" / "left over").touch()
    if STRANGE[kind] is None:
        get.PYTHON.symlink_to("/no/such/python")
    else:
        get.PYTHON.write_text(STRANGE[kind])
        get.PYTHON.chmod(0o755)
    get.bare_venv()
    assert made[0][:3] == (sys.executable, "-m", "venv") and not venv.exists()


def test_a_venv_of_this_python_is_kept(venv):
    (venv / "bin").mkdir(parents=True)
    get.PYTHON.symlink_to("/no/such/python")
    get.bare_venv()
    assert get.told(str(get.PYTHON), "-c", get.ASK) == get.HERE and get.runs(str(get.PYTHON), "-m", "pip", "--version")
    (venv / "mine").touch()
    get.bare_venv()
    assert (venv / "mine").exists()


def test_a_python_without_pip_asks_the_pip_of_the_venv_for_the_index(venv, monkeypatch):
    venv.mkdir()
    asked = []
    monkeypatch.setattr(get, "runs", lambda *command: "pip" not in command)
    monkeypatch.setattr(get, "bare_venv", lambda: asked.append("venv made"))
    monkeypatch.setattr(network, "pip_index", lambda python: asked.append(python) or "https://127.0.0.1:1/")
    monkeypatch.setattr(network.urllib.request, "getproxies", dict)
    with pytest.raises(SystemExit, match="no network: .*127.0.0.1"):
        get.get_venv(venv / "stamp")
    assert asked == ["venv made", str(get.PYTHON)]


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make here")
def test_make_sees_that_the_python_of_the_venv_is_another_one(clone):
    fresh = ("-n", "--no-print-directory", ".venv/stamp")
    assert "get.py venv" in make(clone, *fresh).stdout
    (clone / ".venv" / "bin").mkdir(parents=True)
    python = clone / ".venv" / "bin" / "python"

    def is_made_anew(**env):
        (clone / ".venv" / "stamp").write_text("")
        return "get.py venv" in make(clone, *fresh, **env).stdout

    for name, prints in (("python", "Python 3.11.7"), ("python-other", "Python 3.12.1")):
        path = clone / ".venv" / "bin" / name
        path.write_text("#!/bin/sh\necho %s\n" % prints)
        path.chmod(0o755)
    (clone / ".venv" / "version").write_text("Python 3.11.7\n")
    assert not is_made_anew()
    assert not is_made_anew(PYTHON3=str(python).replace(" ", "\\ "))
    assert is_made_anew(PYTHON3=str(path).replace(" ", "\\ "))  # named by the user, and another one
    (clone / ".venv" / "version").write_text("Python 3.11.2\n")
    assert is_made_anew()  # replaced under us
    (clone / ".venv" / "version").write_text("Python 3.11.7\n")
    python.unlink()
    assert is_made_anew()  # gone


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make here")
def test_a_path_with_a_space_is_one_word_in_every_recipe(clone):
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").write_text("#!/bin/sh\necho Python 3.11.7\n")
    (clone / ".venv" / "bin" / "python").chmod(0o755)
    (clone / ".venv" / "version").write_text("Python 3.11.7\n")
    for folder in (".venv", ".cache/micropython", ".cache/mosquitto"):
        (clone / folder).mkdir(parents=True, exist_ok=True)
        (clone / folder / "stamp").touch()
    targets = ("powercut", "kills", "bench", "test-unit")
    said = "".join(make(clone, "-n", target, "PEERS=/my peers").stdout for target in targets)
    words = shlex.split(said)
    assert str(clone / ".cache/micropython/micropython") in words, said
    assert words.count("/my peers") == 2 and "PEERS=/my peers" in words, said
