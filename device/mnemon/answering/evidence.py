"""How well what was recalled answers what was asked, and the owner's own words as an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mnemon import words
from mnemon.answering.questions import Asked, Wanted
from mnemon.memory.records import Recalled

Strength = Literal["strong", "weak", "none"]

# Calibrated on 64 told facts and 30 questions nothing told answers, alone and among 300 other messages: of the best
# memories with a cosine of 0.50 or more 97 % did hold the answer, and all but one of those that held it reached 0.27.
# The words both share add nothing to the cosine there (a fitted weight of -0.01), but they do order what is close.
STRONG = 0.50
WEAK = 0.27
# Below this a memory counts only if it holds the kind of value that was asked for (a time, a number, a name).
WEAK_WITHOUT_VALUE = 0.34
# Of two unsure memories this close, either may be the one that was meant: both are quoted.
CLOSE = 0.08
SCORE_SHARE = 0.02
# What was said in this very conversation is what one asks about in it.
SAME_CONVERSATION = 0.10
# "What was my job before?" and "They made me team lead": the fact says what it is a fact of, the words do not.
NAMES_IT = 0.10
QUOTE_CHARACTERS = 240
# A question with more meaningful words than this explains a task; it is not about something told without saying so.
SHORT_QUESTION_WORDS = 8

_OF_THE_OWNER = re.compile(r"\b(?:i|i['’]?m|i['’]ve|we|we['’]re|we['’]ve|my|our)\b", re.IGNORECASE)
_RELATIVES = {
    words.stem(word): tuple(who.split())
    for names, who in (
        ("wife husband spouse partner girlfriend boyfriend fiance fiancee fiancé fiancée", "partner"),
        ("mum mom mam mother mummy", "mother"),
        ("dad father daddy", "father"),
        ("parents parent", "mother father"),
        ("sister sis", "sister"),
        ("brother bro", "brother"),
        ("sibling siblings", "sister brother"),
        ("son", "son"),
        ("daughter", "daughter"),
        ("child children kid kids baby", "son daughter"),
        ("gran grandma grandmother nan granny", "grandmother"),
        ("grandad grandpa grandfather", "grandfather"),
        ("grandparents", "grandmother grandfather"),
        ("aunt auntie", "aunt"),
        ("uncle", "uncle"),
        ("cousin", "cousin"),
        ("nephew", "nephew"),
        ("niece", "niece"),
    )
    for word in names.split()
}

UNKNOWN = "I don't know that yet. Tell me and I'll remember it."


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was recalled, weighed for one question: best first."""

    strength: Strength
    memories: tuple[Recalled, ...]
    support: tuple[float, ...]
    """How far each memory bears on the question, about 0 to 1; comparable between questions."""
    other: Recalled | None = None
    """The other side of a change: what took the place of the best memory, or what it took the place of."""
    unsettled: bool = False
    """``other`` contradicts the best memory and nothing told which of them is right."""

    @property
    def best(self) -> Recalled | None:
        """The memory that bears on the question most."""
        return self.memories[0] if self.memories else None


def weigh(asked: Asked, recalled: Sequence[Recalled], *, conversation_id: int | None = None) -> Evidence:
    """Order ``recalled`` by how far each bears on ``asked``, and say how strong the best is.

    Args:
        conversation_id: The conversation it is asked in.
    """

    changed = any(not memory.valid for memory in recalled)

    def near(memory: Recalled) -> float:
        here = memory.source is not None and memory.source.conversation_id == conversation_id
        return _support(asked, memory, changed=changed) + SAME_CONVERSATION * here

    def order(memory: Recalled) -> float:
        """Between memories that mean much the same, shared words decide, and the kind of value asked for."""
        return near(memory) + SCORE_SHARE * memory.score + 0.03 * _holds(asked.wanted, memory.text)

    ordered = sorted((memory for memory in recalled if _says_something(memory.text)), key=order, reverse=True)
    support = tuple(round(near(memory), 4) for memory in ordered)
    strength = _strength(asked, ordered[0], support[0], changed=changed) if ordered else "none"
    return Evidence(strength, tuple(ordered), support)


def is_about_what_was_told(asked: Asked, evidence: Evidence, *, small: bool) -> bool:
    """Whether it is a question that memory, not the model's knowledge, has to answer.

    It speaks of the owner's own affairs, or memory plainly holds it; a small model, which knows little of the world,
    leaves it to memory as soon as anything comes near.
    """
    if not asked.asks or (asked.of_mnemon and (asked.advice or not asked.of_owner)):
        return False
    if evidence.strength == "strong":
        return True
    if small and evidence.strength == "weak" and len(words.content_words(asked.text)) <= SHORT_QUESTION_WORDS:
        return True
    return asked.of_owner and not asked.advice and not asked.of_mnemon


def _strength(asked: Asked, memory: Recalled, near: float, *, changed: bool) -> Strength:
    """Strong by meaning alone: that it was said just now makes it likelier to be meant, not surer to be right."""
    sure = _support(asked, memory, changed=changed) >= STRONG or (near >= WEAK and _has_the_fact(asked, memory))
    if sure and not _is_of_another(asked, memory):
        return "strong"
    fits = asked.wanted == "anything" or _holds(asked.wanted, memory.text)
    return "weak" if near >= (WEAK if fits else WEAK_WITHOUT_VALUE) else "none"


def _support(asked: Asked, memory: Recalled, *, changed: bool) -> float:
    """About 0 (unrelated) to 1 (says it): meaning, less where it speaks of the wrong time.

    Args:
        changed: Something recalled no longer holds, so that what was before can be told.
    """
    support = max(0.0, memory.cosine) + (NAMES_IT if _names_what_it_says(asked, memory) else 0.0)
    if not memory.valid and not asked.past:
        support -= 0.15
    if memory.valid and asked.past and changed:
        support -= 0.15
    return support


def _names_what_it_says(asked: Asked, memory: Recalled) -> bool:
    wanted = words.content_words(asked.text)
    own = [fact for fact in memory.facts if fact.attribute and fact.subject == "user" and fact.attribute != "name"]
    return asked.of_owner and len(wanted) <= 2 and any(words.stem(fact.attribute) in wanted for fact in own)


def _has_the_fact(asked: Asked, memory: Recalled) -> bool:
    """Whether a fact that holds has every word of the question and a value: short questions have a low cosine."""
    wanted = set(words.content_words(asked.text))
    return bool(wanted) and any(
        fact.valid_to is None and fact.attribute and fact.value and wanted <= words.stems(fact.text)
        for fact in memory.facts
    )


def _says_something(text: str) -> bool:
    """More than a greeting or an "ok": two words that carry meaning, or one that is said of the owner ("I'm a
    nurse"), or a name or number."""
    enough = 1 if _OF_THE_OWNER.search(text) else 2
    return len(words.content_words(text)) >= enough or bool(words.names(text) or words.numbers(text))


def _is_of_another(asked: Asked, memory: Recalled) -> bool:
    """Whether the question names relatives and the memory others: a wife's name is not in what a sister is called."""
    wanted, told = _relatives(asked.text), _relatives(memory.text)
    return bool(wanted and told) and not wanted & told


def _relatives(text: str) -> set[str]:
    return {who for stem in words.stems(text) for who in _RELATIVES.get(stem, ())}


def _holds(wanted: Wanted, text: str) -> bool:
    if wanted == "time":
        return bool(words.numbers(text) or words.calendar_words(text))
    if wanted == "number":
        return bool(words.numbers(text))
    if wanted in ("person", "place"):
        return bool(words.names(text))
    return False


def quote(asked: Asked, evidence: Evidence, now: datetime, *, skip: int = 0) -> str:
    """The owner's own words as an answer, with their day; hedged when the evidence is weak.

    Args:
        skip: Leave out this many of the best, for an owner who asked for another answer.
    """
    if evidence.strength == "none" or not evidence.memories:
        return UNKNOWN
    first = skip % len(evidence.memories)
    memory = evidence.memories[first]
    said = _quoted(asked, memory, now)
    if evidence.strength == "weak" or first > 0:
        close = (evidence.other,) if evidence.other and first == 0 else _as_close(evidence, first)
        nearest = [said, *(_quoted(asked, other, now) for other in close)]
        lead = "This may bear on it" if asked.advice else "I don't know for sure. The nearest I have"
        if len(nearest) == 1:
            return f"{lead}: {said[0].lower()}{said[1:]}."
        return "\n".join([f"{lead}:", "", *(f"- {line}" for line in nearest)])
    other = evidence.other if first == 0 else None
    if other is not None and evidence.unsettled:
        return f"{said}. But {_day_of(other, now)}: “{excerpt(asked.text, other.text)}”. Which of the two is right?"
    if not memory.valid and other is not None:
        return f"{said}. That changed {_day_of(other, now)}, when you said: “{excerpt(asked.text, other.text)}”."
    if not memory.valid:
        return f"{said}. That has changed since."
    if other is not None:
        words_then = f"{_day_of(other, now)}: “{excerpt(asked.text, other.text)}”."
        before = (
            memory.source is not None and other.source is not None and other.source.said_at < memory.source.said_at
        )
        return f"{said}. {'Before that' if before else 'That may have changed'}, {words_then}"
    return f"{said}."


def _quoted(asked: Asked, memory: Recalled, now: datetime) -> str:
    return f"{_who_and_when(memory, now)}: “{excerpt(asked.text, memory.text)}”"


def _as_close(evidence: Evidence, first: int) -> tuple[Recalled, ...]:
    """The memory after ``first``, if it is about as near."""
    following = first + 1
    if following >= len(evidence.memories):
        return ()
    support = evidence.support[following]
    same_time = evidence.memories[following].valid == evidence.memories[first].valid
    near = same_time and support >= WEAK and support >= evidence.support[first] - CLOSE
    return (evidence.memories[following],) if near else ()


def _who_and_when(memory: Recalled, now: datetime) -> str:
    if memory.source is None:
        return "You noted"
    if memory.corrects:
        return f"You put me right {day(memory.source.said_at, now)}"
    who = "You told me" if memory.source.role == "owner" else f"{memory.source.speaker or 'Somebody'} said"
    return f"{who} {day(memory.source.said_at, now)}"


def _day_of(memory: Recalled, now: datetime) -> str:
    return day(memory.source.said_at, now) if memory.source else "since"


def day(moment: datetime, now: datetime) -> str:
    """``today``, ``yesterday``, ``on 2 March``, or with its year when that is another one; in local time."""
    local, today = moment.astimezone(), now.astimezone()
    gap = (today.date() - local.date()).days
    if gap in (0, 1):
        return ("today", "yesterday")[gap]
    year = "" if local.year == today.year else f" {local.year}"
    return f"on {local.day} {local:%B}{year}"


def excerpt(question: str, text: str) -> str:
    """``text`` on one line; when it is long, the sentences around the one closest to ``question``."""
    flat = " ".join(text.split())
    if len(flat) <= QUOTE_CHARACTERS:
        return flat.rstrip(".")
    parts = words.sentences(text)
    wanted = set(words.content_words(question))
    start = max(range(len(parts)), key=lambda i: len(wanted & set(words.content_words(parts[i]))))
    kept = " ".join(parts[start].split())
    for following in parts[start + 1 :]:
        if len(kept) + len(following) > QUOTE_CHARACTERS:
            break
        kept += " " + " ".join(following.split())
    cut = kept if len(kept) <= QUOTE_CHARACTERS else kept[:QUOTE_CHARACTERS].rsplit(" ", 1)[0] + " …"
    return ("… " if start else "") + cut.rstrip(".")
