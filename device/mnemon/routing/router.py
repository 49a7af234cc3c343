"""Here or the cloud: one decision a question, without asking a model.

The shipped classifier says how hard a question is, a draft's uncertainty and the owner's verdicts move that, and the
owner's threshold decides. Asking the cloud still needs the owner's consent (:mod:`mnemon.privacy.consent`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mnemon.clock import Clock, utc_now
from mnemon.errors import SettingsError
from mnemon.routing import features, reasons
from mnemon.routing.classifier import Classifier, shipped
from mnemon.routing.verdicts import Verdicts, Wanted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.memory.embedding import Embedder
    from mnemon.memory.store import Store
    from mnemon.routing.signals import Signals

FURTHEST = 12.0
"""Log-odds are kept within this: a share of 1.0000 says all there is to say."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a question goes.

    Attributes:
        route: Here, or the cloud if the owner agrees.
        hard: How likely a small model is to fail at it, in [0, 1].
        reason: Why, in words for the owner.
        features: What it rests on: ``kind <name>`` for the likeliest kinds; ``classifier``, ``draft`` and
            ``verdicts``, log-odds that were added up; ``recall_best``, ``threshold``.
    """

    route: Literal["local", "cloud"]
    hard: float
    reason: str
    features: Mapping[str, float]


class Router:
    """Decides for one memory.

    Args:
        store: Holds the owner's verdicts.
        embedder: Makes the embedding where a question comes without one.
        threshold: The setting ``routing.threshold``: a question at least this hard goes to the cloud.
        classifier: Other weights than those that come with Mnemon.
        now: The clock; tests set it.

    Raises:
        SettingsError: The threshold is not from 0 to 1.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        *,
        threshold: float = 0.5,
        classifier: Classifier | None = None,
        now: Clock = utc_now,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise SettingsError(
                f"routing.threshold = {threshold:g} is not from 0 to 1.",
                hint="0 offers every question to the cloud, 1 none; mnemon settings set routing.threshold 0.5",
            )
        self.verdicts = Verdicts(store, now)
        self.threshold = threshold
        self._embedder = embedder
        self._classifier = classifier

    def decide(self, signals: Signals) -> Decision:
        """Where ``signals.question`` goes. Some 0.5 ms, and the embedding when it comes without one."""
        embedding = self._embedding(signals)
        shares, classified = self._classified(signals, embedding)
        draft = 0.0 if signals.draft is None else self._weights.of_draft(signals.draft)
        verdicts = self.verdicts.shift(embedding)
        hard = _share(classified + draft + verdicts)
        route: Literal["local", "cloud"] = "cloud" if hard >= self.threshold and self.threshold < 1 else "local"
        kinds = sorted(zip(shares.tolist(), self._weights.kinds, strict=True), reverse=True)[:3]
        return Decision(
            route=route,
            hard=hard,
            reason=reasons.reason(route, kinds, signals, hard=hard, draft=draft, verdicts=verdicts),
            features={
                **{f"kind {kind}": round(share, 4) for share, kind in kinds},
                "classifier": classified,
                "draft": draft,
                "verdicts": verdicts,
                "recall_best": signals.recall_best,
                "threshold": self.threshold,
            },
        )

    def learn(self, message_id: int, signals: Signals, wanted: Wanted) -> None:
        """Take the owner's word for where a question should go: "ask the cloud" or "that was fine".

        Args:
            message_id: The owner's message that asked; forgetting it unlearns this.
            signals: Of that question.
            wanted: Where it should have gone.
        """
        embedding = self._embedding(signals)
        self.verdicts.add(message_id, embedding, self._classified(signals, embedding)[1], wanted)

    @property
    def _weights(self) -> Classifier:
        return self._classifier or shipped()

    def _embedding(self, signals: Signals) -> NDArray[np.float32]:
        if signals.embedding is not None:
            return signals.embedding
        from mnemon.answering.questions import understand

        return self._embedder.embed_one(understand(signals.question).text)

    def _classified(self, signals: Signals, embedding: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        shares = self._weights.shares(features.vector(signals, embedding))
        return shares, _logit(float(self._weights.hard(shares)))


def _logit(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return min(max(math.log(share / (1 - share)), -FURTHEST), FURTHEST)


def _share(logit: float) -> float:
    return 1 / (1 + math.exp(-min(max(logit, -FURTHEST), FURTHEST)))
