"""What the owner said of routes, and how it moves later decisions on like questions.

The shipped weights stay as they are. What is learned is a Gaussian process over the questions' embeddings on top of
them, fitted to the owner's verdicts by Laplace's approximation (Rasmussen and Williams, Gaussian Processes for
Machine Learning, 2006, algorithm 3.1). It is computed from the verdicts that are kept, so that forgetting a question
takes all that was learned from it along, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from mnemon.clock import Clock, utc_now
from mnemon.memory.records import to_ms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.memory.store import Store

Wanted = Literal["cloud", "local"]

MOST: Final = 400
"""Verdicts that count, the newest; a fit takes some 10 ms then, and only after something changed."""
# Variance, in squared log-odds, of what all questions share and of what like questions share. One verdict moves
# its own question by 1.3 where the weights were undecided and by 3 where they were wrong by 3; a reworded one (cosine
# 0.7) by a third of that, any other by a fortieth.
_SHARED: Final = 0.15
_LIKE: Final = 6.0
_SHARPNESS: Final = 3
_NEWTON_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class _Learned:
    embeddings: NDArray[np.float32]
    pull: NDArray[np.float32]

    def shift(self, embedding: NDArray[np.float32]) -> float:
        return float(_kernel(embedding[None, :], self.embeddings)[0] @ self.pull)


class Verdicts:
    """The verdicts of one memory.

    Args:
        store: The encrypted file.
        now: The clock; tests set it.
    """

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self._now = now
        self._state: tuple[int, int] | None = None
        self._learned: _Learned | None = None

    def add(self, message_id: int, embedding: NDArray[np.float32], logit: float, wanted: Wanted) -> None:
        """Keep what the owner wanted for a question; a later verdict on the same one takes its place.

        Args:
            message_id: The owner's message; when it is forgotten the verdict goes too.
            embedding: Of the question.
            logit: How hard the shipped weights took it to be, as log-odds.
            wanted: Where it should have gone.
        """
        import numpy as np

        self._store.execute(
            "INSERT OR REPLACE INTO routing_verdicts (message_id, wanted, logit, embedding, said_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (message_id, wanted, logit, np.asarray(embedding, np.float16).tobytes(), to_ms(self._now())),
        )

    def count(self) -> int:
        """How many there are."""
        return int(self._store.tuples("SELECT count(*) FROM routing_verdicts")[0][0])

    def shift(self, embedding: NDArray[np.float32]) -> float:
        """What the owner's verdicts add to the log-odds of a question's being hard; 0 without any."""
        state = self._store.tuples("SELECT count(*), coalesce(max(id), 0) FROM routing_verdicts")[0]
        if state != self._state:
            self._learned = self._fit()
            self._state = state
        return self._learned.shift(embedding) if self._learned is not None else 0.0

    def _fit(self) -> _Learned | None:
        import numpy as np

        rows = self._store.tuples(
            "SELECT embedding, logit, wanted FROM routing_verdicts ORDER BY id DESC LIMIT ?", (MOST,)
        )
        if not rows:
            return None
        embeddings = np.stack([np.frombuffer(row[0], np.float16) for row in rows]).astype(np.float32)
        prior = np.array([row[1] for row in rows], np.float64)
        wanted = np.array([row[2] == "cloud" for row in rows], np.float64)
        kernel = _kernel(embeddings, embeddings).astype(np.float64)
        added = np.zeros(len(rows))
        pull = np.zeros(len(rows))
        for _ in range(_NEWTON_STEPS):
            share = 1 / (1 + np.exp(-(prior + added)))
            curvature = np.maximum(share * (1 - share), 1e-6)
            root = np.sqrt(curvature)
            right = curvature * added + wanted - share
            inner = np.eye(len(rows)) + root[:, None] * kernel * root[None, :]
            pull = right - root * np.linalg.solve(inner, root * (kernel @ right))
            step = kernel @ pull - added
            added = added + np.clip(step, -4.0, 4.0)  # far from the solution Newton's step overshoots
            if np.abs(step).max() < 1e-4:
                break
        return _Learned(embeddings, pull.astype(np.float32))


def _kernel(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much two questions share: all a little, those that mean the same nearly everything."""
    import numpy as np

    cosine = np.clip(left @ right.T, 0.0, 1.0)
    return np.asarray(_SHARED + _LIKE * cosine**_SHARPNESS, np.float32)
