"""The JSON that other programs read: what is written is what docs/mosqlog.schema.json says."""

import json
import signal
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from .program import LOG, LOGS, ROOT, following, objects, run

SCHEMA = json.loads((ROOT / "docs" / "mosqlog.schema.json").read_text(encoding="utf-8"))
VALID = Draft202012Validator(SCHEMA)
SAMPLES = sorted(LOGS.glob("*.log"))


def complaints(things):
    """What is wrong with the objects, each named by its own type's part of the schema."""
    found = []
    for thing in things:
        only = Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{thing['type']}"})
        found += [f"{thing['type']}: {error.message}" for error in only.iter_errors(thing)]
        assert found or VALID.is_valid(thing)
    return sorted(set(found))


def undescribed(things):
    """Particulars of findings that the schema does not describe: add them to `particulars` there."""
    described = set(SCHEMA["$defs"]["particulars"]["properties"]) | {"t"}
    examples = [example for thing in things for example in thing.get("examples", [thing.get("example", {})])]
    return sorted({name for example in examples for name in example} - described)


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    assert {option["$ref"].rpartition("/")[2] for option in SCHEMA["oneOf"]} <= set(SCHEMA["$defs"])


def test_every_kind_of_object_is_in_the_manual():
    page = (ROOT / "docs" / "mosqlog-data.md").read_text(encoding="utf-8")
    kinds = [option["$ref"].rpartition("/")[2] for option in SCHEMA["oneOf"]]
    assert [kind for kind in kinds if f"`{kind}`" not in page] == []


def test_a_wrong_object_is_refused():
    """The validator is asked something: a field too many, one too few, one of another type."""
    head = objects(LOG)[0]
    assert not VALID.is_valid({**head, "colour": 1})
    assert not VALID.is_valid({name: value for name, value in head.items() if name != "lines"})
    assert not VALID.is_valid({**head, "lines": "many"})


@pytest.mark.parametrize("log", SAMPLES, ids=lambda path: path.stem)
def test_every_object_of_a_real_log_is_as_described(log):
    found = objects("--unknown", "--connected", "--gone", "1s", "--talkers", "--at", "1795466814", log)
    assert complaints(found) == [] and undescribed(found) == []
    assert {"log", "client", "finding", "session"} <= {thing["type"] for thing in found}


def test_a_restart_an_unknown_line_and_several_brokers_are_as_described(tmp_path):
    start = b"1795348562: mosquitto version 2.0.11 starting\n"
    raw = start + Path(LOG).read_bytes() + b"1795466900: something new\n"
    (tmp_path / "a.log").write_bytes(raw)
    found = objects("--unknown", f"north={tmp_path / 'a.log'}", f"south={LOG}")
    assert complaints(found) == []
    assert {"restart", "unknown", "move"} <= {thing["type"] for thing in found}
    assert [thing["broker"] for thing in found if thing["type"] == "log"] == ["north", "south"]
    assert {thing["broker"] for thing in found} == {"north", "south", None}


def test_the_log_comes_first_also_before_unknown_lines():
    raw = b"1: something new\n" * 3
    assert [thing["type"] for thing in objects("--unknown", "-", stdin=raw)] == ["log", "unknown", "unknown", "unknown"]


def test_live_and_final_objects_are_told_apart(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(Path(LOG).read_bytes())
    program = following("--json", log)
    try:
        with log.open("ab") as file:
            file.write(
                b"1795467000: New client connected from 1.2.3.4:5 as late (p2, c1, k60).\n"
                b"1795467200: Client late has exceeded timeout, disconnecting.\n"
            )
        live = []
        while not live or live[-1]["type"] != "trouble" or live[-1]["standing"]:
            live.append(json.loads(program.stdout.readline()))
        program.send_signal(signal.SIGTERM)
        final = [json.loads(line) for line in program.communicate(timeout=120)[0].splitlines()]
    finally:
        program.kill()
        program.communicate()
    assert live[0]["type"] == "log" and final[0]["type"] == "log"
    assert all(thing["live"] for thing in live) and not any(thing["live"] for thing in final)
    assert complaints(live + final) == [] and undescribed(live + final) == []
    assert [thing["how"] for thing in live if thing["type"] == "session"] == ["open", "timeout"]
    told = [(thing["id"], thing["code"]) for thing in live if thing["type"] == "trouble"]
    assert len(told) == len(set(told)) and told[-1] == ("late", "keepalive-missed")
    assert [thing["standing"] for thing in live if thing["type"] == "trouble"] == [True] * (len(told) - 1) + [False]
    assert final[0]["lines"] == 201


def test_with_a_client_named_only_what_is_about_it_is_given():
    found = objects("--client", "twin", LOG)
    assert {thing.get("client", thing.get("id")) for thing in found if thing["type"] != "log"} == {"twin"}


def test_bytes_that_are_not_utf_8_stand_as_their_figures():
    raw = b"1795348562: Received PINGREQ from a\xff\n"
    status, out, _ = run("--json", "-", stdin=raw)
    assert status == 0 and out.isascii()
    assert json.loads(out.splitlines()[1])["client"] == "a\\xff"
