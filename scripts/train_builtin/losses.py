"""A run's losses as a picture: what it read, and what it has never read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mnemon.evaluation.plot import line_chart

_POINTS = 10


def draw(work: Path) -> Path:
    """Draw ``losses.jsonl`` of a run's folder as ``losses.svg`` beside it, and return that.

    Raises:
        FileNotFoundError: The run has written no loss yet.
    """
    rows = [json.loads(line) for line in (work / "losses.jsonl").read_text("utf-8").splitlines()]
    read = [(row["tokens"], row["loss"]) for row in rows if "loss" in row]
    unread = [(row["tokens"], *row["held_out"].values()) for row in rows if "held_out" in row]
    ends = np.linspace(0, read[-1][0], _POINTS + 1)[1:]
    at = [round(float(end) / 1e6, 2) for end in ends]
    curves = {"what it reads": _means(read, ends)}
    if unread:
        tokens, losses = zip(*unread, strict=True)
        curves["held out"] = [float(np.interp(end, tokens, losses)) for end in ends]
    path = work / "losses.svg"
    path.write_text(line_chart("Losses", "million tokens read", "nats a token", at, curves), "utf-8")
    return path


def _means(points: list[tuple[float, float]], ends: np.ndarray) -> list[float]:
    """The mean of the values up to each end since the one before; the last mean where nothing lies between."""
    found: list[float] = []
    start = 0.0
    for end in ends:
        inside = [value for at, value in points if start < at <= end]
        found.append(float(np.mean(inside)) if inside else found[-1] if found else points[0][1])
        start = float(end)
    return found
