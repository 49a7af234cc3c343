"""The conversation on screen: what it shows, and what sending means when the last message has no answer yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemon.memory.records import Message

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.chat import Chat
    from mnemon.learning.examples import Kind
    from mnemon.turns import Turn, Where


@dataclass(frozen=True, slots=True)
class Shown:
    """A message, its place among its siblings (1 of 1 when it has none) and its thumb (``up``, ``down`` or none)."""

    message: Message
    place: int = 1
    count: int = 1
    thumb: str = ""


class OpenConversation:
    """One conversation, new or resumed. Every method blocks: call them in a thread.

    A new one comes into being with its first message, so that opening and closing the app leaves nothing behind.

    Attributes:
        temporary: Nothing of it is kept.
        unanswered: The owner's last message when its answer failed or never came.
    """

    def __init__(self, assistant: Assistant, conversation_id: int | None = None, *, temporary: bool = False) -> None:
        self._assistant = assistant
        self._chat: Chat | None = None
        self._id = conversation_id
        self.temporary = temporary
        self.unanswered: Message | None = None

    @property
    def conversation_id(self) -> int | None:
        """Its id; None while nothing was said, and for a temporary chat."""
        if self.temporary:
            return None
        return self._chat.conversation_id if self._chat else self._id

    @property
    def title(self) -> str:
        """What the list of conversations calls it."""
        return self._open().title if self._chat or self._id else ""

    def branch(self) -> list[Shown]:
        """The messages that are shown, oldest first."""
        if self._chat is None and self._id is None:
            return []
        chat = self._open()
        shown = []
        thumbs = chat.thumbs()
        for message in chat.messages():
            ids = [sibling.id for sibling in chat.siblings(message.id)]
            place = ids.index(message.id) + 1 if message.id in ids else 1
            shown.append(Shown(message, place, max(len(ids), 1), thumbs.get(message.id, "")))
        self.unanswered = _unanswered([entry.message for entry in shown])
        return shown

    def sibling(self, message_id: int, step: int) -> int | None:
        """The id of the version ``step`` places after this one; None beyond the ends."""
        ids = [sibling.id for sibling in self._open().siblings(message_id)]
        at = ids.index(message_id) + step
        return ids[at] if 0 <= at < len(ids) else None

    def show(self, message_id: int) -> None:
        """Show the branch through this message."""
        self._open().show(message_id)

    def send(self, text: str) -> Turn | None:
        """Say something.

        When the last message has no answer, the same words ask for one again, and other words take its place:
        nothing is ever said twice because something failed in between.
        """
        waiting, self.unanswered = self.unanswered, None
        if waiting is None:
            return self._open().send(text)
        if waiting.text.strip() == text.strip():
            return self._open().retry()
        return self._open().edit(waiting.id, text)

    def retry(self) -> Turn | None:
        """Ask again for the answer that failed or never came."""
        self.unanswered = None
        return self._open().retry()

    def regenerate(self, answer_id: int, where: Where = "auto") -> Turn:
        """Another answer to the same question."""
        self.unanswered = None
        return self._open().regenerate(answer_id, where)

    def edit(self, message_id: int, text: str) -> Turn:
        """The same message in other words."""
        self.unanswered = None
        return self._open().edit(message_id, text)

    def rewrite(self, answer_id: int, text: str) -> None:
        """The answer in the owner's own words."""
        self._open().rewrite(answer_id, text)

    def thumb(self, answer_id: int, kind: Kind) -> bool:
        """Praise or blame an answer; whether that stands now."""
        chat = self._open()
        return chat.praise(answer_id) if kind == "praised" else chat.blame(answer_id)

    def pick(self, answer_id: int, over: int) -> None:
        """Take one of two answers."""
        self._open().pick(answer_id, over)

    def used(self, answer_id: int) -> None:
        """An answer was taken along."""
        self._open().used(answer_id)

    def texts(self, *ids: int) -> tuple[str, ...]:
        """The words of answers to one message."""
        known = {message.id: message.text for message in self._open().siblings(ids[0])}
        return tuple(known.get(id, "") for id in ids)

    def _open(self) -> Chat:
        if self._chat is None:
            self._chat = self._assistant.chat(self._id, temporary=self.temporary)
        return self._chat


def newest(assistant: Assistant) -> int | None:
    """The conversation the owner last had here, None when there is none; imported ones do not count."""
    found = assistant.memory.messages.conversations(limit=20)
    return next((c.id for c in found if c.origin == "mnemon" and c.messages), None)


def sent_before(assistant: Assistant, conversation_id: int | None) -> list[str]:
    """The owner's messages in a conversation, oldest first."""
    if conversation_id is None:
        return []
    return [m.text for m in assistant.memory.messages.branch(conversation_id) if m.role == "owner"]


def _unanswered(branch: list[Message]) -> Message | None:
    if not branch:
        return None
    last = branch[-1]
    if last.role == "owner":
        return last
    if last.role == "assistant" and last.status == "failed" and len(branch) > 1 and branch[-2].role == "owner":
        return branch[-2]
    return None
