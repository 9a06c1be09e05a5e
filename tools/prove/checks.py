"""The 32 checks of `make interop`: what an application expects of MQTT 3.1.1, asked of a broker by a board.

A check raises Failed with words, NotOffered where the broker has no such thing, or returns.
"""

from __future__ import annotations

import itertools
import random
import time
from typing import Callable, Dict, List, Tuple

from tools.driven import DeviceError
from tools.prove.check_world import (
    ANSWER_S,
    SETTLE_S,
    Board,
    Failed,
    NotOffered,
    Observer,
    World,
    must,
    wait_for,
)
from tools.prove.link import BROKER, CLIENT, Cut

Check = Callable[[World], None]
CHECKS: Dict[str, Tuple[str, Check]] = {}  # name: (what it is about, the function), in their order
LARGE_B = 100_000
ROW = 100
RESUMED = 20  # of each QoS
RESUME_S = 30
LATE_S = 35  # NATS hands out after half a minute what was not acknowledged
FAST_RECONNECT = "Reconnect(20, 100, on_state=told)"


def check(words: str) -> Callable[[Check], Check]:
    def note(function: Check) -> Check:
        CHECKS[function.__name__] = (words, function)
        return function

    return note


def _board(world: World, **arguments: object) -> Board:
    board = world.board(**arguments)  # type: ignore[arg-type]
    board.do("c.connect()")
    return board


def _payloads(board: Board) -> List[bytes]:
    return [message[1] for message in board.inbox()]


@check("connect, MQTT 3.1.1")
def connect_311(world: World) -> None:
    board, observer = world.board(), world.observer("t/311")
    must(board.do("c.connect()") is False, "session present at the first connection")
    board.do("c.publish('t/311', 'x')")
    must(observer.take()[:2] == ("t/311", b"x"), "another message came")
    board.do("c.disconnect()")


@check("connect, MQTT 3.1")
def connect_31(world: World) -> None:
    board, observer = world.board(protocol=3), world.observer("t/31")
    try:
        board.do("c.connect()")
    except DeviceError as error:
        if error.kind == "MQTTException" and error.given[0] == 1:
            raise NotOffered("it refuses MQTT 3.1 with code 1") from None
        raise
    board.do("c.publish('t/31', 'x', qos=1)")
    must(observer.take()[:2] == ("t/31", b"x"), "another message came")
    board.do("c.disconnect()")


@check("empty client id")
def empty_id(world: World) -> None:
    board = world.board(make=False)
    world.client(board, "", clean_session=True)
    board.do("c.connect()")
    board.do("c.publish('t/empty', 'x', qos=1)")


@check("refused credentials")
def refused(world: World) -> None:
    if not world.server.refuses_login:
        raise NotOffered("it asks for no password here")
    board = world.board(user="ann", password="wrong")
    try:
        board.do("c.connect()")
    except DeviceError as error:
        must(error.kind == "MQTTException", "a wrong password gives %s, no CONNACK with a code" % error)
        must(error.given[0] in (4, 5), "a wrong password is refused with code %r" % error.given[0])
        world.remarks.append("refuses with code %d" % error.given[0])
    else:
        raise Failed("a wrong password is let in")
    world.client(board, world.name + "-again")
    board.do("c.connect()")


@check("will when the board dies")
def will_kill(world: World) -> None:
    observer, board = world.observer("will/kill"), world.board()
    board.do("c.set_last_will('will/kill', 'gone', False, 1)")
    board.do("c.connect()")
    board.kill()
    must(observer.take()[:2] == ("will/kill", b"gone"), "another message came")
    must(not observer.quiet(), "the will came twice")


@check("no will after DISCONNECT")
def will_disconnect(world: World) -> None:
    observer, board = world.observer("will/clean"), world.board()
    board.do("c.set_last_will('will/clean', 'gone', False, 1)")
    board.do("c.connect()")
    board.do("c.disconnect()")
    must(not observer.quiet(1.5), "the will came after a DISCONNECT")


@check("retained will")
def will_retained(world: World) -> None:
    watching, board = world.observer("will/kept"), world.board()
    board.do("c.set_last_will('will/kept', 'gone', True, 1)")
    board.do("c.connect()")
    board.kill()
    watching.take()
    try:
        later = world.observer("will/kept")
        must(later.take()[1] == b"gone", "another message came")
        must(later.seen[-1][3], "it does not come with the retain flag")
    finally:
        world.observer().publish("will/kept", b"", 1, retain=True)


@check("retain, and clear")
def retain(world: World) -> None:
    wrong = []
    live, board = world.observer("t/kept"), _board(world)
    board.do("c.publish('t/kept', 'old', True, 1)")
    if live.take()[3]:
        wrong.append("a live message comes with the retain flag")
    reader = _board(world)
    reader.do("c.subscribe('t/other', 1)")
    if reader.serve(500, "inbox"):
        wrong.append("a filter that does not match brings a retained message")
        reader.do("inbox.clear()")
    reader.do("c.subscribe('t/kept', 1)")
    must(reader.serve(8000, "inbox"), "the retained message did not come")
    if not reader.inbox()[0][2]:
        wrong.append("the retained message comes without its flag")
    board.do("c.publish('t/kept', '', True, 1)")
    if [message for message in world.observer("t/kept").quiet(1) if message[1]]:
        wrong.append("a cleared message is still there")
    must(not wrong, "; ".join(wrong))


def _both_ways(world: World, qos: int) -> None:
    topic = "t/qos%d" % qos
    observer, board = world.observer(topic + "/out"), _board(world)
    pid = board.do("c.publish('%s/out', 'x', qos=%d)" % (topic, qos))
    must((pid == 0) == (qos == 0), "publish returned %r" % pid)
    got = observer.take()
    must(not observer.quiet(), "it came twice")
    granted = board.do("c.subscribe('%s/in', %d)" % (topic, qos))
    world.observer().publish(topic + "/in", "y", qos)
    must(board.serve(8000, "inbox"), "nothing came in")
    board.serve(300)
    must(_payloads(board) == [b"y"], "%r came in" % _payloads(board))
    must(got[2] == qos, "it came in QoS %d" % got[2])
    must(granted == bytes([qos]), "QoS %d was granted" % granted[0])
    out = (
        [(packet.name, packet.by) for packet in world.packets() if packet.pid == pid and packet.name[:3] == "PUB"]
        if qos
        else []
    )
    wanted = [[], [("PUBLISH", CLIENT), ("PUBACK", BROKER)],
              [("PUBLISH", CLIENT), ("PUBREC", BROKER), ("PUBREL", CLIENT), ("PUBCOMP", BROKER)]][qos]  # fmt: skip
    must(out[: len(wanted)] == wanted, "the flow was %r" % (out,))


@check("QoS 0, both ways")
def qos0(world: World) -> None:
    _both_ways(world, 0)


@check("QoS 1, both ways")
def qos1(world: World) -> None:
    _both_ways(world, 1)


@check("QoS 2, both ways")
def qos2(world: World) -> None:
    _both_ways(world, 2)


@check("delivery in the granted QoS")
def downgrade(world: World) -> None:
    board, observer = _board(world), world.observer()
    for granted in (0, 1):
        topic = "t/down%d" % granted
        must(board.do("c.subscribe('%s', %d)" % (topic, granted)) == bytes([granted]), "another QoS was granted")
        observer.publish(topic, "x", 1 + granted)
        must(board.serve(8000, "inbox"), "nothing came")
        came = [packet.qos for packet in world.sent("PUBLISH", BROKER) if packet.topic == topic.encode()]
        must(came == [granted], "granted %d, it came in QoS %r" % (granted, came))
        board.do("inbox.clear()")


@check("refused filter (0x80)")
def refused_filter(world: World) -> None:
    if not world.server.refuses_filter:
        raise NotOffered("it refuses no filter as it is configured here")
    board = _board(world)
    try:
        board.do("c.subscribe('forbidden', 1)")
    except DeviceError as error:
        must(
            error.kind == "MQTTException" and error.given[0] == 0x80,
            "a refused filter gives %s, no SUBACK with 0x80" % error,
        )
    else:
        raise Failed("the filter is granted")
    try:
        must(board.do("c.subscribe('t/allowed', 1)") == b"\x01", "what is allowed is not granted after it")
    except DeviceError as error:
        raise Failed("after the SUBACK with 0x80: %s" % error) from None


@check("several filters in one SUBSCRIBE")
def filters(world: World) -> None:
    board, observer = _board(world), world.observer()
    granted = board.do("c.subscribe([('f/a', 0), ('f/b', 1), ('f/c/+', 1)])")
    must(granted == b"\x00\x01\x01", "granted %r" % granted)
    for topic in ("f/a", "f/b", "f/c/d", "f/none"):
        observer.publish(topic, topic, 1)
    must(board.serve(8000, "len(inbox) == 3"), "%r came" % _payloads(board))
    must(sorted(_payloads(board)) == [b"f/a", b"f/b", b"f/c/d"], "%r came" % _payloads(board))


@check("wildcards")
def wildcards(world: World) -> None:
    board, observer = _board(world), world.observer()
    pairs = (
        ("w1/+/c", "w1/b/c", True), ("w1/+/c", "w1/b/d/c", False), ("w2/#", "w2", True), ("w2/#", "w2/a/b", True),
        ("w2/#", "w22/a", False), ("+/w3", "/w3", True), ("/+", "/w4", True), ("w5/+", "w5/", True),
        ("w5/+", "w5", False),
    )  # fmt: skip
    wrong = []
    for wanted, topic, matches in pairs:
        try:
            board.do("c.isconnected() or c.connect()")
            board.do("c.subscribe(%r, 1)" % wanted)
            observer.publish(topic, "x", 1)
            came = board.serve(600 if matches else 300, "inbox")
        except DeviceError as error:
            wrong.append("%s and a message to %s: %s" % (wanted, topic, error))
            continue
        if came != matches:
            wrong.append("%s %s %s%s" % (wanted, "does not match" if matches else "matches", topic,
                                         ", %r came" % board.inbox() if came else ""))  # fmt: skip
        board.do("inbox.clear()")
        board.do("c.unsubscribe(%r)" % wanted)
    observer.publish("w/end", "x", 1)
    must(not wrong, "; ".join(wrong))


@check("`#` without `$SYS`")
def hash_sys(world: World) -> None:
    board, observer = _board(world), world.observer()
    board.do("c.subscribe('#', 0)")
    board.serve(2500)
    observer.publish("t/hash", "x", 1)
    must(board.serve(8000, "inbox and inbox[-1][0] == b't/hash'"), "`#` does not match t/hash")
    system = [message[0] for message in board.inbox() if message[0].startswith(b"$")]
    must(not system, "`#` matches %s" % (system[0].decode() if system else ""))


@check("UNSUBSCRIBE")
def unsubscribe(world: World) -> None:
    board, observer = _board(world), world.observer()
    board.do("c.subscribe([('u/a', 1), ('u/b', 1)])")
    board.do("c.unsubscribe('u/a')")
    observer.publish("u/a", "a", 1)
    observer.publish("u/b", "b", 1)
    must(board.serve(8000, "inbox"), "nothing came")
    board.serve(500)
    must(_payloads(board) == [b"b"], "%r came" % _payloads(board))


def _leave(world: World, board: Board) -> None:
    """Disconnect, and wait until the broker has taken note: what comes before may still go to the old connection."""
    board.do("c.disconnect()")
    wait_for(lambda: world.link.connections[-1].ended_s, 5, "the connection stays open after DISCONNECT")
    time.sleep(SETTLE_S)


@check("kept session")
def session(world: World) -> None:
    board, observer = _board(world), world.observer()
    board.do("c.subscribe('s/kept', 1)")
    _leave(world, board)
    for i in range(5):
        observer.publish("s/kept", "%d" % i, 1)
    present = board.do("c.connect()")
    arrived = board.serve(8000, "len(inbox) >= 5")
    must(present is True, "session present 0 although the session was kept" if arrived else "the session was not kept")
    must(_payloads(board) == [b"0", b"1", b"2", b"3", b"4"], "%r came" % _payloads(board))
    _leave(world, board)
    world.client(board, world.name + "-1", clean_session=True)
    board.do("c.connect()")
    _leave(world, board)
    world.client(board, world.name + "-1")
    must(board.do("c.connect()") is False, "a clean session did not end the kept one")


def _cuts(seed: int) -> Callable[[], Cut]:
    rng = random.Random(seed)
    numbers = itertools.count()
    # they grow: a broker that sends all it has in one burst would never hear an acknowledgement
    return lambda: Cut(rng.randint(100, 450) + 50 * next(numbers), rng.random() < 0.5)


def _times(numbers: List[int], count: int) -> Tuple[List[int], List[int]]:
    """What is missing, and what came more than once."""
    return [number for number in range(count) if number not in numbers], sorted(
        {number for number in numbers if numbers.count(number) > 1}
    )


def _judge_resume(numbers: Dict[int, List[int]], way: str) -> None:
    for qos in (1, 2):
        missing, repeated = _times(numbers[qos], RESUMED)
        must(not missing, "%d of %d messages of QoS %d were lost on their way %s" % (len(missing), RESUMED, qos, way))
        if qos == 2:
            must(not repeated, "%d of %d messages of QoS 2 came twice on their way %s" % (len(repeated), RESUMED, way))
        first = list(dict.fromkeys(numbers[qos]))
        must(first == sorted(first), "QoS %d came out of order on its way %s" % (qos, way))


def _all_numbers(observer: Observer) -> List[Tuple]:
    """What comes, until all is there and a second more, or nothing has come for LATE_S."""
    got: List[Tuple] = []
    end_s = time.monotonic() + LATE_S
    while len({message[:2] for message in got}) < 2 * RESUMED and time.monotonic() < end_s:
        more = observer.quiet(0.2)
        if more:
            end_s = time.monotonic() + LATE_S
        got += more
    return got + observer.quiet(1)


@check("resume: out, links cut at random")
def resume_out(world: World) -> None:
    observer = world.observer("r/out/#")
    # an ack that never comes is told after 6 timeout_ms, within the time of this check
    board = world.board(reconnect=FAST_RECONNECT, timeout_ms=2000, inflight=4)
    world.link.plan = _cuts(1)
    for qos in (1, 2):
        taken, left = board.do("send_all(c, b'r/out/%d', 0, %d, %d, %d)" % (qos, RESUMED, qos, RESUME_S * 1000),
                               RESUME_S + 20)  # fmt: skip
        if taken < RESUMED or left:
            said = board.do("[str(e) for e in states[-2:]]")
            raise Failed("QoS %d stands still: %d of %d taken, %d never acknowledged (%s)" % (
                qos, taken, RESUMED, left, "; ".join(said) or "no error is told"))  # fmt: skip
    world.link.plan = None
    got = _all_numbers(observer)
    _judge_resume({q: [int(message[1]) for message in got if message[0] == "r/out/%d" % q] for q in (1, 2)}, "out")
    must(len(world.link.connections) > 2, "no link was cut")


@check("resume: in, links cut at random")
def resume_in(world: World) -> None:
    board = world.board(reconnect=FAST_RECONNECT, timeout_ms=3000)
    must(board.serve(8000, "c.isconnected()"), "it does not connect")
    board.do("c.subscribe('r/in/#', 2)")
    observer = world.observer()
    world.link.plan = _cuts(2)
    world.link.cut_all()
    for i in range(RESUMED):
        for qos in (1, 2):
            observer.client.publish("r/in/%d" % qos, "%d" % i, qos)
    board.serve(RESUME_S * 1000, "len(set(inbox)) >= %d" % (2 * RESUMED))
    world.link.plan = None
    board.serve(1500)
    got = board.inbox()
    must(len(world.link.connections) > 3 or len(got) < 2 * RESUMED, "no link was cut")
    _judge_resume({q: [int(payload) for topic, payload, _ in got if topic == b"r/in/%d" % q] for q in (1, 2)}, "in")


@check("keep-alive ends a dead client, with its will")
def keepalive_expiry(world: World) -> None:
    observer, board = world.observer("k/will"), world.board(keepalive=2)
    board.do("c.set_last_will('k/will', 'dead', False, 1)")
    board.do("c.connect()")
    world.was_frozen = True
    began_s = time.monotonic()
    board.freeze()
    connection = world.link.connections[-1]
    try:
        wait_for(lambda: connection.ended_by == BROKER, 14, "a silent client with keep-alive 2 is not ended in 14 s")
        silence_s = time.monotonic() - began_s
        must(observer.take(5)[1] == b"dead", "another message came")
        if silence_s > 4.5:
            world.remarks.append("keep-alive 2 ends after %.1f s instead of 3 [MQTT-3.1.2-24]" % silence_s)
    finally:
        board.thaw()
    try:
        board.serve(3000)
        raise Failed("the board does not notice that its link was closed")
    except DeviceError as error:
        must(error.kind == "OSError", "the closed link is told as %s" % error)


@check("idle with keep-alive 2")
def keepalive_2(world: World) -> None:
    board = world.board(keepalive=2)
    board.do("c.connect()")
    board.serve(5000)
    must(board.do("c.isconnected()"), "an idle client with keep-alive 2 is thrown out")
    must(2 <= len(world.sent("PINGRESP", BROKER)) <= 6, "%d PINGRESP in 5 s" % len(world.sent("PINGRESP", BROKER)))


@check("keep-alive 0")
def keepalive_0(world: World) -> None:
    board = world.board(keepalive=0)
    board.do("c.connect()")
    board.serve(4000)
    must(board.do("c.isconnected()"), "a client with keep-alive 0 is thrown out")
    must(not world.sent("PINGREQ", CLIENT), "a client without a keep-alive pings")
    board.do("c.publish('t/ka0', 'x', qos=1)")


@check("takeover of a client id")
def takeover(world: World) -> None:
    first = _board(world, client_id=world.name)
    first.do("c.subscribe('t/twin', 1)")
    second = world.board(client_id=world.name)
    second.do("c.connect()")
    second.do("c.subscribe('t/twin', 1)")
    try:
        first.serve(6000)
    except DeviceError as error:
        must(error.kind == "OSError", "the first is told %s" % error)
    else:
        raise Failed("the first of two clients with one id is not ended")
    world.observer().publish("t/twin", "x", 1)
    must(second.serve(6000, "inbox"), "the second of two clients with one id gets nothing")


@check("100 KB, both ways")
def large(world: World) -> None:
    size_b = min(LARGE_B, world.server.most_payload_b)
    if size_b < LARGE_B:
        world.remarks.append("takes payloads of %d B by default, so %d B were sent" % (size_b, size_b))
    observer, board = world.observer("t/large"), _board(world)
    board.do("stream.publish(c, 't/large', Xs(%d), %d, qos=1)" % (size_b, size_b))
    must(observer.take()[1] == b"x" * size_b, "another payload came out")
    board.do("c.set_view(count)")
    board.do("c.subscribe('t/large/in', 1)")
    world.observer().publish("t/large/in", b"y" * size_b, 1)
    must(board.serve(10000, "counted[1]"), "it did not come in")
    must(board.do("counted") == [size_b, 1], "%r came in" % board.do("counted"))


@check("empty payload")
def empty(world: World) -> None:
    observer, board = world.observer("t/empty/#"), _board(world)
    board.do("c.subscribe('t/empty/in', 1)")
    for qos in (0, 1, 2):
        board.do("c.publish('t/empty/%d', '', qos=%d)" % (qos, qos))
        must(observer.take()[:2] == ("t/empty/%d" % qos, b""), "another message came")
    world.observer().publish("t/empty/in", "", 1)
    must(board.serve(8000, "inbox") and _payloads(board) == [b""], "%r came in" % _payloads(board))


@check("UTF-8 and spaces in topics")
def utf8(world: World) -> None:
    observer, board = world.observer("words/#", 1), _board(world)
    wrong = []
    for topic in ("words/ü/室温", "words/a b", "words/end "):
        try:
            board.do("c.connect() if not c.isconnected() else 0")
            board.do("c.subscribe(%r, 1)" % topic)
            board.do("c.publish(%r, '21 °C', qos=1)" % topic)
            got = observer.take(4)
            if got[:2] != (topic, "21 °C".encode()):
                wrong.append("%r arrives as %r" % (topic, got[0]))
            elif not board.serve(4000, "inbox"):
                wrong.append("%r does not come back" % topic)
        except DeviceError as error:
            wrong.append("%r gives %s" % (topic, error))
        except Failed as error:
            wrong.append("%r: %s" % (topic, error))
        board.do("inbox.clear()")
        observer.quiet(0.2)
    must(not wrong, "; ".join(wrong))


@check("100 of QoS 2 out, one after another")
def row_out(world: World) -> None:
    observer, board = world.observer("t/row"), _board(world)
    took_ms = board.do("time.ticks_ms()")
    board.do("[c.publish('t/row', '%%d' %% i, qos=2) for i in range(%d)] and None" % ROW, 60)
    took_ms = board.do("time.ticks_ms()") - took_ms
    got = [int(observer.take()[1]) for _ in range(ROW)]
    must(got == list(range(ROW)), "they came out of order")
    must(not observer.quiet(), "some came twice")
    world.remarks.append("100 of QoS 2 out take %d ms" % took_ms)
    names = {packet.name for packet in world.packets() if packet.by == BROKER}
    must("PUBREC" in names and "PUBACK" not in names, "QoS 2 is acknowledged as QoS 1")


@check("100 of QoS 2 in")
def row_in(world: World) -> None:
    board, observer = _board(world), world.observer()
    granted = board.do("c.subscribe('t/row/in', 2)")
    for i in range(ROW):
        observer.client.publish("t/row/in", "%d" % i, 2)
    board.serve(15000, "len(inbox) >= %d" % ROW)
    board.serve(300)
    got = [int(payload) for payload in _payloads(board)]
    must(sorted(set(got)) == list(range(ROW)), "%d of %d came" % (len(set(got)), ROW))
    must(got == list(range(ROW)), "they came twice or out of order")
    must(granted == b"\x02", "QoS %d was granted" % granted[0])


@check("umqtt.simple")
def simple(world: World) -> None:
    observer, board = world.observer("t/simple/out"), world.board(make=False)
    login = ", user=%r, password=%r" % world.server.login if world.server.login else ""
    board.do("s = Simple('%s', '127.0.0.1', %d%s, keepalive=30)" % (world.name, world.link.port, login))
    board.do("s.set_callback(keep)")
    must(board.do("s.connect()") == 0, "session present after a clean session")
    board.do("s.subscribe(b't/simple/in', 1)")
    board.do("s.publish(b't/simple/out', b'x', False, 1)")
    must(observer.take()[:2] == ("t/simple/out", b"x"), "another message came")
    world.observer().publish("t/simple/in", "y", 1)
    board.do("s.wait_msg()")
    board.do("s.check_msg()")
    must(board.do("inbox") == [(b"t/simple/in", b"y")], "%r came in" % board.do("inbox"))
    board.do("s.ping()")
    board.do("s.disconnect()")


def _restart(world: World, forget: bool) -> Board:
    board = world.board(reconnect="Reconnect(20, 200, on_state=told)", timeout_ms=3000)
    must(board.serve(8000, "c.isconnected()"), "it does not connect")
    board.do("c.subscribe('b/again', 1)")
    world.observer().publish("b/kept", "old", 1, retain=True)
    world.server.stop()
    if forget:
        world.server.forget()
    board.serve(300)
    must(not board.do("c.isconnected()"), "the board does not notice that the broker is gone")
    world.server.start()
    for _ in range(10):
        must(board.serve(20000, "c.isconnected()"), "the board is not back 20 s after the broker")
        board.serve(700)
        if board.do("c.isconnected()"):  # one that starts may throw out whom it let in too early
            break
    world.observer().publish("b/again", "x", 1)
    must(board.serve(8000, "inbox"), "the subscription is gone after the restart")
    return board


@check("broker restarts and remembers")
def restart_kept(world: World) -> None:
    if not world.server.keeps_sessions:
        raise NotOffered("it keeps no sessions over a restart here")
    _restart(world, forget=False)
    last = world.packets(world.link.connections[-1])
    present = [packet.body[0] & 1 for packet in last if packet.name == "CONNACK"]
    must(present == [1], "session present %r after the restart" % present)
    # An attempt that was not answered may have made the session that the next one finds: the board cannot know.
    heard = [{packet.name for packet in world.packets(connection)} for connection in world.link.connections[:-1]]
    unanswered = [names for names in heard if "CONNACK" not in names]
    subscribed = [packet for packet in last if packet.name == "SUBSCRIBE"]
    must(unanswered or not subscribed, "the board subscribed again although it need not")
    try:
        must(world.observer("b/kept").take()[1] == b"old", "the retained message is gone after the restart")
    finally:
        world.observer().publish("b/kept", b"", 1, retain=True)


@check("broker restarts and has forgotten")
def restart_forgot(world: World) -> None:
    _restart(world, forget=True)
    last = world.packets(world.link.connections[-1])
    must(
        [packet.body[0] & 1 for packet in last if packet.name == "CONNACK"] == [0],
        "session present after it forgot all",
    )
    must([packet for packet in last if packet.name == "SUBSCRIBE"], "the board did not subscribe again")


assert len(CHECKS) == 32 and ANSWER_S
