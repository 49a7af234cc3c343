"""How people type: openers, missing capitals, slips of the finger; and small pieces of grammar."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

_PLACES = re.compile(r"(\{\w+\})")
_KEYS = {"a": "s", "e": "r", "i": "o", "o": "p", "t": "r", "n": "m", "s": "a", "r": "t", "h": "j", "l": "k"}


def capital(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def listed(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def casually(template: str, rng: random.Random) -> str:
    """``template`` as typed on a phone: sometimes in lower case, without stops, or with a slip; its places stay."""
    roll = rng.random()
    if roll < 0.62:
        return template
    pieces = _PLACES.split(template)
    if roll < 0.90:
        pieces = [piece if i % 2 else piece.lower() for i, piece in enumerate(pieces)]
        if roll < 0.80:
            pieces[-1] = pieces[-1].rstrip("?.!")
        if roll < 0.72:
            pieces = [piece if i % 2 else piece.replace("'s ", "s ") for i, piece in enumerate(pieces)]
        return "".join(pieces)
    longest = max(range(0, len(pieces), 2), key=lambda i: len(pieces[i]))
    pieces[longest] = slip(pieces[longest], rng)
    return "".join(pieces)


_NOUNS = (
    "(?:day|place|town|band|book|film|instrument|language|colour|team|car|company|subject|dish|project|restaurant)"
)
_SWAPS = tuple(
    (re.compile(pattern), others)
    for pattern, others in (
        (r"^What is\b", ("What's", "Whats", "Tell me, what is", "And what is")),
        (r"^What's\b", ("What is", "Whats", "And what's")),
        (r"^Who is\b", ("Who's", "Whos", "Tell me, who is")),
        (r"^Where is\b", ("Where's", "Wheres", "Tell me, where is")),
        (r"^When is\b", ("When's", "Whens", "Tell me, when is", "What date is")),
        (r"^Where do(es)?\b", (r"Tell me, where do\1", r"And where do\1", r"Where exactly do\1")),
        (r"^Which\b", ("What", "Tell me, which")),
        (rf"^What (?={_NOUNS}\b)", ("Which ", "Tell me, what ")),
        (r"\bcalled\?$", ("named?", "called again?", "called, please?", "called, do you know?")),
        (
            r"\?$",
            (" again?", ", please?", ", do you know?", ", can you tell me?", ", do you remember?", "??", ", Mnemon?"),
        ),
    )
)


def varied(question: str, rng: random.Random) -> str:
    """``question`` with one turn of phrase changed for another that means the same."""
    for pattern, others in rng.sample(_SWAPS, len(_SWAPS)):
        changed = pattern.sub(rng.choice(others), question)
        if changed != question:
            return changed
    return question


def slip(text: str, rng: random.Random) -> str:
    """``text`` with one letter of a longer word swapped, dropped, doubled or missed."""
    words = list(re.finditer(r"[a-z]{4,}", text))
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    kind = rng.randrange(4)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        return text[:at] + text[at] + text[at:]
    return text[:at] + _KEYS.get(text[at], "e") + text[at + 1 :]
