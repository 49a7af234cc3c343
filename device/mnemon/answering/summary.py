"""What Mnemon knows about its owner, when that is what they ask."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mnemon.memory.records import Fact
from mnemon.voice import as_second_person

MAX_FACTS = 12
NOTHING = "I don't know anything about you yet. Tell me something and I'll remember it."

_ABOUT_OWNER = re.compile(
    r"\bwhat (?:do|did) you (?:know|remember|have) (?:about|of|on) me\b|"
    r"\bwhat (?:have i|did i) (?:told|tell) you\s*\W*$|"
    r"\btell me (?:what you know )?about (?:me|myself)\b|\bwho am i\W*$",
    re.IGNORECASE,
)


def asks_for_summary(text: str) -> bool:
    """Whether the owner asks what is known about them altogether."""
    return bool(_ABOUT_OWNER.search(text))


def summary(facts: Sequence[Fact]) -> str:
    """What holds now, as a list in the second person, at most twelve of the newest facts."""
    if not facts:
        return NOTHING
    lines = [f"- {as_second_person(fact.text)}" for fact in facts[:MAX_FACTS]]
    more = len(facts) - len(lines)
    if more:
        lines.append(f"- … and {more} more: `mnemon memory list` shows all.")
    return "\n".join(["This is what I have noted about you:", "", *lines])
