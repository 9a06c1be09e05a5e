"""What does an error mean, and what is to be checked? Imported when the first thing fails."""

_STRANGERS = "is it a web server, the log-in page of a guest WiFi, or a TLS port? Check broker, port and tls"
# so do brokers of clouds that do not like something in CONNECT, and a TLS port that hears no TLS
_NO_ANSWER = (
    "closed by the broker at the log-in: check port and tls, user, password and client_id; if it takes no will, or none"
    " that is retained, set will or retain to false"
)
_REFUSALS = (
    "the broker does not speak MQTT 3.1.1",
    "the broker refuses the client id: check client_id",
    "the broker is not available: it said so",
    "bad user or password: check user and password",
    "not authorised: check user and password, and what the broker allows this client_id",
)
# what to check, behind the words of MQTT 5 for these reason codes
_HINTS = {
    0x84: ': set protocol to 4, or to "auto"',
    0x85: ": check client_id",
    0x86: ": check user and password",
    0x9C: ": check broker",
    0x9D: ": check broker",
}


def words(e, whose: str = "") -> str:
    """What exception e says, with what to check where a port gives nothing but a number. An OSError of another: that
    has ended an attempt to connect. whose: the name of the Trouble."""
    args = e.args
    if args and isinstance(args[0], Exception):
        e = args[0]
        args = e.args
        if args[-1:] == ("closed by the broker",):
            return _NO_ANSWER
    kind = e.__class__.__name__  # by name: the library is not to be loaded to say that WiFi is missing
    code = args[0] if args else e
    if kind == "ProtocolError":  # (what the broker did,)
        return "what answers is no MQTT broker, or breaks the protocol (%s): %s" % (code, _STRANGERS)
    if kind == "MQTTException":  # (code, words): it said no
        if 0 < code <= len(_REFUSALS):
            return _REFUSALS[code - 1]
        said = args[-1] + _HINTS.get(code, "")
        return said if said.startswith("the broker ") else "the broker refused: " + said
    if len(args) > 1 and isinstance(args[1], str):
        return args[1]  # the client's own: (number, words)
    if kind == "MemoryError":
        return "no memory (%s)" % e if args else "no memory"
    if whose.startswith("sensor ") and isinstance(code, int):  # of a driver that has no words
        return "its driver failed (%d): check its wires, its address and its supply" % code
    for codes, said in (
        ((104, 111), "refused (%d): is the broker running, is the port right?"),  # lwIP: a closed port is a reset
        ((11, 110, 113, 115, 116, 118, 119), "no answer (%d): is it running, is the address right?"),
        ((12,), "no memory for it (%d): fewer connections, a shorter queue"),
        ((23, 24), "no socket is free (%d): too many connections are open; a reset frees them"),
        ((28,), "the flash is full (%d): delete files, or lower queue_kb"),
        ((5, 19, 84), "the flash cannot be read or written (%d)"),
        ((30,), "the flash can only be read (%d): mounted so, or locked"),
        ((2,), "no such file (%d)"),
        ((128, 107), "not connected (%d)"),
    ):
        if code in codes:
            return said % code
    if code in (-2, -3, -202):
        return "no such name, or no name server answers"
    return str(e) if isinstance(e, (OSError, ValueError)) and args else repr(e)
