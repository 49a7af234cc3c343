"""What ``mnemon eval memory`` found, as Markdown tables and as charts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mnemon.evaluation.plot import line_chart


def recall_tables(figures: dict[str, Any]) -> str:
    """Recall at every depth, together and by category: a Markdown table for each level of the data."""
    parts = []
    for level, found in figures["levels"].items():
        depths = list(found["recall"])
        rows = [[name, _count(row["questions"]), *_shares(row, depths)] for name, row in _curves(found)]
        parts.append(table([level, "questions", *(f"@{k}" for k in depths)], rows))
    ms = figures["ms"]
    parts.append(f"One search: p50 {ms['p50']:g} ms, p95 {ms['p95']:g} ms.\n")
    return "\n".join(parts)


def recall_chart(figures: dict[str, Any]) -> str:
    """Recall over depth, a curve for each category: an SVG document for the first level of the data."""
    level, found = next(iter(figures["levels"].items()))
    lines = {name: list(row["recall"].values()) for name, row in _curves(found)}
    depths = [float(k) for k in found["recall"]]
    return line_chart(
        f"Recall of evidence ({level}) by category", "among the first k", "recall", depths, lines, top=1
    )


def size_table(rows: Sequence[dict[str, float]]) -> str:
    """Times and memory at each size, as a Markdown table."""
    head = ["memories", "open", "load", "recall p50", "recall p95", "written p95", "resident"]
    cells = [
        [
            _count(row["memories"]),
            *(f"{row[name]:.2f} ms" for name in ("open_ms", "load_ms", "p50_ms", "p95_ms", "write_p95_ms")),
            f"{row['resident_mb']:.0f} MB",
        ]
        for row in rows
    ]
    return table(head, cells)


def size_chart(rows: Sequence[dict[str, float]]) -> str:
    """Recall's p50 and p95 over the number of memories: an SVG document."""
    lines = {name: [row[f"{name}_ms"] for row in rows] for name in ("p50", "p95")}
    sizes = [row["memories"] for row in rows]
    return line_chart("One recall, the question's embedding included", "memories", "milliseconds", sizes, lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is words, the others are figures."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def _curves(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from found["by_category"].items()
    yield "all", found


def _shares(row: dict[str, Any], depths: Sequence[str]) -> list[str]:
    return [f"{row['recall'][k]:.3f}" for k in depths]


def _count(number: float) -> str:
    return f"{number:,.0f}"
