"""Prompts of examples in the cache of the conversations: learning takes no memory that chatting does not.

Some sequences of the engine belong to no conversation. Prompts stay in them, decoded once by the base model, and
answers are decoded behind copies of theirs, which take no cells. A person goes before: when a conversation needs the
cells all of this gives way at once, and whoever is at work begins anew. The other way round saved conversations give
way to the prompts, but never the one used last. Prompts there is no room for wait on disk, sealed.

Everything here runs in the owner thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mnemon.errors import ModelError
from mnemon.runtime.engine import CacheFull, DecodeAborted, Engine
from mnemon.runtime.prefixes import common_length
from mnemon.runtime.together import Together

if TYPE_CHECKING:
    from mnemon.runtime.adapters import Activation, Active
    from mnemon.runtime.owner import Owner
    from mnemon.runtime.sequences import Sequences
    from mnemon.runtime.spill import Spill

_LOGITS_BYTES = 8 << 20
"""llama.cpp holds one row of logits for every sequence there may be, from the beginning."""
_FEWEST, _MOST = 10, 40
"""Sequences lent."""
_SPARE = 16
"""Cells beyond those counted, for a soft prompt."""

Steps = Generator[None, None, None]


def lent_sequences(vocabulary: int) -> int:
    """How many sequences an engine should have for prompts and answers, given the size of the vocabulary."""
    return max(_FEWEST, min(_MOST, _LOGITS_BYTES // (4 * vocabulary)))


class GaveWay(Exception):
    """A conversation needed the cells: no prompt and no answer is there any more."""


@dataclass(slots=True, eq=False)
class Prompt:
    """A prompt without its last token, in a sequence while there is room for it.

    Attributes:
        tokens: All but the last one.
        last: The last one, with which the adapters' part begins.
        sequence: Where it is, or -1.
        used: When it was used last, in a count of uses.
        spilled: Its number among those on disk, or -1.
        restored: It came from disk, so that its beginning takes cells of its own.
    """

    tokens: list[int]
    last: int
    sequence: int = -1
    used: int = 0
    spilled: int = -1
    restored: bool = False


class KeptPrompts:
    """The sequences that are lent, and what is in them.

    Args:
        engine: Decodes; the one of the conversations.
        sequences: The conversations, which have the sequences before ``first``.
        owner: Says when to go on after an interruption.
        activation: The adapters set on the engine.
        lent: Numbers of the sequences that belong to no conversation.
        spill: Where the states of prompts wait.
    """

    def __init__(
        self,
        engine: Engine,
        sequences: Sequences,
        owner: Owner,
        activation: Activation,
        lent: range,
        spill: Spill,
    ) -> None:
        self._engine, self._sequences, self._owner, self._activation = engine, sequences, owner, activation
        prompts = len(lent) * 5 // 8
        self._lent, self._spill = lent, spill
        self._for_prompts, self._for_branches = list(lent[:prompts]), list(lent[prompts:])
        self._held: list[Prompt] = []
        self._branches: dict[int, int] = {}  # the sequence of an answer, and the length of its prompt
        self._clock = itertools.count(1)
        self._epoch = 0
        self.together = Together(engine, lent.stop)
        sequences.lodger = self

    # -- for conversations ------------------------------------------------------------------------------------

    @property
    def cells(self) -> int:
        """Cells taken: beginnings that prompts share are there once, and an answer's prompt is its prompt's."""
        answers = sum(len(self._engine.tokens(i)) - prompt for i, prompt in self._branches.items())
        return self._cells_with() + answers

    def give_way(self) -> bool:
        """Leave the cells to a conversation; False when there is nothing to leave."""
        taken = [i for i in self._lent if self._engine.tokens(i)]
        for sequence in taken:
            self._engine.drop(sequence)
        self._branches.clear()
        for held in self._held:
            self._for_prompts.append(held.sequence)
            held.sequence = -1
        self._held.clear()
        self._epoch += bool(taken)
        return bool(taken)

    # -- for scorers ------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Changes when everything has given way; see :meth:`insist`."""
        return self._epoch

    def load(self, prompts: Sequence[Prompt], room: int) -> Generator[None, None, int]:
        """Have the prompts of as many examples as fit, from the first on, in sequences.

        Args:
            prompts: Those of the examples left, in order; some may be the same.
            room: Cells that are needed beside them.

        Returns:
            Of how many examples they are there.

        Raises:
            GaveWay: A conversation came in between.
            ModelError: There is no room for the first one.
        """
        epoch = self._epoch
        keep: list[Prompt] = []
        for prompt in prompts:
            prompt.used = next(self._clock)
            if prompt.sequence < 0:
                if not self._make_room(prompt, keep, room):
                    break
                yield from self._bring(prompt, epoch)
            keep.append(prompt)
        if not keep:
            raise ModelError(
                f"There is no room for {len(prompts[0].tokens)} tokens of an example.",
                hint="Leave it out, or set model.context to a larger number.",
            )
        return len(keep)

    def branch(self, prompt: Prompt) -> int:
        """A sequence that holds a copy of a loaded prompt; :meth:`end` it. There must be one free."""
        sequence = self._for_branches.pop()
        self._engine.copy(prompt.sequence, sequence, len(prompt.tokens))
        self._branches[sequence] = len(prompt.tokens)
        return sequence

    @property
    def can_branch(self) -> bool:
        """Whether there is a sequence for one more answer."""
        return bool(self._for_branches)

    def end(self, branch: int) -> None:
        """Give a branch back."""
        self._branches.pop(branch, None)
        self._engine.drop(branch)
        self._for_branches.append(branch)

    def forget(self, prompts: Sequence[Prompt]) -> None:
        """They are not needed any more."""
        for prompt in prompts:
            if prompt.sequence >= 0:
                self._drop(prompt)
            if prompt.spilled >= 0:
                self._spill.forget(prompt.spilled)
                prompt.spilled = -1

    def insist(self, active: Active, epoch: int, decode: Callable[[], None]) -> Steps:
        """Decode under the adapters, however often a person comes in between.

        Raises:
            GaveWay: The cells are no longer those of this epoch.
            AdapterError: An adapter does not fit the model.
        """
        while True:
            if self._epoch != epoch:
                raise GaveWay
            try:
                self._activation.use(active)
                decode()
                return
            except DecodeAborted:
                yield
                self._owner.resume()
            except CacheFull:
                if not self._sequences.lend_more(needed=True):
                    raise ModelError(
                        f"A window of {self._engine.cells} tokens has no room for this.",
                        hint="Set model.context to a larger number.",
                    ) from None

    # -- inside -----------------------------------------------------------------------------------------------

    def _make_room(self, prompt: Prompt, keep: list[Prompt], room: int) -> bool:
        """Cells for one more prompt: saved conversations give way, then the prompts used longest ago.

        Only where there is no other prompt left, and none to ``keep``, do conversations that are not saved.
        """
        cells, sequences = self._engine.cells - room - _SPARE, self._sequences
        while True:
            needed = self._cells_with(prompt)
            fits = needed + sequences.cells <= cells
            if fits and self._for_prompts:
                return True
            if not fits and sequences.lend_more(needed=False):
                continue
            others = [held for held in self._held if held not in keep]
            if others:
                oldest = min(others, key=lambda held: held.used)
                if oldest.spilled < 0 and oldest.tokens:
                    oldest.spilled = self._spill.put(self._engine.save(oldest.sequence))
                self._drop(oldest)
            elif keep or fits or not sequences.lend_more(needed=True):
                return False

    def _cells_with(self, *new: Prompt) -> int:
        """Cells of the prompts that are there and of new ones; what is on disk comes back with all of its own."""
        alone = [held for held in self._held if held.restored] + [prompt for prompt in new if prompt.spilled >= 0]
        others = [prompt for prompt in (*self._held, *new) if prompt not in alone]
        return sum(len(prompt.tokens) for prompt in alone) + cells_of([prompt.tokens for prompt in others])

    def _drop(self, prompt: Prompt) -> None:
        self._held.remove(prompt)
        self._engine.drop(prompt.sequence)
        self._for_prompts.append(prompt.sequence)
        prompt.sequence = -1

    def _bring(self, prompt: Prompt, epoch: int) -> Steps:
        """From disk, or decoded by the base model; what it shares with another is copied and takes no cells.

        Not with one from disk: two of these hold the same beginning twice, and copies of both would do so, too, when
        they have gone, while :func:`cells_of` counts it once.
        """
        engine, sequence = self._engine, self._for_prompts.pop()
        try:
            prompt.restored = self._restore(prompt, sequence)
            if not prompt.restored:
                decoded = [held for held in self._held if not held.restored]
                shared = max(decoded, key=lambda held: common_length(held.tokens, prompt.tokens), default=None)
                if shared is not None:
                    engine.copy(shared.sequence, sequence, common_length(shared.tokens, prompt.tokens))
                while (done := len(engine.tokens(sequence))) < len(prompt.tokens):
                    part = prompt.tokens[done : done + engine.batch]
                    yield from self.insist((), epoch, partial(engine.decode, sequence, part))
                    yield
                    if self._epoch != epoch:
                        raise GaveWay
            prompt.sequence = sequence
            self._held.append(prompt)
        finally:
            if prompt.sequence < 0:
                engine.drop(sequence)
                self._for_prompts.append(sequence)

    def _restore(self, prompt: Prompt, sequence: int) -> bool:
        if prompt.spilled < 0 or (state := self._spill.get(prompt.spilled)) is None:
            return False
        return self._engine.restore(sequence, state, prompt.tokens)


def cells_of(prompts: Sequence[Sequence[int]]) -> int:
    """Cells that prompts take together: beginnings they share are there once."""
    ordered = sorted(map(list, prompts))
    return sum(len(b) - common_length(a, b) for a, b in itertools.pairwise([[], *ordered]))
