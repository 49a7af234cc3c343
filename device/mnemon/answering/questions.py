"""What the owner wants with a message, as far as its form tells: no model is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mnemon import words

Wanted = Literal["time", "number", "person", "place", "anything"]

_ASKING = re.compile(
    r"""^(?:(?:so|and|but|hey|hi|ok|okay|oh|right|well|now|sorry|please|quick\s+quiz|mnemon|wait|remind\s+me|tell\s+me)
        \b[\s,:!.—-]*)*
        (?:what|when|where|who|whom|whose|which|why|how|is|are|am|was|were|do|does|did|don't|didn't|have|has|had|
        haven't|can|could|will|would|should|shall|may|might|any(?:thing|one|body)?\s)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_REQUEST = re.compile(
    r"\b(?:remind me (?:what|when|where|who|which|how|of)|tell me (?:what|when|where|who|which|how|about)|"
    r"do you (?:know|remember|recall)|did i (?:tell|mention|say)|have i (?:told|mentioned|said)|what do you know)\b",
    re.IGNORECASE,
)
_OWNER = re.compile(r"\b(?:i|i'm|i've|i'd|i'll|me|my|mine|myself|we|we're|we've|us|our|ours)\b", re.IGNORECASE)
_TO_MNEMON = re.compile(
    r"\b(?:are you|do you (?!know|remember|recall)|can you|could you|would you|will you|your (?:name|favourite)|"
    r"have you|did you|who are you|what are you|who made you|how are you|were you)\b",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"\b(?:should (?:i|we)|shall (?:i|we)|could (?:i|we)|can (?:i|we)|may i|might i|would it|is it (?:ok|okay|weird|"
    r"normal|bad|worth|safe|true)|how (?:do|can|would|could|should) (?:i|we|you)|what if|why (?:do|does|is|are|am)|"
    r"any (?:ideas?|tips|advice|suggestions?)|suggest|recommend|help me|write|explain|translate|calculate|derive|"
    r"summari[sz]e|make me|give me|shorten|rephrase)\b",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"\b(?:before|used to|previous(?:ly)?|former(?:ly)?|old (?:job|flat|house|address|boss|bank|"
    r"car|number|phone|name|school|place|doctor|dentist)|"
    r"earlier|originally|back then|in the past|was i|were we|did (?:i|we) use)\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(
    r"^(?:(?:so|and|but|hey|ok|oh|well|wait|remind me)[\s,]+)*(?:is|are|am|was|were|do|does|did|don't|didn't|"
    r"have|has|had|haven't|can|could|will|would)\b",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"\b(?:he|he's|she|she's|they|they're|him|her|his|hers|them|their|theirs|it|its|that one|the other|the same|"
    r"still|again|instead|else|there|then)\b",
    re.IGNORECASE,
)
_TELLS_TOO = re.compile(r"\b(?:remind me|tell me)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """The form of a message.

    Attributes:
        asks: It wants an answer (False: it tells something, or is small talk).
        of_owner: It speaks of the owner's own affairs ("my", "we", "I").
        of_mnemon: It asks Mnemon about itself or for a service ("can you …").
        advice: It could be wanting advice or work done rather than something told ("should I", "how do I").
        refers: It leans on what was said before it ("what breed is he?", "and the other one?").
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
    past: bool
    yes_no: bool
    wanted: Wanted


def understand(text: str) -> Asked:
    """The form of ``text``; its last sentence decides whether it asks when there are several."""
    plain = text.replace("’", "'").strip()
    parts = words.sentences(plain) or [plain]
    asking = [p for p in parts if p.rstrip("\"')” ").endswith("?") or _ASKING.match(p) or _REQUEST.search(p)]
    asks = bool(asking) and (asking[-1] is parts[-1] or parts[-1] == plain or len(words.words(parts[-1])) <= 4)
    core = asking[-1] if asks else plain
    return Asked(
        text=core if asks else plain,
        asks=asks,
        of_owner=bool(_OWNER.search(_TELLS_TOO.sub(" ", core))),
        of_mnemon=bool(_TO_MNEMON.search(core)),
        advice=bool(_ADVICE.search(core)),
        refers=bool(_REFERS.search(core)) or len(words.content_words(core)) <= 1,
        past=bool(_PAST.search(core)),
        yes_no=bool(_YES_NO.match(core)),
        wanted=_wanted(core.lower()),
    )


def _wanted(text: str) -> Wanted:
    if re.search(r"\b(?:when|what (?:time|date|day|year|month)|which (?:day|date|year)|how long|birthday)\b", text):
        return "time"
    if re.search(
        r"\b(?:how (?:many|much|old|far|tall|big)|what(?:'s| is| was)? (?:the |my |our )?(?:\w+ )?"
        r"(?:number|code|size|pin|score)|number|code)\b",
        text,
    ):
        return "number"
    if re.search(r"\b(?:who|whom|whose|who's)\b", text):
        return "person"
    if re.search(r"\b(?:where|which (?:town|city|place|port|restaurant|shop))\b", text):
        return "place"
    return "anything"
