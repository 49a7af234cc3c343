"""One conversation as a program or a screen uses it: send, regenerate, edit, look back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemon.errors import InputError, NotAllowedError
from mnemon.feedback import EDITED, says_something_else
from mnemon.memory.memory import Memory
from mnemon.memory.records import Message
from mnemon.turns import Turn, Where

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.feedback import Feedback
    from mnemon.learning.examples import Kind

MESSAGE_CHARACTERS = 200_000
"""A longer message is refused: it is a document, and no window of a small model holds it."""


class Chat:
    """A conversation. Get one from :meth:`mnemon.Assistant.chat`.

    Sending, regenerating, editing and retrying are one and the same turn; what was there before stays as a sibling.

    Attributes:
        temporary: Nothing of it is written anywhere: it lives in a memory of its own and ends with the program.
    """

    def __init__(self, assistant: Assistant, memory: Memory, conversation_id: int | None) -> None:
        self._assistant = assistant
        self._memory = memory
        self._messages = memory.messages
        self._id = conversation_id
        self.temporary = memory is not assistant.memory

    @property
    def conversation_id(self) -> int:
        """Its id in memory; in a temporary chat, one that means nothing elsewhere.

        A new conversation begins when this is first asked for, by its first message at the latest: where nothing is
        said nothing is left behind.
        """
        if self._id is None:
            self._id = self._messages.start().id
        return self._id

    @property
    def title(self) -> str:
        """What the list of conversations calls it: its name, or how it began."""
        return "" if self._id is None else self._messages.conversation(self._id).title

    def send(self, text: str, where: Where = "auto") -> Turn:
        """Say something. It is saved before this returns; iterate the turn for the answer.

        Args:
            where: Where the answer is looked for; ``"cloud"`` raises where there is no cloud to ask.

        Raises:
            InputError: Nothing is in it, or more than 200,000 characters.
            CloudError: The cloud is asked for, and there is none, or nothing may leave.
        """
        self._check(where)
        check_text(text)
        conversation = self._messages.conversation(self.conversation_id)
        return self._take_turn(text, parent_id=conversation.leaf_id, where=where)

    def edit(self, message_id: int, text: str) -> Turn:
        """Say one of the owner's messages again in other words; the old branch stays beside the new one."""
        old = self._messages.get(message_id)
        if old.role != "owner":
            raise InputError(f"{old.memory_id} is not a message of yours.", hint="Only your own can be edited.")
        check_text(text)
        turn = self._take_turn(text, parent_id=old.parent_id)
        if not self.temporary:
            self._assistant.take_back(old.id, reason="the message was edited")
        return turn

    def correct(self, answer_id: int, text: str) -> Message:
        """Say what an answer should have been. It is remembered, found for like questions, and wins over the model.

        Raises:
            InputError: The text is empty, binary or too long, or it is not an answer to a question.
        """
        check_text(text)
        answer = self._messages.get(answer_id)
        self._question_of(answer, "be corrected")
        message = self._messages.add(
            self.conversation_id, "owner", text, parent_id=answer.id, said_at=self._assistant.now()
        )
        self._assistant.corrected(self._memory, message, answer)
        return message

    def rewrite(self, answer_id: int, text: str) -> Message:
        """Write an answer as it should have been. It takes the answer's place, which stays beside it, and is learned
        from; where it says something else and not only the same in another way, it is a correction, too.

        Raises:
            InputError: The text is empty, binary or too long, or it is not an answer to a question.
        """
        check_text(text)
        answer = self._messages.get(answer_id)
        question_id = self._question_of(answer, "be rewritten")
        also = [self.correct(answer_id, text).memory_id] if says_something_else(answer.text, text) else []
        written = self._messages.add(
            self.conversation_id,
            "assistant",
            text,
            parent_id=question_id,
            said_at=self._assistant.now(),
            route=EDITED,
            recalled=answer.recalled,
        )
        if not self.temporary:
            self._feedback.edited(answer, text, written.memory_id, *also)
        return written

    def praise(self, answer_id: int) -> bool:
        """Say that an answer was good; once more takes it back. Returns whether it stands now.

        Raises:
            InputError: It is not an answer, nothing is recorded (``learning.record``), or the chat is temporary.
        """
        return self._thumb(answer_id, "praised")

    def blame(self, answer_id: int) -> bool:
        """Say that an answer was not good; once more takes it back. Returns whether it stands now.

        Raises:
            InputError: As for :meth:`praise`.
        """
        return self._thumb(answer_id, "blamed")

    def thumbs(self) -> dict[int, str]:
        """What the owner thinks of answers of this conversation, by their ids: ``up`` or ``down``."""
        return {} if self.temporary else self._feedback.thumbs(self.conversation_id)

    def pick(self, answer_id: int, over: int) -> None:
        """Of two answers to the same message take this one: it is shown, and learned from."""
        self._messages.show(answer_id)
        if not self.temporary:
            self._feedback.picked(self._messages.get(answer_id), self._messages.get(over))

    def used(self, answer_id: int) -> None:
        """An answer was taken along (copied): it is accepted as it is."""
        if not self.temporary:
            self._feedback.used(self._messages.get(answer_id))

    def regenerate(self, answer_id: int, where: Where = "auto") -> Turn:
        """Answer the same message again; the old answer stays beside the new one. Arguments as for :meth:`send`."""
        self._check(where)
        answer = self._messages.get(answer_id)
        question = self._messages.get(self._question_of(answer, "be made anew"))
        attempt = len(self._messages.siblings(answer_id))
        return self._assistant.take_turn(self._memory, question, attempt=attempt, where=where)

    def retry(self) -> Turn | None:
        """Answer the last message if it has no answer yet or its answer failed; None when there is nothing to do."""
        branch = self.messages()
        if not branch:
            return None
        last = branch[-1]
        if last.role == "owner":
            return self._assistant.take_turn(self._memory, last)
        if last.role == "assistant" and last.status == "failed":
            return self.regenerate(last.id)
        return None

    def messages(self) -> list[Message]:
        """The branch that is shown, oldest first."""
        return [] if self._id is None else self._messages.branch(self._id)

    def siblings(self, message_id: int) -> list[Message]:
        """The message and what stands beside it (made anew, edited), oldest first."""
        return self._messages.siblings(message_id)

    def show(self, message_id: int) -> None:
        """Make the branch through this message the one that is shown."""
        self._messages.show(message_id)

    def recalled(self, answer_id: int) -> tuple[str, ...]:
        """The ids of the memories an earlier answer was given."""
        return self._messages.get(answer_id).recalled

    @property
    def _feedback(self) -> Feedback:
        return self._assistant.lessons.feedback

    def _thumb(self, answer_id: int, kind: Kind) -> bool:
        if self.temporary:
            raise InputError("Of a temporary chat nothing is learned.", hint="Praise and blame in another chat.")
        answer = self._messages.get(answer_id)
        self._question_of(answer, "be praised or blamed")
        return self._feedback.thumb(answer, kind)

    def _question_of(self, message: Message, what: str) -> int:
        if message.role != "assistant" or message.parent_id is None:
            raise InputError(f"{message.memory_id} is not an answer.", hint=f"Only answers can {what}.")
        return message.parent_id

    def _check(self, where: Where) -> None:
        if where != "cloud":
            return
        if self.temporary:
            raise NotAllowedError("Of a temporary chat nothing leaves this device.", hint="Ask in another chat.")
        self._assistant.cloud.check()

    def _take_turn(self, text: str, *, parent_id: int | None, where: Where = "auto") -> Turn:
        question = self._messages.add(
            self.conversation_id,
            "owner",
            text,
            parent_id=parent_id,
            status="received",
            said_at=self._assistant.now(),
        )
        return self._assistant.take_turn(self._memory, question, where=where)


def check_text(text: str) -> None:
    """Refuse what cannot be a message.

    Raises:
        InputError: Nothing to read in it, control bytes, or too much.
    """
    if not text.strip():
        raise InputError("The message is empty.", hint="Type something first.")
    if len(text) > MESSAGE_CHARACTERS:
        raise InputError(
            f"The message has {len(text):,} characters; {MESSAGE_CHARACTERS:,} is the most.",
            hint="Send it in parts.",
        )
    if "\x00" in text:
        raise InputError("The message holds binary data.", hint="Send text only.")
