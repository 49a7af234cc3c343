"""What was learned as its owner reads it: each version in plain words, and what a lesson came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnemon.learning.lesson import Outcome
    from mnemon.learning.versions import Version

KINDS = {
    "edited": "written anew",
    "picked": "picked",
    "praised": "praised",
    "blamed": "blamed",
    "accepted": "copied",
    "rewritten": "asked for in another manner",
    "asked": "from earlier conversations",
}
"""What an owner did with answers, in words."""
_BARS = "▁▂▃▄▅▆▇█"
_SPARKS = 40
"""Marks of a sparkline at most."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A version as its owner reads it.

    Attributes:
        version: Its number; 0 is the model as it came.
        at: When it was learned; None for 0.
        in_use: Answers are made with it, or would be but for ``problem``.
        gain: What it gained, one sentence.
        about: What it was learned from, and how, a sentence each.
        kinds: How many examples of each kind.
        before: Held-out loss of what was in use before, nats a token.
        after: Its own.
        curve: The loss at each look of the lesson.
        problem: Why the model answers as it came although this one is in use, one sentence; else empty.
    """

    version: int
    at: datetime | None
    in_use: bool
    gain: str
    about: tuple[str, ...] = ()
    kinds: dict[str, int] | None = None
    before: float = 0.0
    after: float = 0.0
    curve: tuple[float, ...] = ()
    problem: str = ""

    @property
    def name(self) -> str:
        """``Version 3``, or what 0 is."""
        return f"Version {self.version}" if self.version else "The model as it came"

    @property
    def sparkline(self) -> str:
        """The curve in one line of blocks, the highest loss being the tallest; empty where there is none."""
        return sparkline(self.curve)


def sentence(outcome: Outcome) -> str:
    """What a lesson came to, for a person."""
    if not outcome.accepted:
        return f"Nothing changes: {_lower(outcome.reason)}"
    return f"Learned: {_lower(_gain(outcome.before, outcome.after, outcome.general))}"


def sparkline(curve: Sequence[float]) -> str:
    """A curve in one line of blocks, the highest value being the tallest."""
    if len(curve) < 2:
        return ""
    step = max(1.0, len(curve) / _SPARKS)
    points = [curve[int(i * step)] for i in range(int(len(curve) / step))]
    low, high = min(points), max(points)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((point - low) * scale)] for point in points)


def chapter_of(version: Version, problem: str) -> Chapter:
    """A version in plain words; ``problem`` as in :class:`Chapter`."""
    kinds = [f"{number} {KINDS.get(kind, kind)}" for kind, number in version.kinds.items()]
    about = [f"Learned from {' and '.join(kinds) or 'examples'}, {version.examples} of them still there."]
    on = f", going on from version {version.continues}" if version.continues else ""
    work = f"{version.steps} steps, {version.evaluations} measurements and {version.seconds / 60:.0f} min"
    about.append(f"What was tuned: {version.space}, in {work}{on}.")
    if problem:
        about.append(f"It does not answer now: {_lower(problem)}")
    elif version.stale:
        about.append("Something it was learned from was forgotten: it is not used until it was tested again.")
    return Chapter(
        version.number,
        version.at,
        version.active,
        _gain(version.before, version.after, version.general),
        tuple(about),
        version.kinds,
        version.before,
        version.after,
        version.curve,
        problem,
    )


def _gain(before: float, after: float, general: float) -> str:
    better = (before - after) / before if before else 0.0
    rest = (
        "everything else is as before"
        if abs(general) < 0.0005
        else (f"everything else {abs(general):.1%} {'worse' if general > 0 else 'better'}")
    )
    return f"Answers as you want them are foretold {better:.0%} better (loss {before:.2f} to {after:.2f}), {rest}."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
