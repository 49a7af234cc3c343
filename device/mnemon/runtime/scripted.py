"""A chat model that says what it was told to say: for tests, of Mnemon and of programs built on it."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mnemon.errors import ModelError, PromptTooLongError
from mnemon.runtime.chat_model import (
    ChatMessage,
    GenerationReport,
    ModelInfo,
    Piece,
    Priority,
    Sampling,
    TokenScores,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.adapters import Active

_TOKEN = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True)
class Call:
    """One request the scripted model was given."""

    messages: tuple[ChatMessage, ...]
    max_tokens: int = 512
    sampling: Sampling | None = None
    grammar: str | None = None
    session: str | None = None
    priority: Priority = Priority.PERSON
    adapters: Active = ()

    @property
    def last(self) -> str:
        """What the last message said."""
        return self.messages[-1].content if self.messages else ""


@dataclass(frozen=True, slots=True)
class Scripted:
    """An answer with its log-probabilities.

    Attributes:
        text: What is said, a word and the space before it being one token.
        logprob: Log-probability in nats that every token reports.
        fail: Raised after the text has been streamed.
    """

    text: str
    logprob: float = -0.1
    fail: Exception | None = None


Line = str | Scripted | Exception | Callable[[Call], "str | Scripted | Exception"]
"""What the script may hold: a text, an answer, an error to raise, or a function of the call giving one of them."""


class ScriptedModel:
    """Satisfies :class:`~mnemon.runtime.chat_model.ChatModel` with answers from a script.

    Args:
        script: The answers, one per call of ``generate``; a single text, answer or function answers every call.
            When the script is used up the last line is repeated.
        delay: Seconds between two tokens.
        context: Window in tokens; a system text and last message longer than it raise ``PromptTooLongError``.
        loglikelihood: Log-probability in nats of every token given to :meth:`loglikelihood`.

    Attributes:
        calls: Every request so far, oldest first.
    """

    def __init__(
        self,
        script: Line | Iterable[Line] = "All right.",
        *,
        delay: float = 0.0,
        context: int = 4096,
        loglikelihood: float = -1.0,
        info: ModelInfo | None = None,
    ) -> None:
        lines = [script] if isinstance(script, str | Scripted | Exception) or callable(script) else list(script)
        self._script: list[Line] = lines or ["All right."]
        self._delay = delay
        self._loglikelihood = loglikelihood
        self._lock = threading.Lock()
        self._closed = False
        self.calls: list[Call] = []
        self._info = info or ModelInfo(
            name="scripted",
            path="",
            architecture="scripted",
            parameters=0,
            file_bytes=0,
            context_tokens=context,
        )

    @property
    def info(self) -> ModelInfo:
        """What is known about it."""
        return self._info

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
    ) -> ScriptedGeneration:
        """The next answer of the script."""
        call = Call(tuple(messages), max_tokens, sampling, grammar, session, priority, tuple(adapters))
        size = self.info.context_tokens
        needed = [m for m in messages[:-1] if m.role == "system"] + list(messages[-1:])
        if sum(self.count_tokens(m.content) for m in needed) >= size:
            raise PromptTooLongError(
                f"That message is longer than the {size} tokens the model can read.", hint="Send it in parts."
            )
        with self._lock:
            if self._closed:
                raise ModelError("The model is closed.", hint="Load it again.")
            line = self._script[min(len(self.calls), len(self._script) - 1)]
            self.calls.append(call)
        said = line(call) if callable(line) else line
        if isinstance(said, Exception):
            said = Scripted("", fail=said)
        elif isinstance(said, str):
            said = Scripted(said)
        prompt = sum(self.count_tokens(m.content) for m in messages)
        report = GenerationReport(prompt_tokens=prompt, context_used=prompt, context_size=size)
        return ScriptedGeneration(said, report, max_tokens=max_tokens, delay=self._delay)

    def loglikelihood(
        self, messages: Sequence[ChatMessage], answer: str, *, priority: Priority = Priority.BACKGROUND
    ) -> TokenScores:
        """Every token of ``answer`` with the log-probability given to the constructor."""
        tokens = tuple(_TOKEN.findall(answer))
        return TokenScores(tokens, (self._loglikelihood,) * len(tokens))

    def base_sha256(self) -> str:
        """The same for every model of that name."""
        return hashlib.sha256(self.info.name.encode()).hexdigest()

    def scorer(self, examples: Sequence[tuple[Sequence[ChatMessage], str]]) -> ScriptedScorer:
        """Scores of answers that no adapter changes."""
        return ScriptedScorer([len(_TOKEN.findall(answer)) for _, answer in examples], self._loglikelihood)

    def count_tokens(self, text: str) -> int:
        """Words of ``text``."""
        return len(_TOKEN.findall(text))

    def forget_all_sessions(self) -> None:
        """Nothing to forget: a script has no cache."""

    def close(self) -> None:
        """Refuse further calls."""
        self._closed = True


@dataclass(frozen=True, slots=True)
class ScriptedScorer:
    """Every word has the same log-probability, and the hidden states are zero in a model of two blocks."""

    tokens: Sequence[int]
    _loglikelihood: float

    def scores(self, active: Active, which: Sequence[int] | None = None) -> list[NDArray[np.float32]]:
        """The log-probability given to the model, for each word."""
        import numpy as np

        chosen = range(len(self.tokens)) if which is None else which
        return [np.full(self.tokens[i], self._loglikelihood, np.float32) for i in chosen]

    def hidden_states(self, which: Sequence[int] | None = None, active: Active = ()) -> NDArray[np.float32]:
        """Zeros of shape (examples, 1, 4)."""
        import numpy as np

        return np.zeros((len(self.tokens if which is None else which), 1, 4), np.float32)

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(slots=True)
class ScriptedGeneration:
    """A scripted answer being streamed, one word a piece."""

    _said: Scripted
    report: GenerationReport
    max_tokens: int = 512
    delay: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[Piece]:
        started = time.perf_counter()
        for token in _TOKEN.findall(self._said.text):
            if self.delay and self._stopped.wait(self.delay):
                break
            if self._stopped.is_set():
                break
            if self.report.answer_tokens == self.max_tokens:
                self.report.stop_reason = "length"
                return
            self.report.answer_tokens += 1
            self.report.context_used += 1
            self.report.total_ms = 1000 * (time.perf_counter() - started)
            if self.report.answer_tokens == 1:
                self.report.first_token_ms = self.report.total_ms
            yield Piece(token, (self._said.logprob,))
        if self._stopped.is_set():
            self.report.stop_reason = "stopped"
        elif self._said.fail is not None:
            raise self._said.fail

    def stop(self) -> None:
        """End it before the next word."""
        self._stopped.set()
