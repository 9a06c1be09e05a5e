"""ota: the manifest of an update, signed and retained; `make ota` sends it. docs/ota.md."""

RETAINED = True


def carry_out(node, payload: bytes, flags: int):
    if not node.cfg["ota_key"]:
        raise ValueError("there is no ota_key in config.json, so no update can be checked: make config makes one")
    from update import begin

    return begin(node, payload)
