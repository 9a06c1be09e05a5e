"""Home Assistant finds the sensors by itself: a retained message for each quantity, in its MQTT discovery format with
the abbreviated keys. Imported only when `ha_prefix` asks for it."""

_CLASSES = {
    "temperature": "temperature",
    "humidity": "humidity",
    "voltage": "voltage",
    "uptime": "duration",
    "heap": "data_size",
}


def announce(client, prefix, topic, source):
    """Publish what `source` has, retained, QoS 1. topic: the node's, TOPIC/CLIENT_ID/. Blocks for the answers. Raises
    OSError, ProtocolError."""
    node = topic.split("/")[-2]
    for quantity, unit, _ in source.sensor.fields:
        # in ids Home Assistant allows letters, digits, _ and -
        name = "".join([c if c.isalpha() or c.isdigit() else "_" for c in "%s_%s" % (source.name, quantity)])
        device_class = _CLASSES.get(quantity)
        client.publish(
            "%s/sensor/%s/%s/config" % (prefix, node, name),
            '{"name":"%s %s","uniq_id":"%s_%s","stat_t":"%s%s/%s","avty_t":"%sstatus","unit_of_meas":"%s",'
            '%s"stat_cla":"measurement","val_tpl":"{{value_json.value}}","dev":{"ids":["%s"],"name":"%s"}}'
            % (
                source.name, quantity, node, name, topic, source.name, quantity, topic, unit,
                '"dev_cla":"%s",' % device_class if device_class else "", node, node,
            ),
            True,
            1,
        )  # fmt: skip
    source.announced = True
