"""Choosing what each part of a score counts for, and how good the choice is on conversations it has not seen.

For every sample the weights are fitted on all the others and its questions are asked with them: the mean over those
questions is the held-out figure. What is fitted is a softmax over the short list of each question (listwise ranking
loss, Cao et al. 2007, "Learning to rank: from pairwise approach to listwise approach"), its target spread evenly over
the evidence, with a penalty of 0.001 on squared weights; it is convex, and Newton's method ends in about ten steps.
The weights that ship are those fitted on all samples.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mnemon.errors import TransferError
from mnemon.evaluation import retrieval
from mnemon.evaluation.datasets import Sample
from mnemon.evaluation.metrics import mean, recall_at
from mnemon.memory.memory import Memory
from mnemon.memory.ranking import FEATURES, Weights
from mnemon.paths import Home
from mnemon.settings import MemorySettings

_PENALTY = 1e-3
_STEPS = 20
_SMALLEST_STEP = 1e-4
_LEVEL = "turn"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A question's short list: one row of features for each message, and which of them are evidence."""

    refs: list[str]
    features: np.ndarray
    evidence: frozenset[str]
    category: str


def run(samples: Iterable[Sample], *, ablation: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """Fit on all samples but one, ask that one, for each.

    Args:
        ablation: Also leave out one part of the score at a time (fitted anew without it, held out in the same way).

    Returns:
        ``held_out`` (as :func:`mnemon.evaluation.retrieval.run` reports it), ``weights`` fitted on all samples,
        ``by_sample`` (those each sample was asked with) and, if wanted, ``without`` (recall at 1 to 50 for each
        part left out).

    Raises:
        TransferError: There are fewer than two samples with questions, or none of turns.
    """
    kept = [sample for sample in samples if any(_LEVEL in question.evidence for question in sample.questions)]
    if len(kept) < 2:
        raise TransferError("One sample cannot be left out of fewer than two.", hint="Give a larger file.")
    total = sum(len(sample.questions) for sample in kept)
    done = 0
    tally = retrieval.Tally()
    with ExitStack() as stack:
        memories, weighed = [], []
        for sample in kept:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mnemon-eval-"))
            memory = stack.enter_context(Memory.open(Home(Path(folder)), MemorySettings(key="file")))
            retrieval.save(memory, sample.talks)
            memory.warm()
            memories.append(memory)
            weighed.append(_weigh(memory, sample))
        chosen = [
            fit([one for j, several in enumerate(weighed) if j != i for one in several]) for i in range(len(kept))
        ]
        for sample, memory, weights in zip(kept, memories, chosen, strict=True):
            memory.weights = weights
            for question in sample.questions:
                tally.add(question, sample, *retrieval.ask(memory, question))
                done += 1
                if progress:
                    progress(done, total)
    report = {
        "held_out": tally.report(),
        "weights": _rounded(fit([one for several in weighed for one in several])),
        "by_sample": {sample.name: _rounded(weights) for sample, weights in zip(kept, chosen, strict=True)},
    }
    if ablation:
        report["without"] = {"nothing": _held_out(weighed, ())} | {
            " and ".join(parts): _held_out(weighed, parts) for parts in _PIECES
        }
    return report


_PIECES = (
    ("sentence",),
    ("window",),
    ("question_before", "words_question_before"),
    ("after",),
    ("two_away", "words_two_away"),
    ("words", "words_question_before", "words_two_away"),
    ("coverage",),
    ("speaker",),
    ("asking",),
    ("time",),
)


def fit(questions: Sequence[_Weighed], *, without: Sequence[str] = ()) -> Weights:
    """The weights under which the evidence is likeliest; those of ``without`` are 0."""
    used = [i for i, name in enumerate(FEATURES) if name not in without]
    weights = np.zeros(len(used))
    lists = [
        (one.features[:, used].astype(np.float64), target)
        for one in questions
        if (target := np.array([ref in one.evidence for ref in one.refs], np.float64)).any()
    ]
    loss, gradient, curvature = _loss(lists, weights)
    for _ in range(_STEPS):
        step = np.linalg.solve(curvature, gradient)
        while np.abs(step).max(initial=0.0) > _SMALLEST_STEP:
            found = _loss(lists, weights - step)
            if found[0] < loss:
                break
            step /= 2  # far from the best, a full step can lead beyond it
        else:
            break
        weights = weights - step
        loss, gradient, curvature = found
    fitted = dict.fromkeys(FEATURES, 0.0)
    fitted.update({FEATURES[i]: float(weight) for i, weight in zip(used, weights, strict=True)})
    return replace(Weights(), **fitted)


def _loss(
    lists: Sequence[tuple[np.ndarray, np.ndarray]], weights: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss, its gradient and its second derivatives."""
    loss = _PENALTY * float(weights @ weights)
    gradient = 2 * _PENALTY * weights
    curvature = 2 * _PENALTY * np.eye(len(weights))
    for parts, target in lists:
        scores = parts @ weights
        share = np.exp(scores - scores.max())
        everything = share.sum()
        share /= everything
        usual = share @ parts
        wanted = target @ parts / target.sum()
        loss += (scores.max() + np.log(everything) - wanted @ weights) / len(lists)
        gradient += (usual - wanted) / len(lists)
        curvature += ((parts * share[:, None]).T @ parts - np.outer(usual, usual)) / len(lists)
    return loss, gradient, curvature


def _weigh(memory: Memory, sample: Sample) -> list[_Weighed]:
    found = []
    for question in sample.questions:
        if _LEVEL in question.evidence:
            refs, features = memory.weighed(question.text, at=question.asked_at)
            found.append(_Weighed(refs, features, question.evidence[_LEVEL], question.category))
    return found


def _held_out(weighed: Sequence[Sequence[_Weighed]], without: Sequence[str]) -> dict[str, float]:
    depths: dict[int, list[float]] = {k: [] for k in retrieval.DEPTHS}
    for i, sample in enumerate(weighed):
        weights = fit([one for j, several in enumerate(weighed) if j != i for one in several], without=without)
        vector = np.array([getattr(weights, name) for name in FEATURES])
        for one in sample:
            order = np.argsort(-(one.features @ vector), kind="stable")[: max(depths)]
            ranked = [one.refs[i] for i in order]
            for k, values in depths.items():
                values.append(recall_at(ranked, one.evidence, k))
    return {str(k): round(mean(values), 4) for k, values in depths.items()}


def _rounded(weights: Weights) -> dict[str, float]:
    return {name: round(getattr(weights, name), 2) for name in FEATURES}
