"""The kind of a question, from a small table of weights that comes with Mnemon (``scripts/train_router`` makes it).

Multinomial logistic regression over the question's embedding and form: one kind of question a row. How hard it is for
a small model is the share of the kinds that are; so the figure and the reason given for it are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.routing.signals import DraftSignals

MOST_OF_DRAFT: Final = 3.0
"""Log-odds a draft adds or takes at most: measured on answers to what the owner told, it is used on others."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """The weights.

    Attributes:
        kinds: Names of the kinds, such as ``"hard code"`` or ``"easy recall"``.
        weights: One row a kind, shape (kinds, :data:`~mnemon.routing.features.LENGTH`), float32.
        bias: One number a kind.
        draft: What a draft adds to the log-odds: a constant, and weights of its mean and least log-probability and of
            its having been refused.
    """

    kinds: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    draft: tuple[float, float, float, float]

    def shares(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """How likely each kind is; they add up to 1. Takes one row of features, or several."""
        import numpy as np

        scores = features @ self.weights.T + self.bias
        raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)

    def hard(self, shares: NDArray[np.float32]) -> NDArray[np.float32]:
        """The share of the hard kinds, in (0, 1)."""
        import numpy as np

        return np.asarray(shares[..., self.is_hard].sum(axis=-1), np.float32)

    @property
    def is_hard(self) -> list[int]:
        """The numbers of the kinds that are too hard for a small model."""
        return [i for i, kind in enumerate(self.kinds) if kind.startswith("hard ")]

    def of_draft(self, draft: DraftSignals) -> float:
        """What a draft's uncertainty adds to the log-odds of being hard."""
        constant, mean, least, refused = self.draft
        added = constant + mean * draft.mean_logprob + least * draft.min_logprob + refused * draft.refused
        return min(max(added, -MOST_OF_DRAFT), MOST_OF_DRAFT)


@cache
def shipped() -> Classifier:
    """The weights that come with Mnemon, read at first use (20 KB)."""
    import numpy as np

    with (
        resources.files("mnemon.routing").joinpath("weights.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as table,
    ):
        return Classifier(
            kinds=tuple(str(table["kinds"]).split("\n")),
            weights=table["weights"].astype(np.float32),
            bias=table["bias"].astype(np.float32),
            draft=tuple(table["draft"].tolist()),
        )
