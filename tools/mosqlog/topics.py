"""How much went over each topic. Of too many the smaller half is put together."""

from __future__ import annotations

from .condense import TopicCount
from .events import Time
from .model import Topic

TOPICS = 20_000  # beyond that the smaller half goes into OTHER_TOPICS
OTHER_TOPICS = "(other topics)"


class Topics(dict[str, Topic]):
    """By name."""

    def at(self, name: str, t: Time) -> Topic:
        """The topic of this name, which is seen at t."""
        topic = self.get(name)
        if topic is None:
            if len(self) >= TOPICS:
                self._put_smaller_half_together(t)
            topic = self[name] = Topic(t, t)
        return topic

    def add(self, count: TopicCount) -> None:
        """Adds what many messages come to."""
        topic = self.at(count.topic, count.first)
        if count.first is not None and topic.first is not None:
            topic.first = min(topic.first, count.first)
        if count.sent:
            topic.sent += count.count
            topic.sent_b += count.size_b
        else:
            topic.received += count.count
            topic.received_b += count.size_b
            topic.last = count.last if topic.last is None or count.last is None else max(topic.last, count.last)

    def _put_smaller_half_together(self, t: Time) -> None:
        by_size = sorted(self, key=lambda name: self[name].received_b + self[name].sent_b)
        other = self.get(OTHER_TOPICS) or Topic(t, t)
        for name in by_size[: TOPICS // 2]:
            topic = self.pop(name)
            if topic is other:
                continue
            other.received += topic.received
            other.received_b += topic.received_b
            other.sent += topic.sent
            other.sent_b += topic.sent_b
        self[OTHER_TOPICS] = other
