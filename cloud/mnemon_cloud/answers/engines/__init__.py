"""What answers: several engines behind one protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol, TypeAlias

Role: TypeAlias = Literal["system", "user", "assistant"]


class Finish(Enum):
    """Why an answer ended."""

    STOP = "stop"
    """The model said all it had to say."""
    LENGTH = "length"
    """The allowed length was reached."""


@dataclass(frozen=True, slots=True, repr=False)
class Prompt:
    """A conversation as the engine takes it; its repr shows nothing.

    Attributes:
        payload: The engine's own form.
        tokens: How long it is.
    """

    payload: object
    tokens: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen.

    Attributes:
        max_tokens: The answer's length at most, in tokens.
        temperature: 0 takes the likeliest each time.
        seed: For the same choice again; None for any.
    """

    max_tokens: int
    temperature: float
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a question and its whole answer took, in tokens."""

    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True, repr=False)
class Piece:
    """Some more of an answer; its repr shows nothing.

    Attributes:
        text: Whole characters; may be empty.
        tokens: How many tokens this piece took.
        finish: Set on the last piece.
        usage: On the last piece, from an engine that could only estimate before: this holds instead.
    """

    text: str
    tokens: int
    finish: Finish | None = None
    usage: Usage | None = None


class Engine(Protocol):
    """A model that answers, several questions at a time."""

    @property
    def model(self) -> str:
        """What devices are told it is called."""
        ...

    @property
    def window(self) -> int:
        """Tokens of question and answer together."""
        ...

    @property
    def places(self) -> int:
        """Answers at a time."""
        ...

    def healthy(self) -> bool:
        """Whether it would answer now."""
        ...

    async def prepare(self, messages: Sequence[tuple[Role, str]], *, tenant: bytes = b"") -> Prompt:
        """Put a conversation into the model's form.

        Args:
            tenant: Tells devices apart without naming them: what an engine caches for one serves no other, who could
                find out by timing what was asked before.

        Raises:
            EngineError: The model's template cannot say this conversation.
        """
        ...

    def answer(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Answer; closing the generator stops the engine's work on it.

        Raises:
            UnsuitableQuestionError: This conversation cannot be answered, now or later.
            EngineBusyError: There is no room in the engine now.
            EngineError: The engine failed.
        """
        ...

    async def close(self) -> None:
        """End it; running answers fail. Calling it again does nothing."""
        ...
