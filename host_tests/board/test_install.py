"""The library alone, installed in one line from GitHub or from an index of one's own, on boards whose firmware freezes
another umqtt."""

import datetime
import functools
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading

import pytest
from conftest import ENV, ROOT, config, mpremote, tool, wait_for

from tools.release import package
from tools.release.version import version

x509 = pytest.importorskip("cryptography.x509", reason="no `cryptography`: run `make setup`")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

RAW = "raw.githubusercontent.com"  # where mip looks for github:OWNER/REPO
BOTH = pytest.mark.parametrize("chip", ["esp32", "esp8266"])


class GitHub(http.server.SimpleHTTPRequestHandler):
    """Serves OWNER/REPO/BRANCH/PATH as GitHub does, over TLS; whoever asks for a tunnel finds it at the other end."""

    protocol_version = "HTTP/1.1"
    context: ssl.SSLContext

    def do_CONNECT(self):
        assert self.path == RAW + ":443", "asked for " + self.path
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.request = self.context.wrap_socket(self.request, server_side=True)
        self.setup()
        self.close_connection = False

    def log_message(self, *_):
        pass


class Secure(http.server.ThreadingHTTPServer):
    """The same without a proxy: TLS from the first byte."""

    def finish_request(self, request, client_address):
        super().finish_request(GitHub.context.wrap_socket(request, server_side=True), client_address)


def serve(server):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """GitHub's, self-signed: a file with key and certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, RAW)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(1))
    made = made.not_valid_after(now + datetime.timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(RAW)]), critical=False)
    path = tmp_path_factory.mktemp("tls") / "github.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """The folder that GitHub serves: the package as `make package` commits it in OWNER/REPO, on main and as a tag."""
    folder = tmp_path_factory.mktemp("github")
    package.write(folder / "somebody" / "umqtt-node" / "HEAD")
    shutil.copytree(folder / "somebody" / "umqtt-node" / "HEAD", folder / "somebody" / "umqtt-node" / "v9.9.9")
    return folder


@pytest.fixture
def github(repository, certificate):
    """The environment in which mpremote finds this GitHub."""
    GitHub.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    GitHub.context.load_cert_chain(certificate)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(GitHub, directory=str(repository)))
    for port in serve(server):
        proxy = "http://127.0.0.1:%d" % port
        yield {
            "https_proxy": proxy,
            "HTTPS_PROXY": proxy,
            "no_proxy": "",
            "NO_PROXY": "",
            "SSL_CERT_FILE": str(certificate),
        }


@pytest.fixture
def github_port(github, repository):
    """The port of this GitHub for boards, which know no proxy."""
    yield from serve(Secure(("127.0.0.1", 0), functools.partial(GitHub, directory=str(repository))))


# The board's network, in which a name or an address leads to the host: [(host, port, port on the host)].
LEADING = """
import socket, sys
class Leading:
    def __getattr__(self, name):
        return getattr(socket, name)
    def getaddrinfo(self, host, port, *more):
        for name, its_port, here in %r:
            if (host, port) == (name, its_port):
                return socket.getaddrinfo('127.0.0.1', here, *more)
        raise OSError(-2)
sys.modules['socket'] = sys.modules['usocket'] = Leading()
"""


def readme_lines():
    """The program of README's "Use the client alone", as it stands there."""
    section = (ROOT / "README.md").read_text().split("## Use the client alone")[1].split("\n## ")[0]
    return re.search(r"```python\n(.*?)```", section, re.S).group(1)


def shows_it_works(board, broker):
    """README's program runs on the board as it stands, but that its broker's address leads to the broker here."""
    paho = pytest.importorskip("paho.mqtt.client")
    got = []
    observer = paho.Client(paho.CallbackAPIVersion.VERSION2, "observer")
    observer.on_message = lambda client, userdata, message: got.append((message.topic, message.payload, message.qos))
    observer.connect("127.0.0.1", broker.port)
    observer.subscribe("kitchen/temperature", 2)
    observer.loop_start()
    program = LEADING % [("192.168.1.10", 1883, broker.port)] + readme_lines()
    command = [sys.executable, "-m", "mpremote", "connect", board.port, "exec", program]
    with subprocess.Popen(command, cwd=ROOT, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as running:  # fmt: skip
        try:
            arrived = wait_for(lambda: got or running.poll() is not None) and bool(got)
            observer.publish("kitchen/light/set", b"on", 1)
            line = running.stdout.readline()
        finally:
            running.terminate()
            observer.disconnect()
            observer.loop_stop()
    assert arrived and got == [("kitchen/temperature", b"21.5", 2)], line
    assert line.strip() == "b'kitchen/light/set' b'on'"


FROZEN = "this is the frozen umqtt of the firmware"
WHICH = "import umqtt.simple; umqtt.simple.MQTTClient('id', 'host')"


@BOTH
def test_the_trap_without_its_file_in_the_root_the_frozen_umqtt_hides_the_library(flashed, tmp_path, chip):
    board = flashed(chip)
    assert tool("mip", "--output", str(tmp_path / "mip")).returncode == 0
    listed = json.loads((tmp_path / "mip" / "package.json").read_text())
    listed["urls"] = [row for row in listed["urls"] if not row[0].startswith("..")]
    assert listed["urls"]
    (tmp_path / "mip" / "package.json").write_text(json.dumps(listed))
    assert mpremote(board, "mip", "install", str(tmp_path / "mip" / "package.json")).returncode == 0
    assert FROZEN in mpremote(board, "exec", WHICH).stdout
    assert "no module named 'umqtt.client'" in mpremote(board, "exec", "import umqtt.client").stdout
    # the two lines that `make mip ARGS=--help` names
    assert mpremote(board, "exec", "import sys\nsys.path.insert(0, '/lib')\n" + WHICH).stdout == ""


@BOTH
def test_mpremote_installs_it_from_github_in_one_line_and_readmes_program_runs(flashed, github, broker, chip):
    board = flashed(chip)
    done = mpremote(board, "mip", "install", "github:somebody/umqtt-node", env=github)
    assert done.returncode == 0 and "Done" in done.stdout, done.stdout
    shows_it_works(board, broker)
    assert mpremote(board, "exec", WHICH).stdout == ""


def install_on_board(board, port, package):
    """What mip.install(package) says on the board itself, GitHub's name leading to this port. $MIP: the folder of
    another mip than the one that the virtual board has, micropython/mip of micropython-lib."""
    if os.environ.get("MIP"):
        assert mpremote(board, "fs", "cp", "-r", os.path.join(os.environ["MIP"], "mip"), ":/").returncode == 0
    done = mpremote(board, "exec", LEADING % [(RAW, 443, port)] + "import mip; mip.install(%s)" % package)
    if "Unsupported protocol: mip" in done.stdout:
        pytest.skip("the mip of this MicroPython is older than that of 1.25: it knows no relative addresses")
    return done.stdout


@BOTH
def test_a_board_installs_it_from_github_in_one_line_and_readmes_program_runs(flashed, github_port, broker, chip):
    board = flashed(chip)
    assert "Done" in install_on_board(board, github_port, "'github:somebody/umqtt-node', version='v9.9.9'")
    shows_it_works(board, broker)


@BOTH
def test_whole_addresses_are_for_boards_that_know_no_others(flashed, github_port, repository, broker, chip):
    board = flashed(chip)
    package.write(repository / "else" / "where" / "HEAD", "else/where")
    assert "Done" in install_on_board(board, github_port, "'github:else/where'")
    shows_it_works(board, broker)


def test_the_root_as_target_works_too(flashed, tmp_path):
    board = flashed("esp32")
    assert tool("mip", "--output", str(tmp_path / "mip")).returncode == 0
    # whether it complains of the last file, which would lie above the root, is a matter of the file system's version
    mpremote(board, "mip", "install", "--target", "/", str(tmp_path / "mip" / "package.json"))
    assert mpremote(board, "exec", WHICH + "; print(umqtt.__path__)").stdout.strip() == "/umqtt"


def test_the_file_in_the_root_alone_leaves_the_board_no_worse_than_it_was(flashed, tmp_path):
    """Who removes /lib/umqtt and forgets /umqtt has no umqtt, and is told so."""
    board = flashed("esp32")
    assert tool("mip", "--output", str(tmp_path / "mip")).returncode == 0
    assert mpremote(board, "mip", "install", str(tmp_path / "mip" / "package.json")).returncode == 0
    assert mpremote(board, "fs", "rm", "-r", ":/lib/umqtt").returncode == 0
    assert "no module named 'umqtt.simple'" in mpremote(board, "exec", WHICH).stdout
    assert mpremote(board, "fs", "rm", "-r", ":/umqtt").returncode == 0
    assert FROZEN in mpremote(board, "exec", WHICH).stdout


def test_make_deploy_takes_over_from_an_installed_library(flashed, broker, tmp_path):
    board = flashed("esp32")
    assert tool("mip", "--output", str(tmp_path / "mip")).returncode == 0
    assert mpremote(board, "mip", "install", str(tmp_path / "mip" / "package.json")).returncode == 0
    (tmp_path / "config.json").write_text(json.dumps(config(broker)))
    assert mpremote(board, "fs", "cp", str(tmp_path / "config.json"), ":config.json").returncode == 0
    done = tool("deploy", "--port", board.port)
    assert done.returncode == 0 and "import umqtt is /lib/umqtt" in done.stdout, done.stdout


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def index(tmp_path):
    """build/mip on a web server of its own."""
    done = tool("mip", "--output", str(tmp_path / "mip"))
    assert done.returncode == 0, done.stdout
    served = functools.partial(Quiet, directory=str(tmp_path / "mip"))
    for port in serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), served)):
        yield "http://127.0.0.1:%d" % port


@pytest.mark.parametrize("who", ["mpremote", "the board"])
def test_an_index_of_ones_own_serves_mpremote_and_boards(flashed, index, who):
    board = flashed("esp32")
    if who == "mpremote":
        done = mpremote(board, "mip", "install", "--index", index, "umqtt")
    else:
        done = mpremote(board, "exec", "import mip; mip.install('umqtt', index='%s')" % index)
    assert done.returncode == 0 and "Done" in done.stdout, done.stdout
    said = mpremote(board, "exec", WHICH + "; print(umqtt.__path__, umqtt.__version__)").stdout
    assert said.strip() == "/lib/umqtt " + version()


def test_the_source_is_installed_where_mpy_is_not_wanted(flashed, index):
    board = flashed("esp32")
    assert mpremote(board, "mip", "install", "--no-mpy", "--index", index, "umqtt").returncode == 0
    assert mpremote(board, "exec", "import umqtt.errors; print(umqtt.__path__)").stdout.strip() == "/lib/umqtt"
