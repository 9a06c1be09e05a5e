"""How does one JSON object hold all that was read at one time? Imported only with `payload` json."""

from json import dumps

from micropython import const

import clock

_FIRST = const(64)  # in a field's number


class JsonMessages:
    """Makes the messages of a node: the text `json` with VALUES, TIME, TIME_MS and SEQ in it filled in, under the topic
    `json_topic` with TOPIC and CLIENT_ID filled in."""

    def __init__(self, node, as_json):
        self.node = node
        parts = node.cfg["json_topic"].split("CLIENT_ID")  # an id may hold the word TOPIC
        self.topic = node.client_id.join([part.replace("TOPIC", node.cfg["topic"]) for part in parts])
        self.as_json = as_json  # of a value and its field's decimals
        self.parts = []  # of what is read just now, where readings wait as messages
        self.is_first = True  # the next reading begins a message

    def part(self, number: int, field: int, value) -> str:
        """One value: "room_temperature":21.5"""
        source = self.node.sources[number]
        quantity, _, places = source.sensor.fields[field]
        return "%s:%s" % (dumps(source.name + "_" + quantity), self.as_json(value, places))

    def message(self, parts, up_s: int, seq: int):
        """Topic and payload of what was read at uptime up_s."""
        time = clock.unix_s(up_s)
        text = self.node.cfg["json"].replace("SEQ", str(seq))
        text = text.replace("TIME_MS", "null" if time is None else "%d000" % time)
        text = text.replace("TIME", "null" if time is None else str(time))
        return self.topic, text.replace("VALUES", ",".join(parts))  # last: a name may hold any of these words

    def oldest(self, queue):
        """Of readings that wait in RAM those of one measurement: topic, payload, how many they are."""
        parts = []
        taken = 0, 0
        for i in range(queue.count):
            number, field, value, up_s, seq = queue.at(i)
            if parts and field & _FIRST:
                break
            parts.append(self.part(number, field & ~_FIRST, value))
            taken = up_s, seq
        topic, payload = self.message(parts, *taken)
        return topic, payload, len(parts)

    def marked(self, field: int) -> int:
        """The field as a reading that waits in RAM has it: the first of a measurement is marked."""
        if self.is_first:
            self.is_first = False
            field |= _FIRST
        return field

    def add(self, number: int, field: int, value) -> None:
        """One more of the readings that are to be one message."""
        self.parts.append(self.part(number, field, value))

    def close(self) -> None:
        """All was read."""
        self.is_first = True
        if self.parts:
            parts = self.parts
            self.parts = []
            node = self.node
            try:
                node.store(*self.message(parts, clock.uptime_s(), node.outbox.next + 1))
            except Exception as e:
                node.storing.failed(e)
                node.lost("%s; the newest readings are refused" % node.storing.words)
