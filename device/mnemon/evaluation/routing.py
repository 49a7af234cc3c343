"""Routing: does what is hard for a small model go to the cloud, at what cost, and how fast is it decided?

Format (JSON Lines): ``q`` (a question), ``label`` (``local`` or ``cloud``: where it should go), and perhaps ``kind``.

Cost and quality are reported as RouteLLM does (arXiv 2406.18665): quality is 1 where every question that should goes
to the cloud and 0 where none does (their performance gap recovered, with the label for the strong model's gain); the
cost is the share of all questions that go there. A router that draws lots has its share of calls as its quality.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnemon.errors import InputError
from mnemon.evaluation.metrics import mean, percentile
from mnemon.evaluation.plot import line_chart
from mnemon.evaluation.spoken import read_rows
from mnemon.memory.memory import Memory
from mnemon.routing.router import Router
from mnemon.routing.signals import Signals, observe

QUALITIES = (0.5, 0.8, 0.9, 0.95, 1.0)
REPEATS = 3
"""Of each decision the quickest of so many counts: what a busy machine adds is not the router's."""
SHARES = tuple(step / 10 for step in range(11))


def run(path: Path, *, threshold: float = 0.5) -> dict[str, Any]:
    """The questions of ``path``, about which memory holds nothing.

    Args:
        threshold: The one the shares of right decisions are counted at.

    Returns:
        ``auc``; ``at_threshold`` (``right``, ``calls``: the share sent, ``quality``); ``calls_at_quality`` and
        ``quality_at_calls``, the curve; ``average_quality`` over all shares of calls; ``ms`` of one decision
        (``p50``, ``p95``, the embedding apart as ``embedding_p95``); ``by_kind``: how hard each was taken to be.

    Raises:
        InputError: The file is missing, not JSON Lines, or has no questions of both labels.
    """
    rows = read_rows(path)
    should = [row.get("label") == "cloud" for row in rows]
    if not any(should) or all(should):
        raise InputError(f"{path} needs questions labelled cloud and local.", hint="See docs/routing.md.")
    hard, decided, embedded = [], [], []
    with Memory.temporary() as memory:
        router = Router(memory.store, memory.embedder, threshold=threshold)
        router.decide(observe("ready", embedder=memory.embedder))  # loads weights and embedder
        for row in rows:
            started = time.perf_counter()
            signals = observe(row["q"], embedder=memory.embedder)
            between = time.perf_counter()
            hard.append(router.decide(signals).hard)
            decided.append(min(_ms(router, signals) for _ in range(REPEATS)))
            embedded.append(1000 * (between - started))
    sent = [one >= threshold for one in hard]
    kinds = sorted({str(row["kind"]) for row in rows if "kind" in row})
    return {
        "questions": len(rows),
        "hard": sum(should),
        "auc": round(auc(hard, should), 4),
        "at_threshold": {
            "threshold": threshold,
            "right": round(mean([float(a == b) for a, b in zip(sent, should, strict=True)]), 4),
            "calls": round(mean([float(one) for one in sent]), 4),
            "quality": round(sum(a and b for a, b in zip(sent, should, strict=True)) / sum(should), 4),
        },
        "calls_at_quality": {f"{q:g}": round(calls_at(hard, should, q), 4) for q in QUALITIES},
        "quality_at_calls": {f"{share:g}": round(quality_at(hard, should, share), 4) for share in SHARES},
        "average_quality": round(mean([quality_at(hard, should, share / 100) for share in range(101)]), 4),
        "ms": {
            "p50": round(percentile(decided, 0.5), 2),
            "p95": round(percentile(decided, 0.95), 2),
            "embedding_p95": round(percentile(embedded, 0.95), 2),
        },
        "by_kind": {
            kind: round(mean([h for h, row in zip(hard, rows, strict=True) if row.get("kind") == kind]), 3)
            for kind in kinds
        },
    }


def _ms(router: Router, signals: Signals) -> float:
    started = time.perf_counter()
    router.decide(signals)
    return 1000 * (time.perf_counter() - started)


def auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """The share of pairs of a positive and a negative in which the positive scores higher; ties count half.

    Raises:
        ValueError: There are no such pairs.
    """
    above = [score for score, is_positive in zip(scores, positive, strict=True) if is_positive]
    below = [score for score, is_positive in zip(scores, positive, strict=True) if not is_positive]
    if not above or not below:
        raise ValueError("an AUC needs positives and negatives")
    won = sum((a > b) + 0.5 * (a == b) for a in above for b in below)
    return won / (len(above) * len(below))


def calls_at(scores: Sequence[float], should: Sequence[bool], quality: float) -> float:
    """The smallest share of questions, hardest first, that holds ``quality`` of those that should go."""
    wanted, found = quality * sum(should), 0
    for calls, i in enumerate(_hardest_first(scores), 1):
        found += should[i]
        if found >= wanted - 1e-9:
            return calls / len(scores)
    return 1.0


def quality_at(scores: Sequence[float], should: Sequence[bool], share: float) -> float:
    """The share of those that should go among the hardest ``share`` of all questions, interpolated between two."""
    exact = share * len(scores)
    order, whole = _hardest_first(scores), int(exact)
    found = sum(should[i] for i in order[:whole])
    part = (exact - whole) * should[order[whole]] if whole < len(order) else 0.0
    return (found + part) / sum(should)


def chart(figures: dict[str, Any]) -> str:
    """Quality over the share of cloud calls, with a router that draws lots and one that knows: an SVG document."""
    share = figures["hard"] / figures["questions"]
    lines = {
        "this router": list(figures["quality_at_calls"].values()),
        "knows all": [min(1.0, one / share) for one in SHARES],
        "draws lots": list(SHARES),
    }
    return line_chart("Quality over cost", "share of questions sent to the cloud", "quality", SHARES, lines, top=1)


def _hardest_first(scores: Sequence[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda i: -scores[i])
