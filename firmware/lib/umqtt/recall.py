"""Reads what an earlier life left: a journal for a Store, a folder for an Outbox, whose modules describe the formats.
Needed only at a start: imported then, and dropped from the heap once the store was replayed."""

import os
import sys
from io import BytesIO
from struct import unpack_from

from micropython import const

NO_ID = -1  # no packet id of an earlier life was found

_DAMAGED = const(0)  # in place of a record's type
_HEADER = const(1)
_SEEN = const(2)
_PUT = const(3)
_PUBREC = const(5)
_PUBREL = const(6)
_SUBSCRIBED = const(8)
_PUT_5 = const(9)
_GONE = const(128)
_LEAST_B = b"\0\x0e\2\7\2\2\2\2\3\x0b"  # of a record's body, by type
_FIRST_BYTE = const(6)  # in the body of a put
_TOPIC = const(7)

_SENT_PUBREL = const(0x6A)  # first bytes of slots
_SENT = const(8)
_UNSENT = const(0x37)  # a mask that takes DUP off a PUBLISH

_NO_MESSAGE = const(-1)  # in place of its number
_NO_FILE = const(-2)  # this and the next are umqtt.outbox's
_CLOSED = const(-1)
_EBUSY = const(16)
_EEXIST = const(17)
_ENOSPC = const(28)

_PIECE_B = const(64)


class Journal:
    """The content of `journal`, read with `records` of umqtt.store. Raises OSError when the flash cannot be read.

    Attributes: generation, 0 without a header; who, place, pid, state: from the header, as later records changed them;
    slots: [(packet id, first byte, topic, payload)], oldest first; held: incoming ids; subscriptions: {filter: QoS};
    size_b; faulty: its end or content cannot be trusted; report: the faults in words, else "".
    """

    def __init__(self, journal, records):
        self.generation = self.who = self.place = self.size_b = 0
        self.pid = NO_ID
        self.state = b""
        self.slots = []
        self.held = []
        self.subscriptions = {}
        self.report = ""
        file = journal.load()
        if file:
            with file:
                self._read(records(file), file, journal.path + ".bad")
        self.faulty = self.report != ""
        # RTC memory needs a reserve only once it is full, and then the outbox asks for it
        if not (journal.volatile or journal.reserve() or self.report):
            self.report = "storage: remove files, there is no room for the journal's reserve"

    def _read(self, found, file, copy):
        damaged_b = strange = 0
        for kind, body in found:
            if kind == _DAMAGED:
                damaged_b += 1
            elif _makes_sense(kind, body):
                self._apply(kind, body)
            else:
                strange += 1
        self.size_b = file.seek(0, 2)
        if damaged_b:
            found = "%d B of %d B damaged" % (damaged_b, self.size_b)
        elif strange:
            found = "%d records of another version" % strange
        elif not self.size_b:
            found = "empty"
        elif not self.generation:
            found = "no header"
        else:
            return
        try:
            _copy(file, copy)
        except OSError as e:  # no room for the copy; each whole record counts all the same
            copy = e
        self.report = "journal: %s, copy: %s" % (found, copy)

    def _apply(self, kind, body):
        if kind == _HEADER:
            self.generation, self.who, self.place, self.pid = unpack_from(">IIIH", body)
            self.state = body[14:]
            return
        if kind == _SUBSCRIBED:
            self.subscriptions[body[1:]] = body[0]
            if body[0] == _GONE:
                del self.subscriptions[body[1:]]
            return
        packet_id = unpack_from(">H", body)[0]
        if kind == _SEEN and len(body) > 2:
            self.state = body[3:]
        if kind == _SEEN or kind == _PUBREL:
            if packet_id in self.held:
                self.held.remove(packet_id)
            if kind == _SEEN and packet_id:
                self.held.append(packet_id)
            return
        if kind == _PUT or kind == _PUT_5:
            self.place = unpack_from(">HI", body)[1]
        if not packet_id:
            return
        at = 0
        while at < len(self.slots) and self.slots[at][0] != packet_id:
            at += 1
        if kind == _PUBREC:
            self.slots[at : at + 1] = [(packet_id, _SENT_PUBREL, b"", b"")]
            return
        self.slots[at : at + 1] = []  # PUBACK, PUBCOMP: the exchange has ended
        if kind == _PUT:
            topic_end = _topic_end(body)
            self.slots.append((packet_id, body[_FIRST_BYTE] | _SENT, body[_TOPIC:topic_end], body[topic_end:]))
            self.pid = packet_id
        elif kind == _PUT_5:
            topic_end = _topic_end(body)
            end = _properties_end(body, topic_end)
            topic = body[_TOPIC:topic_end]
            self.slots.append((packet_id, body[_FIRST_BYTE] | _SENT, topic, body[end:], body[topic_end:end]))
            self.pid = packet_id

    def replay(self, session, who):
        """Put the content into the session of `who` (CRC-32 of client id and server). Returns whether the journal
        belonged to another: then its messages go out as new."""
        session._subscriptions().update(self.subscriptions)
        if self.generation and who != self.who:
            renewed = 0
            for message in self.slots:
                if message[1] != _SENT_PUBREL:
                    session._restore(0, message[1] & _UNSENT, *message[2:])
                    renewed += 1
            words = "another client id or server: %d messages go out as new" % renewed
            self.report += "; " + words if self.report else words
            return True
        for slot in self.slots:
            session._restore(*slot)
        for packet_id in self.held:
            session._hold(packet_id)
        if self.pid != NO_ID:
            session.pid = self.pid
        return False


def _topic_end(body):
    return _TOPIC + 2 + (body[_TOPIC] << 8 | body[_TOPIC + 1])


def _properties_end(body, at):
    # where the properties of MQTT 5 end that begin with their length at body[at]; beyond the body: it makes no sense
    length = shift = 0
    for number in body[at : at + 4]:
        length |= (number & 127) << shift
        shift += 7
        at += 1
        if number < 128:
            return at + length
    return len(body) + 1


def _makes_sense(kind, body):
    # whether this version writes such a record
    if kind > _PUT_5 or len(body) < _LEAST_B[kind]:
        return False
    if kind != _PUT_5 and (kind != _PUT or body[:2] == b"\0\0"):
        return True
    if len(body) < 10 or _topic_end(body) > len(body) or body[_FIRST_BYTE] & 0xF6 not in (0x32, 0x34):
        return False
    return kind == _PUT or _properties_end(body, _topic_end(body)) <= len(body)


def _copy(file, name):
    file.seek(0)
    with open(name, "wb") as to:
        piece = file.read(_PIECE_B)
        while piece:
            to.write(piece)
            piece = file.read(_PIECE_B)


def room_b(path):
    """Return (bytes free, bytes of a block) of the file system that holds folder `path`."""
    found = os.statvfs(path or ".")
    return found[1] * found[4], found[1]


def reserve(path, size_b):
    """Return whether file `path`.reserve has size_b bytes; make it when there is room."""
    name = path + ".reserve"
    try:
        if os.stat(name)[6] >= size_b:
            return True
    except OSError:
        pass
    if room_b(path[: path.rfind("/") + 1])[0] <= size_b:
        return False
    try:
        piece = bytes(_PIECE_B)
        with open(name, "wb") as file:
            for _ in range(0, size_b, _PIECE_B):
                file.write(piece)
        return True
    except OSError:
        return False


def make_room(path):
    """Remove a file that the journal of `path` can spare. Raises OSError when there is none."""
    for name in (path + ".reserve", path + ".bad"):
        try:
            os.remove(name)
            return
        except OSError:
            pass
    raise OSError(_ENOSPC, "storage full: remove files, %s has no room" % path)


def refuse(path):
    """Raise OSError, for another program writes `path`."""
    raise OSError(_EBUSY, "storage: another program writes %s, too: stop one of them" % path)


class Folder:
    """The content of an outbox's folder `path`, read with `messages` of umqtt.outbox; made when it is missing. Raises
    OSError.

    Attributes: files: the numbers that name the files, in order; tail_b: bytes in the last one, or CLOSED when nothing
    may be appended to it; last: the highest number used up, else -1; damaged: the damaged file, or NO_FILE; report.
    """

    def __init__(self, path, messages):
        self.report = ""
        self.files = []
        self.tail_b = 0
        self.last = -1
        self.damaged = _NO_FILE
        try:
            os.mkdir(path)
        except OSError as e:
            if e.errno != _EEXIST:
                raise
        for name in os.listdir(path):
            self._list(path, name)
        self.files.sort()
        while self.files:
            name = "%s/%08x" % (path, self.files[-1])
            self.tail_b = os.stat(name)[6]
            if self.tail_b:
                self._find_last(name, messages)
                break
            os.remove(name)  # a power cut came after it was made, before its first byte
            self.files.pop()

    def _list(self, path, name):
        if name == "new":
            os.remove(path + "/new")  # left by a squeeze that was interrupted
        elif name != "bad":
            try:
                number = int(name, 16)
                if number >= 0 and "%08x" % number == name:
                    self.files.append(number)
                    return
            except ValueError:
                pass
            self.report = "outbox: %s/%s is not ours" % (path, name)

    def _find_last(self, name, messages):
        self.last = self.files[-1]
        with open(name, "rb") as file:
            for number, _ in messages(file):
                self.last = max(self.last, number)
                if number == _NO_MESSAGE:
                    self.damaged = self.files[-1]
                    self.tail_b = _CLOSED


def staged(content, messages, last):
    """Return [(number, body)] of the messages in `content` of a stage that come after number `last`. The others are on
    flash: a reset can come between the write there and the clearing here."""
    found = []
    for number, body in messages(BytesIO(content)):
        if number > last:
            last = number
            found.append((number, body))
    return found


def most_files(path, files, most, segment_b):
    """Return (how many files of segment_b folder `path` may hold, where `files` are now; report): `most`, but no more
    than there is room for while one more is written. Reads all directories of the file system."""
    free_b, block_b = room_b(path)
    room = max(1, files + free_b // (-(-segment_b // block_b) * block_b) - 1)
    if room >= most:
        return most, ""
    words = "storage: remove files, the outbox may take %d B and there is room for %d B"
    return room, words % (most * segment_b, room * segment_b)


def forget():
    """Let the heap have this module back."""
    del sys.modules["umqtt.recall"]
    del sys.modules["umqtt"].recall  # pyright: ignore[reportAttributeAccessIssue]
