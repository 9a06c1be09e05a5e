"""Home Assistant finds the sensors by itself: a retained message for each quantity, in its MQTT discovery format with
the abbreviated keys. Imported only when `ha_prefix` asks for it."""

from binascii import hexlify
from hashlib import sha256
from json import dumps

_LEGAL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
_CLASSES = {
    "temperature": "temperature",
    "humidity": "humidity",
    "voltage": "voltage",
    "uptime": "duration",
    "heap": "data_size",
}


def legal(*words: str) -> str:
    """The words as one id that Home Assistant takes: letters, digits, _ and -. Different words, different ids: what
    had to be changed, or could be cut elsewhere, ends with a part of its checksum."""
    clean = "_".join(words)
    exact = True
    for i, word in enumerate(words):
        for c in word:
            if c not in _LEGAL and (c != "_" or i):
                exact = False
    if exact:
        return clean
    clean = "".join([c if c in _LEGAL else "_" for c in clean])
    return clean + "-" + str(hexlify(sha256("/".join(words).encode()).digest()[:4]), "utf-8")


def announcement(cfg: dict, client_id: str, topic: str, source, field: int):
    """Topic and payload that tell Home Assistant of one field of `source`. topic: the node's, TOPIC/CLIENT_ID/."""
    quantity, unit, _ = source.sensor.fields[field]
    node = legal(client_id)
    name = legal(source.name, quantity)
    # three readings that did not come: what is shown would be old
    expire_s = int(3 * cfg["interval_s"] * (cfg["connect_every"] if cfg["deep_sleep"] else 1)) + 60
    device_class = _CLASSES.get(quantity)
    payload = (
        '{"name":%s,"uniq_id":"%s","stat_t":%s,%s"unit_of_meas":%s,%s"stat_cla":"measurement","exp_aft":%d,'
        '"val_tpl":"{{value_json.value}}","o":{"name":"umqtt-node"},"dev":{"ids":["%s"],"name":%s}}'
        % (
            dumps(source.name + " " + quantity), legal(client_id, source.name, quantity),
            dumps(topic + source.name + "/" + quantity),
            '"avty_t":%s,' % dumps(topic + "status") if cfg["will"] else "", dumps(unit),
            '"dev_cla":"%s",' % device_class if device_class else "", expire_s, node, dumps(client_id),
        )
    )  # fmt: skip
    return "%s/sensor/%s/%s/config" % (cfg["ha_prefix"], node, name), payload
