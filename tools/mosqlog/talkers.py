"""Who publishes what: messages, bytes and rate per client and topic."""

from __future__ import annotations

from dataclasses import dataclass

from .events import Event, Publish

TALKERS = 20_000  # kept apart; beyond that the quieter half goes into OTHERS
OTHERS = ("(other clients)", "(other topics)")


@dataclass
class Talker:
    """What one client published to one topic. `first` and `last`: times of the first and the last message."""

    client: str
    topic: str
    messages: int = 0
    size_b: int = 0
    first: float | None = None
    last: float | None = None

    def rate_per_s(self) -> float | None:
        """Messages a second; None where there are too few to tell."""
        if self.messages < 2 or self.first is None or self.last is None or self.last <= self.first:
            return None
        return (self.messages - 1) / (self.last - self.first)


class Talkers:
    """Counts every PUBLISH that the broker received."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], Talker] = {}

    def feed(self, event: Event) -> None:
        """Takes the next event of the log."""
        if type(event) is not Publish or event.sent:
            return
        key = (event.client, event.topic)
        talker = self._by_key.get(key)
        if talker is None:
            if len(self._by_key) >= TALKERS:
                self._forget()
            talker = self._by_key[key] = Talker(*key, first=event.t)
        talker.messages += 1
        talker.size_b += event.size_b or 0
        talker.last = event.t

    def loudest(self) -> list[Talker]:
        """All of them, those with the most bytes first, then those with the most messages."""
        return sorted(
            self._by_key.values(), key=lambda talker: (-talker.size_b, -talker.messages, talker.client, talker.topic)
        )

    def _forget(self) -> None:
        loud = self.loudest()
        others = self._by_key.get(OTHERS) or Talker(*OTHERS)
        for talker in loud[TALKERS // 2 :]:
            if talker is not others:
                others.messages += talker.messages
                others.size_b += talker.size_b
        self._by_key = {(talker.client, talker.topic): talker for talker in loud[: TALKERS // 2]}
        self._by_key[OTHERS] = others
