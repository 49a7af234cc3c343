"""What the owner does with answers becomes examples to learn from: edited, picked, praised, blamed, used, asked anew.

An example holds the prompt as the model read it and names every memory that stands in it, so that forgetting one of
them takes the example along. Nothing is recorded of temporary chats, nor while ``learning.record`` is off.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mnemon import words
from mnemon.answering.history import as_recalled
from mnemon.errors import InputError, NotFoundError
from mnemon.learning.examples import Example, Kind
from mnemon.manner import describe
from mnemon.memory.records import Message, Recalled
from mnemon.runtime import prompt

if TYPE_CHECKING:
    from mnemon.learning.examples import Examples
    from mnemon.memory.memory import Memory
    from mnemon.profile import Profile
    from mnemon.runtime.chat_model import ChatMessage, ModelInfo

EDITED = "edited"
"""The route of an answer in the owner's own words."""
_THUMBS: dict[Kind, str] = {"praised": "up", "blamed": "down"}
_HISTORY = prompt.BRIEF_HISTORY
"""Messages before the question that an example keeps: each is decoded in every lesson."""
_SHOWN, _SHOWN_OF, _SHOWN_CHARACTERS = 2, 64, 160
"""Of how many examples the prompt of a larger model shows how many, each text cut to so many characters."""
_ANEW = re.compile(
    r"^(?:(?:please|ok(?:ay)?|no|hm+|can you|could you|now)\b[\s,.]*)*"
    r"(?:(?:say|write|put|explain|phrase|give|tell|make|try|do) (?:it|that|this|me that)\b.*"
    r"\b(?:again|shorter|longer|simpler|briefly|differently|formal\w*|casual\w*|friendl\w*|warm\w*|plain\w*|list"
    r"|bullets?|points|words|sentences?|units|metric)"
    r"|(?:a bit |a little |much )?(?:shorter|longer|simpler|briefer|less \w+|more \w+)(?:,? please)?"
    r"|as (?:a list|bullets?|bullet points)"
    r"|in (?:metric|other words|one sentence|short|plain \w+|a list|bullets?)\b.*)"
    r"[\s.!?]*$",
    re.IGNORECASE,
)


class Feedback:
    """Records what the owner does.

    Args:
        memory: The owner's.
        profile: Stands in the prompts of larger models.
        examples: Where they are kept.
        info: The model that answers; asked for only when something is recorded.
        wanted: The setting ``learning.record``.
    """

    def __init__(
        self,
        memory: Memory,
        profile: Profile,
        examples: Examples,
        info: Callable[[], ModelInfo],
        *,
        wanted: bool,
    ) -> None:
        self._memory = memory
        self._profile = profile
        self._examples = examples
        self._info = info
        self._wanted = wanted

    def thumb(self, answer: Message, kind: Kind) -> bool:
        """Praise or blame an answer; the same once more takes it back, the other one replaces it.

        Returns:
            Whether it stands now.

        Raises:
            InputError: It is not an answer, or nothing is recorded.
        """
        if not self._wanted:
            raise InputError("Nothing is recorded to learn from.", hint="Set learning.record to true.")
        before = self._thumbed(answer.conversation_id).get(answer.id)
        if before is not None and before.kind == kind:
            self._examples.remove([before.id])
            return False
        if kind == "praised":
            other = self._other(answer)
            also = (other.memory_id,) if other else ()
            self._add(kind, answer, chosen=answer.text, rejected=other.text if other else None, also=also)
        else:
            self._add(kind, answer, chosen="", rejected=answer.text)
        return True

    def thumbs(self, conversation_id: int) -> dict[int, str]:
        """``up`` or ``down`` for each answer of a conversation that has a thumb, by its number."""
        return {id: _THUMBS[example.kind] for id, example in self._thumbed(conversation_id).items()}

    def used(self, answer: Message) -> None:
        """The owner took the answer along (copied it): they accept it, unless they said something else of it."""
        said = self._examples.of("praised", "blamed", "edited", "picked") if self._wanted else []
        if _is_models(answer) and not any(answer.memory_id in example.memories for example in said):
            self._add("accepted", answer, chosen=answer.text, rejected=None)

    def edited(self, answer: Message, text: str, *also: str) -> None:
        """The owner wrote what an answer should have been; ``also`` are ids of memories that hold their words."""
        self._add("edited", answer, chosen=text, rejected=answer.text, also=also)

    def picked(self, answer: Message, over: Message) -> None:
        """Of two answers to one question the owner prefers this one."""
        if answer.text.strip() != over.text.strip():
            also = (over.memory_id,)
            self._add("picked", answer, chosen=answer.text, rejected=over.text, also=also)

    def went_on(self, message: Message) -> None:
        """The owner said the next thing: which answer did they keep, and was one asked for anew the right one?"""
        before = self._memory.messages.around(message.id, 4, 0)[:-1]
        if not self._wanted or len(before) < 2 or not _is_models(before[-1]) or _ANEW.match(message.text):
            return
        answer, question = before[-1], before[-2]
        other = self._other(answer)
        if answer.id in self._thumbed(answer.conversation_id):
            return
        if other is not None:
            self.picked(answer, other)
        elif _ANEW.match(question.text) and len(before) > 3 and _is_models(before[-3]):
            first = before[-3]
            also = (question.memory_id, answer.memory_id)
            self._add("rewritten", first, chosen=answer.text, rejected=first.text, also=also)

    def manner(self) -> str:
        """How the owner likes to be answered, as note lines: what their examples show together, and the last two of
        them word for word, so that a pick counts in the next conversation already (in-context preferences).

        Larger models follow such lines; a small one was not trained to, and learns from the examples themselves.
        """
        wanted = self._examples.of("edited", "picked", "praised", "rewritten")[-_SHOWN_OF:]
        lines = [f"- {line}" for line in describe(wanted)]
        for one in [one for one in wanted if one.rejected][-_SHOWN:]:
            asked, chosen, rejected = map(
                _cut, (prompt.without_notes(one.prompt[-1].content), one.chosen, one.rejected)
            )
            lines.append(f"- Asked “{asked}”, they preferred “{chosen}” to “{rejected}”.")
        return "\n".join(lines)

    def _other(self, answer: Message) -> Message | None:
        """The newest other answer of the model to the same message."""
        siblings = self._memory.messages.siblings(answer.id)
        return next((one for one in reversed(siblings) if one.id != answer.id and _is_models(one)), None)

    def _thumbed(self, conversation_id: int) -> dict[int, Example]:
        """The examples of thumbs of a conversation, by the numbers of their answers."""
        found: dict[int, Example] = {}
        for example in self._examples.of(*_THUMBS):
            if example.conversation == f"c{conversation_id}":
                text = example.chosen if example.kind == "praised" else example.rejected
                known = self._memory.messages.many([int(id[1:]) for id in example.memories if id.startswith("m")])
                found |= {one.id: example for one in known.values() if one.text == text and one.role == "assistant"}
        return found

    def _add(
        self, kind: Kind, answer: Message, *, chosen: str, rejected: str | None, also: tuple[str, ...] = ()
    ) -> None:
        if not self._wanted:
            return
        if answer.role != "assistant" or answer.parent_id is None:
            raise InputError(f"{answer.memory_id} is not an answer.", hint="Only answers can be learned from.")
        read, memories = self._as_read(answer)
        self._examples.add(
            Example(
                id="",
                prompt=tuple(read),
                chosen=chosen,
                rejected=rejected,
                kind=kind,
                conversation=f"c{answer.conversation_id}",
                memories=tuple(dict.fromkeys((*memories, answer.memory_id, *also))),
                at=self._memory.now(),
            )
        )

    def _as_read(self, answer: Message) -> tuple[list[ChatMessage], list[str]]:
        """The prompt the answer was made from, with the shortest history, and the ids of what stands in it."""
        info = self._info()
        *before, question = self._memory.messages.around(answer.parent_id or 0, _HISTORY, 0)
        # Of the profile only what rests on facts: forgetting finds a line that was written by hand nowhere else.
        lines = (
            [line for line in self._profile.lines() if line.fact_ids] if info.memory_placement == "message" else []
        )
        recalled = [found for id in answer.recalled if (found := self._recalled(id)) is not None]
        if info.memory_placement == "message" and not question.context:
            limit = info.memory_limit
            question = replace(question, context=prompt.notes(recalled, answer.said_at, limit=limit))
        read = prompt.lay_out(info, before, question, recalled, "\n".join(line.text for line in lines))
        ids = [f"f{fact}" for line in lines for fact in line.fact_ids]
        ids += [fact.memory_id for memory in recalled for fact in memory.facts]
        named = [*(memory.id for memory in recalled), *ids, *(message.memory_id for message in (*before, question))]
        return read, named

    def _recalled(self, id: str) -> Recalled | None:
        try:
            if id.startswith("m"):
                return as_recalled(self._memory, self._memory.messages.get(int(id[1:])), score=1.0)
            fact = self._memory.facts.get(int(id[1:]))
        except (NotFoundError, ValueError):  # forgotten meanwhile, or of a temporary chat
            return None
        return Recalled(fact.memory_id, "fact", fact.text, 1.0, 0.0, 0.0, None, facts=(fact,))


def _cut(text: str | None) -> str:
    flat = " ".join((text or "").split())
    return flat if len(flat) <= _SHOWN_CHARACTERS else flat[:_SHOWN_CHARACTERS].rsplit(" ", 1)[0] + " …"


def says_something_else(old: str, new: str) -> bool:
    """Whether an edit changes what an answer says, not only how: other names, numbers or days."""

    def told(text: str) -> set[str]:
        found = [*words.names(text), *words.calendar_words(text), *words.numbers(text)]
        return {words.stem(word) for word in found}

    return not told(new) <= told(old) | words.stems(old)


def _is_models(answer: Message) -> bool:
    return answer.role == "assistant" and answer.route == "local" and answer.status == "complete"
