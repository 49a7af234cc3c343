"""How long recall takes among 10,000 and 100,000 memories, the question's embedding included.

The memories are those of :mod:`mnemon.evaluation.sizes`: made up, with words that are hard on word search and vectors
in random directions. ``--json`` prints rows for ``all.py``; ``--sizes 1000`` chooses other sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")  # before numpy is imported: two threads is what is promised

from mnemon.evaluation import sizes

BARS = {
    (10_000, "p95"): 8.0,
    (100_000, "p95"): 12.0,
    (1_000_000, "p95"): 30.0,
    (100_000, "open"): 500.0,
    (100_000, "write p95"): 5.0,
    (100_000, "resident"): 120.0,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print rows for all.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    arguments = parser.parse_args()
    rows = []
    for size in arguments.sizes:
        print(f"{size:,} memories …", file=sys.stderr)
        for key, value in sizes.run([size])[0].items():
            if key == "memories":
                continue
            name, _, unit = key.rpartition("_")
            name = name.replace("_", " ")
            bar = BARS.get((size, name))
            rows.append(
                {
                    "what": f"recall, {size:,} memories, {name}",
                    "value": round(value, 2),
                    "unit": {"ms": "ms", "mb": "MB"}[unit],
                    "bar": "" if bar is None else f"<= {bar:g}",
                    "ok": bar is None or value <= bar,
                }
            )
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['what']:36} {row['value']:9.2f} {row['unit']}  {row['bar']:7} {'' if row['ok'] else 'MISSED'}")


if __name__ == "__main__":
    main()
