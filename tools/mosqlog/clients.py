"""Who there is: the client of each id that a line names, and its open session. Beyond very many, those that came once
and had no trouble are only counted."""

from __future__ import annotations

from collections import deque
from typing import Callable

from .bridges import Bridges
from .events import Event
from .model import SESSIONS, Client, Session

CLIENTS = 50_000  # beyond that those that came once and left without trouble are only counted


class Clients:
    """sequence: packets kept per client for a chart; watched: ids of which `sequence_watched` are."""

    def __init__(
        self,
        bridges: Bridges,
        find: Callable[..., object],
        sequence: int,
        watched: frozenset[str],
        sequence_watched: int,
    ):
        self.all: dict[str, Client] = {}
        self.forgotten = 0
        self.connected = 0  # open sessions, without those of bridges
        self._bridges, self._find = bridges, find
        self._sequence, self._watched, self._sequence_watched = sequence, watched, sequence_watched
        self._forget_at = CLIENTS

    def at(self, name: str) -> Client:
        """The client of this id, a new one when no line has named it before."""
        client = self.all.get(name)
        if client is None:
            if len(self.all) >= self._forget_at:
                self._forget()
            client = self.all[name] = Client(name)
            if self._sequence or name in self._watched:
                client.packets = deque(maxlen=self._sequence_watched if name in self._watched else self._sequence)
        return client

    def _forget(self) -> None:
        """Only counts those that came once and had no trouble, and those that never got in."""
        for name in [
            client.id
            for client in self.all.values()
            if client.session is None
            and not client.flows
            and (client.connects <= 1 and not client.findings or not client.sessions)
        ]:
            del self.all[name]
            self.forgotten += 1
        self._forget_at = max(CLIENTS, 2 * len(self.all))

    def drop(self, name: str) -> None:
        """This id is known under another name from now on: it is only counted."""
        self.forgotten += self.all.pop(name, None) is not None

    def subject(self, name: str) -> Client:
        """The client of this id, or what the bridge of this id does as one."""
        client = self.all.get(name)
        if client is None:
            bridge = self._bridges.owner(name)
            return self._bridges.as_client(bridge) if bridge else self.at(name)
        return client

    def present(self, name: str) -> Client:
        """The client that a line shows to be connected, whatever was logged of it before."""
        client = self.all.get(name)
        if client is None:
            client = self.subject(name)
        if client.session is None and not client.sessions:
            self.open(client, Session())
        return client

    def open(self, client: Client, session: Session) -> None:
        """A session of the client begins."""
        client.session = session
        client.sessions.append(session)
        self.connected += not client.bridge
        self._thin(client)

    def close(self, client: Client) -> tuple[Session, int]:
        """The open session of the client ends: (session, how many were connected until then)."""
        session, client.session = client.session, None
        assert session is not None
        connected, self.connected = self.connected, max(0, self.connected - (not client.bridge))
        return session, connected

    def heard(self, name: str, event: Event) -> Client:
        """A packet came from the client: a sign of life."""
        client = self.present(name)
        t = event.t
        if client.session is None:  # its CONNECT is missing from the log, a file lost perhaps
            self.open(client, Session())
            client.last_heard = None
        if t is not None:
            if client.last_heard is not None:
                self.silence(client, t, t - client.last_heard)
            client.last_heard = t
        client.last_seen = t
        if client.packets is not None:
            client.packets.append(event)
        return client

    def silence(self, client: Client, t: float, silence_s: float) -> None:
        """The client was silent for so long until t."""
        if silence_s > client.longest_silence_s:
            client.longest_silence_s = silence_s
        keepalive_s = client.session.keepalive_s if client.session else None
        # Whole seconds: a gap of n can be one of nearly n + 1 or n - 1.
        if keepalive_s and silence_s > keepalive_s + 1:
            self._find(client, "late-heartbeat", t, {"gap_s": silence_s, "keepalive_s": keepalive_s})

    @staticmethod
    def _thin(client: Client) -> None:
        """Merges neighbours among the older three quarters when there are too many."""
        sessions = client.sessions
        if len(sessions) <= SESSIONS:
            return
        old = SESSIONS * 3 // 4
        merged = []
        for earlier, later in zip(sessions[0:old:2], sessions[1:old:2]):
            later.start, later.merged = earlier.start, earlier.merged + later.merged
            later.received, later.sent = earlier.received + later.received, earlier.sent + later.sent
            if earlier.how != "clean":
                later.how = earlier.how
            merged.append(later)
        sessions[:old] = merged
