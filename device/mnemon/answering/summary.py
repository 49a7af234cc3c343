"""What Mnemon knows about its owner, when that is what they ask."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mnemon.memory.records import Fact

MAX_FACTS = 12
NOTHING = "I don't know anything about you yet. Tell me something and I'll remember it."

_VERBS = {
    "is": "are",
    "was": "were",
    "has": "have",
    "does": "do",
    "goes": "go",
    "isn't": "aren't",
    "doesn't": "don't",
}
_ABOUT_OWNER = re.compile(
    r"\bwhat (?:do|did) you (?:know|remember|have) (?:about|of|on) me\b|"
    r"\bwhat (?:have i|did i) (?:told|tell) you\s*\W*$|"
    r"\btell me (?:what you know )?about (?:me|myself)\b|\bwho am i\b",
    re.IGNORECASE,
)


def asks_for_summary(text: str) -> bool:
    """Whether the owner asks what is known about them altogether."""
    return bool(_ABOUT_OWNER.search(text))


def summary(facts: Sequence[Fact]) -> str:
    """What holds now, as a list in the second person, at most twelve of the newest facts."""
    if not facts:
        return NOTHING
    lines = [f"- {second_person(fact.text)}" for fact in facts[:MAX_FACTS]]
    more = len(facts) - len(lines)
    if more:
        lines.append(f"- … and {more} more: `mnemon memory list` shows all.")
    return "\n".join(["This is what I have noted about you:", "", *lines])


def second_person(sentence: str) -> str:
    """A fact as told to its owner: "The user's dog is called Biscuit." becomes "Your dog is called Biscuit."."""
    text = re.sub(r"\b[Tt]he user's\b", "your", sentence)
    text = re.sub(
        r"\b[Tt]he user((?: no longer| \w+ly)?) (\w+(?:n't)?)", lambda m: f"you{m[1]} {_conjugated(m[2])}", text
    )
    text = re.sub(r"\bthe user\b", "you", text, flags=re.IGNORECASE)
    text = re.sub(r"\btheir\b", "your", text)
    return text[:1].upper() + text[1:]


def _conjugated(verb: str) -> str:
    if verb in _VERBS:
        return _VERBS[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(("ches", "shes", "sses", "xes", "zzes")):
        return verb[:-2]
    return verb.removesuffix("s") if not verb.endswith("ss") else verb
