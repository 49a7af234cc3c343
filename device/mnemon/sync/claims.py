"""A question that waits in the outbox and is asked live meanwhile: one of the two asks it, and one answer comes.

The turn claims what waits right before its words leave. From then on the courier keeps off it: what it is about to
send it does not send, and what it has under way ends at the server, which lets a newer call with the same id take an
older one's place. The turn sends under that same id, so an answer that the server finished in the meantime is the one
it gets. A turn that dies leaves the question waiting: a claim ends by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from mnemon.errors import NotAllowedError

if TYPE_CHECKING:
    from mnemon.memory.records import Message
    from mnemon.sync.outbox import Entry, Outbox
    from mnemon.sync.parcel import Parcel

CLAIMED: Final = timedelta(minutes=6)
"""A claim holds this long from each sending on: a call's longest time and a minute."""


class Claim:
    """What waits of a question that a turn is about to ask. Make it before the owner is asked whether it may leave.

    Args:
        outbox: Where it waits.
        question: The owner's message.
    """

    def __init__(self, outbox: Outbox, question: Message) -> None:
        self._outbox = outbox
        self._question = question
        self._open = outbox.open_in(question.conversation_id)
        self._same: Entry | None = None
        self._entries: list[Entry] = []
        self._until: datetime | None = None

    def parcel(self, wanted: Parcel) -> Parcel:
        """The parcel to send: the one that waits where it says the same, so that both are one question.

        All that waits of this message goes with it, and the same words waiting under another message of the
        conversation: the answer answers them all.
        """
        same = [entry for entry in self._open if entry.parcel.says_what(wanted)]
        self._entries = [e for e in self._open if e.question_id == self._question.id or e in same]
        self._same = same[0] if same else None
        return self._same.parcel if self._same is not None else wanted

    @property
    def waits(self) -> bool:
        """Whether the very parcel is in the outbox already."""
        return self._same is not None

    @property
    def sent_before(self) -> int:
        """How often that parcel left before."""
        return self._same.attempts if self._same is not None else 0

    def take(self) -> None:
        """Keep the courier off; again for each sending.

        Raises:
            NotAllowedError: Something of it was answered, taken back or forgotten since: nothing is to be sent.
        """
        if self._entries:
            self._until = self._outbox.claim(self._entries, CLAIMED, sends=self._same)
            if self._until is None:
                raise NotAllowedError(
                    "This question was answered, taken back or forgotten meanwhile.",
                    hint="An answer stands in its conversation.",
                )

    def done(self) -> None:
        """The answer is here: nothing of it waits any longer."""
        self._outbox.withdraw(self._question.id, *(entry.id for entry in self._entries))

    def release(self, problem: str = "") -> None:
        """No answer came: the courier may have it again, at once."""
        if self._until is not None:
            self._outbox.release(self._entries, self._until, problem)
