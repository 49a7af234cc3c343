"""How an example differs inside the model from what the model would have said itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnemon.errors import ModelError
from mnemon.learning.spaces.steering_basis import Trace
from mnemon.runtime.chat_model import Priority, Sampling

if TYPE_CHECKING:
    from mnemon.learning.book import Book
    from mnemon.learning.examples import Example
    from mnemon.runtime.chat_model import ChatModel

MOST = 48
"""Examples that get a trace: more hardly move a mean."""
_ANSWER_TOKENS = 48


def learn_traces(book: Book, model: ChatModel, examples: Sequence[Example], base: str) -> None:
    """Make the traces that are missing. The neutral answers are the base's own; they are not kept.

    Args:
        book: Where traces are kept.
        model: Answers greedily, in the background, and shows its hidden states.
        examples: Those with a wanted answer get a trace, the first 48 of them.
        base: SHA-256 of the model's file.
    """
    there = book.traces([example.id for example in examples], base)
    wanted = [example for example in examples if example.chosen.strip()][:MOST]
    missing = [example for example in wanted if example.id not in there]
    if not missing:
        return
    pairs = []
    for example in missing:
        generation = model.generate(
            example.prompt,
            max_tokens=_ANSWER_TOKENS,
            sampling=Sampling(temperature=0.0),
            priority=Priority.BACKGROUND,
        )
        pairs.append((example, "".join(piece.text for piece in generation)))
    pairs = [(example, neutral) for example, neutral in pairs if neutral.strip()]
    if not pairs:
        raise ModelError("The model says nothing.", hint="Choose another space, or another model.")
    texts = [(e.prompt, e.chosen) for e, _ in pairs] + [(e.prompt, neutral) for e, neutral in pairs]
    with model.scorer(texts) as scorer:
        states = scorer.hidden_states()
    for (example, _), own, neutral in zip(pairs, states[: len(pairs)], states[len(pairs) :], strict=True):
        book.keep_trace(example.id, base, Trace.of(own - neutral))
