"""What holds and what held: a question is answered with the words of the time it asks for.

A memory is found by what it says, which need not be the newest that was said: "Which bank am I with?" finds "I bank
with Marlowe". From there the links between what was said and what changed it lead to the right time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mnemon import words
from mnemon.answering.evidence import Evidence
from mnemon.answering.questions import Asked
from mnemon.memory.changes import adds, announces, relation
from mnemon.memory.records import Message, Recalled, Source

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

Links: TypeAlias = Callable[[Iterable[int]], dict[int, list[int]]]

_LONGEST = 20
# A later message that tells of a change and has no other message it fits better may be about the best memory: said
# with it, as something that may be so. Below this the two have nothing in common.
_MAY_BE = 0.12
_SURE = 0.45
_BOTH, _AS_NEAR = 0.40, 0.12
_LOOKED_AT = 16


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
    if best is None or best.kind != "message" or not best.id.startswith("m") or best.corrects:
        return evidence
    if (contradicting := _contradicting(memory, asked, best)) is not None:
        return replace(evidence, other=contradicting, unsettled=True)
    if not best.valid:
        newer = memory.changes.newer([int(best.id[1:])]).get(int(best.id[1:]), [])
        messages = memory.messages.many(newer[:1])
        return replace(
            evidence, other=next((as_recalled(memory, m, score=best.score) for m in messages.values()), None)
        )
    if asked.past and announces(best.text):
        earlier = _changed_perhaps(memory, best)
        if earlier is not None:
            return _led_by(evidence, earlier, other=best)
    later, related = _suspected(memory, asked, evidence, best)
    if later is None:
        return evidence
    if related < _SURE or asked.past:
        return replace(evidence, other=later)
    return _led_by(evidence, later, other=best)


def _contradicting(memory: Memory, asked: Asked, best: Recalled) -> Recalled | None:
    """The message with the other one of two facts in doubt, when the question is about them."""
    wanted = set(words.content_words(asked.text))
    for doubt in memory.doubts.open():
        for one, other in ((doubt.older, doubt.newer), (doubt.newer, doubt.older)):
            asked_for = wanted & (words.stems(one.attribute) | words.stems(one.subject))
            if asked_for and other.source_id is not None and any(fact.id == one.id for fact in best.facts):
                return as_recalled(memory, memory.messages.get(other.source_id), score=best.score)
    return None


def told_as_change(evidence: Evidence) -> bool:
    """Whether a small model would lose the point: there are two times to tell of, or the words say "no longer"."""
    best = evidence.best
    if evidence.other is not None or best is None:
        return evidence.other is not None
    return (
        best.corrects
        or not best.valid
        or (announces(best.text) and all(fact.valid_to is not None for fact in best.facts))
    )


def _led_by(evidence: Evidence, first: Recalled, *, other: Recalled) -> Evidence:
    memories = (first, *(m for m in evidence.memories if m.id != first.id))
    return replace(evidence, memories=memories, support=(evidence.support[0], *evidence.support), other=other)


def _may_be_of_another_time(asked: Asked, one: Recalled) -> bool:
    if one.kind != "message" or not one.id.startswith("m") or one.valid != asked.past:
        return False
    wanted = set(words.content_words(asked.text))
    return asked.past or not any(
        fact.valid_to is None and fact.attribute and wanted <= words.stems(fact.text) for fact in one.facts
    )


def _linked(memory: Memory, asked: Asked, one: Recalled, links: Links) -> list[Recalled]:
    """What is linked to ``one``, followed to its end for the present, one step back for the past."""
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
        as_recalled(
            memory,
            m,
            score=one.score,
            cosine=max(float(own[i]), one.cosine) if i == nearest else float(own[i]),
        )
        for i, m in enumerate(messages)
    ]


def as_recalled(memory: Memory, message: Message, *, score: float, cosine: float = 0.0) -> Recalled:
    """A message as if it had been recalled with that score and cosine."""
    facts = memory.facts.of_messages([message.id]).get(message.id, [])
    changed = bool(memory.changes.newer([message.id])) and all(fact.valid_to is not None for fact in facts)
    return Recalled(
        id=message.memory_id,
        kind="message",
        text=message.text,
        score=score,
        cosine=cosine,
        overlap=0.0,
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


def _suspected(memory: Memory, asked: Asked, evidence: Evidence, best: Recalled) -> tuple[Recalled | None, float]:
    """The later message that most likely changed what ``best`` says, if of all earlier ones it fits ``best`` best."""
    near = {m.id: m for m in memory.recall(best.text, limit=_LOOKED_AT)} | {m.id: m for m in evidence.memories}
    later = [m for m in near.values() if m.valid and _comes_after(m, best)]
    later = [m for m in later if not memory.changes.older([int(m.id[1:])])]  # what it changed is known
    if not later:
        return None, 0.0
    vectors = memory.embedder.embed([best.text, *(m.text for m in later)])
    to_best = vectors[1:] @ vectors[0]
    to_question = vectors[1:] @ memory.embedder.embed_one(asked.text)
    related = [
        relation(m.text, best.text, float(cosine)) if announces(m.text) or _says_the_same(m, best) else 0.0
        for m, cosine in zip(later, to_best, strict=True)
    ]
    place = int(np.argmax(np.array(related) + to_question))
    chosen = later[place]
    if related[place] < _MAY_BE:
        return None, 0.0
    rivals = [m for m in memory.recall(chosen.text, limit=_LOOKED_AT) if m.id != best.id and _comes_after(chosen, m)]
    fits = [relation(chosen.text, m.text, m.cosine) for m in rivals if m.source and m.source.role == "owner"]
    return (chosen, related[place]) if related[place] >= max(fits, default=0.0) else (None, 0.0)


def _says_the_same(later: Recalled, best: Recalled) -> bool:
    """Both bear on the question about as much: then the later one is what was told last."""
    return not adds(later.text) and later.cosine >= max(_BOTH, best.cosine - _AS_NEAR)


def _changed_perhaps(memory: Memory, later: Recalled) -> Recalled | None:
    """The earlier message that a later one fits best."""
    earlier = [m for m in memory.recall(later.text, limit=_LOOKED_AT) if m.id != later.id and _comes_after(later, m)]
    fits = [(relation(later.text, m.text, m.cosine), m) for m in earlier if m.kind == "message"]
    related, best = max(fits, key=lambda fit: fit[0], default=(0.0, None))
    return best if related >= _MAY_BE else None


def _comes_after(later: Recalled, earlier: Recalled) -> bool:
    if later.source is None or earlier.source is None or later.kind != "message" or later.source.role != "owner":
        return False
    return (later.source.said_at, int(later.id[1:])) > (earlier.source.said_at, int(earlier.id[1:]))
