"""How long it takes to forget one message for good, and to write the file anew so that no copy of it is left.

python scripts/bench/forgetting.py 10000 100000
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from mnemon.evaluation import sizes
from mnemon.memory import scrubbing
from mnemon.memory.forgetting import Forgetting
from mnemon.memory.store import Store

ROUNDS = 3


def main() -> None:
    """Print for each number of messages the file's size and the times of three forgettings."""
    for size in map(int, sys.argv[1:] or ("10000", "100000")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "memory.db"
            sizes.fill(path, size)
            with Store.open(path, b"k" * 32) as store:
                print(f"{size} messages, {path.stat().st_size / 1e6:.0f} MB")
                for number in range(ROUNDS):
                    started = time.perf_counter()
                    Forgetting(store).forget([f"m{size // 2 + number}"])
                    forgotten = time.perf_counter()
                    waited = "written anew at once" if not scrubbing.is_due(store) else "left to the background"
                    if scrubbing.is_due(store):
                        scrubbing.scrub(store, at_once=True)
                    anew = time.perf_counter()
                    print(
                        f"  forgotten in {1000 * (forgotten - started):.0f} ms ({waited}),"
                        f" then written anew in {1000 * (anew - forgotten):.0f} ms"
                    )


if __name__ == "__main__":
    main()
