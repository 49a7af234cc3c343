"""The form of a message, judged cheaply enough for a hundred thousand of them: does it ask, or does it tell?

Three readers want to know, each of something else: recall and forgetting of a whole message, whether it tells
anything (:func:`is_plain_question`); who takes facts of one sentence (:func:`asks`); who orders what was found,
whether somebody only wanted a service (:func:`asks_for_service`). In doubt a message tells, while a sentence asks:
nothing told gets lost, and no fact is taken from a question. What a question is about, and what would answer it, is
for :mod:`mnemon.answering.questions`. The words they all go by stand here, each list once, as alternatives of a
regular expression.
"""

from __future__ import annotations

import re

from mnemon.words import STOP_WORDS, plain_words

LEAD_INS = "so|and|but|hey|hi|ok|okay|oh|well|now|please|sorry|wait|right"
"""Words before a question that are no part of it."""
QUESTION_WORDS = "what|who|whose|which|where|when|why|how"
AUXILIARIES = "is|are|was|were|do|does|did|have|has|can|could|will|would|should"
"""Verbs that a question begins with, or that follow its first word."""
SUBJECTS = "i|you|we|he|she|it|they|that|this|there|my|our|your"
"""What stands behind such a verb in a question."""
ORDERS = "describe|explain|list|recommend|suggest|summari[sz]e|write"
"""Verbs that ask for work with words, whoever is told to do it."""
TELL_ME_OF = "what|when|where|who|which|how|about"
"""After "tell me": something is to be looked up."""
TELL_ME_A = "an?|another|some"
"""After "tell me": something is to be made up."""
SUPPOSITIONS = "imagine|pretend|suppose|supposing|what if"
_ERRANDS = f"{ORDERS}|define|find|give|help|show|tell"

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\s*\n\s*")
_ASKS = re.compile(
    rf"(?:(?:{LEAD_INS})\b[\s,!]*)*"
    rf"(?:(?:{QUESTION_WORDS})(?:'?s|'?re|'?d)?\s+"
    rf"(?:{AUXILIARIES}|am|had|many|much|long|old|often|far|time|day|kind|sort|colou?r|size|my|our|the)\b"
    rf"|(?:{AUXILIARIES})\s+(?:{SUBJECTS}|his|her|their)\b"
    rf"|remind me\b|tell me (?:{TELL_ME_OF}|{TELL_ME_A})\b"
    r"|(?:give|show|teach|write|suggest|recommend) me\b)",
    re.IGNORECASE,
)
_GREETING = re.compile(
    r"(?:hi|hey|hello|thanks|thank you|ok|okay|good (?:morning|evening|night))\b[\w\s,]{0,20}[.!]?$", re.I
)
_STANDING = re.compile(
    r"\b(?:always|never|from now on|every time|each time|whenever|in future|as a rule)\b", re.IGNORECASE
)
"""A request with one of these holds beyond the moment: it tells how somebody wants things."""
_TAG = re.compile(
    r",\s*(?:right|eh|yeah|innit|no|remember|you know|(?:is|are|was|were|do|does|did|have|has|can|could|will|wo|would"
    r"|ca|ai)n'?t\s\w+(?:\s\w+)?)\s*\?$",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"^(?:(?:what|who|whose|whom|which)\b"
    rf"|(?:where|when|why|how)(?:['’]s| (?:{AUXILIARIES}|am|many|much|old|long|far|often|about|come))\b"
    rf"|(?:{AUXILIARIES}|am|shall|may)(?:n['’]?t)? (?:{SUBJECTS}|the|any|anyone|someone)\b)",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    rf"^(?:please |can you |could you |would you |kindly )*(?:{_ERRANDS}|{SUPPOSITIONS}|translate|forget|delete|erase"
    r"|draft|compose|compare|let['’]?s|remind me (?:what|who|when|where|how|to)|say|assume|act as|roleplay)\b",
    re.IGNORECASE,
)
# What people ask a helper for: it may name a thing or a day, but tells little of the one who asks.
_SERVICE = re.compile(
    r"\b(?:i (?:want|need|wish) (?:to (?:find|book|know|see|hear|watch|listen|reserve|buy|get|make|go|rent|schedule"
    r"|look|check|order|eat|play|transfer|add)|an?|some|the|you|another|tickets?)"
    r"|i(?:['’]d| would) (?:like|prefer|love)|i(?:['’]m| am) (?:looking|searching|trying) (?:for|to)"
    r"|i['’]ll (?:take|have)|please|(?:can|could|would|will) you|let['’]s|let us|how about|what about|are there"
    r"|is there|do you)\b"
    rf"|^(?:(?:yes|yeah|no|ok|okay|sure|great|thanks|and|also|then)\W+)*(?:{_ERRANDS}|book|add|make|play|search|look"
    r"|get|reserve|schedule|check|name|set|send|call|transfer|buy|order|classify|true or false)\b",
    re.IGNORECASE,
)


def is_plain_question(text: str) -> bool:
    """Is it nothing but questions (and greetings)? Then it tells nothing worth recalling."""
    text = text.replace("’", "'").strip()
    if "?" not in text and (not _ASKS.match(text) or _STANDING.search(text)):
        return False
    sentences = [part for part in _SENTENCE_END.split(text) if part]
    return all(
        _ASKS.match(part) or _GREETING.match(part) or (part.endswith("?") and not _TAG.search(part))
        for part in sentences
    )


def asks(sentence: str) -> bool:
    """Does a sentence, spelt out and without openers, begin as a question or a request?"""
    return bool(_QUESTION.match(sentence) or _REQUEST.match(sentence))


def asks_for_service(text: str) -> bool:
    """Does it ask somebody to find, book, play or write something, somewhere in it?"""
    return bool(_SERVICE.search(text))


def telling_words(question: str) -> list[str]:
    """The words that can tell memories apart, each once, in their order."""
    return list(dict.fromkeys(word for word in plain_words(question) if word not in STOP_WORDS and word))


def without_words(question: str, unwanted: set[str]) -> str:
    """The question without these words (lower-case, possessives without ending); itself if little would stay."""
    if not unwanted:
        return question
    kept = " ".join(part for part in question.split() if not unwanted & set(plain_words(part)))
    return kept if telling_words(kept) else question
