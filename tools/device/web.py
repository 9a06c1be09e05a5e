"""`make web`: a folder that any web server can offer, from which a browser flashes a board and sets its WiFi.

The browser's part is ESP Web Tools, as npm has it; ours are the page, the manifest, and for each chip the file of `make
image`. WiFi stays out of that file: the page asks for it, and tells it to the board by Improv.
Exit status: 0 written, 1 something is wrong, in words; 2 wrong arguments.
"""

import html
import json
import os
import shlex
import shutil
from pathlib import Path
from string import Template
from typing import Any, Dict, List, Optional

from tools.device.chips import CHIPS, MIB
from tools.device.config import SECRETS, check, given, without_secrets
from tools.device.flash import image_chip
from tools.device.image import as_json, merge, read_micropython, with_ca
from tools.device.serial_port import ToolError, parser, run_tool
from tools.printable import printable, quoted
from tools.release.version import version

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "web"
ESP_WEB_TOOLS = "esp-web-tools-*"  # tools/setup/web_tools.py has its version and its hash
PAGE = Path(__file__).with_name("install_page.html")
NAME = "umqtt-node"  # as firmware/improv.py answers: so the page knows a board that has it already
WIFI = ("wifi_ssid", "wifi_password", "wifi_ssid_2", "wifi_password_2")
OF_ONE_BOARD = ("client_id", "hostname", "wifi_address", "tls_cert", "tls_key")


def for_many(config: Dict[str, Any], with_secrets: bool) -> Dict[str, Any]:
    """The configuration for every board that the page will set up, and for the eyes of all who can load it: without
    WiFi. Raises ToolError for what belongs to one board, and for secrets."""
    left = {key: value for key, value in config.items() if key not in WIFI}
    own = [key for key in OF_ONE_BOARD if left.get(key)]
    if own:
        raise ToolError("%s: of one board, and every board of this page would have it. Leave it out" % ", ".join(own))
    secrets = [key for key in SECRETS if left.get(key)]
    secrets += ["sensors[%d]" % i for i, entry in enumerate(left.get("sensors", ())) if without_secrets(entry) != entry]
    if secrets and not with_secrets:
        raise ToolError("%s: whoever can load the page can read it. Leave it out, or keep the page to yourself and say"
                        ' ARGS="--with-secrets"' % ", ".join(secrets))  # fmt: skip
    return left


def write_folder(out: Path, images: Dict[str, bytes], about: Dict[str, str], esp_web_tools: Path) -> None:
    """The whole folder at once, in the place of an earlier one. images: by the names of their chips."""
    new = out.with_name(out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(esp_web_tools / "dist" / "web", new / "esp-web-tools")
    shutil.copy(esp_web_tools / "LICENSE", new / "esp-web-tools")
    builds = []
    for chip, data in images.items():
        (new / (chip + ".bin")).write_bytes(data)
        builds.append({"chipFamily": CHIPS[chip].label, "parts": [{"path": chip + ".bin", "offset": 0}]})
    manifest = {"name": NAME, "version": about["version"], "builds": builds}
    (new / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    shown = {key: html.escape(printable(words)) for key, words in about.items()}
    (new / "index.html").write_text(Template(PAGE.read_text(encoding="utf-8")).substitute(shown), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    new.rename(out)


def main(argv: Optional[List[str]] = None) -> int:
    p = parser(
        "web",
        "A folder for a web server: a page from which a browser (Chrome, Edge, Firefox) flashes a board on its USB and"
        " sets its WiFi. Everybody who can load it can read the configuration.",
        "FIRMWARE",
        "CONFIG",
    )
    p.add_argument("--firmware", default=os.environ.get("FIRMWARE", ""), metavar="FILES",
                   help="MicroPython's .bin, one for each chip that the page is for; default: FIRMWARE")  # fmt: skip
    p.add_argument("--config", default=os.environ.get("CONFIG", ""), metavar="FILE",
                   help="config.json; default: CONFIG; environment variables (UMQTT_...) count too. WiFi is left out:"
                   " the page asks for it")  # fmt: skip
    p.add_argument("--ca", default="", help="certificate of the CA that signed the broker's (PEM or DER)")
    p.add_argument("--with-secrets", action="store_true", help="take passwords and keys into the files")
    p.add_argument("--flash-size", type=int, default=4, metavar="MIB", help="of the boards; default 4")
    p.add_argument("--output", default="", metavar="FOLDER", help="default: build/web")
    a = p.parse_args(argv)
    paths = shlex.split(a.firmware)
    if not paths:
        raise ToolError('name MicroPython\'s images, one for each chip: FIRMWARE="ESP32_GENERIC-....bin"', 2)
    found = sorted(CACHE.glob(ESP_WEB_TOOLS + "/sha256"))
    if not found:
        stamp = CACHE / "stamp"
        why = stamp.read_text() if stamp.exists() else "run `python3 tools/setup/get.py web`"
        raise ToolError("no ESP Web Tools (%s); `make setup web` tries again" % why)
    config = for_many(given(a.config, dict(os.environ)), a.with_secrets)
    beside = with_ca(config, a.config, a.ca)
    images: Dict[str, bytes] = {}
    for path in paths:
        micropython = read_micropython(path)
        chip = image_chip(micropython)
        if chip in images:
            raise ToolError("%s: a second image for %s" % (path, CHIPS[chip].label))
        checked = check({**config, "wifi_ssid": "asked on the page"}, chip)
        images[chip] = merge(micropython, a.flash_size * MIB, {**beside, "/config.json": as_json(config)})
    out = Path(a.output) if a.output else ROOT / "build" / "web"
    out.parent.mkdir(parents=True, exist_ok=True)
    brokers = checked["broker"] if isinstance(checked["broker"], list) else [checked["broker"]]
    about = {
        "version": version(),
        "chips": ", ".join(CHIPS[chip].label for chip in images),
        "broker": ", ".join(brokers),
        "topic": checked["topic"] + "/#",
    }
    write_folder(out, images, about, found[-1].parent)
    size_b = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print("%s: %d KiB, for %s" % (out, size_b >> 10, about["chips"]))
    print("offer it over https, or on this computer alone: python3 -m http.server --bind 127.0.0.1 --directory %s"
          % quoted(out))  # fmt: skip
    return 0


if __name__ == "__main__":
    run_tool("web", main)
