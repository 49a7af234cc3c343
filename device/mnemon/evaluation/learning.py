"""How well Mnemon learns: simulated owners, lessons as the product holds them, and what is gained on held-out talks.

Each lesson has an encrypted memory of its own with the owner's examples, and the same gate as everywhere. What counts
is measured afterwards on conversations that were never in that memory: the loss of the owner's answers with what is
in use then, against the model as it came, and the loss of the fixed general set.

What needs a bank of adapters mixes those that a short lesson in the space ``vector`` gives each of the other owners:
nothing of the owner who is measured is in them. Making the bank is not counted, as it is there before an owner comes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemon.evaluation import owners
from mnemon.evaluation.plot import line_chart
from mnemon.evaluation.report import table
from mnemon.learning.examples import Example, Examples
from mnemon.learning.lesson import SPACES, Budget, Lesson
from mnemon.learning.spaces.making import BANKED, check
from mnemon.learning.versions import Versions
from mnemon.learning.zeroth_order import CMA_MOST
from mnemon.memory.store import Store

if TYPE_CHECKING:
    from mnemon.learning.book import Book
    from mnemon.learning.lesson import Outcome, Progress
    from mnemon.runtime.adapters import Active, Adapter
    from mnemon.runtime.chat_model import ChatModel

CHOSEN = "chosen"
"""Instead of the name of a space: the lesson tries the usual ones and goes on with the best, as in use."""
EXAMPLES = 192
"""An owner's examples; a third of their conversations is held out by the lesson itself."""
_POINTS = 10
_BANK_SPACE, _BANK_EVALUATIONS = "vector", 100

Report = Callable[[str, str, float], None]
"""Called with the owner, the space and the share of the lesson that is over."""


@dataclass(frozen=True, slots=True)
class Row:
    """One lesson of one owner.

    Attributes:
        owner: A simulated owner's name.
        space: What was tuned.
        optimiser: ``CMA-ES`` for few numbers, else ``MeZO``.
        size: How many numbers were tuned.
        accepted: What the gate said.
        before: Loss of the owner's held-out answers with the model as it came, nats a token.
        after: The same with what is in use after the lesson.
        general: By which share of itself the general set's loss grew.
        evaluations: Measurements of learning.
        seconds: How long the lesson took, of the clock or of the processor.
        found: Loss the lesson's own test saw at its end, whether it was accepted or not.
        curve: Loss at each look of the lesson.
        reason: What the gate said, in words.
    """

    owner: str
    space: str
    optimiser: str
    size: int
    accepted: bool
    before: float
    after: float
    general: float
    evaluations: int
    seconds: float
    found: float
    curve: tuple[float, ...]
    reason: str

    @property
    def gain(self) -> float:
        """Nats a token won on the held-out answers."""
        return self.before - self.after

    @property
    def improvement(self) -> float:
        """The gain as a share of the loss before."""
        return self.gain / self.before if self.before else 0.0

    def as_dict(self) -> dict[str, Any]:
        """As printed by ``--json``; the keys are a contract."""
        return {
            "owner": self.owner,
            "space": self.space,
            "optimiser": self.optimiser,
            "size": self.size,
            "accepted": self.accepted,
            "before": round(self.before, 4),
            "after": round(self.after, 4),
            "improvement": round(self.improvement, 4),
            "general": round(self.general, 4),
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 1),
            "gain_per_evaluation": round(self.gain / max(self.evaluations, 1), 5),
            "gain_per_minute": round(60 * self.gain / max(self.seconds, 1e-9), 4),
            "found": round(self.found, 4),
            "curve": [round(loss, 4) for loss in self.curve],
            "reason": self.reason,
        }


def run(
    model: ChatModel,
    *,
    names: Sequence[str] = owners.NAMES,
    spaces: Sequence[str] = (CHOSEN,),
    seconds: float = 600.0,
    evaluations: int | None = None,
    corpus: Path | None = None,
    seed: int = 0,
    examples: int = EXAMPLES,
    report: Report = lambda owner, space, share: None,
    keep: Callable[[Row], None] = lambda row: None,
    cma_most: int = CMA_MOST,
    now: Callable[[], float] = time.monotonic,
) -> list[Row]:
    """A lesson for each owner and space.

    Args:
        model: Learns; the same for all, as nothing is ever set on it.
        names: Which owners.
        spaces: Names of spaces, or :data:`CHOSEN`.
        seconds: How long each lesson may take.
        evaluations: Measurements of learning at most.
        corpus: See :func:`mnemon.evaluation.owners.build`.
        seed: Of owners and lessons.
        examples: How many an owner has.
        report: Told how far it is.
        keep: Given each row at once, so that an interrupted run leaves what it had.
        cma_most: Numbers up to which CMA-ES does it.
        now: The clock of the lessons, in seconds.

    Raises:
        InputError: There is no such owner, or the corpus cannot be read.
        LearningError: There is no such space, or it does not fit the model.
    """
    for space in spaces:
        if space != CHOSEN:
            check(space)
    rows = []
    budget, short = Budget(seconds, evaluations), Budget(seconds, _BANK_EVALUATIONS)
    banked: dict[str, Adapter | None] = {}

    def bank_without(name: str) -> list[Adapter]:
        others = [other for other in owners.NAMES if other != name]
        for part, other in enumerate(others):
            if other not in banked:
                with _memory(owners.build(other, corpus, seed, train=examples).train, seed) as store:
                    lesson = Lesson(store, model, spaces=(_BANK_SPACE,), seed=seed, now=now)
                    kept = lesson.run(short, report=_telling(report, name, BANKED, part, len(others) + 1)).version
                    banked[other] = Versions(store).export(kept, model.base_sha256()) if kept else None
        return [adapter for other in others if (adapter := banked[other])]

    for name in names:
        owner = owners.build(name, corpus, seed, train=examples)
        unseen = [*owner.held_out, *owner.general]
        with model.scorer([(example.prompt, example.chosen) for example in unseen]) as scorer:

            def losses(active: Active, owner: owners.Owner = owner, scorer: Any = scorer) -> tuple[float, float]:
                scores = scorer.scores(active)
                parts = scores[: len(owner.held_out)], scores[len(owner.held_out) :]
                held_out, general = (-sum(float(s.sum()) for s in p) / sum(len(s) for s in p) for p in parts)
                return held_out, general

            before = losses(())
            for space in spaces:
                bank = bank_without(name) if space == BANKED else []
                parts = len(owners.NAMES) if space == BANKED else 1
                with _memory(owner.train, seed) as store:
                    tried = SPACES if space == CHOSEN else (space,)
                    lesson = Lesson(store, model, spaces=tried, seed=seed, bank=bank, cma_most=cma_most, now=now)
                    outcome = lesson.run(budget, report=_telling(report, name, space, parts - 1, parts))
                    versions = Versions(store, bank=bank)
                    after = losses(versions.active(model.base_sha256()).adapters)
                    rows.append(_row(name, outcome, before, after, versions.book, cma_most))
                keep(rows[-1])
    return rows


def tables(rows: Sequence[Row]) -> str:
    """Markdown: a row for each lesson, then the best of each owner.

    Gains are in nats a token: in a minute, and by a thousand measurements.
    """
    head = ["owner, space", "optimiser", "numbers", "before", "after", "better", "general", "measured"]
    head += ["a minute", "a thousand", "kept"]
    cells = [
        [
            f"{row.owner}, {row.space}",
            row.optimiser,
            f"{row.size:,}",
            f"{row.before:.3f}",
            f"{row.after:.3f}",
            f"{row.improvement:.1%}",
            f"{row.general:+.2%}",
            f"{row.evaluations} in {row.seconds / 60:.1f} min",
            f"{60 * row.gain / max(row.seconds, 1e-9):.3f}",
            f"{1000 * row.gain / max(row.evaluations, 1):.3f}",
            "yes" if row.accepted else "no",
        ]
        for row in rows
    ]
    best = [max((row for row in rows if row.owner == name), key=lambda row: row.gain) for name in _owners(rows)]
    summary = [[row.owner, row.space, f"{row.improvement:.1%}", f"{row.general:+.2%}"] for row in best]
    return f"{table(head, cells)}\n{table(['owner', 'best space', 'better', 'general'], summary)}"


def chart(rows: Sequence[Row]) -> str:
    """SVG: how the loss of each accepted lesson went, as a share of where it began."""
    lines = {
        f"{row.owner}, {row.space}": [_at(row.curve, i / _POINTS) / row.curve[0] for i in range(_POINTS + 1)]
        for row in rows
        if len(row.curve) > 1
    }
    at = [100.0 * i / _POINTS for i in range(_POINTS + 1)]
    lines = lines or {"nothing was learned": [1.0] * len(at)}
    return line_chart("Loss of what is learned from", "percent of the lesson", "share of the first loss", at, lines)


def _row(
    name: str, outcome: Outcome, before: tuple[float, float], after: tuple[float, float], book: Book, cma_most: int
) -> Row:
    lesson = book.store.tuples("SELECT max(id) FROM learning_lessons")[0][0]
    size = book.journal(lesson).header.size
    return Row(
        name,
        outcome.space,
        "CMA-ES" if size <= cma_most else "MeZO",
        size,
        outcome.accepted,
        before[0],
        after[0],
        after[1] / before[1] - 1,
        outcome.evaluations,
        outcome.seconds,
        outcome.after,
        tuple(book.reports()[-1][1].get("curve", ())),
        outcome.reason,
    )


def _memory(examples: Sequence[Example], seed: int) -> AbstractContextManager[Store]:
    """A memory that is never on a disk, with these examples in it, split in the same way for the same seed."""
    store = Store.open(None, os.urandom(32))
    split = hashlib.sha256(f"learning split {seed}".encode()).digest()
    store.execute("INSERT INTO secrets (name, value) VALUES ('learning split', ?)", (split,))
    kept = Examples(store)
    for example in examples:
        kept.add(example)
    return contextlib.closing(store)


def _telling(report: Report, owner: str, space: str, part: int, parts: int) -> Callable[[Progress], None]:
    return lambda progress: report(owner, space, (part + progress.share) / parts)


def _owners(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.owner for row in rows))


def _at(curve: Sequence[float], share: float) -> float:
    return curve[min(round(share * (len(curve) - 1)), len(curve) - 1)]
