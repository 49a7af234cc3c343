"""How likely given answers are, again and again under changing adapters: what a step of learning consists of.

Prompts are decoded once, by the base model, and their keys and values stay; an evaluation decodes the answers' parts
alone, all of them in as few decodes as fit. It has a context of its own: learning takes no cell from a conversation,
and an adapter never comes near one. The context is small, for learning is to take a tenth more memory than a chat at
most: prompts that do not fit are decoded again when their turn comes, the ones used longest ago making room.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mnemon.errors import InputError, ModelError
from mnemon.runtime.adapters import Activation, Active, Loras
from mnemon.runtime.chat_model import Priority
from mnemon.runtime.engine import DecodeAborted, Engine, common_length
from mnemon.runtime.together import Together

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.hidden import WatchedEngine
    from mnemon.runtime.owner import Owner

    Floats = NDArray[np.float32]

_KV_BYTES, _KV_SHARE = 10 << 20, 0.03
"""Keys and values take so many bytes, or this share of the model's file where that is more."""
_LOGITS_BYTES = 40 << 20
"""Logits of one decode: llama.cpp holds them twice."""
_FEWEST, _MOST = 64, 128
"""Tokens of one decode: flash attention takes those of fewer than 64 one by one, 1.46 times the work at 32 on the
built-in model; more than 128 gain nothing."""
_PROMPTS, _BRANCHES = 128, 64
"""Sequences for prompts, and for answers of one decode: llama.cpp has 256 at most, and keeps logits for each."""
_SPARE = 64
"""Cells beyond the longest example alone, for a soft prompt."""
_BLOCK = 16
"""Rows of logits whose exponentials are held at a time."""

Steps = Generator[None, None, None]


@dataclass(slots=True, eq=False)
class _Prompt:
    """A prompt without its last token, in a sequence while there is room for it."""

    tokens: list[int]
    last: int
    sequence: int = -1
    used: int = 0


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
    on where it was. The same examples in the same order are decoded in the same batches, so that two evaluations
    differ by their adapters alone.

    Args:
        owner: The thread that owns the model.
        main: The engine of the conversations; this one shares its model, its abort flag and its number of threads.
        loras: The LoRAs loaded for the model.
        examples: For each the tokens of its prompt, at least one, and of its answer.

    Raises:
        ModelError: Not enough memory, or the model has been closed.
    """

    def __init__(
        self, owner: Owner, main: Engine, loras: Loras, examples: Sequence[tuple[list[int], list[int]]]
    ) -> None:
        self._owner, self._main, self._loras = owner, main, loras
        self._answers = [answer for _, answer in examples]
        different: dict[tuple[int, ...], _Prompt] = {}
        self._prompts = [different.setdefault(tuple(p), _Prompt(p[:-1], p[-1])) for p, _ in examples]
        self.tokens: Sequence[int] = tuple(map(len, self._answers))
        """Tokens of each answer."""
        self._held: list[_Prompt] = []
        self._clock = itertools.count(1)
        self._engine: Engine | None = None
        self._owner.wait_for(Priority.BACKGROUND, self._open)

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
        found: list[Floats] = self._owner.wait_for(Priority.BACKGROUND, lambda: self._evaluate(active, chosen))
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
        """Free the context; calling it again does nothing."""
        with contextlib.suppress(ModelError):  # the owner has been closed, and has freed it
            if self._engine is not None:
                self._owner.call(self._free)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- in the owner thread ----------------------------------------------------------------------------------

    def _open(self) -> Steps:
        import numpy as np

        model = self._main.model
        batch = max(_FEWEST, min(_MOST, _LOGITS_BYTES // (4 * model.size)))
        # llama.cpp ends the process (an assertion) where a context has more sequences than tokens of a decode
        prompts = min(_PROMPTS, batch * 5 // 8, len(set(map(id, self._prompts))))
        sequences = min(batch, prompts + min(_BRANCHES, len(self._answers) + 1))
        self._engine = Engine(
            model,
            cells=self._cells(batch),
            sequences=sequences,
            threads=self._main.threads,
            batch=batch,
            flag=self._main.flag,
        )
        self._owner.keep(self._free)
        self._activation = Activation(self._engine, self._loras)
        self._together = Together(self._engine, sequences)
        self._for_prompts, self._for_branches = list(range(prompts)), list(range(prompts, sequences))
        self._scratch = np.empty((_BLOCK, model.size), np.float32)
        self._ones = np.ones(model.size, np.float32)
        yield from ()

    def _free(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            self._activation.off()
            engine.close()
            self._owner.let_go(self._free)

    @property
    def _open_engine(self) -> Engine:
        if self._engine is None:
            raise ModelError("The scorer is closed.", hint="Make a new one.")
        return self._engine

    def _cells(self, batch: int) -> int:
        """As many as all of it takes, within the limits; always enough for the longest example alone."""
        model = self._main.model
        limit = max(_KV_BYTES, int(_KV_SHARE * model.path.stat().st_size)) // model.cell_bytes
        answer = batch + max(self.tokens, default=0) + _SPARE
        longest = max((len(prompt.tokens) for prompt in self._prompts), default=0)
        return max(longest + answer, min(_cells_of(self._prompts) + answer, limit))

    def _chosen(self, which: Sequence[int] | None) -> list[int]:
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
            group = yield from self._load(left)
            branches: list[_Branch] = []
            try:
                self._activation.use(active)
                yield from self._decode(group, soft, branches, found)
            finally:
                self._activation.off()
                for branch in branches:
                    self._end(branch)
            left = left[len(group) :]
        return [found[i] for i in chosen]

    def _decode(
        self, group: list[int], soft: Floats | None, branches: list[_Branch], found: dict[int, Floats]
    ) -> Steps:
        """Score the answers of a group whose prompts are all there; ``branches`` are those not yet over."""
        together = self._together
        for chunk in self._chunks(group, 0 if soft is None else len(soft), branches):
            if soft is not None and (new := [branch.sequence for branch, _ in chunk if not branch.done]):
                yield from self._insist(partial(together.decode_vectors, new, soft))
            parts = [(branch.sequence, branch.inputs[branch.done : branch.done + count]) for branch, count in chunk]
            yield from self._insist(partial(together.decode, parts))
            self._read(chunk, found)
            for branch, count in chunk:
                branch.done += count
                if branch.done == len(branch.inputs):
                    branches.remove(branch)
                    self._end(branch)
            yield

    def _chunks(self, group: list[int], soft: int, branches: list[_Branch]) -> Iterator[list[tuple[_Branch, int]]]:
        """What to decode together: branches, each with how many of its inputs."""
        chunk: list[tuple[_Branch, int]] = []
        size = room = self._open_engine.batch
        for example in group:
            if chunk and (room <= soft or not self._for_branches):
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
        prompt, sequence = self._prompts[example], self._for_branches.pop()
        self._open_engine.copy(prompt.sequence, sequence, len(prompt.tokens))
        return _Branch(example, sequence, [prompt.last, *self._answers[example][:-1]])

    def _end(self, branch: _Branch) -> None:
        self._open_engine.drop(branch.sequence)
        self._for_branches.append(branch.sequence)

    def _read(self, chunk: list[tuple[_Branch, int]], found: dict[int, Floats]) -> None:
        """Log-probabilities out of the logits of a chunk just decoded."""
        import numpy as np

        targets = [
            token
            for branch, count in chunk
            for token in self._answers[branch.example][branch.done : branch.done + count]
        ]
        logits = self._open_engine.all_logits(len(targets))
        scores = logits[np.arange(len(targets)), targets]
        for start in range(0, len(targets), _BLOCK):
            rows = logits[start : start + _BLOCK]
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

        engine, model = self._open_engine, self._main.model
        found = np.zeros((len(chosen), *model.steering_shape), np.float32)
        soft = self._activation.soft_prompt(active)
        watched = WatchedEngine(
            model, cells=engine.cells, threads=self._main.threads, batch=engine.batch, flag=self._main.flag
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
                yield from self._load([example])
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

    @staticmethod
    def _add_watched(watched: WatchedEngine, part: list[int], total: Floats) -> None:
        total += watched.watch(part)

    # -- prompts ----------------------------------------------------------------------------------------------

    def _load(self, left: list[int]) -> Generator[None, None, list[int]]:
        """Have the prompts of as many examples as fit, from the first on, in sequences."""
        keep: list[_Prompt] = []
        group = []
        for example in left:
            prompt = self._prompts[example]
            prompt.used = next(self._clock)
            if prompt.sequence < 0:
                if not self._make_room(prompt, keep):
                    break
                yield from self._decode_prompt(prompt)
            keep.append(prompt)
            group.append(example)
        if not group:
            raise ModelError(
                f"There is no room for {len(self._prompts[left[0]].tokens)} tokens of an example.",
                hint="Leave it out, or set model.context to a larger number.",
            )
        return group

    def _make_room(self, prompt: _Prompt, keep: list[_Prompt]) -> bool:
        """Cells for one more prompt, the ones used longest ago giving way; False when only ``keep`` is left."""
        engine = self._open_engine
        answers = engine.batch + max(self.tokens) + _SPARE
        while not self._for_prompts or _cells_of([*self._held, prompt]) + answers > engine.cells:
            others = [held for held in self._held if held not in keep]
            if not others:
                return False
            oldest = min(others, key=lambda held: held.used)
            self._held.remove(oldest)
            engine.drop(oldest.sequence)
            self._for_prompts.append(oldest.sequence)
            oldest.sequence = -1
        return True

    def _decode_prompt(self, prompt: _Prompt) -> Steps:
        """By the base model; what it has in common with another prompt is not decoded again and takes no cells."""
        engine, sequence = self._open_engine, self._for_prompts.pop()
        shared, most = -1, 0
        for held in self._held:
            common = common_length(held.tokens, prompt.tokens)
            if common > most:
                shared, most = held.sequence, common
        try:
            if most:
                engine.copy(shared, sequence, most)
            while (done := len(engine.tokens(sequence))) < len(prompt.tokens):
                part = prompt.tokens[done : done + engine.batch]
                yield from self._insist(partial(engine.decode, sequence, part))
                yield
            prompt.sequence = sequence
            self._held.append(prompt)
        finally:
            if prompt.sequence < 0:
                engine.drop(sequence)
                self._for_prompts.append(sequence)

    def _insist(self, decode: Callable[[], None]) -> Steps:
        """Decode, however often a person comes in between."""
        while True:
            try:
                decode()
                return
            except DecodeAborted:
                yield
                self._owner.resume()


def _cells_of(prompts: Sequence[_Prompt]) -> int:
    """Cells that prompts take together: beginnings they share are there once."""
    ordered = sorted(prompt.tokens for prompt in prompts)
    return sum(len(b) - common_length(a, b) for a, b in itertools.pairwise([[], *ordered]))
