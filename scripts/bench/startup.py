"""How quickly `mnemon` is there and how much memory it takes, measured on real processes.

    python scripts/bench/startup.py [--json]

- `mnemon --help`, process start to end: the median of ten runs.
- `mnemon ask`, process start to the first byte of the answer on a pipe: the median of seven runs, each asking about
  something told before, in a home of its own.
- resident memory of one `mnemon` that answers twenty lines from a pipe: now (VmRSS) and at its highest (VmHWM),
  as the kernel counts it, model file included.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MNEMON = str(Path(sys.executable).with_name("mnemon"))
HELP_S, FIRST_TOKEN_S, RESIDENT_MB = 0.2, 1.0, 300

TALK = [
    "My dog is called Biscuit.",
    "I live in Leeds with my sister Anna.",
    "What is my dog called?",
    "I work at the library on Thursdays.",
    "Where do I live?",
    "How are you today?",
    "My favourite soup is leek and potato.",
    "What should I cook tonight?",
    "Who is my sister?",
    "Tell me something nice.",
]


def help_seconds(runs: int = 10) -> float:
    """Median wall time of `mnemon --help`."""
    return statistics.median(_timed([MNEMON, "--help"]) for _ in range(runs))


def first_token_seconds(home: str, runs: int = 7) -> float:
    """Median time from starting the process to the first byte of its answer."""
    _run(home, "ask", "My dog is called Biscuit.")
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        pipe, command = subprocess.PIPE, [MNEMON, "ask", "What is my dog called?"]
        process = subprocess.Popen(command, bufsize=0, stdout=pipe, stderr=pipe, env=_env(home))
        first = process.stdout.read(1)
        taken.append(time.perf_counter() - started)
        rest, told = process.communicate(timeout=120)
        if process.returncode or b"Biscuit" not in first + rest:
            raise SystemExit(f"mnemon ask failed: {told.decode()}{(first + rest).decode()}")
    return statistics.median(taken)


def resident_megabytes(home: str) -> tuple[float, float]:
    """Resident memory after twenty answers, and its peak, in units of 10^6 bytes (Linux only)."""
    process = subprocess.Popen([MNEMON], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_env(home))
    for line in TALK * 2:
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        if not process.stdout.readline():
            raise SystemExit("mnemon ended in the middle of the talk")
    time.sleep(1)  # what follows an answer (facts, profile) is part of chatting
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    now, peak = (int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    process.stdin.close()
    process.stdout.read()
    if process.wait(timeout=60):
        raise SystemExit(f"mnemon ended with exit code {process.returncode}")
    return now, peak


def measure() -> list[dict[str, Any]]:
    """All rows of this bench, as ``scripts/bench/all.py`` prints them."""
    rows = [_row("mnemon --help", help_seconds(), "s", HELP_S)]
    with tempfile.TemporaryDirectory() as home:
        rows.append(_row("mnemon ask, process start to first token", first_token_seconds(home), "s", FIRST_TOKEN_S))
        if sys.platform == "linux":
            now, peak = resident_megabytes(home)
            rows.append(_row("resident memory while chatting", now, "MB", RESIDENT_MB))
            rows.append(_row("resident memory while chatting, peak", peak, "MB", RESIDENT_MB))
    return rows


def _row(what: str, value: float, unit: str, bar: float) -> dict[str, Any]:
    return {"what": what, "value": round(value, 3), "unit": unit, "bar": f"≤ {bar:g}", "ok": value <= bar}


def _env(home: str) -> dict[str, str]:
    return {**os.environ, "MNEMON_HOME": home}


def _run(home: str, *words: str) -> None:
    subprocess.run([MNEMON, *words], env=_env(home), check=True, stdout=subprocess.DEVNULL)


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Print the rows, as text or with ``--json`` as one document."""
    rows = measure()
    if "--json" in sys.argv:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['what']}: {row['value']} {row['unit']} (bar {row['bar']}){'' if row['ok'] else '  MISSED'}")


if __name__ == "__main__":
    main()
