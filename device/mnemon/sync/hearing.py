"""One question on its way and its answer coming in: sent again where that is safe, heard once.

What a server says is not believed further than it can be checked: pieces that do not belong here, an answer that does
not end and words that contradict those said before all end it.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import grpc

from mnemon.errors import BrokenOffError, CloudError, UnreachableError
from mnemon.sync import refusals
from mnemon.sync.refusals import Refusal
from mnemon_protos import sealing
from mnemon_protos.encoding import WireError
from mnemon_protos.signing import REQUEST_ID_BYTES
from mnemon_protos.v1 import answers_pb2

if TYPE_CHECKING:
    from mnemon.sync.client import CloudClient

TRIES: Final = 4
_BACKOFF: Final = (0.5, 1.5, 4.0)
PATIENCE_SECONDS: Final = 10.0
"""A server that asks to wait longer than this is not waited for while a person looks on."""
LINGER_SECONDS: Final = 1.0
"""After its last message an answer is complete; the line, which should end with it, is given so long to do so."""
LONGEST_ANSWER: Final = 1_000_000
"""Characters; some 250,000 tokens, more than any model says at a time."""
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A question as it leaves: nothing else of the device is in it.

    Attributes:
        text: The exact words.
        system: A fixed instruction before them; empty for none.
        id: 16 bytes, the same each time the same question is sent.
        keep_key: 32 bytes, likewise: under it the server keeps the finished answer, and cannot read it without.
        max_tokens: The longest answer; 0 means what the server allows.
    """

    text: str
    system: str = ""
    id: bytes = field(default_factory=lambda: os.urandom(REQUEST_ID_BYTES))
    keep_key: bytes = field(default_factory=lambda: os.urandom(32))
    max_tokens: int = 0

    def question(self) -> answers_pb2.Question:
        """As the wire has it."""
        pb = answers_pb2
        messages = [pb.Message(role=pb.ROLE_USER, text=self.text)]
        if self.system:
            messages.insert(0, pb.Message(role=pb.ROLE_SYSTEM, text=self.system))
        return pb.Question(messages=messages, max_tokens=self.max_tokens, keep_key=self.keep_key)


@dataclass(frozen=True, slots=True)
class Finished:
    """How an answer ended: tokens of question and answer, and what is left of today's allowance (-1: no limit)."""

    prompt_tokens: int
    answer_tokens: int
    quota_left: int
    cut: bool
    """The longest allowed answer was reached."""


class Hearing:
    """An answer that is coming in: iterate for its words, once. Leaving the ``with`` ends it.

    Attributes:
        model: What answers, as the server calls it; empty before the first word.
        finished: How it ended; None while it has not, and when it was stopped.
    """

    def __init__(self, client: CloudClient, request: Request, sending: Callable[[int], object]) -> None:
        self.model = ""
        self.finished: Finished | None = None
        self._client = client
        self._request = request
        self._sending = sending
        self._sent = 0
        self._said = ""
        self._stopped = threading.Event()
        self._call: Any = None

    def __enter__(self) -> Hearing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it: the words end, and the server is told. Safe from any thread."""
        self._stopped.set()
        call = self._call
        if call is not None:
            call.cancel()

    def __iter__(self) -> Iterator[str]:
        """The words, as they come.

        Raises:
            CloudError: What went wrong, after what was safe to repeat was repeated.
        """
        for attempt in range(TRIES):
            refusal = Refusal(grpc.StatusCode.UNAVAILABLE)  # what an answer that ends without its end amounts to
            cause: Exception | None = None
            try:
                yield from self._attempt()
                if self.finished is not None:
                    return
            except grpc.RpcError as error:
                if self.finished is not None:
                    return
                refusal, cause = refusals.read(error), error
            except UnreachableError:
                if not self._sent or attempt + 1 == TRIES:  # nobody waits for a line that was never there
                    raise
            if self._stopped.is_set():
                return
            pause = self._pause(refusal, attempt)
            if pause is None:
                raise self._explained(refusal) from cause
            self._client.wait(self._stopped, pause)
            if self._stopped.is_set():
                return

    def _attempt(self) -> Iterator[str]:
        """Send it, and give the words beyond those that were said already."""
        request, reply_key = self._client.sealed(self._request)
        if self._stopped.is_set():
            return
        self._sending(self._sent)
        self._sent += 1
        self._call = call = self._client.send(request)
        if self._stopped.is_set():  # stop() may have come before there was a call
            call.cancel()
        heard = 0
        try:
            for position, sealed in enumerate(call):
                response = self._opened(sealed, reply_key, position)
                match response.WhichOneof("event"):
                    case "started":
                        self.model = response.started.model[:_LONGEST_NAME]
                    case "delta":
                        yield from self._beyond(response.delta.text, heard)
                        heard += len(response.delta.text)
                    case "finished":
                        if heard < len(self._said):
                            raise _other_words()
                        self.finished = _finished(response.finished)
                        self._linger(call)
                        return  # nothing comes after the end
        finally:
            call.cancel()  # does nothing to a call that is over

    def _linger(self, call: Any) -> None:
        """Let the server end the call, so that it counts as ended well there; not for long, if it leaves it open."""
        over = threading.Event()
        if call.add_callback(over.set):
            self._client.wait(over, LINGER_SECONDS)

    def _beyond(self, text: str, heard: int) -> Iterator[str]:
        """What of ``text``, which comes after ``heard`` characters, was not said yet."""
        known = self._said[heard : heard + len(text)]
        if not text.startswith(known):
            raise _other_words()
        if heard + len(text) > LONGEST_ANSWER:
            raise BrokenOffError("The answer does not end.", hint="Ask for less; tell the server's operator.")
        new = text[len(known) :]
        if new:
            self._said += new
            yield new

    def _opened(self, sealed: answers_pb2.AskResponse, reply_key: bytes, position: int) -> answers_pb2.AskResponse:
        try:
            return sealing.open_response(sealed, reply_key=reply_key, position=position)
        except WireError as error:
            raise BrokenOffError(f"The answer cannot be trusted: {error}.", hint="Try again.") from error

    def _pause(self, refusal: Refusal, attempt: int) -> float | None:
        """Seconds until the next attempt; None when there is to be none."""
        if attempt + 1 == TRIES:
            return None
        if self._client.learn(refusal):
            return 0.0
        if refusal.on_the_way:
            return _jittered(attempt)
        if refusal.retry_after is not None and refusal.retry_after <= PATIENCE_SECONDS:
            return refusal.retry_after * random.uniform(1.0, 1.3)
        return None

    def _explained(self, refusal: Refusal) -> CloudError:
        error = refusals.explained(refusal, self._client.account, ahead_ms=self._client.ahead_ms)
        if self._said and isinstance(error, UnreachableError):
            return BrokenOffError("The line broke in the middle of the answer.", hint=error.hint)
        return error


def _finished(event: answers_pb2.Finished) -> Finished:
    return Finished(
        event.prompt_tokens,
        event.answer_tokens,
        event.quota_left,
        cut=event.reason == answers_pb2.FINISH_REASON_LENGTH,
    )


def _jittered(attempt: int) -> float:
    return _BACKOFF[min(attempt, len(_BACKOFF) - 1)] * random.uniform(0.7, 1.3)


def _other_words() -> BrokenOffError:
    """An answer begun anew in other words cannot be joined to what was said."""
    return BrokenOffError("The line broke in the middle of the answer.", hint="Ask again for a whole one.")
