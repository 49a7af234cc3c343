"""The ``Answers`` service: one question from its bytes to the last word of its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import grpc

from mnemon_cloud import logs
from mnemon_cloud.answers.admission import Admission
from mnemon_cloud.answers.engines import Engine, Finish, Prompt, Role, Sampling, Usage
from mnemon_cloud.answers.kept import Answer, KeptAnswers
from mnemon_cloud.answers.quotas import Quotas
from mnemon_cloud.answers.sealing_keys import SealingKeys
from mnemon_cloud.errors import (
    CallRefusedError,
    EngineBusyError,
    EngineError,
    Reason,
    UnsuitableQuestionError,
    replaced,
)
from mnemon_cloud.interceptors import caller
from mnemon_cloud.metrics import Metrics
from mnemon_cloud.settings import Settings
from mnemon_protos.encoding import WireError
from mnemon_protos.sealing import open_question, seal_response
from mnemon_protos.signing import REQUEST_ID_BYTES
from mnemon_protos.v1 import answers_pb2 as pb
from mnemon_protos.v1.answers_pb2_grpc import AnswersServicer

_ROLES: dict[int, Role] = {pb.ROLE_SYSTEM: "system", pb.ROLE_USER: "user", pb.ROLE_ASSISTANT: "assistant"}
_MOST_MESSAGES = 1000
_MOST_DISCARDED = 1000
_LAST_SECONDS = 5.0  # what a call that was cut off still writes down takes milliseconds
_ENGINE_DELAY = 5.0  # seconds: an engine that failed or is full has had time to change
_FINISH = {Finish.STOP: pb.FINISH_REASON_STOP, Finish.LENGTH: pb.FINISH_REASON_LENGTH}


class _Outgoing:
    """The stream back: sealed when the question was, and never waiting for a reader for ever."""

    def __init__(self, context: Any, reply_key: bytes, patience: float) -> None:
        self._context = context
        self._reply_key = reply_key
        self._patience = patience
        self._position = 0

    async def send(self, response: pb.AskResponse) -> None:
        if self._reply_key:
            response = seal_response(response, reply_key=self._reply_key, position=self._position)
        self._position += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._context.write(response)
        except TimeoutError as error:
            raise CallRefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.SLOW_READER, "The answer was not read."
            ) from error


class AnswersService(AnswersServicer):
    """Answers questions.

    Args:
        engine: What answers.
        settings: Limits.
        quotas: The devices' allowances.
        keys: To what questions are sealed.
        kept: Answers for devices that ask again.
        metrics: Where waiting, answering and tokens are counted.
        tenant: What the engine knows a device by, from its id.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        quotas: Quotas,
        keys: SealingKeys,
        kept: KeptAnswers,
        metrics: Metrics,
        tenant: Callable[[bytes], bytes],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._quotas = quotas
        self._keys = keys
        self._kept = kept
        self._metrics = metrics
        self._tenant = tenant
        self._running: dict[tuple[bytes, bytes], asyncio.Task[Any]] = {}
        self._replaced: dict[asyncio.Task[Any], tuple[bytes, bytes]] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self.admission = Admission(
            places=engine.places,
            queue=settings.limits.queue,
            per_device=settings.limits.answers_per_device,
            metrics=metrics,
        )

    async def ended(self) -> None:
        """Wait until calls that were cut off are over and have settled: their storage may be closed after this."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=_LAST_SECONDS)
        if self._settling:
            await asyncio.wait(self._settling, timeout=_LAST_SECONDS)

    async def GetSealingKey(self, request: pb.GetSealingKeyRequest, context: Any) -> pb.GetSealingKeyResponse:
        """The key to seal questions to now."""
        return self._keys.current()

    async def DiscardAnswers(self, request: pb.DiscardAnswersRequest, context: Any) -> pb.DiscardAnswersResponse:
        """Delete answers that the device has in safety."""
        ids = request.request_ids
        if len(ids) > _MOST_DISCARDED or any(len(id) != REQUEST_ID_BYTES for id in ids):
            raise _invalid(f"At most {_MOST_DISCARDED} ids of {REQUEST_ID_BYTES} bytes.")
        await self._kept.storage.discard_answers(caller().id, ids)
        return pb.DiscardAnswersResponse()

    async def Ask(self, request: pb.AskRequest, context: Any) -> None:  # type: ignore[override]
        """Answer one question; a newer call with the same request id takes its place."""
        device = caller()
        if len(request.request_id) != REQUEST_ID_BYTES:
            raise _invalid("The request id must have 16 bytes.")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # coroutines run in tasks
        name = (device.id, request.request_id)
        older, self._running[name] = self._running.get(name), task
        try:
            if older is not None:
                self._replaced[older] = name
                older.cancel()
            # All that are ending, not only the last: it may be over before the one it replaced has left its place.
            ending = [call for call, of in self._replaced.items() if of == name]
            if ending:
                await asyncio.wait(ending, timeout=_LAST_SECONDS)
            async with asyncio.timeout(self._settings.server.max_call_seconds):
                await self._ask(device.id, request, context)
        except asyncio.CancelledError:
            if task not in self._replaced:
                raise
            task.uncancel()
            raise replaced() from None
        except TimeoutError as error:
            raise CallRefusedError(
                grpc.StatusCode.DEADLINE_EXCEEDED, Reason.TOO_LONG, "The answer took too long."
            ) from error
        finally:
            self._replaced.pop(task, None)
            if self._running.get(name) is task:
                del self._running[name]

    async def _ask(self, device_id: bytes, request: pb.AskRequest, context: Any) -> None:
        question, reply_key = self._opened(device_id, request)
        arrived = time.perf_counter()
        messages = _messages(question)
        temperature = question.temperature if question.HasField("temperature") else self._settings.engine.drawn_at
        if not 0 <= temperature <= 2:  # also refuses what is not a number
            raise _invalid("The temperature must lie between 0 and 2.")
        outgoing = _Outgoing(context, reply_key, self._settings.limits.slow_reader_seconds)
        keeping = self._kept.of(device_id, request.request_id, question)
        given = await keeping.find() if keeping else None
        answer = given
        if answer is None:
            async with self.admission.place(device_id):
                # Once more: while this call waited for its place, an older one may have come to its end elsewhere.
                answer = given = await keeping.begin() if keeping else None
                if answer is None:
                    prompt, sampling = await self._prepared(device_id, question, messages, temperature)
                    answer = await self._answered(device_id, prompt, sampling, outgoing, arrived)
                    if keeping:
                        await keeping.keep(answer)
        if given is not None:
            await outgoing.send(pb.AskResponse(started=pb.Started(model=given.model, kept=True)))
            await outgoing.send(pb.AskResponse(delta=pb.Delta(text=given.text)))
        finished = pb.Finished(
            reason=answer.finish,
            prompt_tokens=answer.prompt_tokens,
            answer_tokens=answer.answer_tokens,
            quota_left=await self._quotas.left(device_id),
        )
        await outgoing.send(pb.AskResponse(finished=finished))

    async def _prepared(
        self, device_id: bytes, question: pb.Question, messages: list[tuple[Role, str]], temperature: float
    ) -> tuple[Prompt, Sampling]:
        """The question as the engine takes it.

        Raises:
            CallRefusedError: The engine cannot take it.
        """
        try:
            prompt = await self._engine.prepare(messages, tenant=self._tenant(device_id))
        except EngineError as error:
            raise _invalid("The model cannot take this conversation.") from error
        room = self._engine.window - prompt.tokens
        if room < 1:
            raise CallRefusedError(
                grpc.StatusCode.INVALID_ARGUMENT,
                Reason.TOO_LONG,
                f"The question has {prompt.tokens} tokens and the model's window {self._engine.window}.",
            )
        allowed = min(room, self._settings.limits.answer_tokens)
        seed = question.seed if question.HasField("seed") else None
        return prompt, Sampling(min(question.max_tokens or allowed, allowed), temperature, seed)

    async def _answered(
        self, device_id: bytes, prompt: Prompt, sampling: Sampling, outgoing: _Outgoing, arrived: float
    ) -> Answer:
        """Let the engine answer, stream what it says, and charge what it took.

        Raises:
            CallRefusedError: The allowance is spent, or the engine stopped.
        """
        reservation = await self._quotas.reserve(device_id, prompt.tokens + sampling.max_tokens)
        text: list[str] = []
        used = Usage(prompt.tokens, 0)
        finish: Finish | None = None
        try:
            await outgoing.send(pb.AskResponse(started=pb.Started(model=self._engine.model)))
            async with aclosing(self._engine.answer(prompt, sampling)) as pieces:
                async for piece in pieces:
                    if not used.answer_tokens:
                        self._metrics.first_token.observe(time.perf_counter() - arrived)
                    used = piece.usage or Usage(used.prompt_tokens, used.answer_tokens + piece.tokens)
                    finish = piece.finish
                    if piece.text:
                        text.append(piece.text)
                        await outgoing.send(pb.AskResponse(delta=pb.Delta(text=piece.text)))
        except UnsuitableQuestionError as error:
            raise _invalid("The model cannot take this conversation.") from error
        except EngineBusyError as error:
            raise CallRefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                Reason.ENGINE,
                "The server is busy.",
                retry_after=error.retry_after or _ENGINE_DELAY,
            ) from error
        except EngineError as error:
            logs.failure("engine-failed", error)
            raise _stopped() from error
        finally:
            # Shielded: a call that is cancelled while it settles must not keep what it did not use.
            settling = asyncio.create_task(reservation.settle(used.prompt_tokens + used.answer_tokens))
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)
            await asyncio.shield(settling)
            self._metrics.tokens.labels("question").inc(used.prompt_tokens)
            self._metrics.tokens.labels("answer").inc(used.answer_tokens)
        if finish is None:
            raise _stopped()
        return Answer(self._engine.model, "".join(text), _FINISH[finish], used.prompt_tokens, used.answer_tokens)

    def _opened(self, device_id: bytes, request: pb.AskRequest) -> tuple[pb.Question, bytes]:
        """The question, and the key its answer is sealed with (empty for an open one)."""
        kind = request.WhichOneof("payload")
        if kind == "question":
            return request.question, b""
        if kind != "sealed":
            raise _invalid("There is no question.")
        key = self._keys.find(request.sealed.key_id)
        if key is None:
            raise CallRefusedError(
                grpc.StatusCode.FAILED_PRECONDITION,
                Reason.SEALING,
                "The sealing key is not known here; fetch the new one.",
            )
        try:
            payload = open_question(
                request.sealed.ciphertext, key, device_id=device_id, request_id=request.request_id
            )
        except WireError as error:
            raise _invalid("The sealed question cannot be opened.") from error
        return payload.question, payload.reply_key


def _messages(question: pb.Question) -> list[tuple[Role, str]]:
    if not 1 <= len(question.messages) <= _MOST_MESSAGES:
        raise _invalid(f"A conversation has 1 to {_MOST_MESSAGES} messages.")
    if any(m.role not in _ROLES for m in question.messages):
        raise _invalid("A message has no role this server knows.")
    if question.messages[-1].role != pb.ROLE_USER or not question.messages[-1].text.strip():
        raise _invalid("The last message must be the user's, with words in it.")
    return [(_ROLES[m.role], m.text) for m in question.messages]


def _stopped() -> CallRefusedError:
    return CallRefusedError(
        grpc.StatusCode.UNAVAILABLE, Reason.ENGINE, "The engine stopped.", retry_after=_ENGINE_DELAY
    )


def _invalid(message: str) -> CallRefusedError:
    return CallRefusedError(grpc.StatusCode.INVALID_ARGUMENT, Reason.INVALID, message)
