"""A linear map of 384 numbers to 384, added to the question's vector: fitted so that the answer lies nearest.

The loss is InfoNCE (van den Oord et al. 2018, arXiv 1807.03748): a softmax over the answer of the question, the
answers of the others in the batch and chance messages. Answers of the same group are left out, as they may be right
too. Vectors of messages stay what they are, so that nothing in memory has to be embedded anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from train_recall.pairs import Form, Pair

BATCH: Mapping[Form, int] = {"plainly": 62, "freely": 92, "talk": 230}
TEMPERATURE = 0.05
RATE, DECAY = 1e-3, 0.01
_OTHERS = 1024  # of what people say to each other, and as many of what they say to an assistant


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
        others: Messages that answer nothing, in two kinds or more.
        vectors: Of every text in both.
        steps: 600 take a minute of one core.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    chance = np.random.default_rng(seed)
    group = {name: number for number, name in enumerate(dict.fromkeys(pair.group for pair in pairs))}
    by_form = {form: [pair for pair in pairs if pair.form == form] for form in BATCH}
    matrix = torch.zeros(384, 384, requires_grad=True)
    constant = torch.zeros(384, requires_grad=True)
    optimizer = torch.optim.AdamW([matrix, constant], lr=RATE, weight_decay=DECAY)
    size = sum(BATCH.values())
    itself = torch.eye(size, dtype=torch.bool)
    for step in range(steps):
        for settings in optimizer.param_groups:
            settings["lr"] = RATE * (1 - step / steps)
        batch = [
            by_form[form][at]
            for form, count in BATCH.items()
            for at in chance.integers(len(by_form[form]), size=count)
        ]
        beside = [several[at] for several in others for at in chance.integers(len(several), size=_OTHERS)]
        questions = torch.from_numpy(vectors.of([pair.question for pair in batch]))
        messages = torch.from_numpy(vectors.of([*(pair.answer for pair in batch), *beside]))
        groups = torch.tensor([group[pair.group] for pair in batch])
        turned = functional.normalize(questions + questions @ matrix + constant, dim=1)
        scores = turned @ messages.T / TEMPERATURE
        as_right = (groups[:, None] == groups[None]) & ~itself
        scores[:, :size] = scores[:, :size].masked_fill(as_right, float("-inf"))
        loss = functional.cross_entropy(scores, torch.arange(size))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.ascontiguousarray(np.concatenate((matrix.detach().numpy().T, constant.detach().numpy()[None])))


def ranked(questions: np.ndarray, answers: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """Shares of questions whose answer is first, or in the first ten, among ``others``, and the mean of 1 / rank."""
    own = (questions * answers).sum(axis=1, keepdims=True)
    rank = 1 + (questions @ others.T > own).sum(axis=1)
    return float((rank == 1).mean()), float((rank <= 10).mean()), float((1 / rank).mean())
