"""``kill -9`` at random moments; ``scripts/kills.py`` says how. Few here, a thousand by hand (docs/measured.md)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


@pytest.mark.parametrize("kills", [15, pytest.param(300, marks=pytest.mark.slow)])
def test_nothing_acknowledged_is_lost(repository: Path, kills: int) -> None:
    script = repository / "scripts" / "kills.py"
    done = subprocess.run(
        [sys.executable, str(script), "--kills", str(kills)], capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills" in done.stdout
