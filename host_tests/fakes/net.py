"""Fake `socket` and `select` modules with MicroPython's semantics, on a virtual clock, and the links between them
and fake peers.

    net = Net(Clock())
    net.serve("broker", 1883, peer)     # peer.opened(link), peer.data(link, bytes), peer.ended(link)
    transport.socket = net.socket
    transport.select = net.select

A peer answers with link.push(bytes), link.fin(), link.rst(), link.silence(). What a link does to the bytes is in its
Plan.
Single-threaded: bytes written by the client reach the peer when the client next waits or touches a socket.
"""

EAGAIN = 11
EBADF = 9
EIO = 5

POLLIN = 1
POLLOUT = 4
POLLERR = 8
POLLHUP = 16
POLLNVAL = 32  # of a closed socket, on each port


class Port:
    """What differs between the ports: error codes and habits (docs/field-notes: measured on ESP32, read for
    ESP8266)."""

    def __init__(self, refused, timeout, progress, already, reset, broken, unconnected, hup, write_after_fin):
        self.refused = refused
        self.timeout = timeout
        self.progress = progress  # right after a non-blocking connect
        self.already = already  # a write before the connection is up
        self.reset = reset
        self.broken = broken  # every use after the first error
        self.unconnected = unconnected
        self.hup = hup  # whether poll says POLLHUP and POLLERR
        self.write_after_fin = write_after_fin  # how many writes still succeed


UNIX = Port(111, 110, 115, 11, 104, 32, 107, True, 1)
ESP32 = Port(104, 116, 119, 11, 104, 128, 128, True, 2)
ESP8266 = Port(103, 110, 115, 114, 104, 103, 107, False, 1)


class Plan:
    """What a link does. Bytes are counted from the start of the connection.

    read_max: bytes that one read gives at most (1: every byte in its own segment). write_max: bytes that one write
    takes at most.
    read_again, write_again: every other read / write would block first. buffer: room of the send buffer.
    cut_out, cut_in: the link ends after so many bytes from / to the client; how: "fin", "rst" or "silence" (half-open).
    drained: False leaves what was written in the send buffer for ever (a peer that does not read). connect_ms: time
    that connect takes,
    None: nobody answers. refuse: connection refused. latency_ms: on the way, each way. trickle_ms: pause between two
    segments to the client.
    handshake_ms: for the fake TLS, None: it is never answered.
    """

    def __init__(self, **what):
        self.read_max = 0
        self.write_max = 0
        self.read_again = False
        self.write_again = False
        self.buffer = 5840
        self.cut_out = None
        self.cut_in = None
        self.how = "fin"
        self.drained = True
        self.connect_ms = 0
        self.refuse = False
        self.latency_ms = 0
        self.trickle_ms = 0
        self.handshake_ms = 0
        for name in what:
            if not hasattr(self, name):
                raise ValueError(name)
            setattr(self, name, what[name])


class Link:
    """One TCP connection, seen from the peer."""

    def __init__(self, net, plan, peer, address):
        self.net = net
        self.clock = net.clock
        self.plan = plan
        self.peer = peer
        self.address = address
        self.number = len(net.links)
        self.rx = []  # segments for the client, soonest first
        self.unread = 0  # bytes in the send buffer
        self.out_b = 0  # bytes that left the client
        self.in_b = 0  # bytes that the peer sent
        self.writes = []  # what each successful write took
        self.write_times = []
        self.eof = False  # the peer's FIN stands behind rx
        self.error = 0  # the code of a reset, behind rx
        self.dead = False  # nothing passes any more, in neither direction
        self.over = False  # the peer knows of the end
        self.closed = False  # by the client
        self.up = False
        self.next_in = 0

    # the peer's side

    def push(self, data):
        """Bytes to the client, a segment each call."""
        data = bytes(data)
        if self.dead or self.closed or self.eof:
            return
        cut = self.plan.cut_in
        if cut is not None and self.in_b + len(data) >= cut:
            data = data[: cut - self.in_b]
            self._deliver(data)
            self.end(self.plan.how)
            return
        self._deliver(data)

    def _deliver(self, data):
        self.in_b += len(data)
        plan = self.plan
        step = 1 if plan.trickle_ms else len(data)
        due = max(self.next_in, self.clock.now + plan.latency_ms)
        for i in range(0, len(data), step or 1):
            self.clock.at(due - self.clock.now, self._arrive, data[i : i + step])
            due += plan.trickle_ms
        self.next_in = due

    def _arrive(self, data):
        if data:
            self.rx.append(data)

    def end(self, how):
        """The link ends: "fin", "rst" (what is unread is still readable, then the error) or "silence". The peer
        hears of it."""
        if how == "silence":
            self.dead = True
            return
        wait = max(self.next_in - self.clock.now, self.plan.latency_ms)
        self.clock.at(wait, self._end, how)
        self.dead = True
        self._peer_ended()

    def _end(self, how):
        if how == "rst":
            self.error = self.net.port.reset
        self.eof = True

    def fin(self):
        self.end("fin")

    def rst(self):
        self.end("rst")

    def silence(self):
        self.end("silence")

    def _peer_ended(self):
        if not self.over:
            self.over = True
            if self.peer is not None:  # None: nobody listened there
                self.peer.ended(self)

    def _to_peer(self, data):
        self.unread -= len(data)
        if not self.over:
            self.peer.data(self, data)

    # the client's side, through Socket

    def take(self, data):
        """Room for data: returns how many bytes the send buffer takes, and sends them on their way."""
        plan = self.plan
        size_b = min(len(data), plan.buffer - self.unread)
        if plan.write_max:
            size_b = min(size_b, plan.write_max)
        if size_b <= 0:
            return 0
        data = data[:size_b]
        self.writes.append(size_b)
        self.write_times.append(self.clock.now)
        at = self.out_b
        self.out_b += size_b
        self.unread += size_b
        if self.dead:
            if not self.eof:
                return size_b  # half-open: it fills the buffer and goes nowhere
            self.unread -= size_b
            return size_b
        if not plan.drained:
            return size_b
        cut = plan.cut_out
        if cut is not None and at + size_b >= cut:
            if cut > at:
                self.clock.at(plan.latency_ms, self._to_peer, data[: cut - at])
            self.clock.at(plan.latency_ms, self._cut)
            return size_b
        self.clock.at(plan.latency_ms, self._to_peer, data)
        return size_b

    def _cut(self):
        if not self.dead:
            self.end(self.plan.how)

    def close(self):
        if not self.closed:
            self.closed = True
            if not self.dead and self.up:
                self.clock.at(self.plan.latency_ms, self._peer_ended)


class Socket:
    """A MicroPython socket object. Reads and writes follow py/stream.c: None for "would block", short counts after
    some progress."""

    def __init__(self, net, *kind):
        self.net = net
        self.link = None
        self.timeout_ms = None  # None: blocking, 0: non-blocking
        self.closed = False
        self.options = []
        self._again = [False, False]
        self._failed = False
        self._after_fin = 0
        self._refused = 0
        self.misuse = []  # what works on the host and fails or stalls on a board
        net.sockets.append(self)

    def _open(self):
        if self.closed:
            raise OSError(EBADF)
        self.net.clock.run_due()

    def setblocking(self, flag):
        self._open()
        self.timeout_ms = None if flag else 0

    def settimeout(self, seconds):
        self._open()
        self.timeout_ms = None if seconds is None else int(seconds * 1000)

    def setsockopt(self, level, option, value):
        self._open()
        self.options.append((level, option, value))

    def fileno(self):
        return -1 if self.closed else 1000 + self.net.sockets.index(self)

    def connect(self, address):
        self._open()
        net = self.net
        clock = net.clock
        net.dialled.append(address)
        plan = net.plans.pop(0) if net.plans else net.plan
        host, port = address[0], address[1]
        peer = net.peers.get((host, port))
        refused = plan.refuse or peer is None
        link = self.link = Link(net, plan, peer, address)
        net.links.append(link)
        link.socket = self
        ms = plan.connect_ms
        if ms is not None:
            clock.at(ms, self._refuse if refused else self._opened, link)
        if self.timeout_ms == 0:
            raise OSError(net.port.progress)
        clock.until(lambda: link.up or self._refused, self.timeout_ms)
        if self._refused:
            self._failed = True
            raise OSError(self._refused)
        if not link.up:
            self._failed = True
            raise OSError(net.port.timeout)

    def _refuse(self, link):
        self._refused = self.net.port.refused

    def _opened(self, link):
        if not link.closed:
            link.up = True
            link.peer.opened(link)

    def _usable(self):
        self._open()
        link = self.link
        if link is None or self._failed:
            raise OSError(self.net.port.unconnected if link is None else self.net.port.broken)
        if self._refused:
            self._failed = True
            raise OSError(self._refused)
        return link

    def _readable(self):
        link = self.link
        return link is not None and (bool(link.rx) or link.eof) or bool(self._refused)

    def _writable(self):
        link = self.link
        return link is not None and link.up and (link.unread < link.plan.buffer or link.eof) or bool(self._refused)

    def ready(self):
        """poll's bits."""
        bits = (POLLIN if self._readable() else 0) | (POLLOUT if self._writable() else 0)
        link = self.link
        if self.net.port.hup and (self._refused or link is not None and link.error):
            bits |= POLLERR | POLLHUP
        return bits

    def _read_once(self, size_b):
        """One recv: bytes, b"" at the end, None when it would block."""
        link = self._usable()
        if size_b and link.plan.read_again and not self._again[0] and link.rx:
            self._again[0] = True
            return None
        self._again[0] = False
        if link.rx:
            seg = link.rx[0]
            if link.plan.read_max:
                size_b = min(size_b, link.plan.read_max)
            got = seg[:size_b]
            if size_b < len(seg):
                link.rx[0] = seg[size_b:]
            else:
                link.rx.pop(0)
            return got
        if link.error:
            self._failed = True
            raise OSError(link.error)
        if link.eof:
            return b""
        return None

    def _wait(self, ready, deadline):
        """Blocking mode: False when the timeout has passed."""
        clock = self.net.clock
        self.misuse.append("a call waited inside the socket")
        return clock.until(ready, None if deadline is None else deadline - clock.now)

    def _deadline(self):
        return None if self.timeout_ms is None else self.net.clock.now + self.timeout_ms

    def _read(self, size_b, once=False):
        out = b""
        while len(out) < size_b:
            deadline = self._deadline()
            got = self._read_once(size_b - len(out))
            while got is None and self.timeout_ms != 0:
                if not self._wait(self._readable, deadline):
                    raise OSError(self.net.port.timeout)  # and what was read is lost, as on every port
                got = self._read_once(size_b - len(out))
            if got is None:
                return out or None
            if not got:
                break
            out += got
            if once:
                break
        return out

    def read(self, size_b=-1):
        return self._read(1 << 20 if size_b < 0 else size_b)

    def readinto(self, buf, size_b=None):
        room = len(buf)
        if size_b is not None:
            room = min(room, size_b)
        got = self._read(room)
        if got is None:
            return None
        buf[: len(got)] = got
        return len(got)

    def recv(self, size_b):
        got = self._read(size_b, True)
        if got is None:
            raise OSError(EAGAIN)
        return got

    def readline(self):
        out = b""
        while out[-1:] != b"\n":
            byte = self._read(1)
            if not byte:
                return out if byte == b"" or out else None
            out += byte
        return out

    def _write_once(self, data):
        """One send: bytes taken, None when it would block."""
        link = self._usable()
        if link.eof or link.error:
            if link.error or self._after_fin >= self.net.port.write_after_fin:
                self._failed = True
                raise OSError(link.error or self.net.port.reset)
            self._after_fin += 1
        if not link.up:
            if self.net.port.already == EAGAIN:
                return None
            raise OSError(self.net.port.already)
        if link.plan.write_again and not self._again[1]:
            self._again[1] = True
            return None
        self._again[1] = False
        return link.take(data) or None

    def write(self, buf, off=None, size_b=None):
        """write(buf), write(buf, n) or write(buf, off, n), as py/stream.c has it."""
        data = bytes(memoryview(buf)) if not isinstance(buf, str) else buf.encode()
        if size_b is not None:
            data = data[off : off + size_b]
        elif off is not None:
            data = data[:off]
        done = 0
        while done < len(data):
            deadline = self._deadline()
            taken_b = self._write_once(data[done:])
            while taken_b is None and self.timeout_ms != 0:
                if not self._wait(self._writable, deadline):
                    raise OSError(self.net.port.timeout)
                taken_b = self._write_once(data[done:])
            if taken_b is None:
                return done or None
            done += taken_b
            if self.link.plan.write_max:
                break  # a short write shows as one
        return done

    def send(self, data):
        self._usable()
        taken_b = self._write_once(bytes(data))
        if taken_b is None:
            raise OSError(EAGAIN)
        return taken_b

    def sendall(self, data):
        if self.write(data) != len(data):
            raise OSError(EAGAIN)

    def close(self):
        self.closed = True
        if self.link is not None:
            self.link.close()


class Poll:
    """select.poll(): `ipoll` as MicroPython has it. A wait without end is a failure (Stuck) unless something is
    going to happen."""

    def __init__(self, net):
        self.net = net
        self.watched = []  # [object, mask]

    def _row(self, obj):
        for row in self.watched:
            if row[0] is obj:
                return row
        return None

    def register(self, obj, mask=POLLIN | POLLOUT):
        row = self._row(obj)
        if row:
            row[1] = mask
        else:
            self.watched.append([obj, mask])

    def modify(self, obj, mask):
        row = self._row(obj)
        if row is None:
            raise OSError(2)
        row[1] = mask

    def unregister(self, obj):
        self.watched = [row for row in self.watched if row[0] is not obj]

    def poll(self, ms=-1):
        ready = []

        def look():
            ready.clear()
            for obj, mask in self.watched:
                bits = POLLNVAL if obj.closed else obj.ready() & (mask | POLLERR | POLLHUP)
                if bits:
                    ready.append((obj, bits))
            return ready

        self.net.polls += 1
        self.net.clock.until(look, None if ms is None or ms < 0 else int(ms))
        return list(ready)

    def ipoll(self, ms=-1, flags=0):
        return iter(self.poll(ms))  # it waits in the call, as MicroPython's


class Tls:
    """What SSLContext.wrap_socket gives: records are read whole, so the raw socket may be silent while data is here.

    A write that would block must be repeated with the same arguments (mbedtls); anything else is a failure.
    """

    def __init__(self, context, sock, server_hostname, handshake_now):
        self.context = context
        self.raw = sock
        self.server_hostname = server_hostname
        self.buffered = b""
        self.pending = None
        self.closed = False
        self._done_at = None
        clock = sock.net.clock
        ms = sock.link.plan.handshake_ms
        if ms is not None:
            self._done_at = clock.now + ms
            clock.at(ms, lambda: None)
        if handshake_now:
            sock.misuse.append("the TLS handshake waited inside the socket")
            clock.until(self._shaken, None)

    def _shaken(self):
        done = self._done_at is not None and self.raw.net.clock.now >= self._done_at
        if done and self.context.error:
            raise self.context.error
        return done

    def _fill(self):
        if not self.buffered:
            got = self.raw._read_once(16384)
            if got is None:
                return False
            self.buffered = got
            while self.raw.link.rx and len(self.buffered) < 16384:  # the rest of the record
                self.buffered += self.raw.link.rx.pop(0)
        return True

    def ready(self):
        bits = self.raw.ready()
        if self.buffered:
            bits |= POLLIN
        if self._done_at is None or self.raw.net.clock.now < self._done_at:
            bits &= ~(POLLIN | POLLOUT)
        return bits

    def readinto(self, buf, size_b=None):
        if not self._shaken() or not self._fill():
            return None
        room = len(buf) if size_b is None else min(len(buf), size_b)
        got, self.buffered = self.buffered[:room], self.buffered[room:]
        buf[: len(got)] = got
        return len(got)

    def read(self, size_b=-1):
        if not self._shaken() or not self._fill():
            return None
        size_b = len(self.buffered) if size_b < 0 else size_b
        got, self.buffered = self.buffered[:size_b], self.buffered[size_b:]
        return got

    def write(self, buf, off=None, size_b=None):
        if not self._shaken():
            return None
        data = bytes(memoryview(buf))
        data = data[off : off + size_b] if size_b is not None else data if off is None else data[:off]
        if self.pending is not None and self.pending != data:
            raise AssertionError("TLS: a blocked write of %r was repeated as %r" % (self.pending, data))
        taken_b = self.raw._write_once(data)
        self.pending = data if taken_b is None else None
        return taken_b

    def setblocking(self, flag):
        self.raw.setblocking(flag)

    def settimeout(self, seconds):
        self.raw.settimeout(seconds)

    def close(self):
        self.closed = True
        self.raw.close()


class Context:
    """An SSLContext. `error` is raised by the handshake."""

    def __init__(self, error=None):
        self.error = error
        self.wrapped = []

    def wrap_socket(self, sock, server_side=False, server_hostname=None, do_handshake_on_connect=True):
        tls = Tls(self, sock, server_hostname, do_handshake_on_connect)
        self.wrapped.append(tls)
        return tls


class _Module:
    def __init__(self, **names):
        for name in names:
            setattr(self, name, names[name])


class Net:
    """The network of one test. `plans`: for the next connections in turn; `plan`: for all others.

    `names`: host -> list of addresses, or an OSError to raise; a host without a name is its own address.
    """

    def __init__(self, clock, port=UNIX):
        self.clock = clock
        self.port = port
        self.plan = Plan()
        self.plans = []
        self.peers = {}
        self.names = {}
        self.links = []
        self.sockets = []
        self.dialled = []
        self.looked_up = []
        self.polls = 0
        self.socket = _Module(
            socket=lambda *kind: Socket(self, *kind),
            getaddrinfo=self.getaddrinfo,
            AF_INET=2,
            SOCK_STREAM=1,
            IPPROTO_TCP=6,
            TCP_NODELAY=1,
            SOL_SOCKET=1,
            SO_REUSEADDR=2,
        )
        self.select = _Module(poll=lambda: Poll(self), POLLIN=POLLIN, POLLOUT=POLLOUT, POLLERR=POLLERR, POLLHUP=POLLHUP)

    def serve(self, host, port, peer):
        self.peers[(host, port)] = peer

    def getaddrinfo(self, host, port, family=0, kind=0, proto=0, flags=0):
        if family not in (0, 2) or kind not in (0, 1):
            raise OSError(-6)  # no TCP over IPv4
        self.looked_up.append(host)
        found = self.names.get(host, [host])
        if isinstance(found, Exception):
            raise found
        return [(2, 1, 0, "", (address, port)) for address in found]

    def open_sockets(self):
        """Sockets that nobody closed."""
        return [sock for sock in self.sockets if not sock.closed]
