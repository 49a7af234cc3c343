"""One question as it leaves: the exact words, what placeholders stand for, and what makes its answer come once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mnemon.privacy.ledger import Ledger
from mnemon.privacy.pseudonyms import Restorer, meant

if TYPE_CHECKING:
    from mnemon.privacy.guard import Outgoing
    from mnemon.sync.client import CloudClient
    from mnemon.sync.hearing import Hearing

INSTRUCTION: Final = (
    "Words such as [PERSON_1] stand for names and numbers that were taken out. Use them just as they are."
)
"""Goes before a text with placeholders, the same for everybody: a bigger model otherwise asks who that is."""


@dataclass(frozen=True, slots=True, repr=False)
class Parcel:
    """What the owner let leave.

    Attributes:
        text: The exact words.
        meanings: What placeholders stand for; stays on the device.
        sources: Ids of the messages and facts the text holds words of (``"m12"``, ``"f3"``).
        max_tokens: The longest answer, as it was wanted when it was asked; 0 means what the server allows.
        request_id: 16 bytes, the same each time it is sent.
        keep_key: 32 bytes, likewise.
    """

    text: str
    meanings: Mapping[str, str]
    sources: tuple[str, ...]
    max_tokens: int = 0
    request_id: bytes = field(default_factory=lambda: os.urandom(16))
    keep_key: bytes = field(default_factory=lambda: os.urandom(32))

    @classmethod
    def of(cls, outgoing: Outgoing, *, max_tokens: int = 0) -> Parcel:
        """What :meth:`mnemon.privacy.guard.Guard.prepare` made ready."""
        meanings = meant(outgoing.restorer.meanings, outgoing.text)
        return cls(outgoing.text, meanings, outgoing.context.sources, max_tokens)

    def says_what(self, other: Parcel) -> bool:
        """Whether the same words leave with it as with another one, and mean the same."""
        return self.text == other.text and dict(self.meanings) == dict(other.meanings)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Those in the text."""
        return tuple(name for name in self.meanings if name in self.text)

    @property
    def restorer(self) -> Restorer:
        """Puts the names back into the answer."""
        return Restorer(self.meanings, self.text)


def ask(
    client: CloudClient,
    parcel: Parcel,
    ledger: Ledger,
    *,
    before: int = 0,
    leaving: Callable[[], object] = lambda: None,
) -> Hearing:
    """Send a parcel; the ledger has each sending before it happens, a repeated one as ``repeat``.

    Args:
        client: To whom.
        parcel: What.
        ledger: Where it is recorded.
        before: How often it left before.
        leaving: Called before each sending, first of all; what it raises keeps the words here.
    """
    from mnemon.sync.hearing import Request

    def sending(again: int) -> None:
        leaving()
        ledger.add(
            parcel.text,
            kind="repeat" if before + again else "question",
            recipient=client.account.address,
            placeholders=parcel.placeholders,
            sources=parcel.sources,
        )

    request = Request(
        parcel.text,
        system=INSTRUCTION if parcel.placeholders else "",
        id=parcel.request_id,
        keep_key=parcel.keep_key,
        max_tokens=parcel.max_tokens,
    )
    return client.ask(request, sending=sending)
