"""What holds and what held: a question is answered with the words of the time it asks for.

A memory is found by what it says, which need not be the newest that was said: "Which bank am I with?" finds "I bank
with Marlowe". From there the links between what was said and what changed it lead to the right time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mnemon import words
from mnemon.answering.evidence import Evidence
from mnemon.answering.questions import Asked
from mnemon.memory.changes import announces, relation
from mnemon.memory.records import Message, Recalled, Source

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

_LONGEST = 20
# Of two memories that bear on a question about as much, a later one that tells of a change is named first with the
# other as what was before; below this they are about different things (docs/measured.md).
_PAIRED = 0.40
_AS_NEAR = 0.15


def of_the_time(memory: Memory, asked: Asked, recalled: Sequence[Recalled]) -> list[Recalled]:
    """``recalled`` with what changed each memory in its place, or, for a question about before, what each changed."""
    links = memory.changes.older if asked.past else memory.changes.newer
    found: dict[str, Recalled] = {}
    for one in recalled:
        kept = [one]
        if _may_be_of_another_time(asked, one):
            linked = _linked(memory, asked, one, links)
            kept = [*linked, one] if asked.past or not linked else linked
        for each in kept:
            known = found.get(each.id)
            if known is None:
                found[each.id] = each
            else:
                better = max(known, each, key=lambda m: m.cosine)
                found[each.id] = replace(better, score=max(known.score, each.score), valid=known.valid)
    return list(found.values())


def other_side(memory: Memory, asked: Asked, evidence: Evidence) -> Evidence:
    """``evidence`` with what came in the place of its best memory, or, where that is not clear, what may have."""
    best = evidence.best
    if best is None or best.kind != "message" or not best.id.startswith("m"):
        return evidence
    if not best.valid:
        newer = memory.changes.newer([int(best.id[1:])]).get(int(best.id[1:]), [])
        messages = memory.messages.many(newer[:1])
        return replace(evidence, other=next((_recalled(memory, m, best) for m in messages.values()), None))
    if asked.past:
        return evidence
    for place, later in enumerate(evidence.memories[1:], 1):
        if _took_its_place(memory, best, later) and evidence.support[place] >= evidence.support[0] - _AS_NEAR:
            memories = (later, *(m for m in evidence.memories if m is not later))
            return replace(evidence, memories=memories, other=best)
    return evidence


def _may_be_of_another_time(asked: Asked, one: Recalled) -> bool:
    if one.kind != "message" or not one.id.startswith("m") or one.valid != asked.past:
        return False
    wanted = set(words.content_words(asked.text))
    return asked.past or not any(
        fact.valid_to is None and fact.attribute and wanted <= words.stems(fact.text) for fact in one.facts
    )


def _linked(memory: Memory, asked: Asked, one: Recalled, links: object) -> list[Recalled]:
    """What is linked to ``one``, followed to its end for the present, one step back for the past."""
    assert callable(links)
    here, seen = [int(one.id[1:])], {int(one.id[1:])}
    while True:
        further = [id for ids in links(here).values() for id in ids if id not in seen]
        if not further or len(seen) > _LONGEST:
            break
        seen.update(further)
        here = further
        if asked.past:
            break
    if here == [int(one.id[1:])]:
        return []
    messages = list(memory.messages.many(here).values())
    if not messages:
        return []
    own = memory.embedder.embed([m.text for m in messages]) @ memory.embedder.embed_one(asked.text)
    nearest = int(np.argmax(own + 1e-6 * np.array([m.id for m in messages]) / max(m.id for m in messages)))
    return [
        _recalled(memory, m, one, cosine=max(float(own[i]), one.cosine) if i == nearest else float(own[i]))
        for i, m in enumerate(messages)
    ]


def _recalled(memory: Memory, message: Message, near: Recalled, *, cosine: float = 0.0) -> Recalled:
    facts = memory.facts.of_messages([message.id]).get(message.id, [])
    changed = bool(memory.changes.newer([message.id]))
    return Recalled(
        id=message.memory_id,
        kind="message",
        text=message.text,
        score=near.score,
        cosine=cosine,
        overlap=near.overlap,
        source=Source(
            message.memory_id,
            message.conversation_id,
            message.speaker,
            message.role,
            message.said_at,
            message.text,
            message.ref,
        ),
        valid=not changed,
        facts=tuple(facts),
    )


def _took_its_place(memory: Memory, earlier: Recalled, later: Recalled) -> bool:
    if later.source is None or earlier.source is None or not later.valid or later.kind != "message":
        return False
    after = (later.source.said_at, int(later.id[1:])) > (earlier.source.said_at, int(earlier.id[1:]))
    if not after or not announces(later.text):
        return False
    one, other = memory.embedder.embed([earlier.text, later.text])
    return relation(later.text, earlier.text, float(one @ other)) >= _PAIRED
