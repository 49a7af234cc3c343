"""Facts are kept in the third person ("The user's dog is called Biscuit."); people speak in the first and second."""

from __future__ import annotations

import re

_VERBS = {"has": "have", "does": "do", "goes": "go", "doesn't": "don't", "hasn't": "haven't"}
_BE = {
    "I": {"is": "am", "was": "was", "isn't": "am not", "wasn't": "wasn't"},
    "you": {"is": "are", "was": "were", "isn't": "aren't", "wasn't": "weren't"},
}
_SUBJECT = re.compile(r"\b[Tt]he user((?: no longer| never| \w+ly)?) (\w+(?:n't)?)")


def as_second_person(fact: str) -> str:
    """A fact as told to its owner: "Your dog is called Biscuit."."""
    return _spoken(fact, "you", "your")


def as_first_person(fact: str) -> str:
    """A fact as its owner would say it: "My dog is called Biscuit."."""
    return _spoken(fact, "I", "my")


def _spoken(fact: str, subject: str, possessive: str) -> str:
    text = re.sub(r"\b[Tt]he user's\b", possessive, fact)
    text = _SUBJECT.sub(lambda found: f"{subject}{found[1]} {_conjugated(found[2], subject)}", text)
    text = re.sub(r"\b[Tt]he user\b", "you" if subject == "you" else "me", text)
    text = re.sub(r"\btheir\b", possessive, text)
    return text[:1].upper() + text[1:]


def _conjugated(verb: str, subject: str) -> str:
    """The verb after "the user" as it is after ``subject``: lives, live."""
    if verb in _BE[subject]:
        return _BE[subject][verb]
    if verb in _VERBS:
        return _VERBS[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(("ches", "shes", "sses", "xes", "zzes")):
        return verb[:-2]
    return verb if verb.endswith("ss") else verb.removesuffix("s")
