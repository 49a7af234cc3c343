"""The k-th write, fsync or byte of disk that does not come, a write torn by a kill: for every k until none is left.

``faults/faults.c`` stands between the program and libc; ``faults/program.py`` runs each scenario and looks
afterwards: what was acknowledged is there, the file is sound, and what went wrong was told in one line with its code.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "faults"
SCENARIOS = ("everyday", "first", "rekey", "rewrap", "back_up", "restore", "read_in", "export", "migrate")
FEW = [("everyday", "full", 23), ("first", "torn", 23), ("rekey", "write", 41), ("restore", "full", 41)]
ALL = [(scenario, kind, 1) for scenario in SCENARIOS for kind in ("write", "fsync", "full", "torn")]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    made = tmp_path_factory.mktemp("shim") / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(made), str(HERE / "faults.c"), "-ldl"], check=True)
    return made


@pytest.mark.parametrize(
    ("scenario", "kind", "step"),
    [*FEW, *(pytest.param(*one, marks=pytest.mark.slow) for one in ALL)],
)
def test_nothing_acknowledged_is_lost(shim: Path, tmp_path: Path, scenario: str, kind: str, step: int) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "program.py"), kind, scenario, str(tmp_path), str(step)],
        env={**os.environ, "LD_PRELOAD": str(shim), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["fired"] > 0
    assert found["wrong"] == {}
