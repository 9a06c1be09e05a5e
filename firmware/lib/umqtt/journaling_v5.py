"""What a store keeps of a session of MQTT 5 beside that of 3.1.1: properties and identifiers of subscriptions, and a
client id that the broker gave. The client of umqtt.v5 that is given a store imports it."""

from micropython import const

_SUBSCRIBED_5 = const(10)  # a record of umqtt.store
_MOST_QOS = const(2)
_NONE = b"\0"  # no properties


class KeptFilters:
    """{filter: properties of its SUBSCRIBE} is one dict of `client` and `store`."""

    def __init__(self, client, store):
        self.client = client
        self.store = store
        store.values = client._outgoing.filter_properties = store.values or {}
        self.noted = dict(store.values)  # those that the store has written
        self.wants_id = not client.client_id
        self._plain_subscribed = client._subscribed
        self._plain_resume = client._resume
        self._plain_note = store.subscribed
        store.subscribed = self.note
        client._subscribed = self.subscribed
        client._resume = self.resume

    def note(self, topic_filter, qos):
        # in front of the store's: 1.0.0 would take options for a QoS, and ask for it
        if qos and qos > _MOST_QOS:
            self.store._note(_SUBSCRIBED_5, qos, topic_filter, _NONE)
        else:
            self._plain_note(topic_filter, qos)

    def subscribed(self, topic_filter, qos):
        self._plain_subscribed(topic_filter, qos)
        values = self.store.values
        if qos is None:
            values.pop(topic_filter, None)
        properties = values.get(topic_filter, b"")
        if self.noted.get(topic_filter, b"") != properties:
            self.noted[topic_filter] = properties
            if properties:
                self.store._note(_SUBSCRIBED_5, qos, topic_filter, properties)
            else:
                self.store.subscribed(topic_filter, qos)

    def resume(self, present):
        if self.wants_id:
            client_id = self.client.client_id
            self.store.values[b""] = client_id if isinstance(client_id, bytes) else client_id.encode()
        self._plain_resume(present)


def keep(client, store) -> None:
    """Let `store`, which has the session of `client` already, keep what is of MQTT 5. A client without an id gets the
    one that a broker gave it in an earlier life."""
    KeptFilters(client, store)
    client.client_id = client.client_id or str(store.values.get(b"", b""), "utf-8")
