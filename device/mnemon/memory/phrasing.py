"""The form of a message, judged cheaply enough for a hundred thousand of them."""

from __future__ import annotations

import re

from mnemon.words import STOP_WORDS, plain_words

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_ASKS = re.compile(
    r"(?:(?:so|and|but|hey|hi|ok|okay|oh|well|now|please|sorry|wait|right)\b[\s,!]*)*"
    r"(?:(?:what|who|where|when|which|how|why|whose)(?:'?s|'?re|'?d)?\s+"
    r"(?:is|are|am|was|were|do|does|did|have|has|had|can|could|will|would|should|many|much|long|old|often|far|time"
    r"|day|kind|sort|colou?r|size|my|our|the)\b"
    r"|(?:is|are|was|were|do|does|did|have|has|can|could|will|would|should)\s+"
    r"(?:i|you|we|he|she|it|they|that|this|there|my|our|your|his|her|their)\b"
    r"|remind me\b|tell me (?:what|when|where|who|which|how|about|an?|another|some)\b"
    r"|(?:give|show|teach|write|suggest|recommend) me\b)",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"(?:hi|hey|hello|thanks|thank you|ok|okay|good (?:morning|evening|night))\b[\w\s,]{0,20}[.!]?$", re.I
)
_TAG = re.compile(
    r",\s*(?:right|eh|yeah|innit|no|remember|you know|(?:is|are|was|were|do|does|did|have|has|can|could|will|wo|would"
    r"|ca|ai)n'?t\s\w+(?:\s\w+)?)\s*\?$",
    re.IGNORECASE,
)


def is_plain_question(text: str) -> bool:
    """Is it nothing but questions (and greetings)? Then it tells nothing worth recalling."""
    text = text.replace("’", "'").strip()
    if "?" not in text and not _ASKS.match(text):
        return False
    sentences = [part for part in _SENTENCE_END.split(text) if part]
    return all(
        _ASKS.match(part) or _GREETING.match(part) or (part.endswith("?") and not _TAG.search(part))
        for part in sentences
    )


def telling_words(question: str) -> list[str]:
    """The words that can tell memories apart, each once, in their order."""
    return list(dict.fromkeys(word for word in plain_words(question) if word not in STOP_WORDS and word))


def without_words(question: str, unwanted: set[str]) -> str:
    """The question without these words (lower-case, possessives without ending); itself if little would stay."""
    if not unwanted:
        return question
    kept = " ".join(part for part in question.split() if not unwanted & set(plain_words(part)))
    return kept if telling_words(kept) else question
