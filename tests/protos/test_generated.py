"""The committed code is what the compiler writes from the committed definitions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_regenerating_changes_nothing(tmp_path: Path) -> None:
    script = REPOSITORY / "scripts" / "generate_protos.py"
    subprocess.run([sys.executable, script, "--target", tmp_path], check=True, capture_output=True)
    written = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*_pb2*") if p.is_file()}
    protos = REPOSITORY / "protos"
    committed = {p.relative_to(protos): p.read_bytes() for p in protos.rglob("*_pb2*") if p.suffix in (".py", ".pyi")}
    assert len(written) >= 10
    assert sorted(written) == sorted(committed)
    assert [name for name in written if written[name] != committed[name]] == []
