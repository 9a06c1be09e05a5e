"""Fixtures of the broker layer. Without a Mosquitto, or a MicroPython, its tests are skipped, and say so."""

import pytest
from broker import real

NO_BROKER = "no Mosquitto: run `make setup`, or name one with MOSQUITTO=/path/to/mosquitto"
NO_MICROPYTHON = "no MicroPython: run `make setup`, or name one with MICROPYTHON=/path"


@pytest.fixture(scope="module")
def broker():
    if not real.mosquitto_path():
        pytest.skip(NO_BROKER)
    mosquitto = real.Mosquitto()
    yield mosquitto
    mosquitto.close()


@pytest.fixture
def make_broker():
    if not real.mosquitto_path():
        pytest.skip(NO_BROKER)
    made = []

    def make(*args, **named):
        made.append(real.Mosquitto(*args, **named))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


@pytest.fixture(params=real.INTERPRETERS)
def make_device(request):
    """make_device() starts a device; under each interpreter in turn."""
    command = real.command_of(request.param)
    if not command:
        pytest.skip(NO_MICROPYTHON)
    made = []

    def make():
        made.append(real.Device(command))
        return made[-1]

    yield make
    for device in made:
        device.close()


@pytest.fixture
def device(make_device):
    return make_device()


@pytest.fixture
def make_observer():
    made = []

    def make(*args, **named):
        made.append(real.Observer(*args, **named))
        return made[-1]

    yield make
    for observer in made:
        observer.close()


@pytest.fixture
def observer(broker, make_observer):
    return make_observer(broker.port)
