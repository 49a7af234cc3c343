"""Answers kept for a device that may not have got all of one: the same question again gives the same answer.

An answer is committed here before its last message is sent, so a question is answered once however often it is asked.
What is kept is sealed under a key that only the device keeps: it comes with the question and is forgotten with the
call. A question asked without such a key leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mnemon_cloud.devices.authentication import wall_clock_ms
from mnemon_cloud.errors import CallRefusedError, Reason, replaced
from mnemon_cloud.settings import Settings
from mnemon_cloud.storage import Storage
from mnemon_protos.encoding import statement
from mnemon_protos.v1.answers_pb2 import FinishReason, Question

KEEP_KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A finished answer; its repr shows nothing."""

    model: str
    text: str
    finish: FinishReason.ValueType
    prompt_tokens: int
    answer_tokens: int


class Keeping:
    """What is kept for one question. Make one with :meth:`KeptAnswers.of`."""

    def __init__(self, kept: KeptAnswers, device_id: bytes, request_id: bytes, question: Question) -> None:
        self._kept = kept
        self._name = (device_id, request_id)
        self._owner = os.urandom(16)
        digest = hashlib.sha256(question.SerializeToString(deterministic=True)).digest()
        info = statement("kept answer", device_id, request_id, digest)
        self._cipher = ChaCha20Poly1305(HKDF(SHA256(), 32, salt=None, info=info).derive(question.keep_key))

    async def find(self) -> Answer | None:
        """The answer this question got before.

        Raises:
            CallRefusedError: The id was used for another question, or with another key.
        """
        return self._opened(await self._kept.storage.kept_answer(*self._name, now_ms=self._kept.now_ms()))

    async def begin(self) -> Answer | None:
        """Take the question on; from now on no older call may answer it. Or the answer it got meanwhile.

        Raises:
            CallRefusedError: As :meth:`find`.
        """
        now = self._kept.now_ms()
        return self._opened(
            await self._kept.storage.begin_answer(
                *self._name, owner=self._owner, until_ms=now + self._kept.longest_call_ms, now_ms=now
            )
        )

    async def keep(self, answer: Answer) -> None:
        """Commit the answer.

        Raises:
            CallRefusedError: A newer call with the same question took it over: that one answers it.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, json.dumps(asdict(answer)).encode(), None)
        if not await self._kept.storage.keep_answer(
            *self._name,
            owner=self._owner,
            answer=sealed,
            until_ms=self._kept.now_ms() + self._kept.kept_ms,
            most=self._kept.most,
        ):
            raise replaced()

    def _opened(self, sealed: bytes | None) -> Answer | None:
        if sealed is None:
            return None
        try:
            return Answer(**json.loads(self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)))
        except InvalidTag as error:
            raise CallRefusedError(
                grpc.StatusCode.ALREADY_EXISTS, Reason.INVALID, "This request id was used for another question."
            ) from error


class KeptAnswers:
    """Everything that is kept.

    Args:
        storage: Where.
        settings: How many for each device, and for how long.
        now_ms: The clock; tests set it.
    """

    def __init__(self, storage: Storage, settings: Settings, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self.storage = storage
        self.now_ms = now_ms
        self.most = settings.limits.kept_answers
        self.kept_ms = round(settings.limits.kept_hours * 3_600_000)
        self.longest_call_ms = round(settings.server.max_call_seconds * 1000)

    def of(self, device_id: bytes, request_id: bytes, question: Question) -> Keeping | None:
        """What is kept for a question; None where nothing is to be.

        Raises:
            CallRefusedError: The key has the wrong size.
        """
        if not question.keep_key or not self.most:
            return None
        if len(question.keep_key) != KEEP_KEY_BYTES:
            raise CallRefusedError(
                grpc.StatusCode.INVALID_ARGUMENT, Reason.INVALID, f"A keep key has {KEEP_KEY_BYTES} bytes."
            )
        return Keeping(self, device_id, request_id, question)
