"""How each broker that the set-up can get is configured, started on loopback, ended and asked for its version.

A broker lives in a folder of its own; `login` is the user that its checks connect with, None where it asks for none.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Type

from tools.broker import BrokerError, free_port, mosquitto
from tools.prove.epmd import NameServer

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
BROKERS = CACHE / "brokers"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15
POLL_S = 0.02
PORTS_TRIED = 3
PORT_TAKEN = re.compile(r"in use|EADDRINUSE|eaddrinuse")
USER, PASSWORD = "ann", "right"

AEDES = """\
import { createServer } from 'node:net'
import { Aedes } from '%s/aedes.js'
const broker = await Aedes.createBroker()
broker.authenticate = (client, user, password, done) =>
  done(null, !user || (user === '%s' && String(password) === '%s'))
broker.authorizeSubscribe = (client, wanted, done) => done(null, wanted.topic === 'forbidden' ? null : wanted)
createServer(broker.handle).listen(%d, '127.0.0.1')
"""
MOSCA = """\
const mosca = require('%s')
const server = new mosca.Server({ host: '127.0.0.1', port: %d, persistence: { factory: mosca.persistence.Memory } })
server.on('ready', () => {
  server.authenticate = (client, user, password, done) =>
    done(null, !user || (user === '%s' && String(password) === '%s'))
  server.authorizeSubscribe = (client, topic, done) => done(null, topic !== 'forbidden')
})
"""
AMQTT = """\
import asyncio, logging, sys
logging.basicConfig(level=logging.WARNING)
from amqtt.broker import Broker
async def forever():
    await Broker({
        "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:%d"}},
        "plugins": {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False},
            "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": %r},
            "amqtt.plugins.sys.broker.BrokerSysPlugin": {"sys_interval": 2},
        },
    }).start()
    await asyncio.Event().wait()
asyncio.run(forever())
"""
HBMQTT = """\
import asyncio, logging
logging.basicConfig(level=logging.WARNING)
from hbmqtt.broker import Broker
async def forever():
    await Broker({"listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:%d"}}, "sys_interval": 2,
                  "auth": {"allow-anonymous": True}, "topic-check": {"enabled": False}}).start()
    await asyncio.Event().wait()
asyncio.get_event_loop().run_until_complete(forever())
"""
EJABBERD = """\
hosts: [localhost]
loglevel: info
auth_method: [internal]
auth_password_format: plain
listen:
  - {port: %d, ip: "127.0.0.1", module: mod_mqtt, backlog: 1000}
acl: {local: {user_regexp: ""}}
access_rules: {local: {allow: local}}
modules:
  mod_mqtt:
    access_publish: {"#": [{allow: all}]}
    access_subscribe: {"forbidden": [{deny: all}], "#": [{allow: all}]}
    session_expiry: 1 hour
    max_queue: 5000
"""
RABBITMQ = """\
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:%(port)d
mqtt.allow_anonymous = false
mqtt.vhost = /
mqtt.exchange = amq.topic
load_definitions = %(definitions)s
loopback_users = none
log.console = true
log.console.level = info
log.file = false
cluster_partition_handling = pause_minority
%(extra)s
"""
NATS = """\
listen: "127.0.0.1:%(nats)d"
server_name: one
jetstream {store_dir: "%(folder)s/data"}
mqtt {listen: "127.0.0.1:%(port)d", ack_wait: "2s"}
authorization {users: [{user: "%(user)s", password: "%(password)s",
  permissions: {publish: ">", subscribe: {allow: ">", deny: "forbidden"}}}]}
"""


class Server:
    """One broker process. `with Server(folder) as b:` starts it; b.port stays the same over stop() and start().

    Raises BrokerError, in words, when it does not start or is not to be had here.
    """

    make = ""  # what people call it
    login: Optional[Tuple[str, str]] = (USER, PASSWORD)
    refuses_login = True  # a wrong password is refused
    refuses_filter = True  # `forbidden` may not be subscribed to
    keeps_sessions = True  # over a restart
    most_payload_b = 1 << 20

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.here = BROKERS / name
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "broker.log"
        self.port = free_port()
        self.process: Optional[subprocess.Popen] = None
        self.has_run = False
        self.env = dict(os.environ)

    def version(self) -> str:
        """Of the broker, as its own program or package says."""
        raise NotImplementedError

    def command(self) -> List[str]:
        """What starts it, its configuration written."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        return "%s %s" % (self.make, self.version())

    def start(self) -> None:
        """Start it and wait until it takes connections. At the first start another port is tried when one is taken."""
        for tries_left in range(PORTS_TRIED if not self.has_run else 1, 0, -1):
            try:
                self._start_once()
                self.has_run = True
                return
            except BrokerError:
                if tries_left == 1 or not PORT_TAKEN.search(self.log.read_text(errors="replace")):
                    raise
                self.port = free_port()

    def _start_once(self) -> None:
        command = self.command()
        with open(self.log, "ab") as log:
            # a session of its own: Ctrl-C is for the program that uses it, which ends it
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                                            cwd=self.folder, start_new_session=True)  # fmt: skip
        end_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end_s and self.process.poll() is None:
            if self.is_ready():
                return
            time.sleep(POLL_S)
        self.stop(hard=True)
        said = self.log.read_text(errors="replace").strip().splitlines()[-3:]
        raise BrokerError("it does not start: %s" % (" / ".join(said)[-300:] or "it says nothing"))

    def is_ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def signal(self, number: int) -> None:
        """Send it to all of the broker's own processes (it has a group of its own)."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def stop(self, hard: bool = False) -> None:
        """End it; hard: by SIGKILL."""
        if self.process and self.process.poll() is None:
            self.process.kill() if hard else self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.signal(signal.SIGKILL)  # what it started itself
        self.process = None

    def forget(self) -> None:
        """Remove all that it keeps; it must not run."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def password_line(user: str, password: str) -> str:
    """A line of a Mosquitto password file: PBKDF2 with SHA-512."""
    digest = hashed(password)
    return "%s:$7$%d$%s$%s\n" % (user, digest["iterations"], digest["salt"], digest["password"])


def hashed(password: str) -> Dict:
    """A password as Mosquitto keeps it."""
    salt, rounds = os.urandom(12), 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return {"password": base64.b64encode(digest).decode(), "salt": base64.b64encode(salt).decode(),
            "iterations": rounds}  # fmt: skip


class Mosquitto(Server):
    make = "Mosquitto"
    extra = ""  # further lines of its configuration
    with_rules = True  # by its plugin: an ACL file leaves a SUBSCRIBE granted, and then hands out nothing

    def __init__(self, name: str, folder: Path) -> None:
        Server.__init__(self, name, folder)
        self.users = {USER: PASSWORD}
        self.passwords = folder / "passwords"
        where = self.here if self.here.exists() else CACHE / "mosquitto"
        found = sorted(where.glob("root/usr/lib/*/mosquitto_dynamic_security.so"))
        self.plugin = found[0] if found and self.with_rules else None
        self.refuses_filter = self.plugin is not None

    def program(self) -> str:
        """The one of its folder; of the name `mosquitto` the project's own (MOSQUITTO names another)."""
        return str(self.here / "mosquitto") if self.here.exists() else mosquitto() or ""

    def version(self) -> str:
        said = subprocess.run([self.program(), "-h"], capture_output=True, text=True).stdout
        found = re.search(r"version (\S+)", said)
        return found.group(1) if found else "?"

    def command(self) -> List[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        conf = self.folder / "mosquitto.conf"
        conf.write_text(
            "listener %d 127.0.0.1\nallow_anonymous false\nsys_interval 1\nlog_type all\n"
            "persistence true\npersistence_location %s/\nautosave_interval 1\nmax_queued_messages 0\n%s%s%s"
            % (self.port, data, self.logins(), "user root\n" if os.geteuid() == 0 else "", self.extra)
        )
        return [self.program(), "-c", str(conf)]

    def logins(self) -> str:
        """Write who may do what; the lines of the configuration that name it."""
        if not self.plugin:
            self.write_passwords()
            return "password_file %s\n" % self.passwords
        rules = self.folder / "rules.json"
        rules.write_text(json.dumps({
            "defaultACLAccess": dict.fromkeys(
                ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"), True),
            "clients": [{"username": user, "roles": [{"rolename": "all"}], **hashed(password)}
                        for user, password in self.users.items()],
            "roles": [{"rolename": "all", "acls": [
                {"acltype": "subscribeLiteral", "topic": "forbidden", "priority": 1, "allow": False}]}],
        }))  # fmt: skip
        return "plugin %s\nplugin_opt_config_file %s\n" % (self.plugin, rules)

    def write_passwords(self) -> None:
        """Write the file of the users; a running broker reads it at SIGHUP."""
        self.passwords.write_text("".join(password_line(*item) for item in self.users.items()))
        self.passwords.chmod(0o600)


class RabbitMQ(Server):
    make = "RabbitMQ"
    extra = ""

    def __init__(self, name: str, folder: Path, node: str = "rabbit", names: Optional[NameServer] = None) -> None:
        Server.__init__(self, name, folder)
        self.node = node
        self.names = names or NameServer()
        self.owns_names = names is None
        self.root = self.here / "root"
        self.ticktime_s = 60

    def home(self) -> Path:
        return next(self.root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*"))

    def version(self) -> str:
        return self.home().name.rpartition("-")[2]

    def command(self) -> List[str]:
        conf = self.folder / "rabbitmq.conf"
        has_new_plugin = int(self.version().split(".")[0]) >= 4
        text = RABBITMQ % {"port": self.port, "user": USER, "password": PASSWORD, "extra": self.extra,
                           "definitions": self.folder / "definitions.json"}  # fmt: skip
        if has_new_plugin:
            text += "mqtt.max_session_expiry_interval_seconds = 86400\n"
        conf.write_text(text)
        (self.folder / "definitions.json").write_text(json.dumps(self.definitions()))
        (self.folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        (self.folder / "advanced.config").write_text("[{kernel, [{net_ticktime, %d}]}].\n" % self.ticktime_s)
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text("umqtt")
            cookie.chmod(0o400)
        (self.folder / "data").mkdir(exist_ok=True)
        self.env.update(
            PATH="%s:%s" % (self.root / "usr" / "bin", os.environ["PATH"]),
            HOME=str(self.folder), RABBITMQ_NODENAME=self.node + "@localhost",
            RABBITMQ_CONFIG_FILE=str(conf), RABBITMQ_ADVANCED_CONFIG_FILE=str(self.folder / "advanced.config"),
            RABBITMQ_CONF_ENV_FILE="/dev/null",
            RABBITMQ_MNESIA_BASE=str(self.folder / "data"), RABBITMQ_LOG_BASE=str(self.folder),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(self.folder / "enabled_plugins"),
            RABBITMQ_PLUGINS_DIR=str(self.home() / "plugins"),
            RABBITMQ_FEATURE_FLAGS_FILE=str(self.folder / "data" / "feature_flags"),
            RABBITMQ_PID_FILE=str(self.folder / "pid"), RABBITMQ_DIST_PORT=str(self.names.port_of(self.node)),
            # one scheduler that does not spin: several nodes share the machine with their clients
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-noinput -kernel inet_dist_use_interface {127,0,0,1} +S 1:1 "
                                                "+sbwt none",
            ERL_EPMD_PORT=str(self.names.port), ERL_EPMD_ADDRESS="127.0.0.1", ERL_CRASH_DUMP_SECONDS="0",
            RABBITMQ_ALLOW_INPUT="1",  # no shell between its signals and us
        )  # fmt: skip
        return ["/bin/sh", str(self.home() / "sbin" / "rabbitmq-server")]

    def definitions(self) -> dict:
        """The user, who may do all but read the topic `forbidden`."""
        salt = os.urandom(4)
        digest = base64.b64encode(salt + hashlib.sha256(salt + PASSWORD.encode()).digest()).decode()
        of = {"user": USER, "vhost": "/"}
        return {
            "users": [{"name": USER, "password_hash": digest, "tags": "",
                       "hashing_algorithm": "rabbit_password_hashing_sha256"}],
            "vhosts": [{"name": "/"}],
            "permissions": [{**of, "configure": ".*", "write": ".*", "read": ".*"}],
            "topic_permissions": [{**of, "exchange": "amq.topic", "write": ".*", "read": "^(?!forbidden).*"}],
        }  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self.owns_names:
            self.names.close()


class Nats(Server):
    make = "NATS"

    def program(self) -> str:
        return str(self.here / "nats-server")

    def version(self) -> str:
        said = subprocess.run([self.program(), "--version"], stdout=subprocess.PIPE, text=True).stdout
        return said.strip().rpartition("v")[2]

    def command(self) -> List[str]:
        conf = self.folder / "nats.conf"
        conf.write_text(NATS % {"nats": free_port(), "port": self.port, "folder": self.folder, "user": USER,
                                "password": PASSWORD})  # fmt: skip
        return [self.program(), "-c", str(conf)]


class Ejabberd(Server):
    make = "ejabberd"
    refuses_filter = False
    keeps_sessions = False

    def __init__(self, name: str, folder: Path) -> None:
        Server.__init__(self, name, folder)
        self.root = self.here / "root"
        self.names = NameServer()

    def version(self) -> str:
        return next(self.root.glob("usr/lib/*/ejabberd-*-*")).name.split("-")[1]

    def command(self) -> List[str]:
        conf = self.folder / "ejabberd.yml"
        conf.write_text(EJABBERD % self.port)
        (self.folder / "data").mkdir(exist_ok=True)
        libraries = next(self.root.glob("usr/lib/*/ejabberd-*-*")).parent
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text("umqtt")
            cookie.chmod(0o400)
        self.env.update(
            HOME=str(self.folder), ERL_LIBS=str(libraries), EJABBERD_CONFIG_PATH=str(conf),
            EJABBERD_LOG_PATH=str(self.folder / "ejabberd.log"), ERL_EPMD_PORT=str(self.names.port),
            ERL_EPMD_ADDRESS="127.0.0.1",
        )  # fmt: skip
        register = 'application:ensure_all_started(ejabberd),ejabberd_auth:try_register(<<"%s">>,<<"localhost">>,<<"%s">>),file:write_file("ready",<<>>).'  # noqa: E501
        (self.folder / "ready").unlink(missing_ok=True)
        return [str(self.root / "usr" / "bin" / "erl"), "-noinput", "-sname", "ejabberd@localhost", "+sbwt", "none",
                "-mnesia", "dir", '"%s"' % (self.folder / "data"), "-kernel", "inet_dist_use_interface", "{127,0,0,1}",
                "-eval", register % (USER, PASSWORD)]  # fmt: skip

    def is_ready(self) -> bool:
        return (self.folder / "ready").exists() and Server.is_ready(self)

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.names.close()


class PythonBroker(Server):
    """A broker from PyPI in a folder of its own."""

    package = ""
    script = ""
    refuses_filter = False
    keeps_sessions = False

    def version(self) -> str:
        return next((self.here / "site").glob(self.package + "-*.dist-info")).stem.split("-")[1]

    def command(self) -> List[str]:
        self.env["PYTHONPATH"] = str(self.here / "site")
        path = self.folder / "start.py"
        path.write_text(self.text())
        return [sys.executable, str(path)]

    def text(self) -> str:
        """The program that runs it."""
        return self.script % self.port


class Amqtt(PythonBroker):
    make = "amqtt"
    package = "amqtt"
    script = AMQTT

    def text(self) -> str:
        passwords = self.folder / "passwords"
        made = subprocess.run(
            [sys.executable, "-c",
             "from pwdlib import PasswordHash; from pwdlib.hashers.argon2 import Argon2Hasher;"
             "print(PasswordHash((Argon2Hasher(time_cost=1, memory_cost=1024),)).hash(%r))" % PASSWORD],
            env=self.env, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        passwords.write_text("%s:%s\n" % (USER, made.stdout.strip()))
        return AMQTT % (self.port, str(passwords))


class Hbmqtt(PythonBroker):
    make = "hbmqtt"
    package = "hbmqtt"
    script = HBMQTT
    login = None
    refuses_login = False

    def command(self) -> List[str]:
        if sys.version_info >= (3, 10):
            raise BrokerError("it needs Python 3.9 or older, this is %d.%d" % sys.version_info[:2])
        return PythonBroker.command(self)


class Iotcore(PythonBroker):
    make = "iotcore (rumqttd)"
    package = "iotcore"
    login = None
    refuses_login = False
    most_payload_b = 20000

    def command(self) -> List[str]:
        self.env["PYTHONPATH"] = str(self.here / "site")
        return [sys.executable, "-m", "iotcore", "--port", str(self.port), "--listen", "127.0.0.1", "--log-level",
                "ERROR"]  # fmt: skip


class NodeBroker(Server):
    """A broker from npm."""

    package = ""
    keeps_sessions = False

    def version(self) -> str:
        text = (self.here / "node_modules" / self.package / "package.json").read_text()
        return str(json.loads(text)["version"])

    def command(self) -> List[str]:
        if not shutil.which("node"):
            raise BrokerError("there is no node here (`apt install nodejs`)")
        module = self.here / "node_modules" / self.package
        path = self.folder / ("start.mjs" if self.package == "aedes" else "start.cjs")
        if self.package == "aedes":
            path.write_text(AEDES % (module, USER, PASSWORD, self.port))
        else:
            path.write_text(MOSCA % (module, self.port, USER, PASSWORD))
        return ["node", str(path)]


class Aedes(NodeBroker):
    make = "aedes"
    package = "aedes"


class Mosca(NodeBroker):
    make = "mosca"
    package = "mosca"


CLASSES: Dict[str, Type[Server]] = {
    "mosquitto": Mosquitto, "rabbitmq": RabbitMQ, "nats": Nats, "ejabberd": Ejabberd, "amqtt": Amqtt,
    "hbmqtt": Hbmqtt, "iotcore": Iotcore, "aedes": Aedes, "mosca": Mosca,
}  # fmt: skip


def server(name: str, folder: Path) -> Server:
    """The broker that the set-up has put into .cache/brokers/NAME, or the project's own `mosquitto`.

    Raises BrokerError when it is not there.
    """
    here = BROKERS / name
    if name == "mosquitto":
        if not mosquitto():
            raise BrokerError("there is no Mosquitto: `make setup` tries to get one")
    elif not (here / "stamp").exists():
        try:
            reason = (here / "missing").read_text()
        except OSError:
            reason = "the set-up has not fetched it: `make interop` does"
        raise BrokerError(reason)
    return CLASSES[name.split("-")[0]](name, folder)
