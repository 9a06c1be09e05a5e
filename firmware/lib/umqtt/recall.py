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
_PROPERTIES_OF = const(9)
_SUBSCRIBED_5 = const(10)
_ASSIGNED = const(11)
_GONE = const(128)
_LEAST_B = b"\0\x0e\2\7\2\2\2\2\3\x08\5\1"  # of a record's body, by type
_FIRST_BYTE = const(6)  # in the body of a put
_TOPIC = const(7)
_PROPERTIES = const(6)  # in the body of a record of their own
_LEVEL_5 = const(5)
_QOS_OF_OPTIONS = const(3)
_EXPIRY = const(2)  # the first property, if it is there
# a clock behind this was never set: it is in 2019 where time begins in 2000, in 1989 where it begins in 1970
_SET_S = const(600000000)

_SENT_PUBREL = const(0x6A)  # first bytes of slots
_SENT = const(8)
_UNSENT = const(0x37)  # a mask that takes DUP off a PUBLISH

_NO_MESSAGE = const(-1)  # in place of its number
_NO_FILE = const(-2)  # this and the next are umqtt.outbox's
_CLOSED = const(-1)
_EBUSY = const(16)
_EEXIST = const(17)
_ENOSPC = const(28)

_FILE = const(0x8000)  # of a file's mode
_FOLDER = const(0x4000)
_PIECE_B = const(64)
_NUMBER_BITS = const(30)  # no outbox has had so many messages: the next number would not fit its field


def _set_aside(path, kind):
    """What has the name of ours, and is a file or a folder (`kind`) where ours is the other, is a user's own: it gets
    another name. Returns a report of that, else "". Raises OSError."""
    try:
        if os.stat(path)[0] & (_FILE | _FOLDER) != kind:
            return ""
    except OSError:
        return ""  # there is none yet
    os.rename(path, path + ".mine")
    return "%s was not ours: it is %s.mine now" % (path, path)


class Journal:
    """The content of `journal`, read with `records` of umqtt.store. Raises OSError when the flash cannot be read.

    Attributes: generation, 0 without a header; who, place, pid, state: from the header, as later records changed them;
    slots: [(packet id, first byte, topic, payload)], oldest first, of MQTT 5 with properties and the time from which
    their expiry counts; held: incoming ids; subscriptions: {filter: QoS}; values: of MQTT 5, as a
    Store has them; size_b; faulty: its end or content cannot be trusted; report: the faults in words, else "".
    """

    def __init__(self, journal, records):
        self.generation = self.who = self.place = self.size_b = 0
        self.pid = NO_ID
        self.state = b""
        self.slots = []
        self.held = []
        self.subscriptions = {}
        self.values = {}
        self._next = ()  # (packet id, properties, time) of the put that follows
        self.report = _set_aside(journal.path, _FOLDER)
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
        next_put = self._next
        self._next = ()  # a power cut between the two has taken the put
        if kind == _HEADER:
            self.generation, self.who, self.place, self.pid = unpack_from(">IIIH", body)
            self.state = body[14:]
            return
        if kind == _ASSIGNED:
            self.values[b""] = body
            return
        if kind == _SUBSCRIBED or kind == _SUBSCRIBED_5:
            end = 3 + (body[1] << 8 | body[2]) if kind == _SUBSCRIBED_5 else len(body)
            name = body[1:end]
            self.values.pop(name, None)
            self.subscriptions[name] = body[0]
            if body[0] == _GONE:
                del self.subscriptions[name]
            elif end < len(body) and body[end:] != b"\0":
                self.values[name] = body[end:]
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
        if kind == _PROPERTIES_OF:
            self._next = packet_id, body[_PROPERTIES:], unpack_from(">I", body, 2)[0]
            return
        if kind == _PUT:
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
            slot = packet_id, body[_FIRST_BYTE] | _SENT, body[_TOPIC:topic_end], body[topic_end:]
            self.slots.append(slot + (next_put[1:] if next_put and next_put[0] == packet_id else ()))
            self.pid = packet_id

    def replay(self, session, who, now_s):
        """Put the content into the session of `who` (CRC-32 of client id and server), at now_s seconds of the board's
        clock. Returns whether the journal belonged to another: then its messages go out as new."""
        subscriptions = session._subscriptions()
        subscriptions.update(self.subscriptions)
        if getattr(session.client, "protocol", _LEVEL_5) < _LEVEL_5:
            for topic_filter in subscriptions:  # they may be of a client of MQTT 5, with its options
                subscriptions[topic_filter] &= _QOS_OF_OPTIONS
        self.slots = [_aged(slot, now_s) for slot in self.slots]
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


def _aged(slot, now_s):
    # a slot, its expiry less the seconds that passed; all of it where the clock was not set. 1 at least: the broker may
    # have the message, and some take 0 for never
    if len(slot) < 6:
        return slot
    properties, since_s = slot[4:]
    at = _properties_end(properties, 0, 0) + 1
    if properties[at - 1] == _EXPIRY and since_s >= _SET_S and now_s >= since_s:
        left_s = max(int.from_bytes(properties[at : at + 4], "big") - (now_s - since_s), 1)
        properties = properties[:at] + left_s.to_bytes(4, "big") + properties[at + 4 :]
    return slot[:4] + (properties,)


def _topic_end(body):
    return _TOPIC + 2 + (body[_TOPIC] << 8 | body[_TOPIC + 1])


def _properties_end(body, at, share=1):
    # where the properties of MQTT 5 end that begin with their length at body[at]; beyond the body: it makes no sense.
    # share 0: where the first of them begins
    length = shift = 0
    for number in body[at : at + 4]:
        length |= (number & 127) << shift
        shift += 7
        at += 1
        if number < 128:
            return at + share * length
    return len(body) + 1


def _makes_sense(kind, body):
    # whether this version writes such a record
    if kind > _ASSIGNED or len(body) < _LEAST_B[kind]:
        return False
    if kind == _SUBSCRIBED_5:
        return _properties_end(body, 3 + (body[1] << 8 | body[2])) == len(body)
    if kind == _ASSIGNED:
        try:
            return str(body, "utf-8") != ""
        except UnicodeError:
            return False
    if kind == _PROPERTIES_OF:
        return _properties_end(body, _PROPERTIES) == len(body)
    if kind != _PUT or body[:2] == b"\0\0":
        return True
    return len(body) >= 10 and _topic_end(body) <= len(body) and body[_FIRST_BYTE] & 0xF6 in (0x32, 0x34)


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
    """Return whether file `path`.reserve has size_b bytes; make it when there is room. Raises OSError when the flash
    cannot be written to, whatever room it has."""
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
    except OSError as e:
        if e.errno != _ENOSPC:
            raise
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
        self.report = _set_aside(path, _FILE)
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
                if not number >> _NUMBER_BITS and "%08x" % number == name:
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
