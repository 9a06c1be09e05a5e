"""The budgets of tools/budgets.json hold, and the reader of .mpy files reads."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import size  # noqa: E402


def test_the_size_budgets_hold() -> None:
    got = subprocess.run(
        [sys.executable, str(ROOT / "tools/size.py"), "--check"],
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
        subprocess.run([size.mpy_cross(), "-O3", str(tmp_path / "m.py")], check=True)
    except FileNotFoundError as e:
        pytest.skip(str(e))
    mpy = size.Mpy((tmp_path / "m.mpy").read_bytes(), source)
    return {f.name: f.words for f in mpy.functions}


def test_frames_are_read_from_the_mpy(tmp_path: Path) -> None:
    # 10 locals and the one word in use above them; a handler adds 3
    body = "".join("    a%d = %d\n" % (i, i) for i in range(10))
    got = frames(
        tmp_path,
        "class C:\n  def close(self): pass\ndef ten():\n"
        + body
        + "def tried():\n    try: ten()\n    except OSError: pass\n",
    )
    assert got["ten"] == 11, got
    assert got["tried"] > 3 + size.HANDLER_WORDS, got
    assert "C.close" in got, got


def test_a_file_that_is_no_mpy_is_refused() -> None:
    with pytest.raises(ValueError, match="version 6"):
        size.Mpy(b"M\x05\0\x1f", "")
