"""Takes what waits in the outbox to the cloud and brings the answers back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mnemon.errors import (
    CertificateError,
    ClockError,
    CloudError,
    DeviceRefusedError,
    NotAllowedError,
    NotFoundError,
    QuestionRefusedError,
    QuotaError,
    UnreachableError,
)
from mnemon.privacy.ledger import Ledger
from mnemon.sync.outbox import Entry, Outbox
from mnemon.sync.parcel import ask

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory
    from mnemon.sync.client import CloudClient
    from mnemon.sync.hearing import Hearing

_FOR_ALL: Final = (UnreachableError, CertificateError, ClockError, DeviceRefusedError, QuotaError)
"""What fails like this for one question fails for all of them."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one round did: how many were answered, given up, and still wait; and what went wrong, if anything."""

    answered: int = 0
    given_up: int = 0
    waiting: int = 0
    problem: str = ""


class Courier:
    """Sends what is due, one question after the other. Only for the holder of the sync lock.

    Args:
        memory: The owner's.
        ledger: Where every sending is recorded before it happens.
        may_send: Whether words may leave at all now: ``privacy.mode`` may have become ``never`` since.
    """

    def __init__(self, memory: Memory, ledger: Ledger, may_send: Callable[[], bool]) -> None:
        self.outbox = Outbox(memory.store, memory.now)
        self._memory = memory
        self._ledger = ledger
        self._may_send = may_send
        self._stopping = False
        self._hearing: Hearing | None = None

    def round(self, client: CloudClient) -> Delivered:
        """Try everything that is due; the first failure that holds for all of them ends the round."""
        answered = given_up = 0
        problem = ""
        for entry in self.outbox.due():
            try:
                answered += self._deliver(entry, client)
            except CloudError as error:
                problem = error.one_line()
                left = self.outbox.failed(entry, error)
                given_up += left is not None and left.state == "given up"
                if isinstance(error, _FOR_ALL):
                    break
            if self._stopping:
                self.outbox.recover()  # nobody is sending any more
                break
        return Delivered(answered, given_up, self.outbox.waiting(), problem)

    def stop(self) -> None:
        """End the round soon; what was being answered waits on. Safe from any thread, and in a signal handler."""
        self._stopping = True
        hearing = self._hearing
        if hearing is not None:
            hearing.stop()

    def _refuse_never(self) -> None:
        if not self._may_send():
            raise CloudError(
                "Nothing leaves: privacy.mode is never.", hint="mnemon privacy mode ask", retry_after=3600
            )

    def _deliver(self, entry: Entry, client: CloudClient) -> bool:
        self._refuse_never()

        def leaving() -> None:
            self._refuse_never()
            if self._stopping or not self.outbox.sending(entry):
                raise _TakenBackError("It was taken back, forgotten, answered or asked by a turn meanwhile.")

        try:
            with ask(client, entry.parcel, self._ledger, before=entry.attempts, leaving=leaving) as hearing:
                self._hearing = hearing
                text = "".join(entry.parcel.restorer.stream(hearing))
        except _TakenBackError:
            return False
        finally:
            self._hearing = None
        if hearing.finished is None:  # told to stop: it is sent again, and gets the same answer
            return False
        if not text.strip():
            raise QuestionRefusedError("The model had nothing to say.", hint="Put it another way.")
        answer = None
        with contextlib.suppress(NotFoundError):  # forgotten at this very moment
            answer = self.outbox.answered(entry, text, model=hearing.model)
            if answer is not None:
                self._memory.index(answer)
        if answer is None and self.outbox.is_open(entry):  # a turn asks it now, and gets this answer from the server
            return False
        with contextlib.suppress(CloudError):  # the server lets go of it by itself after a day
            client.discard([entry.parcel.request_id])
        return answer is not None


class _TakenBackError(NotAllowedError):
    """Keeps the words here at the last moment."""
