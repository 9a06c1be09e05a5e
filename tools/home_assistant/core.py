"""Home Assistant's own core with its MQTT integration alone, told what to do line by line. Runs in the Python 3.13 of
.cache/homeassistant; see `client`.

    python core.py BROKER_PORT FOLDER

FOLDER is its memory: the next start goes on with it. One JSON object a line on stdin: {"do": "show"}, {"do": "restart"}
(stop, and start from FOLDER), {"do": "birth"} (publish its birth message again), {"do": "call", "domain": ...,
"service": ..., "entity": ..., "data": {...}}; each is answered by one JSON object a line on stdout.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from types import MappingProxyType

from homeassistant import config_entries, const, core, loader
from homeassistant.components import mqtt
from homeassistant.components.homeassistant import exposed_entities  # noqa: F401 - it reads files when imported
from homeassistant.helpers import (
    area_registry,
    category_registry,
    device_registry,
    entity,
    entity_registry,
    floor_registry,
    frame,
    issue_registry,
    label_registry,
    restore_state,
    template,
    translation,
)
from homeassistant.helpers.storage import get_internal_store_manager
from homeassistant.setup import async_setup_component
from homeassistant.util.unit_system import METRIC_SYSTEM

REGISTRIES = (
    area_registry,
    category_registry,
    device_registry,
    entity_registry,
    floor_registry,
    issue_registry,
    label_registry,
)
SHOWN = ("unit_of_measurement", "device_class", "state_class", "min", "max", "step", "mode")


class Complaints(logging.Handler):
    """What it logs from WARNING on, since it was asked last."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "homeassistant.helpers.frame":
            return  # of the way in which it is started here
        self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    def taken(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


async def started(broker_port: int, folder: Path) -> core.HomeAssistant:
    """Home Assistant, running. It does what its own bootstrap does, which imports the recorder and the frontend."""
    (folder / "configuration.yaml").touch()
    hass = core.HomeAssistant(str(folder))
    hass.config.skip_pip = True
    hass.config.units = METRIC_SYSTEM
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await loader.async_get_custom_components(hass)
    for module in (entity, frame, template, translation):
        module.async_setup(hass)
    await get_internal_store_manager(hass).async_initialize()
    for registry in REGISTRIES:
        await registry.async_load(hass)
    await template.async_load_custom_templates(hass)
    await restore_state.async_load(hass)
    await hass.config_entries.async_initialize()
    for domain in ("http", "file_upload"):  # the integration wants them for its dialogues: no web server here
        hass.config.components.add(domain)
    for domain in ("homeassistant", "persistent_notification"):
        assert await async_setup_component(hass, domain, {}), domain
    if hass.config_entries.async_entries(mqtt.DOMAIN):
        assert await async_setup_component(hass, mqtt.DOMAIN, {})
    else:
        entry = config_entries.ConfigEntry(
            data={"broker": "127.0.0.1", "port": broker_port},
            options={},
            domain=mqtt.DOMAIN,
            title="broker",
            discovery_keys=MappingProxyType({}),
            source=config_entries.SOURCE_USER,
            subentries_data=None,
            unique_id=None,
            version=mqtt.CONFIG_ENTRY_VERSION,
            minor_version=mqtt.CONFIG_ENTRY_MINOR_VERSION,
        )
        await hass.config_entries.async_add(entry)
    await hass.async_start()
    return hass


async def stopped(hass: core.HomeAssistant) -> None:
    """Its end; its will is sent, as when its process ends."""
    socket_of = hass.data[mqtt.DATA_MQTT].client._mqttc
    await hass.async_stop()
    socket_of._sock_close()


def shown(hass: core.HomeAssistant) -> dict:
    """Devices, entities by id, repairs."""
    devices = device_registry.async_get(hass)
    known = entity_registry.async_get(hass).entities
    entities = {}
    for entity_id in sorted(set(known) | {state.entity_id for state in hass.states.async_all()}):
        entry, state = known.get(entity_id), hass.states.get(entity_id)
        component = hass.data.get("entity_components", {}).get(entity_id.split(".")[0])
        there = component.get_entity(entity_id) if component else None
        attributes = state.attributes if state else {}
        options = entry.options if entry else {}
        device = devices.async_get(entry.device_id) if entry and entry.device_id else None
        entities[entity_id] = {
            "state": state.state if state else None,
            "name": attributes.get("friendly_name"),
            "unique_id": entry.unique_id if entry else None,
            "device": device.name if device else None,
            "category": entry.entity_category if entry else None,
            "precision": options.get("sensor", {}).get("suggested_display_precision"),
            "expire_s": getattr(there, "_expire_after", None),
            "there": there is not None,
            **{name: attributes[name] for name in SHOWN if name in attributes},
        }
    return {
        "entities": entities,
        "devices": [
            {
                "name": device.name,
                "identifiers": sorted(second for _, second in device.identifiers),
                "manufacturer": device.manufacturer,
                "model": device.model,
                "sw": device.sw_version,
                "hw": device.hw_version,
                "url": device.configuration_url,
            }
            for device in devices.devices.values()
        ],
        "repairs": [issue.issue_id for issue in issue_registry.async_get(hass).issues.values()],
        "connected": mqtt.is_connected(hass),
    }


async def main(broker_port: int, folder: Path) -> None:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    hass = await started(broker_port, folder)
    answer: dict = {"version": const.__version__}
    try:
        while True:
            print(json.dumps({**answer, "complaints": complaints.taken()}, default=str), flush=True)
            line = await asyncio.to_thread(sys.stdin.readline)
            if not line:
                return
            order = json.loads(line)
            answer = {}
            if order["do"] == "show":
                answer = shown(hass)
            elif order["do"] == "restart":
                await stopped(hass)
                hass = await started(broker_port, folder)
            elif order["do"] == "birth":
                await mqtt.async_publish(hass, "homeassistant/status", "online")
            elif order["do"] == "call":
                await hass.services.async_call(
                    order["domain"],
                    order["service"],
                    order.get("data", {}),
                    blocking=True,
                    target={"entity_id": order["entity"]},
                )
            else:
                raise ValueError("no order is called %r" % order["do"])
    finally:
        await stopped(hass)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]).resolve()))
