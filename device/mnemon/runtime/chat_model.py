"""What the rest of Mnemon may ask of a local model.

``LocalModel`` (llama.cpp behind its owner thread) and ``ScriptedModel`` (a queue of answers, for tests) both
satisfy :class:`ChatModel`; nothing outside ``runtime`` knows which one it talks to.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.adapters import Active

Role = Literal["system", "user", "assistant"]
StopReason = Literal["end", "length", "stopped", "repeat"]


class Priority(enum.IntEnum):
    """Who goes first when several want the model; a lower number preempts a higher one within one decode."""

    PERSON = 0
    BACKGROUND = 10


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message as the model sees it. ``content`` is always plain text, never control tokens."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. ``temperature`` 0 is greedy and deterministic."""

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of generated text: whole characters only, never half of one.

    Attributes:
        text: The text, possibly empty while a multi-byte character is incomplete.
        logprobs: Log-probability in nats of each token in it, under the model at temperature 1.
    """

    text: str
    logprobs: tuple[float, ...]


@dataclass(slots=True)
class GenerationReport:
    """What one generation cost. Filled in while it runs; final when the iterator ends."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that were already in the key-value cache."""
    answer_tokens: int = 0
    dropped_messages: int = 0
    """Oldest messages left out because the window is full."""
    context_used: int = 0
    context_size: int = 0
    first_token_ms: float = 0.0
    total_ms: float = 0.0
    stop_reason: StopReason = "end"

    @property
    def tokens_per_second(self) -> float:
        """Generation speed after the first token, 0 when there was at most one."""
        rest = self.total_ms - self.first_token_ms
        return 1000 * (self.answer_tokens - 1) / rest if self.answer_tokens > 1 and rest > 0 else 0.0


class Generation(Protocol):
    """An answer in the making: iterate for its pieces.

    Iterating raises a :class:`~mnemon.errors.ModelError` if the model fails; what came before stays valid.
    """

    @property
    def report(self) -> GenerationReport:
        """What it has cost so far."""

    def __iter__(self) -> Iterator[Piece]: ...

    def stop(self) -> None:
        """End it within one decode; may be called from any thread, any number of times."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Log-likelihood of given text, token by token, in nats."""

    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]

    @property
    def total(self) -> float:
        """Sum of the log-probabilities."""
        return sum(self.logprobs)


class AnswerScorer(Protocol):
    """How likely given answers are under changing adapters; see :class:`mnemon.runtime.scoring.Scorer`."""

    @property
    def tokens(self) -> Sequence[int]:
        """Tokens of each answer."""

    def scores(self, active: Active, which: Sequence[int] | None = None) -> list[NDArray[np.float32]]:
        """Log-probability in nats of every token of the answers asked for, an array for each."""

    def hidden_states(self, which: Sequence[int] | None = None, active: Active = ()) -> NDArray[np.float32]:
        """The outputs of the blocks, each the mean over an answer; shape (examples, layers, width)."""

    def close(self) -> None:
        """Free what it holds; calling it again does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known about the model that is loaded."""

    name: str
    path: str
    architecture: str
    parameters: int
    file_bytes: int
    context_tokens: int
    memory_placement: Literal["system", "message"] = "message"
    """Where recalled memories go in its prompt: with the system text, or before the owner's message."""
    memory_limit: int = 8
    """How many recalled memories it can make use of."""
    sampling: Sampling = field(default_factory=Sampling)
    notes: tuple[str, ...] = ()
    """What the owner should know, such as a chat template that was replaced by ChatML."""


class ChatModel(Protocol):
    """A local chat model. Safe to call from any thread."""

    @property
    def info(self) -> ModelInfo:
        """What is known about it."""

    def generate(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int = 512,
        sampling: Sampling | None = None,
        grammar: str | None = None,
        session: str | None = None,
        priority: Priority = Priority.PERSON,
        adapters: Active = (),
    ) -> Generation:
        """Start an answer to ``messages`` and return at once.

        When the window is full the oldest messages after the system text are left out
        (``report.dropped_messages``). A guard ends an answer that repeats itself (``stop_reason`` ``repeat``).

        Args:
            messages: The conversation, system text first, ending with the message to answer.
            max_tokens: Upper bound of the answer's length.
            sampling: How tokens are chosen; the model's own defaults when left out.
            grammar: GBNF that the answer must match.
            session: A name under which the key-value cache is kept: a later call with the same name and the
                same beginning decodes only what is new. None: nothing is kept.
            priority: Who goes first.
            adapters: Active on the answer's tokens only; afterwards the conversation is the base model's again.

        Raises:
            PromptTooLongError: The system text and the last message alone do not fit.
        """

    def loglikelihood(
        self, messages: Sequence[ChatMessage], answer: str, *, priority: Priority = Priority.BACKGROUND
    ) -> TokenScores:
        """How likely the model finds ``answer`` as its reply to ``messages``.

        Without messages ``answer`` is running text that nothing stands before; its first token is then left out
        where the model has no token that begins a text.

        Raises:
            PromptTooLongError: They do not fit into the window together.
        """

    def base_sha256(self) -> str:
        """What adapters for this model are bound to: the SHA-256 of its file in hexadecimal digits."""

    def scorer(self, examples: Sequence[tuple[Sequence[ChatMessage], str]]) -> AnswerScorer:
        """Prompts and their answers, to be scored in the background under one set of adapters after another.

        Raises:
            PromptTooLongError: An example does not fit into the window.
        """

    def count_tokens(self, text: str) -> int:
        """Length of ``text`` in this model's tokens."""

    def forget_all_sessions(self) -> None:
        """Drop every kept key-value cache, in memory and on disk: what it was made of has been forgotten."""

    def close(self) -> None:
        """Stop everything and free the model; calling it again does nothing."""


def instructed(model: ChatModel, instruction: str, text: str, *, max_tokens: int, grammar: str | None = None) -> str:
    """The likeliest answer to an instruction about a text, without a thought; a person's turn goes before it.

    Args:
        model: Who answers.
        instruction: The system text.
        text: What it is about.
        max_tokens: Upper bound of the answer's length.
        grammar: GBNF that the answer must match.

    Raises:
        ModelError: There is no answer, or the text is too long for the model.
    """
    answer = model.generate(
        [ChatMessage("system", instruction), ChatMessage("user", text)],
        max_tokens=max_tokens,
        sampling=Sampling(temperature=0.0),
        grammar=grammar,
        priority=Priority.BACKGROUND,
    )
    return without_thought("".join(piece.text for piece in answer))


def without_thought(answer: str) -> str:
    """The answer without ``<think> … </think>``, also where the thought began in the prompt or never ends."""
    answer = re.sub(r"<think>.*?(?:</think>|\Z)", "", answer, flags=re.DOTALL | re.IGNORECASE)
    return answer.rpartition("</think>")[2]
