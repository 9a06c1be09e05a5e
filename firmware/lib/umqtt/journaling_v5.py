"""What a store keeps of a session of MQTT 5 beside that of 3.1.1: identifiers of subscriptions, a client id that the
broker gave, and expiries that go on counting. The client of umqtt.v5 that is given a store imports it."""

from time import ticks_ms

from micropython import const

from umqtt.journaling import KeptSession


_SUBSCRIBED_5 = const(10)  # a record of umqtt.store


class KeptSession5(KeptSession):
    """The session of `client` as `store` sees it; both have {filter: properties of its SUBSCRIBE} in one dict."""

    def __init__(self, client, store):
        KeptSession.__init__(self, client, store)
        store.values = client._filter_properties = store.values or {}
        self.noted = dict(store.values)  # those that the store has written
        self.wants_id = not client.client_id

    def _in_flight(self) -> list:
        """As KeptSession's, with expiries that count from now."""
        slots = KeptSession._in_flight(self)
        for slot in slots:
            self.client._age(slot, ticks_ms())
        return slots

    def subscribed(self, topic_filter, qos):
        values = self.store.values
        if qos is None:
            values.pop(topic_filter, None)
        properties = values.get(topic_filter, b"")
        if self.noted.get(topic_filter, b"") == properties:
            return KeptSession.subscribed(self, topic_filter, qos)
        self.noted[topic_filter] = properties
        self._plain_subscribed(topic_filter, qos)
        if properties:
            self.store._note(_SUBSCRIBED_5, qos, topic_filter, properties)
        else:
            self.store.subscribed(topic_filter, qos)

    def resume(self, present):
        if self.wants_id:
            client_id = self.client.client_id
            self.store.values[b""] = client_id if isinstance(client_id, bytes) else client_id.encode()
        KeptSession.resume(self, present)


def client_id(client, store):
    """That of the client, or the one that a broker gave it in an earlier life."""
    return client.client_id or str(store.values.get(b"", b""), "utf-8")
