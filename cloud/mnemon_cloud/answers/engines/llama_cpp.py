"""The embedded engine: any GGUF chat model, several questions in one context."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from mnemon_cloud.answers.engines import Piece, Prompt, Role, Sampling
from mnemon_cloud.answers.engines.batching import Batcher, Job
from mnemon_cloud.answers.engines.llama_native import Context, Vocabulary
from mnemon_cloud.errors import EngineError
from mnemon_cloud.settings import EngineSettings

_BATCH = 512


class _Stream:
    """The pieces of one answer on their way from the engine's thread to the event loop."""

    __slots__ = ("arrived", "pieces")

    def __init__(self) -> None:
        self.pieces: deque[Piece | EngineError] = deque()
        self.arrived = asyncio.Event()

    def add(self, piece: Piece | EngineError) -> None:
        self.pieces.append(piece)
        self.arrived.set()


class LlamaCppEngine:
    """:class:`~mnemon_cloud.answers.engines.Engine` on llama.cpp in this process. Make one with :meth:`start`.

    The engine never waits for a reader: what is generated lies here until it is taken, at most an answer's length.
    """

    def __init__(self, settings: EngineSettings, vocabulary: Vocabulary, context: Context, name: str) -> None:
        self._vocabulary = vocabulary
        self._context = context
        self._name = name
        self._places = settings.parallel
        self._loop = asyncio.get_running_loop()
        self._batcher = Batcher(
            vocabulary,
            context,
            sequences=settings.parallel,
            deliver=self._deliver,
            loop_tokens=settings.loop_tokens,
        )
        self._closed = False

    @classmethod
    async def start(cls, settings: EngineSettings) -> LlamaCppEngine:
        """Load the model; takes as long as reading its file does.

        Raises:
            EngineError: It cannot be loaded, or there is not enough memory.
        """
        path = model_path(settings)

        def load() -> tuple[Vocabulary, Context]:
            vocabulary = Vocabulary(path, gpu_layers=settings.gpu_layers)
            try:
                return vocabulary, Context(
                    vocabulary,
                    sequences=settings.parallel,
                    window=min(settings.window, vocabulary.trained_window),
                    batch=max(_BATCH, settings.parallel),
                    threads=settings.threads or _usable_cores(),
                )
            except EngineError:
                vocabulary.close()
                raise

        vocabulary, context = await asyncio.to_thread(load)
        return cls(settings, vocabulary, context, settings.name or path.stem)

    @property
    def model(self) -> str:
        """What devices are told it is called."""
        return self._name

    @property
    def window(self) -> int:
        """Tokens of question and answer together."""
        return self._context.window

    @property
    def places(self) -> int:
        """Answers at a time."""
        return self._places

    @property
    def active(self) -> int:
        """Answers the engine's thread is working on."""
        return self._batcher.active

    def healthy(self) -> bool:
        """Whether it would answer now."""
        return not self._closed and self._batcher.healthy()

    async def prepare(self, messages: Sequence[tuple[Role, str]], *, tenant: bytes = b"") -> Prompt:
        """Put a conversation into the model's form; a megabyte takes some 0.3 s, in a thread.

        Text is text: it never becomes a control token. Nothing is cached from one question to the next.
        """
        tokens = await asyncio.to_thread(self._vocabulary.encode, messages)
        return Prompt(tokens, len(tokens))

    async def answer(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """Answer; what has arrived since the last piece comes as one."""
        if self._closed or not isinstance(prompt.payload, list):
            raise EngineError("The engine was stopped.", hint="Ask again.")
        stream = _Stream()
        job = Job(prompt.payload, sampling, stream)
        self._batcher.submit(job)
        try:
            while True:
                await stream.arrived.wait()
                stream.arrived.clear()
                piece = _joined(stream.pieces)
                yield piece
                if piece.finish is not None:
                    return
        finally:
            self._batcher.cancel(job)

    def _deliver(self, news: list[tuple[Job, Piece | EngineError]]) -> None:
        """On the engine's thread: one wake-up of the event loop for all pieces of a decode."""

        def hand_over() -> None:
            for job, piece in news:
                if isinstance(job.deliver_to, _Stream):
                    job.deliver_to.add(piece)

        try:
            self._loop.call_soon_threadsafe(hand_over)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    async def close(self) -> None:
        """End it; running answers fail. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._batcher.stop)
        self._context.close()
        self._vocabulary.close()


def model_path(settings: EngineSettings) -> Path:
    """The GGUF file that ``engine.model`` means."""
    if settings.model == "built-in":
        from mnemon_models import built_in_model

        return built_in_model()
    return Path(settings.model).expanduser()


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _joined(pieces: deque[Piece | EngineError]) -> Piece:
    """Everything that lies there, as one piece.

    Raises:
        EngineError: The engine failed.
    """
    text: list[str] = []
    tokens = 0
    while pieces:
        piece = pieces.popleft()
        if isinstance(piece, EngineError):
            raise piece
        text.append(piece.text)
        tokens += piece.tokens
        if piece.finish is not None:
            return Piece("".join(text), tokens, piece.finish)
    return Piece("".join(text), tokens)
