"""Which examples a lesson learns from, and questions and answers made from past conversations.

A small buffer of telling examples teaches more than all of them (Qin et al. 2024, arXiv 2311.12275). As there, an
example is worth keeping for the entropy of its words' meanings, for belonging to what the owner talks about, and for
being unlike those already kept. What the owner did themselves comes before what is made from conversations.

Made examples follow PLUM (arXiv 2411.13405): a past turn becomes a question with the answer that was given and not
objected to; where the owner put an answer right, the wrong answer becomes the one not wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from mnemon.learning.examples import Example
from mnemon.memory.corrections import sets_right
from mnemon.runtime.chat_model import ChatMessage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.memory.records import Message

MOST = 128
"""Examples a lesson learns from: what a quarter of an hour of small batches goes through a few times."""

_OUTLIER = 2.5
"""Times the median of nats a token beyond which an answer is taken for garbage."""
_MADE = 0.5
_NEIGHBOURS = 8


def plausible(examples: Sequence[Example], losses: Sequence[float]) -> list[int]:
    """Places of the examples whose wanted answer is language, by the base's own loss.

    Args:
        examples: All there are.
        losses: Nats a token of each wanted answer under the base; 0 for an empty one.
    """
    known = sorted(loss for example, loss in zip(examples, losses, strict=True) if example.chosen.strip())
    if not known:
        return list(range(len(examples)))
    limit = _OUTLIER * max(known[len(known) // 2], 1e-9)
    return [i for i, loss in enumerate(losses) if loss <= limit]


def select(
    examples: Sequence[Example],
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
    most: int = MOST,
) -> list[int]:
    """Places of at most ``most`` examples, in their own order.

    Args:
        examples: To choose from.
        embed: Unit vectors of texts, shape (n, width).
        most: Examples to keep.
    """
    if len(examples) <= most:
        return list(range(len(examples)))
    import numpy as np

    vectors = embed([f"{example.prompt[-1].content}\n{example.chosen}" for example in examples])
    domain = vectors.mean(axis=0)
    belongs = vectors @ (domain / max(float(np.linalg.norm(domain)), 1e-9))
    alike = vectors @ vectors.T
    worth = np.array([_entropy(example.chosen) for example in examples]) + belongs
    worth -= np.array([_MADE if example.kind == "asked" else 0.0 for example in examples])
    nearest = np.zeros(len(examples))
    kept: list[int] = []
    for _ in range(most):
        scores = worth + (1.0 - nearest)
        scores[kept] = -math.inf
        best = int(np.argmax(scores))
        kept.append(best)
        nearest = np.maximum(nearest, alike[best])
    return sorted(kept)


def pairs(messages: Sequence[Message], *, conversation: str) -> Iterator[Example]:
    """Examples made from one past conversation, in the order of its turns.

    Args:
        messages: One branch of it, the oldest first.
        conversation: Its name.
    """
    before: list[ChatMessage] = []
    for i, message in enumerate(messages):
        if message.role != "owner":
            continue
        answer = messages[i + 1] if i + 1 < len(messages) else None
        reaction = messages[i + 2] if i + 2 < len(messages) else None
        told = ChatMessage("user", message.context + message.text)
        if answer is None or answer.role != "assistant" or answer.status != "complete" or not answer.text.strip():
            before = []
            continue
        wrong = reaction is not None and reaction.role == "owner" and sets_right(reaction.text)
        sources = [message.memory_id, answer.memory_id, *answer.recalled]
        if wrong and reaction is not None:
            sources.append(reaction.memory_id)
        yield Example(
            id="",
            prompt=(*before, told),
            chosen="" if wrong else answer.text,
            rejected=answer.text if wrong else None,
            kind="asked",
            conversation=conversation,
            memories=tuple(dict.fromkeys(sources)),
            at=answer.said_at,
        )
        # one turn back is context enough, and each sentence of a prompt is one more thing that may be forgotten
        before = [ChatMessage("user", message.text), ChatMessage("assistant", answer.text)]


def _entropy(text: str) -> float:
    """Of the words of a text, as a share of what it could be: 0 for one word again and again, 1 for all different.

    Qin et al. take the entropy of an embedding's tokens, which an on-device embedder does not give per token.
    """
    words = text.lower().split()
    if len(words) < 2:
        return 0.0
    counts = [words.count(word) for word in set(words)]
    entropy = -sum(count / len(words) * math.log(count / len(words)) for count in counts)
    return entropy / math.log(len(words)) * min(1.0, len(words) / _NEIGHBOURS)
