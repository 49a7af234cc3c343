"""The cloud's part in a turn: whether a question is too hard for this device, whether it may leave, and its answer.

Nothing here happens without an account, and nothing leaves before the owner let it, and the ledger has it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Final, Literal

from mnemon import words
from mnemon.answering.summary import asks_for_summary
from mnemon.errors import (
    CloudError,
    NotAllowedError,
    NotFoundError,
    OverloadedError,
    QuotaError,
    UnreachableError,
)
from mnemon.privacy.consent import nothing_leaves
from mnemon.privacy.guard import Context, Guard, Outgoing
from mnemon.privacy.ledger import Ledger
from mnemon.privacy.pseudonyms import Pseudonyms
from mnemon.sync.account import Accounts, connect
from mnemon.sync.claims import Claim
from mnemon.sync.outbox import Outbox
from mnemon.sync.parcel import Parcel, ask
from mnemon.turns import ConsentAsked, Delta, StopSignal, TurnEvent, Where
from mnemon.voice import as_first_person

if TYPE_CHECKING:
    from mnemon.answering.draft import Draft
    from mnemon.answering.evidence import Evidence
    from mnemon.answering.questions import Asked
    from mnemon.memory.memory import Memory
    from mnemon.memory.records import Message
    from mnemon.paths import Home
    from mnemon.routing.router import Router
    from mnemon.settings import Settings
    from mnemon.sync.client import CloudClient

ASKED_FOR: Final = "You asked for the cloud."
_LEANING_WORDS: Final = 15
"""A longer question that says "it" or "there" most likely says itself what it means by that."""
_ABOUT: Final = 3
"""At most so many facts about the owner go along."""
_QUOTED_CHARACTERS: Final = 1500
"""At most so much of the answer before goes along."""
_CAN_WAIT: Final = (UnreachableError, OverloadedError, QuotaError)


class CloudAnswers:
    """Asks the cloud where that is wanted, possible and allowed.

    Args:
        memory: The owner's: account, permissions, ledger and outbox are in it.
        settings: Of the owner.
        home: Where the settings lie: a mode that became ``never`` since holds at once.
    """

    def __init__(self, memory: Memory, settings: Settings, home: Home) -> None:
        self._memory = memory
        self._settings = settings
        self._home = home
        self._accounts = Accounts(memory.store)
        self._ledger = Ledger(memory.store, keep_text=settings.privacy.ledger_text, now=memory.now)
        self.outbox = Outbox(memory.store, memory.now)
        self._pseudonyms: dict[int, Pseudonyms] = {}
        self._guard: Guard | None = None
        self._router: Router | None = None
        self._client: CloudClient | None = None
        self._in_safety: list[bytes] = []

    @property
    def enrolled(self) -> bool:
        """Whether there is a cloud to ask."""
        return self._accounts.enrolled

    def check(self) -> None:
        """Refuse before anything is said when asking the cloud cannot lead to anything.

        Raises:
            NotEnrolledError: This device knows no cloud.
            NotAllowedError: Nothing may leave.
        """
        self._accounts.get()
        self._refuse_never()

    def answer(
        self, question: Message, where: Where, asked: Asked, evidence: Evidence, draft: Draft, signal: StopSignal
    ) -> Generator[TurnEvent, None, bool]:
        """Answer from the cloud, if that is where the answer is to come from.

        Args:
            question: The owner's message, in the owner's own memory.
            where: What the owner wants.
            asked: Its form.
            evidence: What memory holds for it.
            draft: Grows with the words, and is told route and reason.
            signal: Stops it.

        Returns:
            False: nothing was said, the device is to answer; the draft knows why.

        Raises:
            CloudError: The cloud was asked for and cannot answer, or the answer broke off after its first words.
        """
        reason = self._wanted(question, where, asked, evidence, draft)
        if not reason:
            return False
        try:
            return (yield from self._asked(question, asked, evidence, draft, signal, reason))
        except CloudError as error:
            if where == "cloud" or draft.text:
                raise
            draft.note = f"Answered here: {error.one_line()}"
            return False

    def learn(self, question: Message, wanted: Literal["cloud", "local"]) -> None:
        """The owner said where the answer to a question of theirs should come from."""
        from mnemon.routing.signals import observe

        self._routing().learn(question.id, observe(question.text, embedder=self._memory.embedder), wanted)

    def settle(self) -> None:
        """Let the server let go of answers that are saved here. For the background: it may take seconds.

        Raises:
            CloudError: It cannot be reached; the server lets go of them by itself after a day.
        """
        done, self._in_safety = self._in_safety, []
        if done and self._client is not None:
            self._client.discard(done)

    def forget(self) -> None:
        """Let go of what placeholders stand for: it may have been forgotten."""
        self._pseudonyms.clear()

    def close(self) -> None:
        """Let the line go."""
        if self._client is not None:
            self._client.close()

    # -- whether ---------------------------------------------------------------------------------------------------

    def _wanted(self, question: Message, where: Where, asked: Asked, evidence: Evidence, draft: Draft) -> str:
        """Why the cloud is to be asked; empty when it is not."""
        if where == "cloud":
            self.check()
            self.learn(question, "cloud")
            return ASKED_FOR
        local = where == "local" or not asked.asks or asks_for_summary(asked.text)
        if local or not self.enrolled or nothing_leaves(self._settings.privacy, self._home):
            return ""
        from mnemon.routing.signals import observe

        decision = self._routing().decide(
            observe(question.text, asked=asked, evidence=evidence, embedder=self._memory.embedder)
        )
        if decision.route == "local":
            draft.reason = decision.reason
            return ""
        return decision.reason

    def _refuse_never(self) -> None:
        if nothing_leaves(self._settings.privacy, self._home):
            raise NotAllowedError("Nothing leaves: privacy.mode is never.", hint="mnemon privacy mode ask")

    def _routing(self) -> Router:
        if self._router is None:
            from mnemon.routing.router import Router

            threshold = self._settings.routing.threshold
            self._router = Router(
                self._memory.store, self._memory.embedder, threshold=threshold, now=self._memory.now
            )
        return self._router

    # -- asking ----------------------------------------------------------------------------------------------------

    def _asked(
        self,
        question: Message,
        asked: Asked,
        evidence: Evidence,
        draft: Draft,
        signal: StopSignal,
        reason: str,
    ) -> Generator[TurnEvent, None, bool]:
        client = self._connected()
        claim = Claim(self.outbox, question)
        whole, words_before, alone = self._outgoing(question, asked, evidence)
        no_line = self._no_line(client)
        if no_line is not None and not (self._settings.cloud.wait and isinstance(no_line, _CAN_WAIT)):
            raise no_line
        # Unasked, only the question's own words leave: what goes along may be of another topic.
        allowed = alone if alone.decision.answer == "send" else None
        if allowed is None:
            if "refuse" in (whole.decision.answer, alone.decision.answer):
                raise NotAllowedError(alone.decision.why if alone.decision.answer == "refuse" else whole.decision.why)
            consent = ConsentAsked(
                whole,
                words_before,
                alone if alone.text != whole.text else None,
                client.account.address,
                reason,
                later=no_line is not None,
            )
            yield consent
            allowed = consent.allowed
        if allowed is None:
            self.outbox.withdraw(question.id)
            raise NotAllowedError("The question was kept on this device.")
        parcel = claim.parcel(Parcel.of(allowed, max_tokens=self._settings.cloud.max_answer_tokens))
        if no_line is not None:
            raise self._waits(question, parcel, claim, no_line)
        return (yield from self._heard(client, question, parcel, claim, draft, signal, reason))

    def _heard(
        self,
        client: CloudClient,
        question: Message,
        parcel: Parcel,
        claim: Claim,
        draft: Draft,
        signal: StopSignal,
        reason: str,
    ) -> Generator[TurnEvent, None, bool]:
        sent = 0

        def leaving() -> None:
            nonlocal sent
            self._refuse_never()
            claim.take()
            sent += 1

        with ask(client, parcel, self._ledger, before=claim.sent_before, leaving=leaving) as hearing:
            signal.attach(hearing.stop)
            try:
                for text in parcel.restorer.stream(hearing):
                    draft.route, draft.reason, draft.model = "cloud", reason, hearing.model
                    draft.grow(text)
                    yield Delta(text)
            except _CAN_WAIT as error:
                if draft.text or not self._settings.cloud.wait:
                    raise
                raise self._waits(question, parcel, claim, error, attempts=sent) from error
            finally:
                if hearing.finished is not None or (signal and draft.text):  # what the owner stopped was enough
                    claim.done()
                else:
                    claim.release()
        if hearing.finished is not None:
            self._in_safety.append(parcel.request_id)
            if hearing.finished.cut:
                draft.note = "The answer got as long as it may, and ends there."
        return bool(draft.text) or bool(signal)

    def _no_line(self, client: CloudClient) -> CloudError | None:
        try:
            client.reach()
        except CloudError as error:
            return error
        return None

    def _waits(
        self, question: Message, parcel: Parcel, claim: Claim, error: CloudError, *, attempts: int = 0
    ) -> CloudError:
        """Put a parcel into the outbox, where it is not there already; the error to go on with."""
        if claim.waits:
            claim.release(str(error))
        else:
            with contextlib.suppress(NotFoundError):  # forgotten meanwhile
                self.outbox.add(question.id, parcel, attempts=attempts, problem=str(error))
        return type(error)(
            f"{error} The question waits.", hint="It is sent by `mnemon sync`.", retry_after=error.retry_after
        )

    def _connected(self) -> CloudClient:
        account = self._accounts.get()
        if self._client is None or self._client.account != account:
            self.close()
            self._client = connect(account)
        return self._client

    # -- the words -------------------------------------------------------------------------------------------------

    def _outgoing(self, question: Message, asked: Asked, evidence: Evidence) -> tuple[Outgoing, str, Outgoing]:
        """The question with what it leans on, the same as written, and the question alone."""
        if self._guard is None:
            self._guard = Guard(self._memory, self._settings.privacy)
        names = self._pseudonyms.setdefault(question.conversation_id, Pseudonyms())
        context, sources = self._context(question, asked, evidence)
        alone = self._guard.prepare(question.text, Context(names, sources=(question.memory_id,)))
        if not context:
            return alone, question.text, alone
        text = f"{context}\n\n{question.text}"
        whole = self._guard.prepare(text, Context(names, sources=(question.memory_id, *sources)))
        return whole, text, alone

    def _context(self, question: Message, asked: Asked, evidence: Evidence) -> tuple[str, tuple[str, ...]]:
        """What the question leans on, in the owner's voice, and the ids it comes from."""
        parts, sources = list[str](), list[str]()
        short = len(words.words(asked.text)) <= _LEANING_WORDS
        before = self._memory.messages.around(question.id, 2, 0)[:-1]
        if short and (asked.refers or asked.follows) and [m.role for m in before] == ["owner", "assistant"]:
            said, answered = before
            parts.append(f"Before this I asked: {said.text.strip()}")
            if answered.text:
                parts.append(f"The answer was: {_beginning(answered.text.strip())}")
            sources += [said.memory_id, answered.memory_id]
        if asked.of_owner and evidence.strength == "strong" and evidence.best is not None:
            facts = [fact for fact in evidence.best.facts if fact.valid_to is None][:_ABOUT]
            if facts:
                parts.append("About me: " + " ".join(as_first_person(fact.text) for fact in facts))
                sources += [fact.memory_id for fact in facts]
        return "\n".join(parts), tuple(sources)


def _beginning(text: str) -> str:
    """As many whole sentences as may go along: half a name is no name that could be found and taken out."""
    if len(text) <= _QUOTED_CHARACTERS:
        return text
    ends = [end.end() for end in re.finditer(r"[.!?…](?=\s)|\n", text[: _QUOTED_CHARACTERS + 1])]
    return text[: ends[-1]].rstrip() if ends else ""
