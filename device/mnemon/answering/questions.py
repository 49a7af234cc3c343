"""What the owner wants with a message, as far as its form tells: no model is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mnemon import words
from mnemon.memory.phrasing import AUXILIARIES, LEAD_INS, ORDERS, QUESTION_WORDS, TELL_ME_A, TELL_ME_OF

Wanted = Literal["time", "number", "person", "place", "anything"]


_LEADING = rf"^(?:(?:{LEAD_INS}|quick quiz|mnemon|remind me|tell me)\b[\s,:!.—-]*)*"


def _phrases(*patterns: str, start: bool = False) -> re.Pattern[str]:
    """Any of ``patterns`` as whole words, anywhere or at the start after a few words that only lead in."""
    alternatives = r"\b(?:" + "|".join(" ".join(pattern.split()) for pattern in patterns) + r")\b"
    return re.compile((_LEADING if start else "") + alternatives, re.IGNORECASE)


_ASKING = _phrases(
    f"{QUESTION_WORDS}|whats|whens|wheres|whos|whom|hows",
    f"{AUXILIARIES}|am|don't|didn't|had|haven't|shall|may|might|any(?:thing|one|body)",
    start=True,
)
_REQUEST = _phrases(
    f"(?:remind|tell) me (?:{TELL_ME_OF}|of)",
    "do you (?:know|remember|recall)|did i (?:tell|mention|say)|have i (?:told|mentioned|said)|what do you know",
)
_DO_PLEASE = "(?:(?:can|could|would|will) you )?(?:please )?"
_ORDER = _phrases(
    _DO_PLEASE + f"(?:{ORDERS}|draft|compare|translate|calculate|work out|plan|convert|derive|prove|design|compose)",
    f"(?:give|make|help|teach|show) me|tell me (?:{TELL_ME_A})|a (?:joke|story|poem|song)",
    start=True,
)
_ADVICE = _phrases(
    "(?:should|shall|could|can|may|might) (?:i|we)|would it|what if|why (?:do|does|is|are|am)|help me",
    "is it (?:ok|okay|weird|normal|bad|worth|safe|true)|how (?:do|can|would|could|should) (?:i|we|you)",
    "(?:would|could|can|is|are) (?:a|an|the|this|that|these|those|some|my|our|he|she|they) .*"
    "(?:ok|okay|fine|alright|all right|good|right|safe|work|eat|have)",
    "good (?:present|idea|time|plan)|any (?:ideas?|tips|advice|suggestions?)|suggest|recommend|make me|give me",
    "write|explain|translate|calculate|derive|summari[sz]e|shorten|rephrase",
)
_OWNER = _phrases("i|i'm|i've|i'd|i'll|me|my|mine|myself|we|we're|we've|us|our|ours")
# "tell me", "write me": the owner is only who it is done for.
_FOR_ME = _phrases("(?:remind|tell|write|give|make|show|teach|help|send|find|draft|plan|get) me")
_TO_MNEMON = _phrases(
    "do you (?!know|remember|recall)|(?:are|can|could|would|will|have|did|were) you",
    "your (?:name|favourite)|(?:who|what|how) are you|who made you",
)
_REFERS = _phrases(
    "he|he's|she|she's|they|they're|him|her|his|hers|them|their|theirs|it|its",
    "that one|the other|the same|still|again|instead|else|there|then",
)
_PAST = _phrases(
    "before|used to|previous(?:ly)?|former(?:ly)?|earlier|originally|back then|in the past|was i|were we",
    "(?:did|do) .{0,30}\\buse to|(?:my|our) (?:old|last|ex)\\b|had been|once|at first|in those days|formerly",
    "who was|what was|where was|which .{1,30} (?:was|were|did)",
    "old (?:job|flat|house|address|boss|bank|car|number|phone|name|school|place|doctor|dentist)",
)
_EARLIER = _phrases("before|used to|use to|previous(?:ly)?|earlier|originally|at first")
_YES_NO = _phrases(
    "is|are|am|was|were|do|does|did|don't|didn't|have|has|had|haven't|can|could|will|would", start=True
)
_WANTED: tuple[tuple[Wanted, re.Pattern[str]], ...] = (
    ("time", _phrases("when|what (?:time|date|day|year|month)|which (?:day|date|year)|how long|birthday")),
    ("number", _phrases("how (?:many|much|old|far|tall|big)|number|code|size|pin|score")),
    ("person", _phrases("who|whom|whose|who's|whos")),
    ("place", _phrases("where|which (?:town|city|place|port|restaurant|shop)")),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The form of a message.

    Attributes:
        text: The part of it that asks; all of it when nothing does.
        asks: It wants an answer (False: it tells something, or is small talk).
        of_owner: It speaks of the owner's own affairs ("my", "we", "I").
        of_mnemon: It asks Mnemon about itself or for a service ("can you …").
        advice: It could be wanting advice or work done rather than something told ("should I", "how do I").
        refers: It leans on what was said before it ("what breed is he?", "and the other one?").
        follows: It names what it leans on: "he", "the other one", "before".
        past: It asks how things were before.
        yes_no: It can be answered with yes or no.
        wanted: What kind of thing would answer it.
    """

    text: str
    asks: bool
    of_owner: bool
    of_mnemon: bool
    advice: bool
    refers: bool
    follows: bool
    past: bool
    yes_no: bool
    wanted: Wanted


def understand(text: str) -> Asked:
    """The form of ``text``; its last sentence decides whether it asks when there are several."""
    plain = text.replace("’", "'").strip()
    parts = words.sentences(plain) or [plain]
    asking = [part for part in parts if wants_something(part)]
    asks = bool(asking) and (asking[-1] is parts[-1] or len(words.words(parts[-1])) <= 4)
    core = asking[-1] if asks else plain
    return Asked(
        text=core,
        asks=asks,
        of_owner=bool(_OWNER.search(_FOR_ME.sub(" ", core))),
        of_mnemon=bool(_TO_MNEMON.search(core)),
        advice=bool(_ADVICE.search(core) or _ORDER.match(core)),
        refers=bool(_REFERS.search(core)) or len(words.content_words(core)) <= 1,
        follows=bool(_REFERS.search(core) or _EARLIER.search(core)),
        past=bool(_PAST.search(core)),
        yes_no=bool(_YES_NO.match(core)),
        wanted=next((kind for kind, pattern in _WANTED if pattern.search(core)), "anything"),
    )


def wants_something(sentence: str) -> bool:
    """Whether a sentence asks, or asks for something."""
    if sentence.rstrip("\"')” ").endswith("?"):
        return True
    return bool(_ASKING.match(sentence) or _REQUEST.search(sentence) or _ORDER.match(sentence))
