"""How likely given answers are, again and again under changing adapters: what a step of learning consists of.

Prompts are decoded once, by the base model, and their keys and values stay; an evaluation decodes the answers' parts
alone, all of them in as few decodes as fit. That happens in the context of the conversations, for learning is to take
a tenth more memory than a chat at most (a context of its own took 1.28 times as much with the built-in model): see
:mod:`mnemon.runtime.kept_prompts` for who makes room for whom.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mnemon.errors import InputError, ModelError
from mnemon.runtime.adapters import MOST_VECTORS, Activation, Active, Loras
from mnemon.runtime.chat_model import Priority
from mnemon.runtime.engine import DecodeAborted
from mnemon.runtime.kept_prompts import GaveWay, KeptPrompts, Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.engine import Engine
    from mnemon.runtime.hidden import WatchedEngine
    from mnemon.runtime.owner import Owner

    Floats = NDArray[np.float32]

_LOGITS_BYTES = 40 << 20
"""Logits of one decode: llama.cpp holds them twice."""
_FEWEST, _MOST = 64, 128
"""Tokens of one decode: flash attention takes those of fewer than 64 one by one, 1.46 times the work at 32 on the
built-in model; more than 128 gain nothing."""
_BLOCK = 1 << 17
"""Exponentials of logits held at a time, at least those of one row: they stay in the processor's cache."""

Steps = Generator[None, None, None]


@dataclass(slots=True, eq=False)
class _Branch:
    """An answer's part being decoded behind a copy of its prompt."""

    example: int
    sequence: int
    inputs: list[int]
    done: int = 0


class Scorer:
    """Log-probabilities of the answers of some examples; a context manager, made by ``LocalModel.scorer``.

    May be used from any thread. A person's turn comes in between, within one decode; afterwards the evaluation goes
    on where it was, or begins anew where the turn needed the cells. The same examples in the same order are decoded
    in the same batches as long as no conversation comes or goes, so that two evaluations differ by their adapters
    alone.

    Args:
        owner: The thread that owns the model.
        engine: The engine of the conversations.
        kept: Its sequences for prompts and answers.
        activation: The adapters set on it.
        loras: The LoRAs loaded for the model.
        examples: For each the tokens of its prompt, at least one, and of its answer.

    Raises:
        ModelError: The model has been closed.
    """

    def __init__(
        self,
        owner: Owner,
        engine: Engine,
        kept: KeptPrompts,
        activation: Activation,
        loras: Loras,
        examples: Sequence[tuple[list[int], list[int]]],
    ) -> None:
        import numpy as np

        self._owner, self._engine, self._kept, self._activation, self._loras = owner, engine, kept, activation, loras
        self._answers = [answer for _, answer in examples]
        different: dict[tuple[int, ...], Prompt] = {}
        self._prompts = [different.setdefault(tuple(p), Prompt(p[:-1], p[-1])) for p, _ in examples]
        self.tokens: Sequence[int] = tuple(map(len, self._answers))
        """Tokens of each answer."""
        self._batch = max(_FEWEST, min(_MOST, _LOGITS_BYTES // (4 * engine.model.size)))
        self._scratch = np.empty((max(1, _BLOCK // engine.model.size), engine.model.size), np.float32)
        self._ones = np.ones(engine.model.size, np.float32)
        self._closed = False
        with owner.open():
            pass

    def scores(self, active: Active, which: Sequence[int] | None = None) -> list[Floats]:
        """Log-probability in nats of every token of the answers, under the adapters.

        Args:
            active: The adapters; () is the base model.
            which: Numbers of examples, each at most once; all of them when left out.

        Returns:
            For each example an array as long as its answer, in single precision.

        Raises:
            AdapterError: An adapter does not fit the model, or holds values that are no numbers.
            ModelError: The model or this has been closed.
        """
        chosen, active = self._chosen(which), tuple(active)
        found: list[Floats] = self._owner.wait_for(
            Priority.BACKGROUND, lambda: self._evaluate(active, chosen), adapts=True
        )
        return found

    def hidden_states(self, which: Sequence[int] | None = None, active: Active = ()) -> Floats:
        """The outputs of the model's blocks, each the mean over an answer's part.

        Args:
            which: Numbers of examples, each at most once; all of them when left out.
            active: The adapters; () is the base model.

        Returns:
            Shape (examples, layers, width); row ``i`` of an example belongs to block ``i + 1``, where row ``i`` of a
            steering vector is added. Zeros for an empty answer.

        Raises:
            AdapterError: An adapter does not fit the model, or holds values that are no numbers.
            ModelError: The model or this has been closed, or llama.cpp does not show this model's hidden states.
        """
        chosen, active = self._chosen(which), tuple(active)
        found: Floats = self._owner.wait_for(Priority.BACKGROUND, lambda: self._observe(active, chosen))
        return found

    def close(self) -> None:
        """Give the cells back; calling it again does nothing."""
        self._closed = True
        with contextlib.suppress(ModelError):  # the owner has been closed, and all has been freed
            self._owner.call(lambda: self._kept.forget(self._prompts))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- in the owner thread ----------------------------------------------------------------------------------

    def _chosen(self, which: Sequence[int] | None) -> list[int]:
        if self._closed:
            raise ModelError("The scorer is closed.", hint="Make a new one.")
        chosen = list(range(len(self._answers)) if which is None else map(int, which))
        if len(set(chosen)) != len(chosen) or not all(0 <= i < len(self._answers) for i in chosen):
            raise InputError(
                f"{chosen} are no numbers of {len(self._answers)} examples.", hint="Give each number at most once."
            )
        return chosen

    def _evaluate(self, active: Active, chosen: list[int]) -> Generator[None, None, list[Floats]]:
        import numpy as np

        found = {i: np.empty(self.tokens[i], np.float32) for i in chosen}
        soft = self._activation.soft_prompt(active)
        left = [i for i in chosen if self.tokens[i]]
        while left:
            branches: list[_Branch] = []
            try:
                epoch = self._kept.epoch
                group = left[: (yield from self._load(left))]
                yield from self._decode(group, active, soft, epoch, branches, found)
                left = left[len(group) :]
            except GaveWay:
                continue
            finally:
                for branch in branches:
                    self._kept.end(branch.sequence)
        return [found[i] for i in chosen]

    def _load(self, left: Sequence[int]) -> Generator[None, None, int]:
        room = self._batch + max(self.tokens)
        return (yield from self._kept.load([self._prompts[i] for i in left], room))

    def _decode(
        self,
        group: list[int],
        active: Active,
        soft: Floats | None,
        epoch: int,
        branches: list[_Branch],
        found: dict[int, Floats],
    ) -> Steps:
        """Score the answers of a group whose prompts are all there; ``branches`` are those not yet over."""
        together, insist = self._kept.together, partial(self._kept.insist, active, epoch)
        for chunk in self._chunks(group, 0 if soft is None else len(soft), branches):
            if soft is not None and (new := [branch.sequence for branch, _ in chunk if not branch.done]):
                yield from insist(partial(together.decode_vectors, new, soft))
            parts = [(branch.sequence, branch.inputs[branch.done : branch.done + count]) for branch, count in chunk]
            yield from insist(partial(together.decode, parts))
            self._read(chunk, found)
            for branch, count in chunk:
                branch.done += count
                if branch.done == len(branch.inputs):
                    branches.remove(branch)
                    self._kept.end(branch.sequence)
            yield
            if self._kept.epoch != epoch:
                raise GaveWay

    def _chunks(self, group: list[int], soft: int, branches: list[_Branch]) -> Iterator[list[tuple[_Branch, int]]]:
        """What to decode together: branches, each with how many of its inputs; about as many every time.

        What is left over would be few, and slow: 69 and 59 tokens took a 0.5B model 1.13 times as long as twice 64.
        """
        chunk: list[tuple[_Branch, int]] = []
        total = sum(self.tokens[i] + soft for i in group)
        size = room = -(-total // -(-total // self._batch))
        for example in group:
            if chunk and (room <= soft or not self._kept.can_branch):
                yield chunk
                chunk, room = [], size
            branch = self._branch(example)
            branches.append(branch)
            room -= soft
            left = len(branch.inputs)
            while left:
                count = min(room, left)
                chunk.append((branch, count))
                left, room = left - count, room - count
                if not room:
                    yield chunk
                    chunk, room = [], size
        if chunk:
            yield chunk

    def _branch(self, example: int) -> _Branch:
        prompt = self._prompts[example]
        return _Branch(example, self._kept.branch(prompt), [prompt.last, *self._answers[example][:-1]])

    def _read(self, chunk: list[tuple[_Branch, int]], found: dict[int, Floats]) -> None:
        """Log-probabilities out of the logits of a chunk just decoded."""
        import numpy as np

        targets = [
            token
            for branch, count in chunk
            for token in self._answers[branch.example][branch.done : branch.done + count]
        ]
        logits = self._engine.all_logits(len(targets))
        scores = logits[np.arange(len(targets)), targets]
        for start in range(0, len(targets), len(self._scratch)):
            rows = logits[start : start + len(self._scratch)]
            scores[start : start + len(rows)] -= self._log_totals(rows)
        at = 0
        for branch, count in chunk:
            found[branch.example][branch.done : branch.done + count] = scores[at : at + count]
            at += count

    def _log_totals(self, rows: Floats) -> Floats:
        """``log(sum(exp(row)))`` of each row; the largest is only looked for where something overflows without."""
        import numpy as np

        scratch = self._scratch[: len(rows)]
        with np.errstate(over="ignore", divide="ignore"):
            totals: Floats = np.log(np.exp(rows, out=scratch) @ self._ones)
        for i in np.flatnonzero(~np.isfinite(totals)):
            largest = rows[i].max()
            totals[i] = largest + np.log(np.exp(rows[i] - largest).sum())
        return totals

    def _observe(self, active: Active, chosen: list[int]) -> Generator[None, None, Floats]:
        """One example after the other, in a context made for it: a prompt's keys and values are copied there."""
        import numpy as np

        from mnemon.runtime.hidden import WatchedEngine

        engine, model = self._engine, self._engine.model
        found = np.zeros((len(chosen), *model.steering_shape), np.float32)
        soft = self._activation.soft_prompt(active)
        watched = WatchedEngine(
            model, cells=self._longest(chosen), threads=engine.threads, batch=self._batch, flag=engine.flag
        )
        activation = Activation(watched, self._loras)

        def free() -> None:
            activation.off()
            watched.close()

        self._owner.keep(free)
        try:
            for at, example in enumerate(chosen):
                if not self.tokens[example]:
                    continue
                yield from self._load_one(example)
                prompt = self._prompts[example]
                watched.drop(0)
                if prompt.tokens and not watched.restore(0, engine.save(prompt.sequence), prompt.tokens):
                    raise ModelError("The hidden states cannot be read: a cache was refused.", hint="Try again.")
                activation.use(active)
                if soft is not None:
                    yield from self._insist(partial(watched.append_vectors, soft))
                inputs = [prompt.last, *self._answers[example][:-1]]
                for start in range(0, len(inputs), watched.batch):
                    part = inputs[start : start + watched.batch]
                    yield from self._insist(partial(self._add_watched, watched, part, found[at]))
                    yield
                found[at] /= len(inputs)
        finally:
            self._owner.let_go(free)
            free()
        return found

    def _longest(self, chosen: list[int]) -> int:
        """Tokens of the longest of these examples, with a soft prompt."""
        lengths = [len(self._prompts[i].tokens) + self.tokens[i] for i in chosen]
        return max(lengths, default=0) + MOST_VECTORS + 1

    def _load_one(self, example: int) -> Steps:
        while True:
            with contextlib.suppress(GaveWay):
                yield from self._load([example])
                return

    def _insist(self, decode: Callable[[], None]) -> Steps:
        """Decode in the watched context, however often a person comes in between."""
        while True:
            try:
                decode()
                return
            except DecodeAborted:
                yield
                self._owner.resume()

    @staticmethod
    def _add_watched(watched: WatchedEngine, part: list[int], total: Floats) -> None:
        total += watched.watch(part)
