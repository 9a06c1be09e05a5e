"""Ids with a random part: one device that makes itself a new id each time it connects.

Ids with the same stem from one address (or, where the addresses differ, one user) belong to one family when there
are many of them, hardly any comes again, and few are there at one time: a fleet whose ids only look alike is there
all the time. A family's clients are counted together, so that 300,000 of them take the memory of a few.
"""

from __future__ import annotations

import re

from .model import Client, Family, Session, host

IDS = 8  # from which a family can be told
OPEN_SHARE = 4  # of its ids at most one in so many is connected at a time
RETURN_SHARE = 10  # and at most one in so many comes again
KEPT = 16  # of its members stay clients of their own, the latest
FAMILIES = 20_000  # that are watched; the oldest small ones give way

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RANDOM_END = re.compile(r"[0-9a-fA-F]{4,}$|\d{2,}$|(?<=[-_/|:.~@ ])[0-9A-Za-z]{3,}$")
_RANDOM_WORD = re.compile(r"[0-9A-Za-z]*\d[0-9A-Za-z]*[A-Za-z][0-9A-Za-z]*$")


def stem(client_id: str) -> str | None:
    """What stays of an id whose last part may be random, with `*` for that; None: it has no such part."""
    without = _UUID.sub("*", client_id)
    if without != client_id:
        return without
    match = _RANDOM_END.search(client_id)
    if match:
        return client_id[: match.start()] + "*"
    match = _RANDOM_WORD.search(client_id)
    return client_id[: match.start()] + "*" if match and len(match[0]) >= 8 else None


class Families:
    def __init__(self) -> None:
        self.found: dict[str, Family] = {}  # those that are one device's, by stem and address
        self._watched: dict[tuple[str, str], _Watched] = {}

    def connected(self, client: Client, session: Session) -> None:
        """A session of the client began."""
        if client.connects > 1:
            for watched in self._of(client, session):
                watched.family.returned += client.connects == 2
        elif client.connects == 1:
            for watched in self._of(client, session):
                watched.join(client, session)
        for watched in self._of(client, session):
            watched.family.open_now += 1
            watched.family.open_at_most = max(watched.family.open_at_most, watched.family.open_now)

    def ended(self, client: Client, session: Session) -> list[str]:
        """A session of the client ended. Returns the ids that its family now answers for: they need not be kept."""
        leaving: list[str] = []
        for watched in self._of(client, session):
            family = watched.family
            family.open_now = max(0, family.open_now - 1)
            family.last = session.end
            family.ends[session.how] = family.ends.get(session.how, 0) + 1
            if not leaving and watched.is_one_device():
                self.found.setdefault(f"{family.id} {family.address or family.user}", family)
                while len(watched.members) > KEPT:
                    leaving.append(watched.members.pop(0))
        return leaving

    def _of(self, client: Client, session: Session) -> list[_Watched]:
        """The family by address, and by user when there is one."""
        root = stem(client.id)
        if root is None or session.address is None:
            return []
        out = [self._watch((root, host(session.address)), Family(root, address=host(session.address)))]
        if session.user:
            out.append(self._watch((root, "u" + session.user), Family(root, user=session.user)))
        return out

    def _watch(self, key: tuple[str, str], family: Family) -> _Watched:
        watched = self._watched.get(key)
        if watched is None:
            if len(self._watched) >= FAMILIES:
                self._watched = {at: one for at, one in self._watched.items() if one.family.ids >= IDS}
            watched = self._watched[key] = _Watched(family)
        return watched


class _Watched:
    __slots__ = ("family", "members")

    def __init__(self, family: Family):
        self.family = family
        self.members: list[str] = []

    def join(self, client: Client, session: Session) -> None:
        family = self.family
        family.ids += 1
        family.first = session.start if family.ids == 1 else family.first
        family.last_id = client.id
        self.members.append(client.id)
        if not self.is_one_device():
            del self.members[: -4 * KEPT]  # of a fleet, no list is needed

    def is_one_device(self) -> bool:
        family = self.family
        return (
            family.ids >= IDS
            and family.open_at_most <= max(2, family.ids // OPEN_SHARE)
            and family.returned * RETURN_SHARE <= family.ids
        )
