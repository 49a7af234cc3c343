"""What memory holds for a question: looked up, weighed, and brought to the time that was asked for."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from mnemon.answering import history
from mnemon.answering.evidence import Evidence, Strength, is_about_what_was_told, weigh
from mnemon.answering.questions import Asked, understand
from mnemon.memory.records import Message, Recalled

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

RECALL_CANDIDATES = 12
"""Memories looked at for one question; the model is given as many of them as its catalog entry says it can use."""
RECALLED_HERE = 4
"""Memories of the conversation itself that are looked at besides."""
CORRECTED = 0.95
"""What was corrected for a like question bears on this one more than anything that is only found by its words."""
ASKED_BY_NAME = 0.90
_BY_NAME = (
    ("nickname", re.compile(r"\b(?:call me|my nickname|i go by|known as)\b", re.IGNORECASE)),
    ("name", re.compile(r"\bmy (?:first |full )?name\b|\bam i called\b|\bcall me\b", re.IGNORECASE)),
)
_QUESTION_BEFORE = 4  # messages back: the question, its answer, and one more of each
_RANK: dict[Strength, int] = {"none": 0, "weak": 1, "strong": 2}


def gather(memory: Memory, kept: Memory, asked: Asked, question: Message) -> Evidence:
    """The evidence for ``asked``; a question that leans on the one before it is also looked up together with that.

    Args:
        memory: The owner's.
        kept: The memory the conversation is kept in: the owner's, or a temporary one.
        question: The message that asks.
    """
    evidence = _look_up(memory, kept, asked, question)
    if not (asked.asks and asked.follows) or evidence.strength == "strong":
        return evidence
    before = _asked_before(kept, question)
    if before is None:
        return evidence
    together = _look_up(memory, kept, replace(asked, text=f"{before} {asked.text}"), question)
    return max(evidence, together, key=lambda found: (_RANK[found.strength], found.support[:1]))


def _look_up(memory: Memory, kept: Memory, asked: Asked, question: Message) -> Evidence:
    recalled = _asked_by_name(memory, asked, _recall(memory, kept, asked, question))
    recalled = _corrected(memory, asked, question, recalled)
    found = history.of_the_time(memory, asked, recalled)
    evidence = weigh(asked, found, conversation_id=question.conversation_id)
    if not is_about_what_was_told(asked, evidence, small=True):
        return evidence  # small talk is not answered from it: two searches and a dozen embeddings less
    return history.other_side(memory, asked, evidence)


def _asked_by_name(memory: Memory, asked: Asked, recalled: list[Recalled]) -> list[Recalled]:
    """``recalled`` led by the one fact that "What is my name?" or "What do people call me?" asks for.

    Both are among the shortest of questions, whose cosine with a longer message says little; and both are told in one
    breath, so that the fact and not the message answers.
    """
    wanted = [attribute for attribute, asks in _BY_NAME if asks.search(asked.text)]
    if not wanted or not asked.asks or asked.past:
        return recalled
    known = [fact for fact in memory.facts.list(subject="user") if fact.source_id is not None]
    held = [fact for attribute in wanted for fact in known if fact.attribute == attribute]
    if not held:
        return recalled
    message = memory.messages.get(held[0].source_id or 0)
    score = max((one.score for one in recalled), default=0.0)
    first = replace(history.as_recalled(memory, message, score=score, cosine=ASKED_BY_NAME), facts=(held[0],))
    return [first, *(one for one in recalled if one.id != first.id)]


def _corrected(memory: Memory, asked: Asked, question: Message, recalled: list[Recalled]) -> list[Recalled]:
    """``recalled`` with what the owner said when something like this was answered wrongly: it comes first."""
    if not asked.asks:
        return recalled
    found: list[Recalled] = []
    for correction in memory.corrections.find(asked.text):
        message = correction.message
        known = next((one for one in recalled if one.id == message.memory_id), None)
        score = max((one.score for one in recalled), default=0.0)
        one = history.as_recalled(memory, message, score=score, cosine=CORRECTED)
        if one.valid and message.id != question.id and not (known and not known.valid):
            found.append(replace(one, corrects=True, overlap=known.overlap if known else 0.0))
            break  # the most alike, of equals the newest
    ids = {one.id for one in found}
    return found + [one for one in recalled if one.id not in ids]


def _recall(memory: Memory, kept: Memory, asked: Asked, question: Message) -> list[Recalled]:
    """What bears on the message in all of memory, and in this conversation, which one mostly asks about."""
    found = memory.recall(
        asked.text,
        limit=RECALL_CANDIDATES,
        exclude=(question.memory_id,) if kept is memory else (),
        at=question.said_at,
    )
    here = kept.recall(
        asked.text, limit=RECALLED_HERE, exclude=(question.memory_id,), within=question.conversation_id
    )
    if kept is not memory:  # its ids mean nothing in the owner's memory, where they would be looked up
        here = [replace(one, id=f"t{one.id[1:]}") for one in here]
    known = {one.id for one in found}
    return found + [one for one in here if one.id not in known]


def _asked_before(kept: Memory, question: Message) -> str | None:
    earlier = kept.messages.around(question.id, _QUESTION_BEFORE, 0)[:-1]
    for message in reversed(earlier):
        if message.role == "owner" and (asked := understand(message.text)).asks:
            return asked.text
    return None
