"""A model small enough to learn in milliseconds: a softmax over a few words, moved by adapters as a real one is."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import numpy as np

from mnemon.learning.examples import Example, Examples
from mnemon.memory.store import Store
from mnemon.runtime.adapters import Active, Lora, SoftPrompt, Steering
from mnemon.runtime.chat_model import ChatMessage, Piece

WORDS = 24
LAYERS, WIDTH, INNER = 2, 12, 5
MATRIX = "blk.1.ffn_down.weight"
WHEN = datetime(2026, 11, 21, 12, tzinfo=UTC)

_chance = np.random.default_rng(7)
_OUT = _chance.normal(size=(WORDS, WIDTH)) / 2
_INNER = _chance.normal(size=(WORDS, INNER))
_FOLLOWS = _chance.normal(size=(WORDS, WORDS)) / 2


def tokens_of(text: str) -> list[int]:
    return [zlib.crc32(word.encode()) % WORDS for word in text.split()]


def log_probabilities(before: Sequence[int], active: Active) -> np.ndarray:
    """Of every word after each of ``before``, shape (len(before), WORDS)."""
    states = np.zeros((len(before), WIDTH))
    for adapter, scale in active:
        if isinstance(adapter, Steering):
            states += scale * adapter.values.sum(axis=0)
        elif isinstance(adapter, SoftPrompt):
            states += scale * adapter.vectors.sum(axis=0)
        elif isinstance(adapter, Lora):
            a, b = adapter.tensors[MATRIX]
            states += scale * (_INNER[list(before)] @ a.T) @ b.T
    logits = _FOLLOWS[list(before)] + states @ _OUT.T
    logits -= logits.max(axis=1, keepdims=True)
    found: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return found


@dataclass
class LearningModel:
    """Satisfies what a lesson asks of a chat model.

    Attributes:
        noise: Added to every log-probability, differently each time.
        broken: From this number of evaluations on, scores are not numbers; or called instead.
    """

    noise: float = 0.0
    broken: int | Callable[[int], None] | None = None
    name: str = "fake"
    evaluations: int = 0
    model: Any = field(
        default_factory=lambda: SimpleNamespace(
            steering_shape=(LAYERS, WIDTH), matrices={MATRIX: (INNER, WIDTH), "blk.0.ffn_down.weight": (INNER, WIDTH)}
        )
    )

    @property
    def info(self) -> Any:
        return SimpleNamespace(context_tokens=200)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def base_sha256(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def scorer(self, examples: Sequence[tuple[Sequence[ChatMessage], str]]) -> FakeScorer:
        return FakeScorer(self, [tokens_of(text) for _, text in examples])

    def generate(self, messages: Sequence[ChatMessage], **_: object) -> Iterator[Piece]:
        return iter([Piece("neutral words ", ()), Piece(messages[-1].content, ())])

    def sampled(self, seed: int, length: int, active: Active = ()) -> str:
        """An answer as the model itself writes it, at temperature 1: nothing is to be learned from such."""
        chance, said = np.random.default_rng(seed), [0]
        for _ in range(length):
            said.append(int(chance.choice(WORDS, p=np.exp(log_probabilities(said[-1:], active)[0]))))
        return " ".join(_SAID[token] for token in said[1:])


@dataclass
class FakeScorer:
    owner: LearningModel
    answers: list[list[int]]

    @property
    def tokens(self) -> Sequence[int]:
        return [len(answer) for answer in self.answers]

    def scores(self, active: Active, which: Sequence[int] | None = None) -> list[np.ndarray]:
        owner = self.owner
        owner.evaluations += 1
        found = []
        for i in range(len(self.answers)) if which is None else which:
            answer = self.answers[i]
            table = log_probabilities([0, *answer[:-1]], active) if answer else np.zeros((0, WORDS))
            scores = table[np.arange(len(answer)), answer]
            if owner.noise:
                scores = scores + owner.noise * np.sin(1e6 * scores)
            found.append(scores.astype(np.float32))
        if callable(owner.broken):
            owner.broken(owner.evaluations)
        elif owner.broken is not None and owner.evaluations >= owner.broken:
            return [scores + math.nan for scores in found]
        return found

    def hidden_states(self, which: Sequence[int] | None = None, active: Active = ()) -> np.ndarray:
        some = self.answers if which is None else [self.answers[i] for i in which]
        means = [_OUT[answer].mean(axis=0) if answer else np.zeros(WIDTH) for answer in some]
        return np.repeat(np.array(means, np.float32)[:, None], LAYERS, axis=1)

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _names() -> list[str]:
    """A word for each token."""
    found: dict[int, str] = {}
    for number in range(10_000):
        found.setdefault(tokens_of(f"w{number}")[0], f"w{number}")
    return [found[token] for token in range(WORDS)]


_SAID = _names()


def said(*tokens: int) -> str:
    """A text of these tokens."""
    return " ".join(_SAID[token] for token in tokens)


def example(number: int, chosen: str, rejected: str | None = None, *, conversation: str = "") -> Example:
    prompt = (ChatMessage("user", f"question {number}"),)
    kind = "edited" if rejected else "accepted"
    return Example(str(number), prompt, chosen, rejected, kind, conversation or f"c{number}", (), WHEN)  # type: ignore[arg-type]


def taste(seed: int) -> Steering:
    """What an owner's answers are sampled with: the truth that a lesson may find."""
    return Steering(np.random.default_rng(seed).normal(size=(LAYERS, WIDTH)).astype(np.float32))


def learnable(count: int, seed: int = 3, *, garbage: float = 0.0) -> list[Example]:
    """Examples of an owner with a taste, a share of them garbage."""
    model, wish = LearningModel(), [(taste(seed), 1.0)]
    chance = np.random.default_rng(seed)
    made = []
    for number in range(count):
        text = model.sampled(1000 * seed + number, 10, wish)
        if chance.random() < garbage:
            text = said(*chance.integers(0, WORDS, size=10).tolist())
        made.append(example(number, text))
    return made


def filled(examples: Sequence[Example], store: Store | None = None) -> Store:
    """A store with these examples, split the same way each time."""
    store = store or Store.open(None, b"k" * 32)
    store.execute("INSERT INTO secrets (name, value) VALUES ('learning split', ?)", (b"s" * 32,))
    kept = Examples(store)
    for one in examples:
        kept.add(one)
    return store
