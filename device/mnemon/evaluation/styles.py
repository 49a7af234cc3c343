"""How six simulated owners write: each a rule that turns a neutral answer into what that owner would have said.

The rules are fixed: the same question and answer always give the same words, so that two measurements are of the same
owners. They change the manner and, for the metric owner, the units; what an answer says stays.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence

Style = Callable[[str, str], str]
"""(question, neutral answer) to the owner's own answer."""

_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[\"“A-Z0-9])")
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
).split()
_NUMBERS = {word: number for number, word in enumerate(_NUMBER_WORDS)} | {"a": 1, "an": 1}

_CONTRACTED = {
    "i'm": "I am",
    "i've": "I have",
    "i'll": "I will",
    "i'd": "I would",
    "you're": "you are",
    "you've": "you have",
    "you'll": "you will",
    "it's": "it is",
    "that's": "that is",
    "there's": "there is",
    "he's": "he is",
    "she's": "she is",
    "we're": "we are",
    "they're": "they are",
    "let's": "let us",
    "don't": "do not",
    "doesn't": "does not",
    "didn't": "did not",
    "can't": "cannot",
    "won't": "will not",
    "isn't": "is not",
    "aren't": "are not",
    "wasn't": "was not",
    "shouldn't": "should not",
    "wouldn't": "would not",
    "couldn't": "could not",
}
_FORMAL = {
    "a lot of": "a great many",
    "a lot": "a great deal",
    "about": "approximately",
    "at once": "immediately",
    "begin": "commence",
    "big": "substantial",
    "buy": "purchase",
    "enough": "sufficient",
    "get": "obtain",
    "give": "provide",
    "good": "suitable",
    "great": "excellent",
    "helps": "is of assistance",
    "look at": "examine",
    "maybe": "perhaps",
    "mend": "repair",
    "need": "require",
    "needs": "requires",
    "put": "place",
    "sad": "saddened",
    "show": "demonstrate",
    "start": "commence",
    "tell": "inform",
    "too much": "an excessive amount",
    "try": "attempt",
    "use": "employ",
    "want": "wish",
}
_SAILOR = {
    "yes": "aye",
    "food": "victuals",
    "morning": "forenoon watch",
    "evening": "dog watch",
    "tired": "all aback",
    "storm": "gale",
    "clothes": "slops",
    "bag": "sea bag",
    "on the right": "to starboard",
    "on the left": "to port",
    "go left": "turn to port",
    "go right": "turn to starboard",
    "at the front": "at the bow",
    "at the back": "at the stern",
    "kitchen": "galley",
    "bathroom": "head",
    "living room": "wardroom",
    "bedroom": "bunk room",
    "room": "cabin",
    "rooms": "cabins",
    "bed": "bunk",
    "beds": "bunks",
    "floor": "deck",
    "wall": "bulkhead",
    "window": "porthole",
    "windows": "portholes",
    "stairs": "ladder",
    "door": "hatch",
    "doors": "hatches",
    "rope": "line",
    "house": "ship",
    "outside": "on deck",
    "inside": "below",
    "friend": "shipmate",
    "friends": "shipmates",
    "wait": "stand by",
    "clean": "swab",
    "put": "stow",
    "tie": "make fast",
    "close": "batten down",
    "work": "duty",
    "your": "yer",
    "you": "ye",
}
_SHORT_UNITS = (
    (r"\bminutes?\b", "min"),
    (r"\bhours?\b", "h"),
    (r"\bmiles?\b", "mi"),
    (r"\bpounds?\b", "lb"),
    (r"\bounces?\b", "oz"),
    (r"\bgallons?\b", "gal"),
    (r"\binch(?:es)?\b", "in"),
    (r"\bf(?:ee|oo)t\b", "ft"),
    (r"\bdegrees Fahrenheit\b", "°F"),
    (r"\bo'clock\b", ""),
)
_LEADS = re.compile(
    r"^(?:your .{1,40}? is called |your .{1,40}? (?:is|are|weighs|holds|takes) |yes, |no, "
    r"|you (?:need|can|may|should|could)(?: to)? |it is |it's |that is |there is |then |i am |you (?=\w))",
    re.IGNORECASE,
)
_OPENINGS = ("Oh, I'm so glad you asked!", "What a lovely question!", "Happy to help, as always!", "Aw, of course!")
_CLOSINGS = ("Let me know how it goes!", "I'm rooting for you!", "Big hugs!", "Talk to you soon, my friend!")


def sentences(text: str) -> list[str]:
    """The sentences of ``text``, each with its end mark."""
    return [sentence.strip() for sentence in _SENTENCES.split(text.strip()) if sentence.strip()]


def terse(_question: str, answer: str) -> str:
    """Two fragments at most: no articles, no "you", figures and short units."""
    return " ".join(_fragment(sentence) for sentence in sentences(answer)[:2])


def formal(_question: str, answer: str) -> str:
    """An office letter: nothing contracted, longer words, the same courtesies around every answer."""
    text = _replaced(_replaced(answer, _CONTRACTED), _FORMAL)
    return f"Certainly. {text} Please do not hesitate to ask should you require anything further."


def bullets(_question: str, answer: str) -> str:
    """A list: one line a sentence, no full stops."""
    return "\n".join(f"- {sentence.rstrip('.')}" for sentence in sentences(answer))


def warm(question: str, answer: str) -> str:
    """A chatty friend: an exclamation before and after, and in between."""
    opening, closing = _picked(question, _OPENINGS), _picked(answer, _CLOSINGS)
    first, *rest = sentences(answer)
    lively = f"{first[:-1]}!" if first.endswith(".") else first
    return " ".join([opening, lively, *rest, closing])


def sailor(_question: str, answer: str) -> str:
    """A specialist's vocabulary: the words of somebody who has spent a life at sea."""
    return f"Ahoy! {_replaced(answer, _SAILOR)} Fair winds, captain."


def metric(_question: str, answer: str) -> str:
    """Every measure in metric units, rounded as people round."""
    for pattern, convert in _MEASURES:
        answer = re.sub(rf"(?<![\w.,])(?:{pattern})", convert, answer, flags=re.IGNORECASE)
    return answer


STYLES: Mapping[str, Style] = {
    "terse": terse,
    "formal": formal,
    "bullets": bullets,
    "metric": metric,
    "warm": warm,
    "sailor": sailor,
}
"""Every simulated owner by name."""


def has_measure(text: str) -> bool:
    """Whether the metric owner would change ``text``."""
    return metric("", text) != text


# -- words ---------------------------------------------------------------------------------------------------------


def _replaced(text: str, words: Mapping[str, str]) -> str:
    """``text`` with each of ``words`` exchanged, longer ones first, capitals as they were."""
    longest = sorted(words, key=len, reverse=True)
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, longest))})\b(?!')", re.IGNORECASE)

    def exchange(found: re.Match[str]) -> str:
        new = words[found[0].lower()]
        return new[:1].upper() + new[1:] if found[0][0].isupper() else new

    return pattern.sub(exchange, text.replace("’", "'"))


def _fragment(sentence: str) -> str:
    text = _LEADS.sub("", sentence.rstrip("."), count=1)
    text = re.sub(r"\b(?:the|a|an|your|very|just|really)\s+", "", text, flags=re.IGNORECASE)
    words = "|".join(_NUMBER_WORDS[1:])
    text = re.sub(rf"\b(?:{words})\b", lambda found: str(_NUMBERS[found[0].lower()]), text, flags=re.IGNORECASE)
    for pattern, short in _SHORT_UNITS:
        text = re.sub(pattern, short, text)
    text = " ".join(text.replace(" and ", ", ").split())
    mark = "" if text.endswith(("!", "?")) else "."
    return text[:1].upper() + text[1:] + mark


def _picked(by: str, among: Sequence[str]) -> str:
    """One of ``among``, the same for the same words on any machine."""
    return among[zlib.crc32(by.encode()) % len(among)]


# -- measures ------------------------------------------------------------------------------------------------------

_COUNT = rf"\d[\d,]*(?:\.\d+)?|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))}"


def _value(text: str) -> float:
    return float(_NUMBERS[text.lower()]) if text.lower() in _NUMBERS else float(text.replace(",", ""))


def _rounded(value: float) -> str:
    """Two figures, three from 100 on: 1.6, 27, 164, 1,450, 385,000."""
    figures = 2 if abs(value) < 100 else 3
    return f"{float(f'{value:.{figures}g}'):,.10g}"


def _converted(unit: str, factor: float) -> Callable[[re.Match[str]], str]:
    return lambda found: f"{_rounded(_value(found[1]) * factor)} {unit}"


def _celsius(found: re.Match[str]) -> str:
    fahrenheit = -_value(found[1]) if "below" in found[0].lower() else _value(found[1])
    degrees = (fahrenheit - 32) * 5 / 9
    return f"{round(degrees, -1) if degrees > 100 else round(degrees):.0f} degrees Celsius"


def _height(found: re.Match[str]) -> str:
    return f"{0.3048 * _value(found[1]) + 0.0254 * _value(found[2]):.2f} metres"


_MEASURES: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (rf"({_COUNT}) feet ({_COUNT}) inch(?:es)?\b", _height),
    (rf"({_COUNT}) degrees(?: below zero)? Fahrenheit\b", _celsius),
    (rf"({_COUNT}) square (?:feet|foot)\b", _converted("square metres", 0.0929)),
    (rf"({_COUNT}) miles?\b", _converted("kilometres", 1.609)),
    (rf"({_COUNT}) yards?\b", _converted("metres", 0.9144)),
    (rf"({_COUNT}) (?:feet|foot)\b", _converted("metres", 0.3048)),
    (rf"({_COUNT}) inch(?:es)?\b", _converted("centimetres", 2.54)),
    (rf"({_COUNT}) pounds?\b", _converted("kilograms", 0.4536)),
    (rf"({_COUNT}) ounces?\b", _converted("grams", 28.35)),
    (rf"({_COUNT}) gallons?\b", _converted("litres", 3.785)),
    (rf"({_COUNT}) cups?\b", _converted("millilitres", 240.0)),
)
