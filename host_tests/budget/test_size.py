"""The budgets of tools/measure/budgets.json hold, and the reader of .mpy files reads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

from tools.build import compile_one  # noqa: E402
from tools.measure import size
from tools.read_mpy import HANDLER_WORDS, Mpy  # noqa: E402


def test_the_size_budgets_hold() -> None:
    got = subprocess.run(
        [sys.executable, "-m", "tools.measure.size", "--check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if got.returncode == 2:
        pytest.skip(got.stdout.decode())
    assert got.returncode == 0, got.stdout.decode()


def frames(tmp_path: Path, source: str) -> dict:
    (tmp_path / "m.py").write_text(source)
    try:
        compile_one(tmp_path / "m.py", tmp_path / "m.mpy", "m")
    except FileNotFoundError as e:
        pytest.skip(str(e))
    codes = Mpy((tmp_path / "m.mpy").read_bytes()).codes[1:]
    return {name: code for (name, _), code in zip(size.scopes(ast.parse(source), ""), codes)}


def test_frames_are_read_from_the_mpy(tmp_path: Path) -> None:
    # 10 locals and the one word in use above them; a handler adds 3
    body = "".join("    a%d = %d\n" % (i, i) for i in range(10))
    got = frames(
        tmp_path,
        "class C:\n  def close(self): pass\ndef ten():\n"
        + body
        + "def tried():\n    try: ten()\n    except OSError: pass\n"
        + "def yields():\n    yield 1\n",
    )
    assert got["ten"].words == 11, got
    assert got["tried"].words > 3 + HANDLER_WORDS, got
    assert "C.close" in got, got
    assert [name for name in got if got[name].is_generator] == ["yields"], got


def test_a_file_that_is_no_mpy_is_refused() -> None:
    with pytest.raises(ValueError, match="version 6"):
        Mpy(b"M\x05\0\x1f")


@pytest.mark.parametrize("form", size.FORMS)
def test_the_account_is_of_what_the_import_takes(tmp_path: Path, form: str) -> None:
    try:
        library = size.compile_library(tmp_path, form)
        parts = size.account(library, "client")
    except FileNotFoundError as e:
        pytest.skip(str(e))
    sums = {part: size_b for part, (_, size_b) in parts.items() if not part.startswith("-")}
    together = sums.pop("together")
    assert sum(sums.values()) == together
    # The rest stands around the files: never below nothing, less than a fifth.
    assert 0 < sums["modules, classes, their dicts, values of globals"] < together / 5, parts


def test_a_hot_function_that_grew_or_is_gone_is_told() -> None:
    wide = size.Function("m.wide", size.STACK_WORDS + 1, 100, False)
    form = size.Form("shipped", Path(), {"m": [wide]}, {"m.placed": "m.wide"})
    for name in ("m.wide", "m.placed"):
        assert size.hot_frame(form, name) == ["frame of m.wide: 12 words, at most 11"]
    assert "no such function" in size.hot_frame(form, "m.gone")[0]
