"""A linear map of 384 numbers to 384, added to the question's vector: fitted so that the answer lies nearest.

The loss is InfoNCE (van den Oord et al. 2018, arXiv 1807.03748): a softmax over the answer of the question, the
answers of the others in the batch and chance messages. Answers of the same group are left out, as they may be right
too. Vectors of messages stay what they are, so that nothing in memory has to be embedded anew.

A second round, a fifth as long, goes mostly to what was mentioned in passing, beside what is near a question and does
not answer it (hard negatives, Xiong et al. 2021, arXiv 2007.00808). With a thousand such questions, three times as
many steps were too many: questions held out were then found no better than without any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from train_recall.pairs import Form, Pair

BATCH: Mapping[Form, int] = {"plainly": 62, "freely": 92, "talk": 230}
LAST_BATCH: Mapping[Form, int] = {"plainly": 45, "freely": 65, "in passing": 160, "talk": 90}
TEMPERATURE = 0.05
RATE, DECAY = 1e-3, 0.01
_OTHERS, _LAST_OTHERS = 1024, 300  # of what people say to each other, and as many of what they say to an assistant
_LAST_SHARE = 5  # the second round has one step for so many of the first
_NEAR = slice(2, 40)  # of the messages nearest to a question; the very first may answer it
_NEAR_EACH = 3


@dataclass(frozen=True, slots=True)
class Vectors:
    """The embedded texts: one row each, and where each text is."""

    rows: np.ndarray
    place: Mapping[str, int]

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """The rows of these texts."""
        return self.rows[[self.place[text] for text in texts]]


def fit(
    pairs: Sequence[Pair], others: Sequence[Sequence[str]], vectors: Vectors, *, steps: int, seed: int
) -> np.ndarray:
    """The map, float32 (385, 384): what each number of the turned vector takes of the question's, and a constant.

    Args:
        pairs: At least one of each form.
        others: Messages that answer nothing, in two kinds or more; those near a question are taken from the last.
        vectors: Of every text in both.
        steps: 600, and the 120 that follow, take a minute of one core.
    """
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    chance = np.random.default_rng(seed)
    by_form: dict[Form, list[Pair]] = {}
    for pair in pairs:
        by_form.setdefault(pair.form, []).append(pair)
    matrix = torch.zeros(384, 384, requires_grad=True)
    constant = torch.zeros(384, requires_grad=True)

    def table() -> np.ndarray:
        return np.ascontiguousarray(np.concatenate((matrix.detach().numpy().T, constant.detach().numpy()[None])))

    def go(steps: int, batch: Mapping[Form, int], beside: int, near: Mapping[str, Sequence[str]]) -> None:
        optimizer = torch.optim.AdamW([matrix, constant], lr=RATE, weight_decay=DECAY)
        for step in range(steps):
            for settings in optimizer.param_groups:
                settings["lr"] = RATE * (1 - step / steps)
            asked = [
                by_form[form][at]
                for form, count in batch.items()
                for at in chance.integers(len(by_form[form]), size=count)
            ]
            chosen = [several[at] for several in others for at in chance.integers(len(several), size=beside)]
            for pair in asked:
                if several := near.get(pair.question):
                    chosen += [several[at] for at in chance.integers(len(several), size=_NEAR_EACH)]
            loss = _loss(matrix, constant, asked, chosen, vectors)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    go(steps, BATCH, _OTHERS, {})
    questions = list(dict.fromkeys(pair.question for pair in pairs if pair.form != "talk"))
    go(steps // _LAST_SHARE, LAST_BATCH, _LAST_OTHERS, _near(questions, others[-1], table(), vectors))
    return table()


def _loss(matrix: Any, constant: Any, asked: Sequence[Pair], beside: Sequence[str], vectors: Vectors) -> Any:
    """Of one batch: how unlikely the right answers are among each other and what stands ``beside`` them."""
    import torch
    from torch.nn import functional

    size = len(asked)
    questions = torch.from_numpy(vectors.of([pair.question for pair in asked]))
    messages = torch.from_numpy(vectors.of([*(pair.answer for pair in asked), *beside]))
    number = {group: place for place, group in enumerate(dict.fromkeys(pair.group for pair in asked))}
    groups = torch.tensor([number[pair.group] for pair in asked])
    turned = functional.normalize(questions + questions @ matrix + constant, dim=1)
    scores = turned @ messages.T / TEMPERATURE
    as_right = (groups[:, None] == groups[None]) & ~torch.eye(size, dtype=torch.bool)
    scores[:, :size] = scores[:, :size].masked_fill(as_right, float("-inf"))
    return functional.cross_entropy(scores, torch.arange(size))


def _near(
    questions: Sequence[str], others: Sequence[str], table: np.ndarray, vectors: Vectors
) -> dict[str, list[str]]:
    """For each question the messages nearest to it as it is turned, which do not answer it."""
    found: dict[str, list[str]] = {}
    rows = vectors.of(others)
    for start in range(0, len(questions), 500):
        part = questions[start : start + 500]
        asked = vectors.of(part)
        far = -((asked + asked @ table[:-1].T + table[-1]) @ rows.T)
        closest = np.argpartition(far, min(_NEAR.stop, len(others) - 1), axis=1)[:, : _NEAR.stop]
        order = np.argsort(np.take_along_axis(far, closest, axis=1), axis=1)[:, _NEAR]
        closest = np.take_along_axis(closest, order, axis=1)
        found.update({question: [others[at] for at in row] for question, row in zip(part, closest, strict=True)})
    return found


def ranked(questions: np.ndarray, answers: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """Shares of questions whose answer is first, or in the first ten, among ``others``, and the mean of 1 / rank."""
    own = (questions * answers).sum(axis=1, keepdims=True)
    rank = 1 + (questions @ others.T > own).sum(axis=1)
    return float((rank == 1).mean()), float((rank <= 10).mean()), float((1 / rank).mean())
