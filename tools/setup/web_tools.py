"""ESP Web Tools, by which a browser flashes a board, and its client of Improv alone, into .cache/web/NAME-VERSION.

npm is asked as it is; each package is pinned by its version and its SHA-256, used as it is, and never part of the
project. Nothing of a package is run at its installation.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Dict, List

CACHE = Path(__file__).resolve().parents[2] / ".cache"
FOLDER = CACHE / "web"
GET_TIMEOUT_S = 120
PACKAGES: Dict[str, str] = {
    # what `make web` offers: kept by ESPHome, speaks Web Serial, esptool's protocol and Improv, bundled for browsers
    "esp-web-tools@10.4.0": "f18da75335d2f0dca044c4bb052848c0696e7b03cc23d61d8530dd6eba0a9008",
    # the client of Improv that is within it, of the same version: tests drive the firmware with it
    "improv-wifi-serial-sdk@2.8.0": "eec6ba0f688f6491ff902b19a86a37a667382da43964c2c03053c5526d4fc4d6",
}


class NotAvailable(Exception):
    """Why a package cannot be had here, in words."""


def folder_of(package: str) -> Path:
    """Where a package of PACKAGES is unpacked."""
    return FOLDER / package.replace("@", "-")


def get(say) -> List[str]:  # type: ignore[no-untyped-def]
    """Unpack what is not there yet. Returns "PACKAGE: why not" for each that cannot be had."""
    lacking = []
    for package, sha256 in PACKAGES.items():
        folder = folder_of(package)
        pin = folder / "sha256"
        if pin.exists() and pin.read_text() == sha256:
            continue
        say(".cache/web: getting %s from npm" % package)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            unpack(package, sha256, folder)
        except NotAvailable as error:
            shutil.rmtree(folder, ignore_errors=True)
            lacking.append("%s: %s" % (package, error))
        else:
            pin.write_text(sha256)  # last
    return lacking


def unpack(package: str, sha256: str, folder: Path) -> None:
    """Fetch one package, check it, and unpack it into `folder`. Raises NotAvailable."""
    if not shutil.which("npm"):
        raise NotAvailable("there is no npm here (`apt install nodejs npm`)")
    with tempfile.TemporaryDirectory(prefix=".new-", dir=FOLDER) as scratch:
        # one try, so that no network is told at once and not after minutes
        command = ["npm", "pack", "--ignore-scripts", "--loglevel=error", "--fetch-retries=0", package]
        env = dict(os.environ, npm_config_cache=str(CACHE / "npm"), npm_config_update_notifier="false")
        try:
            done = subprocess.run(command, env=env, cwd=scratch, timeout=GET_TIMEOUT_S, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotAvailable("npm: %s" % error) from None
        archive = next(Path(scratch).glob("*.tgz"), None)
        if done.returncode or not archive:
            said = [line for line in done.stdout.splitlines() if "reason:" in line] or done.stdout.splitlines()
            raise NotAvailable((said or ["npm ended with %d" % done.returncode])[0])
        got = hashlib.sha256(archive.read_bytes()).hexdigest()
        if got != sha256:
            raise NotAvailable("what npm gave has SHA-256 %s, not the pinned one" % got)
        folder.mkdir(parents=True)
        with tarfile.open(archive) as packed:
            for member in packed.getmembers():
                place = (folder / member.name.partition("/")[2]).resolve()
                if member.isfile() and folder.resolve() in place.parents:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(packed.extractfile(member).read())  # type: ignore[union-attr]
