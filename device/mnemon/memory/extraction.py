"""Lasting facts out of an owner's message: from patterns and from the model, each checked against the message.

Never invents: every name, number and content word of a fact occurs in one stated sentence of the message (days are
checked first and then spelt out). Never loses: if the model fails or talks nonsense the patterns remain, and the
message itself is always there and always found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Literal

from mnemon import words
from mnemon.errors import ModelError
from mnemon.memory import clauses, dates, patterns
from mnemon.memory.records import FactOrigin, Message
from mnemon.runtime.chat_model import ChatModel, instructed, without_thought
from mnemon.voice import as_first_person

SYSTEM = "Extract lasting facts about the user from the message. Answer with one fact per line, or NONE."
"""The instruction; it holds no examples, for a small model copies them as facts."""

MAX_FACTS = 8
MAX_TOKENS = 160
MAX_MODEL_CHARACTERS = 2_000
"""Longer messages are pasted text more often than talk; the patterns read them, the model does not."""

GRAMMAR = r"""
root ::= "NONE" | fact ("\n" fact){0,7}
fact ::= "The user" ("'s"?) " " [^\n<>|{}]{3,120} "."
"""
"""The only form an answer can take: NONE, or one to eight sentences about the user."""


@dataclass(frozen=True, slots=True)
class FactDraft:
    """A fact before it is weighed against what is known already.

    Attributes:
        kind: ``states`` a fact, ``ends`` one ("I no longer work there"), or ``corrects`` the value of one that was
            told just before ("no, it's Rex"); then ``text`` is the owner's clause.
        correction: It sets right what was told before: it takes the place of even what could stand beside it.
        valid_from: Since when it holds, when the message says so; otherwise since the message.
    """

    text: str
    subject: str = "user"
    attribute: str = ""
    value: str = ""
    origin: FactOrigin = "pattern"
    kind: Literal["states", "ends", "corrects"] = "states"
    valid_from: datetime | None = None
    correction: bool = False


def extract(message: Message, model: ChatModel | None = None) -> list[FactDraft]:
    """The facts an owner's message states, in its order; those of the patterns first.

    Questions, requests, suppositions and quotations give none. A model that fails costs its own facts only.
    """
    if message.role != "owner" or not message.text.strip():
        return []
    stated = clauses.sentences(message.text)
    drafts = _from_patterns(stated, message)
    if model is not None and stated and len(message.text) <= MAX_MODEL_CHARACTERS:
        for draft in _from_model(message, stated, model):
            if not any(_repeats(draft, known) for known in drafts):
                drafts.append(draft)
    return drafts


def understand(sentence: str) -> FactDraft:
    """Read one sentence about the owner, in the first or third person, into subject, attribute and value.

    What no pattern reads keeps its words and has no attribute.
    """
    first = as_first_person(sentence)
    for clause in clauses.clauses(first):
        found = patterns.read(clause.text)
        if found:
            last = found[-1]
            return FactDraft(sentence.strip(), last.subject, last.attribute, last.value, "owner")
    about = re.match(r"The user's ([\w-]+)", sentence)
    return FactDraft(sentence.strip(), about[1].lower() if about else "user", origin="owner")


def _from_patterns(stated: list[str], message: Message) -> list[FactDraft]:
    drafts: list[FactDraft] = []
    about: tuple[str, str] | None = None  # the person or animal spoken of last, and what "he" or "it" then means
    moved_in = any(re.search(r"\b(?:unpacked|moved in|moving in|settled in|last box)\b", s, re.I) for s in stated)
    for sentence in stated:
        for clause in clauses.clauses(sentence):
            text = _with_antecedent(clause.text, about)
            found = patterns.read(text)
            if moved_in and (house := _HOUSE.match(clause.text)):
                place = house["v"].strip()
                found = [*found, patterns.Found(f"The user lives in {place}.", "user", "home", place)]
            for each in found:
                drafts.extend(_drafted(each, clause, message))
            if found and found[-1].subject != "user":
                about = (found[-1].subject.split()[0], found[-1].subject)
            elif found and (pet := re.match(r"The user has an? (?:[\w-]+ )*?([\w-]+)\.$", found[-1].text)):
                about = (pet[1].lower(), pet[1].lower())
            if not found and clause.correction and (right := _CORRECTED.match(clause.text)):
                value = right["v"].strip()
                drafts.append(FactDraft(clause.text, value=value, kind="corrects"))
    return _without_repeats(drafts)


_HOUSE = re.compile(
    r"(?:the|our|my)(?: new)? (?:house|flat|place|cottage|apartment|bungalow) in"
    r" (?P<v>(?-i:[A-ZÀ-Þ][\w'’-]*(?: [A-ZÀ-Þ][\w'’-]*)*))\b",
    re.IGNORECASE,
)
_CORRECTED = re.compile(
    r"(?:(?:it|that|he|she|they|the \w+|i) (?:is|was|are|meant?|should be)(?: actually| called| named| on| at"
    r"| in)?|i said|not [\w' ]+,|meant)"
    r" (?P<v>(?!not\b|a\b|the\b|so\b|very\b|really\b)(?:[A-ZÀ-Þ][\w'’-]*|\d[\w:.]*"
    r"|[\w'’-]+)(?: [A-ZÀ-Þ\d][\w'’:.-]*){0,3})"
    r"(?:,? not .+)?",
    re.IGNORECASE,
)
_WHEN_TAIL = re.compile(
    rf"[\s,]+(?P<when>(?:since |from )?(?:(?:in |back in )?(?:19|20)\d\d|(?:(?:in|on|back in|over) )?"
    rf"(?:last|next|this) \w+|(?:on )?(?:the )?{dates.DATE_PATTERN}|yesterday|today|tomorrow|last night"
    r"|(?:on )?(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:\w+|\d+) (?:days?|weeks?|months?|years?) ago"
    r"|(?:in |since )(?:january|february|march|april|may|june|july|august|september|october|november|december)))$"
    r"|[\s,]+for (?:the (?:last|past) )?(?:\w+ )?(?:days|weeks|months|years|ages)(?: now)?$",
    re.IGNORECASE,
)
_STATES = frozenset(("home", "job", "employer", "partner", "diet", "condition", "name", "kind", "work", "bank"))


def _drafted(found: patterns.Found, clause: clauses.Clause, message: Message) -> list[FactDraft]:
    said_on = message.said_at.astimezone().date()
    text, value, since = found.text, found.value, None
    if found.attribute in _STATES and (tail := _WHEN_TAIL.search(value)):
        kept = value[: tail.start()].strip()
        text, value = text.replace(value, kept), kept
        if tail["when"]:
            since = _moment(tail["when"], message, past=True)
        if not value:
            return []
    recurring = re.search(r"\b(?:every|each|usually|always)\b", clause.text, re.IGNORECASE)
    lasting = found.attribute in ("birthday", "anniversary") or found.subject != "user"
    if not recurring and not lasting:
        event = bool(re.search(r"\b(?:is (?:on|at|in|going|flying|travelling)|has|starts|moving)\b", text))
        resolved = dates.resolve(text, said_on, past=found.past, weekdays=event and not _REGULAR.search(text))
        if resolved.text != text:
            value = dates.resolve(value, said_on, past=found.past).text
            text = re.sub(r"\b(on|at|in) (?=(?:on|in|around|at) )|\bthe (?=\d{1,2} [A-Z])", "", resolved.text)
    return [
        FactDraft(
            " ".join(text.split()),
            found.subject,
            found.attribute,
            value,
            "pattern",
            found.kind,
            since,
            clause.correction,
        )
    ]


_REGULAR = re.compile(
    r"\b(?:day|night|club|class|practice|training|lesson|lessons|bins?|shift|slot) is\b", re.IGNORECASE
)


def _moment(when: str, message: Message, *, past: bool) -> datetime | None:
    local = message.said_at.astimezone()
    year = re.fullmatch(r"(?:since |from )?(?:back )?(?:in )?((?:19|20)\d\d)", when.strip(), re.IGNORECASE)
    day = (
        local.date().replace(year=int(year[1]), month=1, day=1)
        if year
        else dates.resolve(when, local.date(), past=past).day
    )
    if day is None or day > local.date():
        return None
    return message.said_at if day == local.date() else datetime.combine(day, time(), local.tzinfo)


def _with_antecedent(clause: str, about: tuple[str, str] | None) -> str:
    if about is None:
        return clause
    name = f"my {about[0]}"
    clause = re.sub(
        r"^(?:he|she|it)\b(?= (?:is|has|lives|works|loves|likes|hates|was|just|moved|died|turned|plays))",
        name,
        clause,
        flags=re.I,
    )
    return re.sub(r"^(?:his|her|its) name is\b", f"{name} is called", clause, flags=re.IGNORECASE)


def _from_model(message: Message, stated: list[str], model: ChatModel) -> list[FactDraft]:
    try:
        answer = instructed(model, SYSTEM, message.text.strip(), max_tokens=MAX_TOKENS, grammar=GRAMMAR)
    except ModelError:
        return []
    drafts = []
    for line in answer_lines(answer)[:MAX_FACTS]:
        if not is_stated(line, stated):
            continue
        draft = replace(understand(line), text=line, origin="model")
        resolved = dates.resolve(line, message.said_at.astimezone().date(), weekdays=False).text
        resolved = re.sub(r"\b(on|at|in) (?=(?:on|in|around|at) )", "", resolved)
        drafts.append(replace(draft, text=resolved))
    return drafts


def answer_lines(answer: str) -> list[str]:
    """The sentences about the user in a model's answer, thinking and list marks removed."""
    found = []
    for line in without_thought(answer).splitlines():
        line = " ".join(re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", line).split())
        if re.match(r"The user(?:'s)? \S", line) and len(line) <= 200 and "<" not in line:
            found.append(line if line.endswith(".") else f"{line}.")
    return list(dict.fromkeys(found))


# A verb of the sentence pattern, and what in the owner's words allows it.
_FRAME_EVIDENCE = {
    "called": r"call|name|\b[A-Z]",
    "name": r"name|call|\bI'?m\b|\bI am\b",
    "lives": r"liv|home|house|flat|mov|based|stay",
    "works": r"work|job|employ|career|started|\bam an?\b|'m an?\b|profession|living as",
    "has": r"\bha(?:ve|s)\b|'ve|got|my|every|is on|own|there is",
    "enjoys": r"enjoy|love|like|hobby|into|fan|weekend|free time",
    "likes": r"enjoy|love|like|hobby|into|fan",
    "wants": r"want|goal|like to|hop|plan|dream",
    "drives": r"driv|car|own",
    "keeps": r"keep|put|left|is in|leave|store",
    "plays": r"play|practi|took up",
    "studies": r"stud|degree|major|course",
    "supports": r"support|team|fan",
    "drinks": r"drink|coffee|tea|morning",
    "afraid": r"afraid|scare|fear|terrif",
    "allergic": r"allerg",
    "working": r"work|project|mak|build",
    "travelling": r"travel|going|fly|trip|off to",
    "moving": r"mov",
    "reading": r"read|book",
    "learning": r"learn|stud|lesson|tak",
    "speaks": r"speak|language|tongue",
    "wakes": r"wak|get up|alarm|up at",
    "goes": r"\bgo\b|going|sleep|bed",
    "size": r"size|take a|wear",
    "prefers": r"prefer|rather",
    "grew": r"grew|grow|raised|hometown|from|childhood|born",
    "wedding": r"wedding|married|anniversary",
    "starts": r"start|first day",
    "usually": r"usual|always|every|start my day|morning",
}
_FRAME = frozenset("user users called named is years old up starts usually in morning".split()) | set(_FRAME_EVIDENCE)
_FIRST_PERSON = re.compile(r"\b(?:I|we|me|us)\b", re.IGNORECASE)
_OF_OTHERS = re.compile(r"(?:he|she|they|it|his|her|their|my|our)\b", re.IGNORECASE)
_NOT = re.compile(
    r"\b(?:not|never|no longer|cannot|hate|dislike|stand|without|n't|stopped|quit|gave up)\b", re.IGNORECASE
)


def is_stated(line: str, stated: Iterable[str]) -> bool:
    """True when one stated sentence says all that ``line`` says, and says yes and no where it does."""
    said = [word for word in words.plain_words(line) if word in _FRAME_EVIDENCE]
    for sentence in stated:
        spelt = clauses.spell_out(sentence)
        if not words.supported(line, f"{sentence} {spelt}", frame=_FRAME):
            continue
        if not words.content(line) - {words.stem(word) for word in _FRAME}:
            continue
        real = [clause.text for clause in clauses.clauses(sentence)]
        evidence = next((text for text in real if words.supported(line, text, frame=_FRAME)), None)
        if evidence is None or bool(_NOT.search(evidence)) != bool(_NOT.search(line)):
            continue
        if line.startswith("The user ") and _OF_OTHERS.match(evidence) and not _FIRST_PERSON.search(evidence):
            continue  # "my dog … he is afraid of the hoover" says nothing of the owner's own fears
        if _stammers(line, sentence, spelt):
            continue
        if all(re.search(_FRAME_EVIDENCE[word], evidence, re.IGNORECASE) for word in said):
            return True
    return False


def _stammers(line: str, *evidence: str) -> bool:
    """True when a word is said more often than it was told, or a bracket is open: a small model lost its thread.

    Without this "St Mary Mary Mary" would take the place of the true "St Mary hospital".
    """
    told = Counter[str]()
    for text in evidence:
        told |= Counter(words.stem(word) for word in words.words(text))
    frame = {words.stem(word) for word in _FRAME} | words.STOP_WORDS
    said = Counter(words.stem(word) for word in words.words(line))
    if any(count > told[word] for word, count in said.items() if word not in frame):
        return True
    return any(line.count(opening) != line.count(closing) for opening, closing in ("[]", "()"))


def _repeats(draft: FactDraft, known: FactDraft) -> bool:
    if words.same(draft.text, known.text):
        return True
    if draft.value and known.value and draft.subject.split()[0] == known.subject.split()[0]:
        return words.same(draft.value, known.value)
    frame = {words.stem(word) for word in _FRAME}
    return words.content(draft.text) - frame <= words.content(known.text) and known.kind == "states"


def _without_repeats(drafts: list[FactDraft]) -> list[FactDraft]:
    kept: dict[tuple[str, str, str, str], FactDraft] = {}
    for draft in drafts:
        kept.setdefault((draft.kind, draft.subject, draft.attribute, draft.text.casefold()), draft)
    return list(kept.values())
