"""The library as it ships, made once for all that look at it."""

import pytest

from tools.ship import ship


@pytest.fixture(scope="session")
def shipped_library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    ship(folder)
    return folder
