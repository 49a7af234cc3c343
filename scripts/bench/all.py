"""All benches, one table: `make bench`.

Each bench is a script beside this one that prints, with ``--json``, a list of rows: ``what``, ``value``, ``unit``,
``bar`` (the figure to reach, as text) and ``ok``. They run one after the other, each in a process of its own, so that
none measures what another left behind. The table goes to standard output and to ``bench-out/bench.md``, the rows with
the machine they were measured on to ``bench-out/bench.json``. Exit code 1 when a bench failed or a bar was missed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OUT = HERE.parent.parent / "bench-out"
BENCHES = {
    "startup": (),
    "runtime": (),
    "answers": (),
    "recall": (),
    "learning": (),
    "cloud": ("--only", "streams", "--seconds", "15"),  # `make bench-cloud` is the long one
}
"""Each bench with what it is told besides ``--json``."""


def run(name: str) -> list[dict[str, Any]]:
    """The rows of one bench; a bench that fails is a row that says so."""
    print(f"{name} …", file=sys.stderr)
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), "--json", *BENCHES[name]],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    try:
        rows = json.loads(done.stdout)
    except json.JSONDecodeError:
        rows = []
    if done.returncode and not rows:
        return [
            {"bench": name, "what": f"{name} failed", "value": done.returncode, "unit": "", "bar": "0", "ok": False}
        ]
    return [{"bench": name, **row} for row in rows]


def machine() -> dict[str, Any]:
    """What the figures hold for."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):  # not Linux: the platform's own word has to do
        cpu = Path("/proc/cpuinfo").read_text("utf-8", "replace")
        model = next(line.split(":", 1)[1].strip() for line in cpu.splitlines() if line.startswith("model name"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": model,
        "cores": f"{cores} cores",
        "system": platform.platform(terse=True),
        "python": f"Python {platform.python_version()}",
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | bar | |", "|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {row['what']} | {row['value']} {row['unit']} | {row['bar']} | {'✓' if row['ok'] else '✗'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all, write both files, print the table."""
    where, rows = machine(), [row for name in BENCHES for row in run(name)]
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    head = ", ".join(str(value) for value in (*where.values(), measured_at)) + "\n\n"
    OUT.mkdir(exist_ok=True)
    (OUT / "bench.md").write_text(head + table(rows), "utf-8")
    document = {"machine": where, "measured_at": measured_at, "rows": rows}
    (OUT / "bench.json").write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    print(table(rows), end="")
    sys.exit(0 if all(row["ok"] for row in rows) else 1)


if __name__ == "__main__":
    main()
