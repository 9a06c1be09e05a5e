"""What is wrong with the broker itself, from its own words, those of its host and of OpenSSL.

The patterns are the message formats of Mosquitto 1.3 to 2.1 and its plugins: each stands under the finding that it
is (`findings.KINDS`). The first that matches counts, so the particular stand before the general. A line that begins
with "Error" or "Warning" and that no pattern knows is still told, as `broker-error` and `broker-warning`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BY_CODE: tuple[tuple[str, str], ...] = (
    (
        "broker-sockets",
        r"""
        Unable to accept new connection, system socket count
        (?:.*)?Too many open files
        Warning: Unable to increase maximum allowed connections
    """,
    ),
    ("broker-tcpd", r"Client connection from .* denied access by tcpd"),
    (
        "broker-limit",
        r"""
        Client connection from .* denied: max_connections exceeded
        .*connection rate exceeded
    """,
    ),
    (
        "broker-port",
        r"""
        Error: (?:Address (?:already in use|not available|family not supported)|Cannot assign requested address)
        Error: Address in use
        Error: Permission denied$
        Error: Unable to start any listening sockets
        Error: (?:No such device|The requested address is not valid)
        Error: Only one usage of each socket address
        Error: Unable to create websockets listener
        Error: Interface .* does not exist
        Error: Interface address for .* does not match
        Error: bind_interface specified but
        Error creating listener
        Error (?:creating|binding|listening to) unix socket
        Error: Path to unix socket is too long
        If you are trying to bind to a privileged port
        \s*sudo setcap
        Warning: Interface .* does not support
        Error setting (?:SO_|IPV6_|TCP_)
    """,
    ),
    (
        "broker-database",
        r"""
        Error (?:during )?saving in-memory database
        Error: Couldn't open database
        Error: (?:No such file or directory|Read-only file system)
        Error: (?:No space left on device|Is a directory|Not a directory)
        Error: (?:Disk quota exceeded|Input/output error|Structure needs cleaning)
        Error writing
        Warning: Sqlite persistence
        (?:Error: )?[Ss]qlite persistence
        sqlite: Error
        .*database or disk is full
        Error: Unable to (?:read|write) .*(?:database|\.db)
    """,
    ),
    (
        "broker-database-lost",
        r"""
        Error restoring persistent database
        Error: (?:Corrupt persistent|Corrupt database)
        Error: (?:Invalid msg_store chunk|Incompatible database|Unsupported persistent)
        Error: Unable to restore persistent database
        Error: (?:Error )?reading (?:persistent|database)
        Error: Persistence
        Warning: (?:Persistence f|Empty client entry found in persistence|Unsupported chunk)
        sqlite: Restored \d+ .* \([1-9]\d* failed\)
        Failed to associate persisted user
    """,
    ),
    (
        "broker-certificates",
        r"""
        Error: Unable to load (?:CA certificates|server certificate|server key)
        Error: Unable to load (?:certificate revocation|client certificate|client key)
        Error: Unable to (?:load|use) engine private key
        Error: (?:Server|Client) certificate/key are inconsistent
        Error: Unable to (?:create TLS|set TLS|obtain TLS|set engine)
        Error: Unsupported tls_version
        Error loading (?:dhparamfile|.* engine)
        Error when reloading certificate
        Error: Error loading certificates
        Failed engine initialisation
        Error: host name verification failed
        Error: (?:psk for identity|Empty psk|Invalid psk)
        Error opening psk file
        Could not activate OCSP
        OCSP: .*(?:expired|revo|unknown|invalid|no response|failed|did not)
        Error: (?:Unable to open keylog|keylog file)
        Warning: (?:TLS|ciphers|dhparamfile)
        TLS key logging
        Warning: .*using insecure mode
    """,
    ),
    (
        "broker-plugin",
        r"""
        Error: (?:Unable to load|Unsupported|Incorrect) (?:auth )?plugin
        Error: (?:Authentication )?[Pp]lugin (?:returned|has missing|'.*' not previously)
        Load error:
        Error (?:loading|saving|updating) (?:Dynamic security plugin|dynsec)
        Error: (?:Dynamic security|Not generating dynsec|Unable to get initial password)
        Warning: Dynamic security plugin has no
        Warning: .* plugin has no plugin_opt
        Plugin could not register
        Error: (?:An )?auth_(?:opt|plugin)
    """,
    ),
    (
        "broker-memory",
        r"""
        (?:Error:? ?)?[Oo]ut of memory
        .*Cannot allocate memory
        Internal log buffer too short
    """,
    ),
    (
        "broker-file-rights",
        r"""
        Warning: File .* (?:has world|group is not|owner is not)
        To fix this, use
    """,
    ),
    (
        "broker-files",
        r"""
        Error: Unable to open (?:log file|pwfile|acl_file|http dir|pid)
        Error opening (?:acl|password) file
        Error: Unable to write pid file
        Error: .* is not a file
        Error: Unable to drop privileges
        Error: Invalid user
        Warning: Unable to drop privileges
        Error setting (?:gid|uid|groups) whilst
        Error whilst daemonising
        Error in (?:fork|setsid)
    """,
    ),
    (
        "broker-passwords",
        r"""
        Error: (?:Invalid|Missing|Unable to decode) (?:hash|password)
        Error: Duplicate user
        Warning: (?:Invalid line in (?:password|psk)|Unable to decode line|Empty username|ACL pattern)
        Error: (?:Empty topic|Invalid (?:topic access|ACL topic|line)|Missing username|Empty invalid topic).*acl
        Error: Empty topic in acl
        ACL denying access to client with dangerous
    """,
    ),
    ("broker-local-only", r"Starting in local only mode"),
    ("broker-root", r"Warning: Mosquitto should not be run as root"),
    (
        "broker-deprecated",
        r"""
        (?:Warning|Note): .*(?:deprecated|no longer|will be removed|not needed|recommended to replace|is not longer)
        The .* option is (?:now )?deprecated
        It is best practice to define
        Warning: (?:Default listener port|Websockets|websockets|Bridge support)
        Warning: (?:Bridge and|Bridge TCP|log_facility|Unsupported rsmb)
        Warning: (?:Builtin websockets|Recompile|http_dir|\$CONTROL|Can't start in daemon)
        (?:idle_timeout|keepalive|restart_timeout|threshold|sys_interval) (?:interval )?too (?:low|high)
        Note that this was previously
        Duplicate bridge topic
    """,
    ),
    (
        "broker-configuration",
        r"""
        Error found at
        Error: (?:Duplicate|Empty|Invalid (?!argument))
        Error: (?:Unknown configuration|Malformed UTF-8 in conf|Cannot use both|Unable to open conf)
        Error: Unable to open (?:config|include|configuration)
        Error: (?:The '|The include_dir|')
        Error: (?:Config file|A listener with|It is not currently possible|You must use create)
        Error: (?:bridge_|max_|maximum_qos|per_listener_settings)
        Error: (?:certfile and|enable_proxy|use_subject|backoff cap|stable conn)
        Error: (?:-c|-p|--tls|UMASK_SET|Only \d+ ports)
        Error: (?:Manual start|Cannot log|Protocol .* not supported|invalid TCP|SRV)
        Error: (?:Websockets|Unrecognised command|Bridge (?:keepalive|local_clientid)|.* must (?:)?be|.* not a valid ID)
        Error: (?:Websockets|Unrecognised command|Bridge (?:keepalive|local_clientid)|.* must (?:not )?be|.* not a
        valid ID) Error: (?:MOSQ_OPT|If you use MOSQ_OPT)
        Error: TLS support not available
        .*: (?:Error resolving|Unable to resolve)
        Configuration file is not
    """,
    ),
    (
        "broker-loop",
        r"""
        Error in (?:epoll|poll|kqueue)
        Error in initial bridge
        Warning: Unable to (?:open socket pair|set TCP_NODELAY)
    """,
    ),
    ("broker-error", r"Error(?:: | \w)"),
    ("broker-warning", r"Warning: (?!Received PUB)"),
)
_PATTERNS = [
    (code, re.compile("|".join(f"(?:{line.strip()})" for line in lines.strip().splitlines())))
    for code, lines in _BY_CODE
]


def of_the_broker(text: str) -> str | None:
    """The code of a message of the broker that is an error or a warning about itself; None: it is not."""
    for code, pattern in _PATTERNS:
        if pattern.match(text):
            return code
    return None


# -- around the broker: systemd, the kernel, the C library, containers

_HOST: tuple[tuple[str, str], ...] = (
    (
        "broker-oom",
        r"""
        (?=.*mosquitto).*(?:Out of memory|oom-kill|Memory cgroup out of memory|Killed process)
        .*mosquitto.*(?:Failed with result 'oom-kill'|A process of this unit has been killed by the OOM killer)
        .*[Mm]emory cgroup out of memory: Kill(?:ed)? process \d+ \(mosquitto\)
    """,
    ),
    (
        "broker-crashed",
        r"""
        .*mosquitto.*(?:segfault at|general protection|trap invalid opcode)
        .*mosquitto.*(?:status=11/SEGV|status=6/ABRT|status=4/ILL|status=7/BUS)
        .*mosquitto.*(?:code=dumped|Failed with result 'core-dump'|\(core dumped\))
        .*mosquitto.*terminated by signal SIG(?:SEGV|ABRT)
        .*mosquitto.*(?:code=dumped|Failed with result 'core-dump'|\(core dumped\)|terminated by signal SIG(?:BUS|ILL))
        .*mosquitto.*[Aa]ssertion .* failed
        (?:.*mosquitto: )?\S*\.[ch]:\d+: .*[Aa]ssertion .* failed
        (?:\*\*\* )?(?:Error in `.*mosquitto'|stack smashing detected|buffer overflow detected)
        (?:free|malloc|realloc|munmap_chunk|corrupted size|double free|malloc_consolidate)\b.*(?:invalid|corrupt)
        (?:free|malloc|realloc|munmap_chunk|corrupted size|double free|malloc_consolidate)\b.*(?:unaligned|vs\.)
        (?:double free or corruption|corrupted (?:double-linked)|Segmentation fault|Aborted|Illegal instruction|Bus
        error) (?:double free or corruption|corrupted (?:size)|Segmentation fault|Aborted|Illegal instruction|Bus error)
        .*[Ss]ervice .*mosquitto.* exited with code \d+ \(by signal (?:11|6|4|7)\)
        .*Error loading shared library|.*Error relocating
        .*symbol lookup error|.*error while loading shared libraries.*mosquitto
    """,
    ),
    (
        "broker-killed",
        r"""
        .*mosquitto.*(?:status=9/KILL|Failed with result 'signal')
        .*mosquitto.*(?:by signal 9|Watchdog timeout|stop-sigterm.* timed out)
        .*mosquitto\S* exited with code (?:137|9)\b
        .*State 'stop-sigterm' timed out
        Killed$
    """,
    ),
    ("host-rebooted", r"-- (?:Reboot|Boot [0-9a-f]+) --"),
    (
        "broker-failed",
        r"""
        .*mosquitto.*(?:Main process exited, code=exited, status=[1-9])
        .*mosquitto.*(?:Failed with result '|Start request repeated too quickly)
        .*mosquitto.*(?:start operation timed out|Failed to start|Control process exited, code=exited, status=[1-9])
        .*mosquitto\S* exited with code [1-9]\d*
        .*[Ss]ervice .*mosquitto.* exited with code [1-9]\d*
        .*Failed to start .*[Mm](?:osquitto|QTT)
        .*procd: Instance mosquitto.* s in a crash loop
        .*mosquitto.*crash loop
        .*Back-off restarting failed container
    """,
    ),
)
_HOST_PATTERNS = [
    (code, re.compile("|".join(f"(?:{line.strip()})" for line in lines.strip().splitlines()))) for code, lines in _HOST
]
_MAY_BE_HOST = re.compile(
    r"(?i)mosquitto|killed|assertion|core|free|abort|fault|corrupt|smashing|back-off|illegal|error|-- (?:re)?boot"
)


def of_the_host(line: str) -> str | None:
    """The code of a line that is not the broker's own but says what became of it; None: it does not."""
    if not _MAY_BE_HOST.search(line):
        return None
    for code, pattern in _HOST_PATTERNS:
        if pattern.match(line):
            return code
    return None


# -- OpenSSL


class Tls(NamedTuple):
    side: str  # whose doing it is: "client", "broker", "both", "nobody"
    words: str  # in plain words
    do: str


_TLS: tuple[tuple[str, Tls], ...] = (
    (
        r"http request|https proxy request",
        Tls(
            "client",
            "it speaks HTTP to a TLS port that is for MQTT",
            "A web client needs a listener with `protocol websockets`; others the scheme mqtts:// and this port.",
        ),
    ),
    (
        r"unknown protocol|wrong version number|bad record type|record layer failure|packet length too long"
        r"|unknown state|record too large|length too long|decode error",
        Tls(
            "client",
            "it speaks plain MQTT (no TLS) to a TLS port",
            "Switch TLS on in the client, or let it use the port without TLS (1883).",
        ),
    ),
    (
        r"peer did not return a certificate|certificate required",
        Tls(
            "client",
            "it sent no client certificate, and the listener demands one (require_certificate true)",
            "Give the client its certificate and key, or set require_certificate false.",
        ),
    ),
    (
        r"alert unknown ca|unknown ca\b",
        Tls(
            "client",
            "it does not trust the broker's certificate: its CA is not known to the client",
            "Give the client the CA that signed the broker's certificate (and the broker its whole chain).",
        ),
    ),
    (
        r"alert (?:number 46|certificate unknown|bad certificate)|certificate unknown|alert bad certificate"
        r"|bad certificate",
        Tls(
            "client",
            "it does not accept the broker's certificate: name, date or CA do not fit",
            "Compare the name that the client connects to with those in the certificate; look at the client's clock "
            "and its CA file.",
        ),
    ),
    (
        r"alert certificate expired|certificate expired|certificate has expired",
        Tls(
            "both",
            "a certificate has expired, or the clock of the one that checks it is wrong",
            "Renew the certificate; set the clocks.",
        ),
    ),
    (
        r"certificate verify failed",
        Tls(
            "client",
            "the broker does not trust the certificate that the client sent",
            "Sign the client's certificate with a CA from the broker's cafile; look at its dates.",
        ),
    ),
    (
        r"alert protocol version|unsupported protocol|version too (?:low|high)|no protocols available"
        r"|inappropriate fallback|unsupported ssl version|SSLv[23]",
        Tls(
            "both",
            "they share no TLS version: the client's is too old (or tls_version allows one only)",
            "Update the client's TLS, or allow its version with tls_version in mosquitto.conf.",
        ),
    ),
    (
        r"no shared cipher|no ciphers|no suitable (?:key share|signature)|alert handshake failure|handshake failure"
        r"|alert insufficient security|unsupported elliptic curve|no shared (?:group|signature)",
        Tls(
            "both",
            "they share no cipher, curve or signature: the handshake failed",
            "Compare the ciphers of both; an RSA key of 2048 bits or more and TLS 1.2 suit nearly every client.",
        ),
    ),
    (
        r"psk identity not found|unknown psk identity|psk",
        Tls("client", "its PSK identity or key is not known", "Compare the client's identity and key with psk_file."),
    ),
    (
        r"too small|md too weak|key too",
        Tls(
            "broker",
            "a key or signature is too weak for OpenSSL's security level",
            "Make new certificates: RSA 2048 or more, SHA-256.",
        ),
    ),
    (
        r"alert (?:internal error|decrypt error|decode error|user cancel|access denied|unsupported certificate)",
        Tls("client", "the client ended the handshake with an alert of its own", "See the client's log."),
    ),
    (
        r"unexpected eof|shutdown while in init|EOF occurred|connection reset|(?:^|:)Success|uninitialized|syscall",
        Tls(
            "nobody",
            "the connection was cut without TLS's goodbye",
            "Harmless by itself: a port check, or a client that closes abruptly.",
        ),
    ),
    (
        r"bad (?:record )?mac|decryption failed|bad decrypt|digest check failed",
        Tls(
            "client",
            "a record did not decrypt: bytes were damaged or mixed (two threads on one socket)",
            "Update the client; one task only may write to the connection.",
        ),
    ),
    (r"bad write retry|bad length", Tls("broker", "a fault in the broker's use of OpenSSL", "Update Mosquitto.")),
)
_TLS_PATTERNS = [(re.compile(pattern, re.IGNORECASE), tls) for pattern, tls in _TLS]
_OTHER_TLS = Tls("both", "the TLS handshake failed", "See OpenSSL's words.")


def of_tls(openssl: str) -> Tls:
    """OpenSSL's error text in plain words, with the side whose doing it is."""
    return next((tls for pattern, tls in _TLS_PATTERNS if pattern.search(openssl)), _OTHER_TLS)
