"""The private values memory holds: names, places, employers, addresses and numbers, taken out of what was told.

Facts, the profile and the owner's newest messages are read; tastes are not ("The user likes Miles Davis" names nobody
of the owner's life).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemon.privacy import rules
from mnemon.privacy.findings import UNSPACED, WORD
from mnemon.privacy.folding import fold
from mnemon.privacy.health_rules import CONDITION
from mnemon.privacy.introduced import CAPITAL, introduced, is_public, trimmed
from mnemon.privacy.lexicon import NAMES_THAT_ARE_WORDS, PUBLIC_ATTRIBUTES
from mnemon.words import FUNCTION_WORDS

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

NEWEST_MESSAGES = 2000
"""Messages of the owner that are read besides the facts: reading them takes some 50 microseconds each."""

_NAME = re.compile(rf"{CAPITAL}(?:(?: (?:de|da|del|van|von|der|den|la|al|bin|of|&)){{0,3}} {CAPITAL}){{0,6}}")
_PLACE_BEFORE = re.compile(r"\b(?:in|near|from|at|to|lives|home|town|city|village|moved|based|born)$")
_ORG_BEFORE = re.compile(
    r"\b(?:works?|working|worked|employed|studies|studied|job|banks?)(?: \w{1,30}){0,4}? (?:at|for|with|in)$"
    r"|\b(?:employer|company|firm|school|university|clinic|bank|practice|workplace|business|startup|charity)"
    r"(?: is| called| named| is called|:)?$"
)
_TASTE = re.compile(
    r"\b(?:likes?|loves?|enjoys?|hates?|dislikes?|prefers?|favou?rite|reading|watch(?:es|ing)|listen\w{0,4}|fan of"
    r"|plays?|supports|drives|speaks|learning|afraid|collects|drinks|wants|playing|owns?|uses|bought)\b"
    r"|\b(?:has|have|got) an? (?=[A-Z])"
)
_COUNTED = re.compile(
    r"\b(?:code|pin|password|passcode|number|account|plate|registration|passport|login|username|serial|reference|ref|id"
    r"|licence|license|combination|locker|policy|postcode|zip|phone|mobile|birthday|born|ssid|wifi|wi-fi)\b", re.I
)  # fmt: skip
_SECRET = re.compile(r"\b(?:pin|password|passcode|passphrase|combination|(?:door|alarm|safe|gate) code)\b", re.I)
_HEALTH = re.compile(
    r"\b(?:has|have|had|diagnosed with|suffers from|allergic to|treated for|living with) "
    r"(?:an? |the |severe |mild |chronic |early ){0,4}"
    r"(?P<v>(?:type [12] )?[\w'’-]+(?: [\w-]+){0,2}? (?:disease|disorder|syndrome|condition|allergy|cancer|infection"
    r"|injury|fracture|tear|sprain)|(?:type [12] )?[\w'’-]+)", re.I
)  # fmt: skip
_CONDITION = re.compile(rf"\b{CONDITION}\b", re.I)
_NO_NAMES = (FUNCTION_WORDS | {"user", "owner"}) - NAMES_THAT_ARE_WORDS


@dataclass(frozen=True, slots=True)
class PrivateValue:
    """Something of the owner's life that must not leave as it is. ``kind`` is one of ``findings.KINDS``."""

    value: str
    kind: str


def from_memory(memory: Memory) -> list[PrivateValue]:
    """Every private value of a memory, facts that have ended included: they were true of somebody."""
    found: list[PrivateValue] = []
    for fact in memory.facts.list(valid_only=False):
        found += from_fact(fact.text, attribute=fact.attribute, value=fact.value)
    for row in memory.store.tuples("SELECT text FROM profile_lines"):
        found += from_fact(str(row[0]))
    for row in memory.store.tuples(
        "SELECT text FROM messages WHERE role = 'owner' ORDER BY id DESC LIMIT ?", (NEWEST_MESSAGES,)
    ):
        found += from_message(str(row[0]))
    return distinct(found)


def from_message(text: str) -> list[PrivateValue]:
    """What one message of the owner gives away by its form: people introduced, addresses, numbers."""
    return [PrivateValue(f.value, f.kind) for f in (*rules.find(text), *introduced(text)) if f.kind != "health"]


def from_fact(text: str, *, attribute: str = "", value: str = "") -> list[PrivateValue]:
    """What a sentence about the owner's life gives away.

    Args:
        text: The sentence, third person.
        attribute: What it says of its subject, where that is known (``Fact.attribute``).
        value: What it says (``Fact.value``).
    """
    found = [PrivateValue(f.value, f.kind) for f in rules.find(text)]
    for clause in re.split(r"(?<=[;])\s|,\s(?=(?:and )?(?:lives|works|has|is|was|who|born|aged)\b)|\.\s", text):
        if attribute in PUBLIC_ATTRIBUTES or attribute.startswith("favourite") or _TASTE.search(clause):
            continue
        found += _names(clause)
    if _COUNTED.search(text) or _COUNTED.search(attribute):
        kind = "secret" if _SECRET.search(text) or _SECRET.search(attribute) else "id"
        found += [PrivateValue(v, kind) for v in (value, *_codes(text)) if re.search(r"\d.*\d.*\d", v)]
        if kind == "secret" and value:
            found.append(PrivateValue(value, kind))
    said = _HEALTH.search(text)
    if said and (attribute in ("condition", "allergy", "medicine") or _is_condition(said["v"])):
        found.append(PrivateValue(said["v"], "health"))
    if attribute not in PUBLIC_ATTRIBUTES:
        found += [PrivateValue(one[0], "health") for one in _CONDITION.finditer(text)]
    if attribute in ("condition", "medicine") and value:
        found.append(PrivateValue(value, "health"))
    return distinct(found)


def distinct(values: Iterable[PrivateValue]) -> list[PrivateValue]:
    """Each value once, with the first kind it was given; those without a letter or digit are left out."""
    kept: dict[str, PrivateValue] = {}
    for each in values:
        if WORD.search(each.value):
            kept.setdefault(fold(each.value), each)
    return list(kept.values())


def _names(clause: str) -> Iterator[PrivateValue]:
    for match in _NAME.finditer(clause):
        name, start = match[0], match.start()
        while name and fold(re.split(r"['’ ]", name)[0]) in _NO_NAMES and " " in name:
            first = name.split(" ")[0]
            start, name = start + len(first) + 1, name[len(first) + 1 :]
        name = "" if fold(re.split(r"['’ ]", name)[0]) in _NO_NAMES else trimmed(name)
        if not name or is_public(name) or not (name[0].isupper() or UNSPACED.match(name)):
            continue
        before = clause[:start].rstrip()
        if not before and not re.match(
            r"['’]|\s(?:is|was|has|lives|works|goes|also|and|who|aka)\b", clause[len(name) :]
        ):
            continue  # the first word of a sentence has a capital whatever it is
        if re.search(r"\ban?$", before):
            continue  # "a Volvo" names a make
        kind = "person"
        if _ORG_BEFORE.search(before.lower()):
            kind = "org"
        elif _PLACE_BEFORE.search(before.lower()):
            kind = "place"
        yield PrivateValue(name, kind)
        parts = [p for p in re.split(r"[ ]", name) if p[0].isupper() and len(p) > 1 and not is_public(p)]
        if kind == "person" and len(parts) > 1:
            yield from (PrivateValue(p, kind) for p in parts)


def _codes(text: str) -> Iterator[str]:
    for match in re.finditer(r"(?<![\w])[A-Z0-9][\w-]*(?: (?=[A-Z]*\d)[A-Z0-9]+)*", text):
        if sum(c.isdigit() for c in match[0]) >= 3 and not re.fullmatch(r"(?:19|20)\d\d", match[0]):
            yield match[0]


def _is_condition(words: str) -> bool:
    return any(f.kind == "health" for f in rules.find(f"I was diagnosed with {words}"))
