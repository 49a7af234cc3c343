"""Tokens into the cache, however often somebody more important comes in between.

Everything here runs in the owner thread, as parts of its jobs: a generator yields where others may take their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from mnemon.errors import ModelError
from mnemon.runtime.engine import CacheFull, DecodeAborted, Engine
from mnemon.runtime.owner import Owner, Steps, Stoppable
from mnemon.runtime.together import Together

if TYPE_CHECKING:
    from mnemon.runtime.adapters import Activation, Active
    from mnemon.runtime.layout import Plan
    from mnemon.runtime.sequences import Conversation, Sequences


class Filling:
    """Fills the sequences of one model's conversations.

    Args:
        engine: Decodes.
        sequences: Make room.
        owner: Says when to go on after an interruption.
        activation: The adapters set on the engine.
    """

    def __init__(self, engine: Engine, sequences: Sequences, owner: Owner, activation: Activation) -> None:
        self._engine, self._sequences, self._owner, self._activation = engine, sequences, owner, activation
        self._together = Together(engine, len(sequences))

    def prompt(
        self, sequence: int, tokens: list[int], answer: Stoppable | None, *, shift: bool = False
    ) -> Generator[None, None, int]:
        """Have the sequence hold ``tokens``, the logits after them ready; how many were there already."""
        cached = -1

        def fill() -> None:
            nonlocal cached
            before, cached = cached, max(cached, 0)
            done = self._engine.prefill(sequence, tokens, shift=shift and before < 0)
            cached = done.cached + done.shifted if before < 0 else before

        yield from self._insist(sequence, fill, answer)
        return max(cached, 0)

    def adapted(
        self, kept: Conversation, plan: Plan, out: list[int], active: Active, answer: Stoppable
    ) -> Generator[None, None, int]:
        """As :meth:`prompt` for a prompt and the answer so far, of which the adapters decode their part.

        They begin with the last token of the prompt, and a soft prompt stands before it. What they decoded is not
        the conversation's history: :meth:`Sequences.only_base` takes it away again.
        """
        engine, sequence, base = self._engine, kept.sequence, plan.tokens[:-1]
        soft = self._activation.soft_prompt(active)
        kept.base = len(base)
        engine.truncate(sequence, len(base))
        cached = len(base)
        if list(engine.tokens(sequence)) != base:
            self._activation.off()
            cached = yield from self.prompt(sequence, base, answer, shift=plan.shift)
        if soft is not None and not answer.stopped:
            self._activation.use(active)
            yield from self._insist(sequence, lambda: self._together.decode_vectors([sequence], soft), answer)
        start = len(engine.tokens(sequence))
        part = [plan.tokens[-1], *out]

        def fill() -> None:
            self._activation.use(active)
            engine.decode(sequence, part[len(engine.tokens(sequence)) - start :])

        if not answer.stopped:
            yield from self._insist(sequence, fill, answer)
        return cached

    def settle(self, kept: Conversation, tokens: list[int]) -> Steps:
        """Decode by the base model what adapters had decoded, unless the conversation has moved on or gone."""
        engine = self._engine
        while kept.sequence >= 0 and kept.base is None:
            held = list(engine.tokens(kept.sequence))
            if held == tokens or held != tokens[: len(held)]:
                return
            try:
                engine.decode(kept.sequence, tokens[len(held) : len(held) + engine.batch])
                kept.unsaved = True
            except DecodeAborted:
                yield
                self._owner.resume()
            except CacheFull:
                return  # it saves the next turn some time: not worth another conversation
            yield

    def score(self, prompt: list[int], answer: list[int]) -> Generator[None, None, list[float]]:
        """Log-probability of each token of an answer, of which nothing is kept."""
        kept = self._sequences.conversation(None)
        try:
            while True:
                sequence = self._sequences.place(kept, [*prompt, *answer], 0)
                yield from self.prompt(sequence, prompt, None)
                try:
                    return self._engine.scores(sequence, answer)
                except DecodeAborted:
                    yield
                    self._owner.resume()
        finally:
            self._sequences.release(kept, 0, None)

    def _insist(self, sequence: int, fill: Callable[[], None], answer: Stoppable | None) -> Steps:
        """Until it is done, or the answer it is for has been stopped."""
        while True:
            try:
                fill()
                return
            except DecodeAborted:
                if answer is not None and answer.stopped:
                    return
                yield
                self._owner.resume()
            except CacheFull:
                if not self._sequences.make_room(sequence):
                    raise ModelError(
                        f"A window of {self._engine.cells} tokens has no room for this.",
                        hint="Set model.context to a larger number.",
                    ) from None
