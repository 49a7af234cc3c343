"""The one door out: what exactly would leave of a text, and whether it may.

::

    guard = Guard(memory, settings.privacy)
    outgoing = guard.prepare("Is Ines's rash contagious?", Context(recipient="cloud"))
    outgoing.text          # "Is [PERSON_1]'s rash contagious?"  - the exact words
    outgoing.decision      # send, ask or refuse, and why
    outgoing.restorer      # puts the names back into the answer, whole or streamed
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mnemon.errors import InputError
from mnemon.privacy import rules
from mnemon.privacy.consent import Consent, Decision
from mnemon.privacy.disguise import in_encoded, seen
from mnemon.privacy.findings import NEVER, WORD, Finding
from mnemon.privacy.introduced import introduced
from mnemon.privacy.known import PrivateValue, from_memory
from mnemon.privacy.matching import KnownValues
from mnemon.privacy.pseudonyms import Pseudonyms, Restorer
from mnemon.settings import PrivacySettings

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

LONGEST = 400_000
"""Characters; twice the longest message. No server takes more, and looking through it would take minutes."""


@dataclass(frozen=True, slots=True)
class Context:
    """Around a text that might leave.

    Attributes:
        pseudonyms: The conversation's, so that a person keeps the same placeholder in it; new ones by default.
        recipient: Whom it would go to, as the ledger records it.
        sources: Ids of the messages and facts it holds words of (``"m12"``, ``"f3"``).
    """

    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)
    recipient: str = "cloud"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replacement:
    """A private stretch and what stands for it. Stays on the device."""

    finding: Finding
    placeholder: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What would leave: ``text`` and nothing else.

    Attributes:
        text: The exact words, with placeholders.
        restorer: Turns the answer's placeholders back.
        findings: What was replaced, in the order of the text.
        decision: Whether it may leave now.
        notes: One line for each kind that never leaves and was cut out.
    """

    text: str
    restorer: Restorer
    findings: tuple[Replacement, ...]
    decision: Decision
    notes: tuple[str, ...] = ()
    context: Context = field(default_factory=Context)

    @property
    def data(self) -> bytes:
        """The bytes that would leave."""
        return self.text.encode()


class Guard:
    """Decides what of a text leaves.

    Args:
        memory: Whose private values are looked for.
        settings: The section ``[privacy]``.

    Raises:
        SettingsError: ``privacy.mode`` is unknown.
    """

    def __init__(self, memory: Memory, settings: PrivacySettings | None = None) -> None:
        self._settings = settings or PrivacySettings()
        self._memory = memory
        self.consent = Consent(memory.store, self._settings.mode, memory.now)
        self._seen: tuple[object, ...] = ()
        self._known = KnownValues(())

    def prepare(self, text: str, context: Context | None = None) -> Outgoing:
        """What would leave of ``text``, and whether it may now. Nothing is sent or recorded.

        Raises:
            InputError: The text is empty, or longer than :data:`LONGEST`.
        """
        if not text.strip():
            raise InputError("There is nothing to ask.", hint="Say something.")
        if len(text) > LONGEST:
            raise InputError(
                f"{len(text):,} characters are more than may leave at once; {LONGEST:,} is the most.",
                hint="Ask about a part of it.",
            )
        context = context or Context()
        found = self._found(text)
        if self._settings.health:
            found = [f for f in found if f.kind != "health"]
        words, used = context.pseudonyms.replace(text, found)
        cut = {f.kind for f, _ in used} & (NEVER | {"health"})
        decision = self.consent.decide(
            text, kinds=[f.kind for f, _ in used], empty=bool(cut) and not _words_outside(text, [f for f, _ in used])
        )
        return Outgoing(
            text=words,
            restorer=Restorer(context.pseudonyms.meanings(), words),
            findings=tuple(Replacement(f, placeholder) for f, placeholder in used),
            decision=decision,
            notes=tuple(_NOTES[kind] for kind in ("secret", "card", "health") if kind in cut),
            context=context,
        )

    def _found(self, text: str) -> list[Finding]:
        """Everything private in ``text``, also where it is disguised or encoded."""
        as_seen = seen(text)

        def find(words: str) -> list[Finding]:
            return [*self._known_values().find(words), *rules.find(words), *introduced(words)]

        found = find(as_seen.text)
        found += in_encoded(as_seen.text, find)
        found += _again(as_seen.text, found)
        return as_seen.back(found)

    def _known_values(self) -> KnownValues:
        """Read anew only when the memory has changed."""
        store = self._memory.store
        state = (
            store.changes(),
            *store.tuples(
                "SELECT (SELECT max(id) FROM facts), (SELECT count(*) FROM facts), (SELECT max(id) FROM messages),"
                " (SELECT count(*) FROM messages), (SELECT total(updated_at) + count(*) FROM profile_lines)"
            )[0],
        )
        if state != self._seen:
            self._known, self._seen = KnownValues(from_memory(self._memory)), state
        return self._known


_NOTES = {
    "secret": "A password, key or code was cut out: those never leave.",
    "card": "A card number was cut out: those never leave.",
    "health": "Words on somebody's health were cut out: `mnemon settings set privacy.health true` lets them leave.",
}


def _words_outside(text: str, found: Iterable[Finding]) -> bool:
    """Whether anything is said besides what was cut out. ``found`` is in order."""
    at = 0
    for finding in found:
        if WORD.search(text, at, finding.start):
            return True
        at = finding.end
    return bool(WORD.search(text, at))


def _again(text: str, found: Iterable[Finding]) -> list[Finding]:
    """Once introduced, a name is private wherever it stands in the text: "my sister Ines … Ines said"."""
    values = [PrivateValue(f.value, f.kind) for f in found if not f.known and f.kind != "health"]
    parts = [
        PrivateValue(part, "person")
        for value in values
        if value.kind == "person"
        for part in re.split(r"\s+", value.value)
        if len(part) > 1
    ]
    return [Finding(f.start, f.end, f.kind, f.value, False) for f in KnownValues([*values, *parts]).find(text)]
