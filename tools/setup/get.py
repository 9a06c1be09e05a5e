"""Get what the project needs into the project itself: `python3 tools/setup/get.py venv|micropython|mosquitto|... ...`

venv         .venv with the host tools of requirements.txt
micropython  .cache/micropython/: micropython32, micropython64 and micropython (the best of them)
mosquitto    .cache/mosquitto/: mosquitto and mosquitto_passwd

Not part of `make setup`, because only some targets want them (`make extras`, `interop`, `bench`, `docs`, `run HA=1`):
brokers-few  .cache/brokers/: those that `make test` compares with Mosquitto; brokers: all of `make interop`
peers        .cache/peers/: the other clients that `make bench` measures
asyncio      .cache/asyncio/: MicroPython's asyncio, the oldest and the newest that tests run with
chromium     .cache/chromium/: chromium, to look at the log analyser's report with (800 MB)
parquet      the packages of requirements-parquet.txt in .venv (200 MB)
homeassistant  .cache/homeassistant/venv: a real Home Assistant, for the tests and for `make run HA=1` (440 MB)
docs         the packages of requirements-docs.txt in .venv, for `make docs`
web          .cache/web/: ESP Web Tools and its client of Improv, from npm, for `make web` and its tests

Each writes a stamp last, so that an interrupted set-up is mended by running it again. A stamp that begins with
"missing" records what cannot be had here and why; `make setup` removes it first.
Needs only Python's standard library. Ends with 1, and says why, when the project cannot be used at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator

sys.path.insert(0, str(Path(__file__).resolve().parent))
import asyncios  # noqa: E402
import brokers  # noqa: E402
import debian  # noqa: E402
import network  # noqa: E402
import peers  # noqa: E402
import web_tools  # noqa: E402

try:
    import fcntl
except ImportError:  # Windows: `py tools/setup/get.py venv` gets the board's tools
    fcntl = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
CACHE = ROOT / ".cache"
STAMP_VERSION = "1"
MICROPYTHON_SUITES = ("trixie", "forky", "sid")  # bookworm has none
MICROPYTHON_OLDEST = (1, 22)
MOSQUITTO_SUITES = ("bookworm", "trixie", "forky", "sid")
SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
# Which Python this is, and which one .venv is of: the same version may be another build, with another ABI.
ASK = "import sys; print(sys.version.replace(chr(10), ' '), sys.prefix != sys.base_prefix)"
HERE = sys.version.replace("\n", " ") + " True"
# An unpacked root is only ever run: documents and character sets of 30 MB are not.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
C_LIBRARY = ("ld-linux*", "libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libresolv.so.2")
CHROMIUM = """\
#!/bin/sh
# Chromium of Debian's %s, with its own libraries and fonts
R=$(dirname "$(readlink -f "$0")")/root
LD_LIBRARY_PATH=$(ls -d "$R"/usr/lib/*-linux-gnu* "$R"/lib/*-linux-gnu* 2>/dev/null | tr '\\n' ':')
FONTCONFIG_SYSROOT=$R
export LD_LIBRARY_PATH FONTCONFIG_SYSROOT
exec "$R/usr/lib/chromium/chromium" "$@"
"""
NOT_NEEDED = (
    "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl*", "usr/lib/*/perl*", "usr/lib/*/gconv",
)  # fmt: skip


def say(text: str) -> None:
    print("setup: " + text, file=sys.stderr, flush=True)


def runs(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def told(*command: str) -> str:
    """What a program prints; "" when it cannot be run or fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()


def must_run(what: str, *command: str) -> None:
    """Run, and end the program with the command's own words when it fails."""
    # pip's cache would otherwise land in the home directory, which the project must not touch
    env = dict(os.environ, PIP_CACHE_DIR=str(CACHE / "pip"), PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    env.pop("PYTHONHOME", None)
    env.pop("PIP_USER", None)
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise SystemExit("setup: cannot %s (above is why). `make setup` continues where it stopped." % what)


def bare_venv() -> None:
    """Make .venv with pip in it.

    Debian keeps ensurepip in a package of its own (python3-venv). Where that is not installed, pip comes from
    the package python3-pip-whl, unpacked into the cache.
    """
    # of another Python, of one that is gone or was replaced under it, or half made: what is in it would not be found
    if VENV.exists() and told(str(PYTHON), "-c", ASK) != HERE:
        shutil.rmtree(VENV)
    if runs(sys.executable, "-c", "import ensurepip, venv"):
        return must_run("make .venv", sys.executable, "-m", "venv", str(VENV))
    must_run(
        "make .venv: Python's venv module is missing; get it with `apt install python3-venv`",
        sys.executable, "-m", "venv", "--without-pip", str(VENV),
    )  # fmt: skip
    say("python3-venv is not installed: taking pip from Debian's python3-pip-whl")
    root = CACHE / "pip-wheel"
    try:
        debian.unpack(["python3-pip-whl"], ("bookworm", "trixie"), debian.machine_arch(), root)
        wheel = next(root.glob("usr/share/python-wheels/pip-*.whl"))
    except (debian.NotAvailable, StopIteration) as error:
        raise SystemExit("setup: no pip (%s). Get it with `apt install python3-venv`." % error) from None
    must_run("install pip", str(PYTHON), str(wheel / "pip"), "install", "-q", "pip")
    shutil.rmtree(root)


def get_venv(stamp: Path) -> str:
    wanted = (ROOT / "requirements.txt").read_bytes() + sys.version.encode()
    text = "venv %s %s" % (STAMP_VERSION, hashlib.sha256(wanted).hexdigest())
    whole = stamp.exists() and stamp.read_text() == text and told(str(PYTHON), "-c", ASK) == HERE
    if whole and runs(str(PYTHON), "-m", "pytest", "--version"):
        return text
    python = sys.executable
    if not runs(python, "-m", "pip", "--version"):  # Debian has it in a package of its own
        bare_venv()
        python = str(PYTHON)
    why = network.why_not(network.pip_index(python))
    if why:
        raise SystemExit("setup: no network: the Python packages cannot be got (%s). The first set-up needs one, and"
                         " nothing after it does. `make setup` tries again." % why)  # fmt: skip
    say(".venv: getting the host tools of requirements.txt for Python %d.%d (about a minute)" % sys.version_info[:2])
    bare_venv()
    must_run("install the host tools", str(PYTHON), "-m", "pip", "install", "-q", "-r", str(ROOT / "requirements.txt"))
    for stub in VENV.glob("lib/python3*/site-packages/umqtt"):
        shutil.rmtree(stub)  # stubs of the frozen umqtt: they hide ours from pyright, as the frozen one does on a board
    (VENV / "version").write_text(told(str(PYTHON), "-V") + "\n")  # the Makefile compares it
    return text


def slim(root: Path) -> None:
    for pattern in NOT_NEEDED:
        for found in root.glob(pattern):
            shutil.rmtree(found, ignore_errors=True)


def link(path: Path, program: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text('#!/bin/sh\nexec "%s" "$@"\n' % program)
    new.chmod(0o755)
    new.replace(path)


def micropython_works(program: str) -> bool:
    return runs(program, "-c", "import sys; assert sys.implementation.version >= %r" % (MICROPYTHON_OLDEST,))


def get_micropython(stamp: Path) -> str:
    """The 32-bit build first: word size and heap block of the boards. Then 64 bit, then what is on PATH."""
    here, reasons = stamp.parent, []  # type: ignore[var-annotated]
    try:
        machine = debian.machine_arch()
        builds = [("32", "i386"), ("64", "amd64")] if machine == "amd64" else [("64", machine)]
        if machine in ("i386", "armhf", "armel"):
            builds = [("32", machine)]
    except debian.NotAvailable as error:
        builds, reasons = [], [str(error)]
    got: list[str] = []
    for bits, arch in builds:
        program, root = here / ("micropython" + bits), here / ("root-" + arch)
        if not micropython_works(str(program)):
            say(".cache/micropython: getting the %s-bit MicroPython from Debian's packages" % bits)
            try:
                suite = debian.unpack(["micropython"], MICROPYTHON_SUITES, arch, root)
                slim(root)
                debian.wrapper(program, root, "usr/bin/micropython")
                say("MicroPython for %s comes from %s" % (arch, suite))
            except debian.NotAvailable as error:
                reasons.append(str(error))
                continue
            if not micropython_works(str(program)):
                reasons.append("this kernel does not run %s programs" % arch)
                program.unlink()
                continue
        got.append(str(program))
    for reason in reasons:
        say("MicroPython: " + reason)
    best = here / "micropython"
    if got:
        best.unlink() if best.exists() or best.is_symlink() else None
        best.symlink_to(Path(got[0]).name)
        return "micropython %s %s" % (STAMP_VERSION, " ".join(Path(path).name for path in got))
    on_path = shutil.which("micropython")
    if on_path and micropython_works(on_path):
        say("using the MicroPython on PATH, %s" % on_path)
        link(best, on_path)
        return "micropython %s on PATH" % STAMP_VERSION
    best.unlink() if best.exists() or best.is_symlink() else None
    say("no MicroPython %d.%d or newer can be had here; what needs it falls back to CPython or is skipped. Get one"
        " with `apt install micropython` or `brew install micropython`, or name it: make run MICROPYTHON=/path/to/it"
        % MICROPYTHON_OLDEST)  # fmt: skip
    return "missing MicroPython: " + "; ".join(reasons)


def get_mosquitto(stamp: Path) -> str:
    here = stamp.parent
    program, passwd = here / "mosquitto", here / "mosquitto_passwd"
    on_path = shutil.which("mosquitto", path=SYSTEM_PATH)
    if on_path:
        link(program, on_path)
        found = shutil.which("mosquitto_passwd", path=SYSTEM_PATH)
        link(passwd, found) if found else None
        return "mosquitto %s on PATH: %s" % (STAMP_VERSION, on_path)
    # `mosquitto -h` prints its version and ends with 3
    if program.exists() and b"osquitto version" in subprocess.run([str(program), "-h"], capture_output=True).stdout:
        return "mosquitto %s" % STAMP_VERSION
    say(".cache/mosquitto: getting Mosquitto from Debian's packages")
    try:
        root = here / "root"
        suite = debian.unpack(["mosquitto"], MOSQUITTO_SUITES, debian.machine_arch(), root)
        slim(root)
        debian.wrapper(program, root, "usr/sbin/mosquitto")
        debian.wrapper(passwd, root, "usr/bin/mosquitto_passwd")
        say("Mosquitto comes from %s" % suite)
        return "mosquitto %s" % STAMP_VERSION
    except debian.NotAvailable as error:
        reason = str(error)
    say("Mosquitto: " + reason)
    say("no Mosquitto can be had here: `make run` uses amqtt, which is not the reference broker. Get Mosquitto with"
        " `apt install mosquitto` or `brew install mosquitto`, or name it: make run MOSQUITTO=/path/to/it")  # fmt: skip
    must_run("install amqtt", str(PYTHON), "-m", "pip", "install", "-q", "-r",
             str(ROOT / "requirements-broker.txt"))  # fmt: skip
    return "missing Mosquitto: " + reason


def get_chromium(stamp: Path) -> str:
    here = stamp.parent
    program = here / "chromium"
    on_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if on_path:
        link(program, on_path)
        return "chromium %s on PATH: %s" % (STAMP_VERSION, on_path)
    if not browser_works(program):
        say(".cache/chromium: getting Chromium from Debian's packages (a minute)")
        try:
            root = here / "root"
            # Chromium starts itself again without our loader, so it runs on the system's C library: of the same suite.
            suite = debian.unpack(["chromium"], (debian.codename(),), debian.machine_arch(), root)
            slim(root)
            for name in C_LIBRARY:
                for found in root.glob("**/" + name):
                    found.unlink()
            program.write_text(CHROMIUM % suite)
            program.chmod(0o755)
        except debian.NotAvailable as error:
            return missing("Chromium", str(error))
        if not browser_works(program):
            program.unlink()
            return missing("Chromium", "the one of Debian's %s does not run here" % suite)
    return "chromium %s" % STAMP_VERSION


def browser_works(program: Path) -> bool:
    profile = "--user-data-dir=%s" % (CACHE / "chromium" / "profile")
    look = ("--headless", "--no-sandbox", "--disable-gpu", profile, "--dump-dom", "about:blank")
    return program.exists() and runs(str(program), *look)


def missing(what: str, reason: str) -> str:
    say("%s: %s; what wants it is skipped" % (what, reason))
    return "missing %s: %s" % (what, reason)


def get_parquet(stamp: Path) -> str:
    return get_packages(stamp, "parquet", "duckdb, pyarrow", "pyarrow and duckdb")


def python_313() -> str:
    """A Python 3.13 of this machine, "" where there is none. A pyenv's is not on PATH until somebody chooses it."""
    named = os.environ.get("PYTHON313")
    managed = (".pyenv/versions/3.13.*", ".local/share/uv/python/cpython-3.13.*")
    installed = [str(found) for folder in managed for found in sorted(Path.home().glob(folder + "/bin/python3.13"))]
    for python in [named] if named else ["python3.13", *installed]:
        if runs(python, "-c", "import sys, ensurepip, venv; assert sys.version_info[:2] == (3, 13)"):
            return python
    return ""


def get_homeassistant(stamp: Path) -> str:
    """Home Assistant takes one Python only, and 440 MB: a virtual environment of its own."""
    wanted = ROOT / "requirements-homeassistant.txt"
    venv = stamp.parent / "venv"
    text = "homeassistant %s %s" % (STAMP_VERSION, hashlib.sha256(wanted.read_bytes()).hexdigest())
    if (
        stamp.exists()
        and stamp.read_text() == text
        and runs(str(venv / "bin" / "python"), "-c", "import homeassistant")
    ):
        return text
    python = python_313()
    if not python:
        return missing(
            "Home Assistant", "it runs on Python 3.13 alone, and there is none here; PYTHON313=/path names one"
        )
    say(".cache/homeassistant: getting Home Assistant from PyPI (two minutes)")
    shutil.rmtree(venv, ignore_errors=True)
    must_run("make .cache/homeassistant/venv", python, "-m", "venv", str(venv))
    env = dict(os.environ, PIP_CACHE_DIR=str(CACHE / "pip"), PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    command = [str(venv / "bin" / "pip"), "install", "-q", "--no-deps", "--prefer-binary", "-r", str(wanted)]
    done = subprocess.run(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        return missing("Home Assistant", done.stdout.strip().splitlines()[-1])
    return text


def get_docs(stamp: Path) -> str:
    return get_packages(stamp, "docs", "material, mkdocstrings_handlers.python", "mkdocs")


def get_packages(stamp: Path, part: str, imports: str, called: str) -> str:
    """The packages of requirements-PART.txt, for one purpose only: in .venv, not of the first set-up."""
    wanted = ROOT / ("requirements-%s.txt" % part)
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()
    text = "%s %s %s" % (part, STAMP_VERSION, digest)
    python = str(VENV / "bin" / "python")
    if stamp.exists() and stamp.read_text() == text and runs(python, "-c", "import " + imports):
        return text
    say(".venv: getting the packages of " + wanted.name)
    env = dict(os.environ, PIP_CACHE_DIR=str(CACHE / "pip"), PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    done = subprocess.run([python, "-m", "pip", "install", "-q", "-r", str(wanted)], env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    if done.returncode:
        return missing(called, done.stdout.strip().splitlines()[-1])
    return text


def get_brokers(stamp: Path) -> str:
    return stamp_of_brokers(list(brokers.SOURCES))


def get_brokers_few(stamp: Path) -> str:
    return stamp_of_brokers(list(brokers.FEW))


def get_peers(stamp: Path) -> str:
    lacking = peers.get(say)
    return "missing peers: " + "; ".join(lacking) if lacking else "peers %s" % STAMP_VERSION


def stamp_of_brokers(names: list[str]) -> str:
    lacking = brokers.get(names, say)
    return "missing brokers: " + "; ".join(lacking) if lacking else "brokers %s" % STAMP_VERSION


def get_asyncio(stamp: Path) -> str:
    lacking = asyncios.get(say)
    return missing("asyncio", "; ".join(lacking)) if lacking else "asyncio %s" % STAMP_VERSION


def get_web(stamp: Path) -> str:
    lacking = web_tools.get(say)
    return missing("ESP Web Tools", "; ".join(lacking)) if lacking else "web %s" % STAMP_VERSION


PARTS: dict[str, Callable[[Path], str]] = {
    "venv": get_venv, "micropython": get_micropython, "mosquitto": get_mosquitto,
    "chromium": get_chromium, "parquet": get_parquet, "docs": get_docs,
    "homeassistant": get_homeassistant,
    "brokers": get_brokers, "brokers-few": get_brokers_few, "peers": get_peers,
    "asyncio": get_asyncio, "web": get_web,
}  # fmt: skip


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other set-up of this project runs, and let none begin."""
    with open(CACHE / "lock", "w") as lock:
        if fcntl:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another set-up of this project is running; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(args: list[str]) -> int:
    if not args or set(args) - set(PARTS):
        print(__doc__, file=sys.stderr)
        return 2
    if sys.version_info < (3, 9):  # noqa: UP036 - to say it in words is the point
        raise SystemExit("setup: Python 3.9 or newer is needed, %s is %d.%d; name a newer one: make setup PYTHON3=..."
                         % (sys.executable, *sys.version_info[:2]))  # fmt: skip
    CACHE.mkdir(exist_ok=True)
    with alone():
        for part in args:
            stamp = (VENV if part == "venv" else CACHE / part) / "stamp"
            stamp.parent.mkdir(parents=True, exist_ok=True)
            for left_over in stamp.parent.glob(".new-*"):  # of a set-up that was killed
                shutil.rmtree(left_over, ignore_errors=True)
            stamp.write_text(PARTS[part](stamp))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; `make setup` continues where it stopped.")
