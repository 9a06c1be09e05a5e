"""Instructions, writes and heap of the operations stay within measure/budgets.json; a budget that is passed is told."""

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

from tools.measure import bench, size

BUDGETS = json.loads(size.BUDGETS.read_text())["operations"]
KIND = {
    "native": "native",
    "v5": "v5",
    "aio": "aio",
    "aio_v5": "aio_v5",
    "prepared": "prepared",
    "umqtt.simple": "simple",
    "routes": "routes",
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("mpy")
    try:
        size.micropython(32), size.micropython(64)
        size.compile_library(folder)
    except FileNotFoundError as e:
        pytest.skip(str(e))
    return str(folder)


@pytest.mark.parametrize(("client", "operation"), sorted({(b["client"], b["operation"]) for b in BUDGETS}))
def test_an_operation_stays_within_its_budgets(library: str, client: str, operation: str) -> None:
    if not shutil.which("valgrind"):
        pytest.skip("no valgrind: apt install valgrind")
    cost = bench.measure(bench.Client(client, KIND[client], library), operation, True)
    assert not bench.passed_over(BUDGETS, client, operation, cost), cost


def test_a_budget_that_is_passed_is_told() -> None:
    cost = bench.Cost(10**6, 5.0, 64.0, 0)
    told = bench.passed_over(BUDGETS, "native", "publish0", cost)
    assert len(told) == 3 and "instructions: 1000000" in told[0], told
    assert bench.passed_over(BUDGETS, "native", "publish0", bench.Cost(None, None, 0, 0)) == []
