"""Reads a clause by the rules: what it says about the owner, as subject, attribute and value.

The first rule that fits wins; a value that says nothing ("it", "fine", "a lot") fits none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mnemon.memory.pieces import NAME, RELATIVES
from mnemon.memory.rules import GENERAL, MY, RULES, Kind, Rule

_APPOSITION = re.compile(
    rf"\b{MY} (?P<r>{RELATIVES}),? (?P<n>(?-i:[A-ZÀ-Þ][\w'’-]*(?: [A-ZÀ-Þ][\w'’-]*)?))(?!\w*['’]s\b)", re.IGNORECASE
)
_TAIL = re.compile(
    r"[\s,]+(?:by the way|btw|actually|now|though|too|as well|these days|nowadays|at the moment|currently|lol"
    r"|haha|please"
    r"|thanks|thank you|of course|to be honest|tbh|i think|in fact|already|again|right now|any ?more|so much|a lot"
    r"|very much|by now|remember|ok|okay|right|yeah)$",
    re.IGNORECASE,
)
_CUT = re.compile(
    r",? (?:not (?=[A-Z\d]|the |a )|btw|by the way|bless|have done|because|which|who|whose|and (?:i|we|my|he|she"
    r"|it|they|that)|so (?:that|i|we)|since (?:i|we|it)|where (?:i|we)"
    r"|when (?:i|we)|until (?:i|we)|if|as (?:it|i|we|he|she))\b.*$",
    re.IGNORECASE,
)
_EMPTY = re.compile(
    r"(?:(?:it|that|this|them|him|her|you|one|ones|me|us|not|no|the|a|an|my|so|too|very|all|both|to (?:hear|know"
    r"|see|say|ask"
    r"|thank|talk|tell|be honest)|your|those|these|what|how|when|why|where|something|anything|nothing|everything"
    r"|someone"
    r"|anyone|here|there|home|back|sure|fine|good|great|nice|ok|okay|bad|well|done|ready|late|early|tired|sick"
    r"|ill|busy"
    r"|happy|sad|sorry|afraid|glad|going|being|having|still|just|about|crazy|wrong|right|better|worse|up|down"
    r"|off)\b.*)",
    re.IGNORECASE,
)
_DETERMINED = re.compile(
    r"(?:the (?:way|idea|look|sound|fact|first|second|last|other|thought|one|same)|this|that|your|it|you|when"
    r"|how|to (?:see"
    r"|hear|know|ask|talk|tell|say|thank|be|have a (?:word|chat)))\b",
    re.IGNORECASE,
)
# "I want to ask you something" is about this talk, not about a life.
_CHAT = re.compile(
    r"(?:know|ask|see|hear|talk|tell|say|thank|be|have a (?:word|chat)|chat|check|understand|speak|show"
    r"|mention)\b",
    re.IGNORECASE,
)
_WEAK_TOPIC = re.compile(
    r"\b(?:question|point|guess|opinion|day|night|morning|evening|week|weekend|feet|head|back|heart|fault|bad"
    r"|turn|problem"
    r"|issue|mind|thing|god|view|first|second|other|one|mood|answer|thought|thoughts|mistake|life|time|way|advice)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule read in a clause."""

    text: str
    subject: str
    attribute: str
    value: str
    kind: Kind = "states"
    past: bool = False


def read(clause: str) -> list[Found]:
    """The facts one spelt-out clause states; an empty list for none."""
    found = list(_appositions(clause))
    whole = re.sub(
        rf"\b{MY} (?:{RELATIVES})(?: (?-i:{NAME}))?,? (?:and|&) (?:i|me)\b", "we", clause, flags=re.IGNORECASE
    )
    for rule in RULES:
        match = rule.pattern.fullmatch(whole)
        made = _made(rule, match, whole) if match else None
        if made is not None:
            found = [f for f in found if (f.subject, f.attribute) != (made.subject, made.attribute)]
            employer = _employer(match) if rule.attribute == "job" and match else None
            return [*found, made, *([employer] if employer else [])]
    return found


def third_person(text: str) -> str:
    """First-person words inside a value turned to face the owner: "my mat" becomes "their mat"."""
    for pattern, other in (
        (r"\b(?:my|our)\b", "their"),
        (r"\b(?:myself|ourselves)\b", "themselves"),
        (r"\b(?:mine|ours)\b", "theirs"),
        (r"\bI am\b|\bwe are\b", "they are"),
        (r"\b(?:i|we)\b", "they"),
        (r"\b(?:me|us)\b", "them"),
    ):
        text = re.sub(pattern, other, text, flags=re.IGNORECASE if other != "them" else 0)
    return text


def _made(rule: Rule, match: re.Match[str], clause: str) -> Found | None:
    groups = {name.rstrip("2"): text for name, text in match.groupdict().items() if text is not None}
    value = _tidy(groups.get("v", ""))
    if rule.named or rule.attribute in ("home", "job", "employer"):
        value = _tidy(re.split(r",(?! [A-Z])| and (?=(?:he|she|it|they|i|we|is|was)\b)", value)[0])
        if value[:1].islower() and rule.attribute == "home" and re.search(r", \w+ and ", groups["v"]):
            return None  # "moved to percussion, triangle and worry"
    if ("v" in groups and not value) or (rule.value == "{v}" and _says_nothing(rule, value)):
        return None
    if rule.named and not _is_name(value, clause):
        return None
    topic = groups.get("t", "")
    if rule in GENERAL and _WEAK_TOPIC.search(topic):
        return None
    groups["v"] = value
    parts = {name: third_person(_tidy(text) if name in "vwe" else text.strip()) for name, text in groups.items()}
    if parts.get("p") is None:
        parts["p"] = ""
    parts.setdefault("n", "")
    if rule.attribute.endswith("{t}"):
        parts["t"] = parts.get("t", "")
    article = re.sub(r"^(?:an?|the|their) ", "", parts.get("t", "").lower())
    filled = {**parts, "r": parts.get("r", "").lower()}
    sentence = " ".join(rule.text.format_map(_Blank(filled)).split()).replace(" .", ".")
    sentence = re.sub(r"\b(on|at|in) (?:on|at|in) ", r"\1 ", sentence)
    sentence = re.sub(r"\bevery (\w+day)s\b", r"every \1", sentence)
    named = {**filled, "t": article}
    return Found(
        text=sentence[0].upper() + sentence[1:],
        subject=" ".join(_base(rule.subject.format_map(_Blank(named))).lower().split()),
        attribute=" ".join(rule.attribute.format_map(_Blank(named)).lower().split()),
        value=" ".join(rule.value.format_map(_Blank(filled)).split()),
        kind=rule.kind,
        past=rule.past,
    )


class _Blank(dict[str, str]):
    """A missing piece is empty."""

    def __missing__(self, key: str) -> str:
        return ""


def _appositions(clause: str) -> Iterator[Found]:
    for match in _APPOSITION.finditer(clause):
        relation, name = match["r"].lower(), match["n"]
        yield Found(f"The user's {relation} is called {name}.", _base(relation), "name", name)


def _employer(match: re.Match[str]) -> Found | None:
    groups = match.groupdict()
    where, preposition = _tidy(groups.get("e") or ""), groups.get("p") or "at"
    if not where:
        return None
    where = third_person(where)
    return Found(f"The user works {preposition} {where}.", "user", "employer", where)


def _base(subject: str) -> str:
    """The subject without "new", so that the new boss takes the old one's place."""
    return re.sub(r"^(?:new|late) ", "", subject)


def _tidy(value: str) -> str:
    value = _CUT.sub("", value.strip(" ,.!;:\"'"))
    while (shorter := _TAIL.sub("", value)) != value:
        value = shorter
    return value.strip(" ,.!;:\"'")


def _says_nothing(rule: Rule, value: str) -> bool:
    if len(value) > 160 or not re.search(r"\w", value):
        return True
    if rule.attribute in ("employer", "job") and re.fullmatch(
        r"(?:an? |the )?(?:new )?(?:place|job|company|office|one)", value
    ):
        return True
    if rule.attribute == "goal" and _CHAT.match(value):
        return True
    if rule.attribute in ("like", "dislike", "goal", "preference", "plays"):
        return bool(_DETERMINED.match(value))
    return (
        bool(_EMPTY.fullmatch(value))
        and not value[:1].isupper()
        and not re.match(r"(?:an?|the|my|here|off)\s", value)
    )


def _is_name(value: str, clause: str) -> bool:
    first = re.sub(r"^(?:the|a|an|new|dr|mr|mrs) ", "", value, flags=re.IGNORECASE)
    if first[:1].isupper() or re.search(r"\b(?:in|near|on) [A-ZÀ-Þ]", value):
        return True
    no_capitals = not re.search(r"[A-ZÀ-Þ]", re.sub(r"\bI\b", "", clause)[1:])
    return (
        no_capitals
        and len(value.split()) <= 3
        and not _EMPTY.fullmatch(value)
        and not re.match(r"(?:the|an?)\b", value)
    )
