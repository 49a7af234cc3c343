"""An answer of the local model on its way to whoever reads it: tokens in, whole characters out."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator

from mnemon.runtime.chat_model import GenerationReport, Piece, StopReason
from mnemon.runtime.sampling import CharacterStream, ThoughtFilter


class LocalGeneration:
    """An answer in the making; satisfies :class:`~mnemon.runtime.chat_model.Generation`. Iterate it once.

    Args:
        report: Filled in while it runs.
        created: When it was asked for, by ``time.perf_counter``.
        piece: The bytes of a token.
        thoughts: A filter for what the model thinks before it answers.
        interrupt: Ends the decode that is running if it is for this answer.
    """

    def __init__(
        self,
        report: GenerationReport,
        created: float,
        *,
        piece: Callable[[int], bytes],
        thoughts: Callable[[], ThoughtFilter],
        interrupt: Callable[[LocalGeneration], None],
    ) -> None:
        self._piece, self._thoughts, self._interrupt = piece, thoughts, interrupt
        self.report = report
        self.created = created
        self.stopped = False
        self._ready: queue.SimpleQueue[list[tuple[int, float]] | BaseException | None] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Piece]:
        piece = self._piece
        characters, thoughts = CharacterStream(), self._thoughts()
        try:
            while (batch := self._ready.get()) is not None:
                if isinstance(batch, BaseException):
                    raise batch
                if (
                    thoughts.over
                ):  # the usual case, all tokens at once: the reader works while the decode wants all cores
                    text = characters.add(b"".join([piece(token) for token, _ in batch]))
                    logprobs = [logprob for _, logprob in batch]
                else:
                    text, logprobs = "", []
                    for token, logprob in batch:
                        text += thoughts.add(characters.add(piece(token)))
                        if not thoughts.thinking:
                            logprobs.append(logprob)
                if text or logprobs:
                    yield Piece(text, tuple(logprobs))
            if rest := thoughts.finish():
                yield Piece(rest, ())
        finally:
            self.stop()

    def stop(self) -> None:
        """End it within one decode; from any thread, any number of times, also when it is over."""
        self.stopped = True
        self._interrupt(self)

    def put(self, batch: list[tuple[int, float]]) -> None:
        """Hand tokens to the reader."""
        self.report.total_ms = 1000 * (time.perf_counter() - self.created)
        self._ready.put(batch)

    def end(self, reason: StopReason | BaseException) -> None:
        """Tell the reader that it is over, and why."""
        if isinstance(reason, BaseException):
            self._ready.put(reason)
        else:
            self.report.stop_reason = reason
        self._ready.put(None)
