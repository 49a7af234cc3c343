"""Continuous batching: one thread, one context, and in every decode one token of each answer that is under way.

A question joins between two decodes and leaves when it is done or nobody wants it any more; the others never wait for
it. Long prompts go in by slices while others are answering, so that their words keep coming.
"""

from __future__ import annotations

import codecs
import heapq
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mnemon_cloud import logs
from mnemon_cloud.answers.engines import Finish, Piece, Sampling
from mnemon_cloud.answers.engines.llama_native import Context, Sampler, Vocabulary
from mnemon_cloud.errors import CloudError, EngineError

_SLICE = 64
"""Tokens of a prompt in one decode while others answer; two cores take a 0.5B model 250 ms for them."""

_STALLED_SECONDS = 120.0
"""A decode that takes longer means the engine hangs."""

_LONGEST_LOOP = 8
"""Tokens of what counts as a loop when it is said over and over: "electric electric", "1, 1, 1,". Not a refrain."""

Deliver = Callable[["list[tuple[Job, Piece | EngineError]]"], None]


@dataclass(eq=False, slots=True, repr=False)
class Job:
    """One answer on its way; its repr shows nothing."""

    tokens: Sequence[int]
    sampling: Sampling
    deliver_to: object
    cancelled: bool = False
    sequence: int = -1
    position: int = 0  # tokens in the cache
    following: int = -1  # the token sampled last, not yet decoded
    produced: int = 0
    row: int = -1
    sampler: Sampler | None = None
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )
    last: deque[int] = field(default_factory=lambda: deque(maxlen=_LONGEST_LOOP))  # the newest first
    repeated: list[int] = field(default_factory=lambda: [0] * _LONGEST_LOOP)

    def loops(self, token: int) -> int:
        """For how many tokens, this one included, a loop of whatever length has gone on."""
        for back, earlier in enumerate(self.last):
            self.repeated[back] = self.repeated[back] + 1 if token == earlier else 0
        self.last.appendleft(token)
        return max(self.repeated)


class Batcher:
    """Runs the jobs of one context on a thread of its own.

    Args:
        vocabulary: The model.
        context: Its context; the batcher closes neither.
        sequences: Jobs at a time.
        deliver: Called on the batcher's thread with the new pieces of one decode.
        loop_tokens: An answer that says the same over and over for so many tokens has become too long; 0: never.
    """

    def __init__(
        self, vocabulary: Vocabulary, context: Context, *, sequences: int, deliver: Deliver, loop_tokens: int
    ) -> None:
        self._vocabulary = vocabulary
        self._context = context
        self._deliver = deliver
        self._loop_tokens = loop_tokens
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: deque[Job] = deque()
        self._active: list[Job] = []
        self._free = list(range(sequences))
        self._lock = threading.Lock()  # around the abort flag and who is in the batch
        self._decoding: list[Job] = []
        self._since: float | None = None
        self._failures = 0
        self.decodes = 0
        """Decodes so far."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Take on a job; from any thread."""
        self._inbox.put(job)

    def cancel(self, job: Job) -> None:
        """Nobody wants it any more; from any thread. A decode that serves nobody else stops within a node."""
        with self._lock:
            job.cancelled = True
            if self._decoding and all(j.cancelled for j in self._decoding):
                self._context.abort(on=True)

    def healthy(self) -> bool:
        """Whether the thread lives, its decodes succeed and none hangs."""
        since = self._since
        stalled = since is not None and time.monotonic() - since > _STALLED_SECONDS
        return self._thread.is_alive() and self._failures < 3 and not stalled

    @property
    def active(self) -> int:
        """Jobs that hold a sequence."""
        return len(self._active)

    def stop(self) -> None:
        """Fail what runs and end the thread."""
        self._inbox.put(None)
        with self._lock:
            for job in self._decoding:
                job.cancelled = True
            self._context.abort(on=True)
        self._thread.join()

    # -- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._collect():
            self._seat()
            if self._active:
                self._step()
        left = [*self._active, *self._waiting]
        for job in list(self._active):
            self._leave(job)
        stopped = EngineError("The engine was stopped.", hint="Ask again.")
        self._deliver([(job, stopped) for job in left])

    def _collect(self) -> bool:
        """Take what came in, waiting for it while there is nothing to do; False when told to stop."""
        block = not self._active and not self._waiting
        while True:
            try:
                job = self._inbox.get(block=block)
            except queue.Empty:
                return True
            if job is None:
                return False
            self._waiting.append(job)
            block = False

    def _seat(self) -> None:
        for job in [j for j in self._active if j.cancelled]:
            self._leave(job)
        while self._waiting and self._free:
            job = self._waiting.popleft()
            if job.cancelled:
                continue
            job.sequence = heapq.heappop(self._free)
            job.sampler = self._context.sampler(job.sampling)
            self._active.append(job)

    def _leave(self, job: Job) -> None:
        self._context.drop(job.sequence)
        heapq.heappush(self._free, job.sequence)
        self._active.remove(job)
        if job.sampler is not None:
            job.sampler.close()
            job.sampler = None

    def _fill(self) -> list[Job]:
        """Fill the batch: the next token of whoever answers, then prompts in what room is left."""
        self._context.begin()
        # llama.cpp computes only sequences of consecutive numbers together: eight the other way round took the time
        # of eight batches
        answering = sorted((j for j in self._active if j.following >= 0), key=lambda job: job.sequence)
        for job in answering:
            job.row = self._context.add(job.sequence, job.following, job.position, logits=True)
            job.position += 1
        room = min(_SLICE, self._context.batch - len(answering)) if answering else self._context.batch
        reading = [j for j in self._active if j.following < 0]
        taken = list(answering)
        for job in reading:
            part = job.tokens[job.position : job.position + room]
            if not part:
                break
            room -= len(part)
            end = job.position + len(part) == len(job.tokens)
            for i, token in enumerate(part, 1):
                row = self._context.add(job.sequence, token, job.position, logits=end and i == len(part))
                job.position += 1
            job.row = row if end else -1
            taken.append(job)
        return taken

    def _step(self) -> None:
        taken = self._fill()
        with self._lock:
            self._decoding = taken
            self._context.abort(on=all(j.cancelled for j in taken))
        self._since = time.monotonic()
        try:
            whole = self._context.decode()
        except EngineError as error:
            self._failures += 1
            logs.failure("decode-failed", error)
            for job in taken:
                self._leave(job)
            self._deliver([(job, error) for job in taken])
            return
        finally:
            self._since = None
            with self._lock:
                self._decoding = []
        self.decodes += 1
        self._failures = 0
        if not whole:  # all of them were cancelled
            for job in taken:
                self._leave(job)
            # Nobody waits for a cancelled one; those that were cut off by :meth:`stop` are told.
            self._deliver([(job, EngineError("The engine was stopped.", hint="Ask again.")) for job in taken])
            return
        news: list[tuple[Job, Piece | EngineError]] = []
        for job in taken:
            if job.row >= 0 and not job.cancelled:
                try:
                    piece = self._sample(job)
                except CloudError as error:
                    self._leave(job)
                    news.append((job, EngineError(str(error))))
                    continue
                news.append((job, piece))
                if piece.finish is not None:
                    self._leave(job)
        self._deliver(news)

    def _sample(self, job: Job) -> Piece:
        if job.sampler is None:
            raise EngineError("A question lost its place.", hint="Ask again.")
        token = job.sampler.next(job.row)
        if self._vocabulary.ends(token):
            return Piece(job.decoder.decode(b"", final=True), 0, Finish.STOP)
        job.following = token
        job.produced += 1
        text = job.decoder.decode(self._vocabulary.piece(token))
        long = job.produced >= job.sampling.max_tokens or job.position >= self._context.window
        if long or (self._loop_tokens and job.loops(token) >= self._loop_tokens):
            return Piece(text + job.decoder.decode(b"", final=True), 1, Finish.LENGTH)
        return Piece(text, 1)
