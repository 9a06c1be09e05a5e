"""The checks of `make interop` on three brokers, the short ones: what the table of docs/brokers.md says stays true."""

import concurrent.futures

import pytest

from tools.broker import BrokerError
from tools.firmware_process import micropython
from tools.prove import broker_makes, interop
from tools.prove.deviations import deviation

NO_MICROPYTHON = "no MicroPython: run `make setup`, or name one with MICROPYTHON=/path"
# without those that wait for a keep-alive, or until a client gives up what is never acknowledged
SHORT = [
    "connect_311", "connect_31", "empty_id", "refused", "will_kill", "retain", "qos0", "qos1", "qos2", "downgrade",
    "refused_filter", "filters", "wildcards", "unsubscribe", "takeover", "large", "empty", "utf8", "row_out", "simple",
    "restart_kept", "restart_forgot",
]  # fmt: skip
LONGER = ["session", "resume_out", "resume_in"]
BROKERS = {"mosquitto": SHORT + LONGER, "nats-trixie": SHORT, "amqtt": SHORT}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return interop.library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def results(library, tmp_path_factory):
    """Of all brokers, run side by side: most of the time is waiting."""
    interpreter = micropython()
    if not interpreter:
        pytest.skip(NO_MICROPYTHON)
    folder = tmp_path_factory.mktemp("brokers")
    with concurrent.futures.ThreadPoolExecutor(len(BROKERS)) as pool:
        made = {n: pool.submit(interop.run_broker, n, checks, interpreter, library, folder / n)
                for n, checks in BROKERS.items()}  # fmt: skip
        return {name: m.result() for name, m in made.items()}


@pytest.mark.parametrize("name", BROKERS)
def test_every_check_that_fails_is_known_as_the_brokers_fault(name, results):
    result = results[name]
    if result.skipped:
        pytest.skip("%s: %s" % (name, result.skipped))
    assert [(v.check, v.words) for v in result.red()] == []
    untrue = [v.check for v in result.verdicts if v.kind == "pass" and (d := deviation(name, v.check)) and d.always]
    assert untrue == [], "they pass, and docs/brokers.md says that they do not"
    assert len(result.verdicts) == len(BROKERS[name])


def test_a_broker_that_forgets_is_not_taken_for_one_that_keeps_sessions(library, tmp_path):
    class Forgetful(broker_makes.Mosquitto):
        def stop(self, hard=False):
            super().stop(hard)
            self.forget()

    interpreter = micropython()
    if not interpreter:
        pytest.skip(NO_MICROPYTHON)
    try:
        server = Forgetful("mosquitto", tmp_path / "broker")
        server.start()
    except BrokerError as e:
        pytest.skip(str(e))
    try:
        verdict = interop.run_check(server, interpreter, library, "restart_kept")
    finally:
        server.stop()
    assert verdict.kind == interop.RED and "session present [0]" in verdict.words
