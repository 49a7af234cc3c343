"""What a message states, brought together with what is known: said again, new, or in the place of something older.

A fact that is said again is noted, not doubled. A fact whose attribute can have one value only ends the one that
held before, from the day the message speaks of. Nothing forgotten comes back. A message that is older than what is
known (an import, late extraction) adds to the past and leaves the present alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from mnemon import words
from mnemon.memory import changes, dates
from mnemon.memory.doubts import UNCHANGING
from mnemon.memory.extraction import FactDraft
from mnemon.memory.records import Fact, Message, Recalled

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

MANY_VALUED = frozenset(
    "like dislike allergy condition hobby language goal plays fear preference medicine trip project drinks learning"
    " diet saving training kind death start child pet".split()
)
"""Attributes of which several values can hold at one time. Every other named attribute has one."""

MANY_NAMED = frozenset(
    "dog cat puppy kitten rabbit hamster parrot horse fish hen chicken bird brother sister son daughter child kid"
    " uncle aunt auntie cousin nephew niece grandson granddaughter friend neighbour neighbor colleague teacher"
    " twin".split()
)
"""Of these a person can have several: a second name is a second one of them, unless it is a correction."""

_ONE_DIET = frozenset(("vegan", "vegetarian", "veggie", "pescatarian", "keto"))
_OPPOSITE = {"like": "dislike", "dislike": "like"}
_TOGETHER = frozenset(("job", "employer"))
_ENDED_WITH = {
    "partner": ("partner", "relationship"),
    "relationship": ("partner", "relationship"),
    "diet": ("diet", "allergy"),
    "employer": ("employer", "job"),
    "hobby": ("hobby", "plays", "team", "car"),
}
_ALIKE = 0.75  # Ines and Inez, Catherine and Katharina; Anna and Anton stay two
_CORRECTABLE_MESSAGES = 3
"""A bare correction ("no, it's Rex") is about one of the owner's last three messages, or it is about nothing."""

_SHAPES = (
    re.compile(r"\d{1,2}[:.]\d{2}(?: ?[ap]m)?|\d{1,2} ?[ap]m", re.IGNORECASE),
    re.compile(dates.DATE_PATTERN, re.IGNORECASE),
    re.compile(r"\d[\d.:/-]*"),
)


def consolidate(memory: Memory, message: Message, drafts: Sequence[FactDraft]) -> list[Fact]:
    """Save what is new among ``drafts``, end what it replaces, and index it. Doing it twice changes nothing.

    Args:
        message: The owner's message the drafts were taken from; it becomes their source.

    Returns:
        The facts that were added, in the order of the drafts.
    """
    added: list[Fact] = []
    changed = changes.changed_by(memory, message)
    with memory.store.transaction():
        for draft in drafts:
            meant = _corrected(memory, message, draft) if draft.kind == "corrects" else draft
            if meant is None or memory.is_forgotten(meant.text, said_at=message.said_at):
                continue
            fact = _settle(memory, message, meant)
            if fact is not None:
                added.append(fact)
        if changed is not None:
            _end_what_changed(memory, message, changed)
    if added:
        memory.index_facts(*added)
    return added


def one_valued(subject: str, attribute: str) -> bool:
    """True when a second value for ``attribute`` of ``subject`` takes the place of the first."""
    if attribute == "name":
        return subject.split(" ")[-1] not in MANY_NAMED
    # "dog": "a dog" is the having of one; a person can have two
    return bool(attribute) and attribute not in MANY_VALUED and attribute not in MANY_NAMED


def _settle(memory: Memory, message: Message, draft: FactDraft) -> Fact | None:
    facts, since = memory.facts, draft.valid_from or message.said_at
    said = facts.of_messages([message.id]).get(message.id, ())
    for known in said:
        if known.text.casefold() == draft.text.casefold() or _is_read_already(known, draft):
            return None
    held = [f for f in facts.list() if _same_subject(f.subject, draft.subject) and f not in said]
    if draft.kind == "states":
        again = next((fact for fact in held if _says_again(fact, draft)), None)
        if again is not None:
            facts.mention(again.id, message.id)
            for doubt in memory.doubts.of_fact(again.id):  # told once more: that settles it
                memory.doubts.settle(doubt.id, holds=again.id)
            return None
        past = draft.attribute
    else:
        past = f"past {draft.attribute}".strip()
    replaced = [fact for fact in held if _gives_way(fact, draft)]
    replaced += _companions(replaced, held, draft)
    if draft.origin == "model" and any(old.origin != "model" for old in replaced):
        return None  # a small model misreads; the words stay, and a change is linked to what it changes
    fact = facts.add(
        draft.text,
        subject=draft.subject,
        attribute=past,
        value=draft.value,
        source_id=message.id,
        origin=draft.origin,
        valid_from=since,
    )
    for old in [old for old in held if old not in replaced and _may_be_the_same(old, draft)]:
        memory.doubts.raise_between(old.id, fact.id)
    if not draft.correction and draft.kind == "states" and draft.attribute in UNCHANGING:
        for old in replaced:
            memory.doubts.raise_between(old.id, fact.id)
        return fact
    later = [old for old in replaced if _said_at(memory, old) > message.said_at and old.valid_from > since]
    if later and draft.kind == "states":
        first = min(later, key=lambda old: old.valid_from)
        return facts.end(fact.id, at=first.valid_from, superseded_by=first.id)
    for old in replaced:
        if old not in later:
            facts.end(old.id, at=since, superseded_by=fact.id)
    return fact


def _end_what_changed(memory: Memory, message: Message, changed: Recalled) -> None:
    """Where no rule saw what takes the place of what, the earlier message's facts end, and the link is kept."""
    older = int(changed.id[1:])
    taken = memory.facts.of_messages([older, message.id])
    new = {fact.id: fact for fact in taken.get(message.id, ())}
    if any(fact.superseded_by in new for fact in taken.get(older, ())):
        return
    memory.changes.add(older, message.id)
    for fact in changes.concerned(message, taken.get(older, ())):
        if fact.id not in new:
            memory.facts.end(fact.id, at=message.said_at)


def _said_at(memory: Memory, fact: Fact) -> datetime:
    if fact.source_id is None:
        return fact.valid_from
    return memory.messages.get(fact.source_id).said_at


def _same_subject(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other} ") or other.startswith(f"{one} ")


def _says_again(fact: Fact, draft: FactDraft) -> bool:
    if fact.text.casefold() == draft.text.casefold():
        return True
    if fact.attribute != draft.attribute or fact.attribute in ("", "preference"):
        return False
    return bool(draft.value) and words.same(fact.value, draft.value)


def _is_read_already(known: Fact, draft: FactDraft) -> bool:
    """The model's words for what a pattern took from the same message do not take the place of it."""
    if draft.origin != "model" or known.valid_to is not None or known.subject != draft.subject:
        return False
    return known.attribute == draft.attribute and one_valued(draft.subject, draft.attribute)


def _gives_way(fact: Fact, draft: FactDraft) -> bool:
    """True when ``fact`` cannot hold together with what ``draft`` says."""
    if draft.kind == "ends":
        attributes = _ENDED_WITH.get(draft.attribute, (draft.attribute,))
        shared = words.content(draft.value) & words.content(fact.value)
        whole = not draft.value or bool(shared) or draft.attribute == fact.attribute == draft.value
        return bool(fact.attribute) and fact.attribute in attributes and whole
    if fact.attribute == f"past {draft.attribute}":
        return words.same(fact.value, draft.value)
    if fact.attribute == _OPPOSITE.get(draft.attribute):
        return words.same(fact.value, draft.value)
    if not draft.attribute or fact.attribute != draft.attribute:
        return False
    if draft.attribute == "preference":
        return words.same(fact.value, draft.value) and fact.value.casefold() != draft.value.casefold()
    if draft.attribute == "diet":
        return {fact.value.lower(), draft.value.lower()} <= _ONE_DIET
    if draft.attribute == "name" and _has_new(draft):
        return True
    if draft.correction and draft.attribute == "name":
        return True
    return one_valued(draft.subject, draft.attribute)


def _may_be_the_same(fact: Fact, draft: FactDraft) -> bool:
    """Two sisters called Ines and Inez are likelier one whose name was misspelt."""
    if draft.kind != "states" or draft.attribute != "name" or fact.attribute != "name" or draft.correction:
        return False
    one, other = fact.value.casefold(), draft.value.casefold()
    alike = SequenceMatcher(None, one, other).ratio()
    return fact.subject == draft.subject and one != other and one[:1] == other[:1] and alike >= _ALIKE


def _has_new(draft: FactDraft) -> bool:
    return bool(re.match(r"The user's new \w+ is called", draft.text)) and draft.subject.split()[0] not in MANY_NAMED


def _companions(replaced: Sequence[Fact], held: Sequence[Fact], draft: FactDraft) -> list[Fact]:
    """The job goes with the employer it was told with, and the other way round."""
    if draft.attribute not in _TOGETHER or draft.kind == "ends":
        return []
    sources = {fact.source_id for fact in replaced if fact.attribute in _TOGETHER and fact.source_id is not None}
    return [
        fact for fact in held if fact.attribute in _TOGETHER and fact.source_id in sources and fact not in replaced
    ]


def _corrected(memory: Memory, message: Message, draft: FactDraft) -> FactDraft | None:
    """What a bare correction means: the fact told just before, with its value replaced."""
    before = [m for m in memory.messages.branch(message.conversation_id) if m.role == "owner" and m.id < message.id]
    told = memory.facts.of_messages([m.id for m in before[-_CORRECTABLE_MESSAGES:]] + _answered_from(memory, message))
    facts = sorted(
        (f for found in told.values() for f in found if f.valid_to is None and f.value), key=lambda f: -f.id
    )
    wrong = re.search(r"\bnot (.+)$", draft.text)
    if wrong:
        facts = [fact for fact in facts if words.content(wrong[1]) <= words.content(fact.value)]
    for fact in facts:
        value = _with_value(fact.value, draft.value)
        if value is not None and fact.value in fact.text and value != fact.value:
            return replace(
                draft,
                text=fact.text.replace(fact.value, value),
                subject=fact.subject,
                attribute=fact.attribute,
                value=value,
                kind="states",
                correction=True,
            )
    return None


def _answered_from(memory: Memory, message: Message) -> list[int]:
    """The messages that the answer just before was given."""
    if message.parent_id is None:
        return []
    recalled = memory.messages.get(message.parent_id).recalled
    return [int(id[1:]) for id in recalled if id.startswith("m")]


def _with_value(old: str, new: str) -> str | None:
    """The old value corrected: only its time, date or number where the new one is just that. None: no fit."""
    for shape in _SHAPES:
        if shape.fullmatch(new):
            return shape.sub(new, old, count=1) if shape.search(old) else None
    return None if any(character.isdigit() for character in old) else new
