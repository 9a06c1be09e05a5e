"""What a real Home Assistant shows of a node: entities, states, complaints, repairs."""


def has_values(*ids):
    """Whether all of them show a number."""
    return lambda entities: all(
        name in entities and entities[name]["state"] not in (None, "unknown", "unavailable") for name in ids
    )


ROOM = ("sensor.n1_room_temperature", "sensor.n1_room_humidity")


def test_a_new_node_is_there_with_its_values(home, node):
    node()
    home.until(has_values(*ROOM))
    assert home.complaints == [] and home.show()["repairs"] == []
