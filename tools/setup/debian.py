"""Unpack Debian packages into a folder of the project: authenticated by apt, nothing installed on the system.

apt checks the signature of the suite and the hash of every package; `dpkg-deb -x` unpacks them. apt runs on
lists, cache and status of its own, so neither root nor the system's package lists are needed or changed.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Sequence

import network  # beside this file

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
KEYRING_PACKAGE = "debian-archive-keyring"
TEMPLATE = Path("/usr/share/python-apt/templates/Debian.info")  # python-apt-common: where Ubuntu knows Debian from
TRIES_PER_SUITE = 2
APT_TIMEOUT_S = 600

APT_CONF = """\
Dir::State "{tmp}/state"; Dir::State::status "{tmp}/status"; Dir::State::extended_states "{tmp}/extended";
Dir::Cache "{tmp}/cache"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
Dir::Etc::SourceList "{source_list}"; Dir::Etc::SourceParts "{source_parts}";
Dir::Etc::Preferences "/dev/null"; Dir::Etc::PreferencesParts "{tmp}/none"; Dir::Log "{tmp}";
APT::Architecture "{arch}"; APT::Architectures:: "{arch}";
APT::Install-Recommends "false"; APT::Get::AllowUnauthenticated "false";
APT::Sandbox::User "root";  // _apt need not be able to read the project
Acquire::AllowInsecureRepositories "false"; Acquire::Retries "1"; Acquire::Languages "none";
Acquire::http::Timeout "30"; Acquire::https::Timeout "30";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
pkgCacheGen::Essential "none";  // only what the package depends on
#clear APT::Update::Pre-Invoke; #clear APT::Update::Post-Invoke; #clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke; #clear DPkg::Post-Invoke; #clear DPkg::Pre-Install-Pkgs;
"""


class NotAvailable(Exception):
    """Why Debian's packages cannot be had here, in words."""


class NoMirror(NotAvailable):
    """The mirror cannot be reached: another suite of it will not do either."""


def machine_arch() -> str:
    """Debian's name of this machine's architecture. Raises NotAvailable where there is no apt."""
    for program in ("apt-get", "dpkg-deb", "dpkg"):
        if not shutil.which(program):
            raise NotAvailable("this is not a Debian or Ubuntu system (no %s)" % program)
    return subprocess.run(
        ["dpkg", "--print-architecture"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def codename() -> str:
    """The suite that this system is of. Raises NotAvailable where it is not Debian's."""
    release = Path("/etc/os-release")
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)', release.read_text() if release.exists() else "", re.M))
    if fields.get("ID") != "debian" or not fields.get("VERSION_CODENAME"):
        raise NotAvailable("this is not Debian: install it with the system's own packages")
    return fields["VERSION_CODENAME"]


def mirror() -> str:
    """DEBIAN_MIRROR, the mirror that apt already uses here for Debian, or the one python-apt knows. Raises NoMirror."""
    shown = subprocess.run(
        ["apt-get", "update", "--print-uris"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ).stdout
    found = re.search(r"^'([^']*/debian)/dists/[^/]+/InRelease'", shown, re.M)
    if not found and TEMPLATE.exists():
        found = re.search(r"^BaseURI: *(\S*/debian)/?$", TEMPLATE.read_text(errors="replace"), re.M)
    uri = os.environ.get("DEBIAN_MIRROR") or (found and found.group(1))
    if not uri:
        raise NoMirror("no Debian mirror is known here: name one with DEBIAN_MIRROR=http://.../debian, or"
                       " `apt install python-apt-common`, which knows one")  # fmt: skip
    return uri


def reach(uri: str) -> None:
    """Raises NoMirror at once when the mirror is out of reach; apt itself would try for minutes. With a proxy of apt's
    own, apt tells."""
    asked = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if re.search(r'^Acquire::https?::Proxy\S* "\S', asked.stdout, re.M | re.I):
        return
    why = network.why_not(uri)
    if why:
        raise NoMirror("no network: the Debian mirror cannot be reached (%s)" % why)


class _Apt:
    """apt-get on private state in `tmp`, for one architecture."""

    def __init__(self, tmp: Path, arch: str, source_list: str, source_parts: str):
        for folder in ("state/lists/partial", "cache/archives/partial", "none"):
            (tmp / folder).mkdir(parents=True, exist_ok=True)
        (tmp / "status").touch()
        self.tmp, self.debs = tmp, tmp / "cache" / "archives"
        conf = APT_CONF.format(tmp=tmp, arch=arch, source_list=source_list, source_parts=source_parts)
        (tmp / "apt.conf").write_text(conf)

    def run(self, *args: str) -> None:
        """Raises NotAvailable with apt's own words; blocks for APT_TIMEOUT_S at most."""
        # -c is read after the system's own configuration (a proxy is taken from there, its hooks are not)
        command = ["apt-get", "-q", "-c", str(self.tmp / "apt.conf"), *args]
        env = dict(os.environ, LC_ALL="C.UTF-8")
        try:
            done = subprocess.run(
                command, cwd=str(self.tmp), env=env, timeout=APT_TIMEOUT_S, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NotAvailable("apt-get %s: no end after %d s" % (args[0], APT_TIMEOUT_S)) from None
        # `apt-get update` ends with 0 when a list could not be fetched: its words tell
        said = [line for line in done.stdout.splitlines() if re.match(r"(E|Err|W: Failed)", line)]
        unreachable = re.search(r"(Could not (connect|resolve)|Temporary failure|Unable to connect).*", done.stdout)
        if unreachable and args[0] == "update":
            raise NoMirror("the Debian mirror cannot be reached: %s" % unreachable.group(0).strip())
        if done.returncode or (args[0] == "update" and said):
            raise NotAvailable("apt-get %s: %s" % (args[0], " / ".join(said[:3]) or "status %d" % done.returncode))


def _keyring(tmp: Path) -> str:
    """Debian's keyring; where it is not installed (Ubuntu), the one in the system's own signed archive."""
    if os.access(KEYRING, os.R_OK):
        return KEYRING
    apt = _Apt(tmp / "keyring", machine_arch(), "/etc/apt/sources.list", "/etc/apt/sources.list.d")
    with contextlib.suppress(NotAvailable):  # a third party's source that is out of reach does not matter
        apt.run("update")
    try:
        apt.run("download", KEYRING_PACKAGE)
    except NotAvailable as error:
        raise NotAvailable("no Debian keys, get them with `apt install %s` (%s)" % (KEYRING_PACKAGE, error)) from None
    for deb in apt.tmp.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(deb), str(apt.tmp / "root")], check=True)
    return str(apt.tmp / "root") + KEYRING


def unpack(packages: Sequence[str], suites: Sequence[str], arch: str, dest: Path) -> str:
    """Unpack `packages` with all they depend on into `dest`; returns the suite they came from.

    The suites are tried in turn, each twice: a mirror in the middle of a sync is refused by apt, and rightly.
    Raises NotAvailable when none has them. `dest` is replaced as a whole or stays as it was.
    """
    machine_arch()
    refusals: list[str] = []
    uri = mirror()
    reach(uri)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=str(dest.parent)) as made:
        tmp = Path(made).resolve()
        keyring = _keyring(tmp)
        for suite in [one for one in suites for _ in range(TRIES_PER_SUITE)]:
            here = tmp / suite
            shutil.rmtree(here, ignore_errors=True)
            here.mkdir()
            sources = here / "sources.list"
            sources.write_text("deb [arch=%s signed-by=%s] %s %s main\n" % (arch, keyring, uri, suite))
            apt = _Apt(here, arch, str(sources), str(here / "none"))
            try:
                apt.run("update")
                apt.run("-y", "--download-only", "--no-remove", "install", *packages)
            except NoMirror:
                raise
            except NotAvailable as error:
                refusals.append("%s %s: %s" % (suite, arch, error))
                continue
            root = here / "root"
            for deb in sorted(apt.debs.glob("*.deb")):
                subprocess.run(["dpkg-deb", "-x", str(deb), str(root)], check=True)
            shutil.rmtree(dest, ignore_errors=True)
            root.rename(dest)
            return suite
    raise NotAvailable("; ".join(dict.fromkeys(refusals)))


def source(package: str, suite: str, dest: Path) -> None:
    """Unpack the original source of `package` into `dest`, which must not exist. Raises NotAvailable."""
    machine_arch()
    uri = mirror()
    reach(uri)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=str(dest.parent)) as made:
        tmp = Path(made).resolve()
        sources = tmp / "sources.list"
        sources.write_text("deb-src [signed-by=%s] %s %s main\n" % (_keyring(tmp), uri, suite))
        apt = _Apt(tmp, machine_arch(), str(sources), str(tmp / "none"))
        apt.run("update")
        apt.run("source", "--download-only", package)
        root = tmp / "root"
        root.mkdir()
        for archive in tmp.glob("*.orig.tar.*"):
            subprocess.run(["tar", "-xf", str(archive), "-C", str(root), "--strip-components=1"], check=True)
        root.rename(dest)


def wrapper(path: Path, root: Path, program: str) -> None:
    """Write an executable at `path` that runs `program` of the unpacked `root` on root's own C library."""
    loaders = sorted(p for p in root.glob("**/ld-linux*.so.*") if ".d" not in p.suffixes)
    libraries = sorted({p.parent for p in root.glob("**/libc.so.6")} | {p.parent for p in root.glob("**/lib*.so.*")})
    if not loaders or not (root / program).exists():
        raise NotAvailable("the packages hold no %s" % program)
    libs = ":".join('"$R"/%s' % p.relative_to(root) for p in libraries if p.name.endswith(("-gnu", "-gnueabihf")))
    text = '#!/bin/sh\nR=$(dirname "$(readlink -f "$0")")/%s\n' % os.path.relpath(str(root), str(path.parent))
    text += 'exec "$R/%s" --library-path %s "$R/%s" "$@"\n' % (loaders[0].relative_to(root), libs, program)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(path)
