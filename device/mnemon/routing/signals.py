"""What the device knows of a question for free: its words, their meaning, what memory holds, how a draft went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemon.answering.questions import Asked, understand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.answering.evidence import Evidence
    from mnemon.memory.embedding import Embedder


@dataclass(frozen=True, slots=True)
class DraftSignals:
    """How sure the local model was while it wrote an answer.

    Attributes:
        mean_logprob: Of its tokens, in nats; 0 is certain.
        min_logprob: Of its least likely token.
        refused: The draft was ended before it said anything that may be said, or said that it does not know.
    """

    mean_logprob: float
    min_logprob: float
    refused: bool = False

    @classmethod
    def of(cls, logprobs: Sequence[float], *, refused: bool = False) -> DraftSignals:
        """From the log-probabilities of a draft's tokens; none at all count as refused."""
        if not logprobs:
            return cls(0.0, 0.0, refused=True)
        return cls(sum(logprobs) / len(logprobs), min(logprobs), refused)


@dataclass(frozen=True, slots=True)
class Signals:
    """One question as the router sees it.

    Attributes:
        question: The owner's words.
        embedding: Of the question, 384 numbers of length 1; None: the router has it made.
        recall_best: How far the best memory bears on it, about 0 to 1 (``Evidence.support``).
        recalled: How many memories bear on it at all.
        about_owner: It asks for something the owner told.
        draft: How the local model did, if it has tried.
    """

    question: str
    embedding: NDArray[np.float32] | None = None
    recall_best: float = 0.0
    recalled: int = 0
    about_owner: bool = False
    draft: DraftSignals | None = None


def observe(
    question: str,
    *,
    asked: Asked | None = None,
    evidence: Evidence | None = None,
    embedder: Embedder | None = None,
    draft: DraftSignals | None = None,
) -> Signals:
    """The signals of a question from what a turn has at hand.

    Args:
        question: The owner's words, whole.
        asked: Their form, if it was looked at already.
        evidence: What memory holds for it.
        embedder: Makes the embedding; its last one is not made twice.
        draft: How the local model did, if it has tried.
    """
    asked = asked or understand(question)
    support = evidence.support if evidence is not None else ()
    return Signals(
        question=question,
        embedding=embedder.embed_one(asked.text) if embedder is not None else None,
        recall_best=support[0] if support else 0.0,
        recalled=sum(one > 0 for one in support),
        about_owner=asked.of_owner and not asked.advice,
        draft=draft,
    )
