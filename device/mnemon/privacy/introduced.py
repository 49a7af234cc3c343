# ruff: noqa: E501 - word lists
"""Names that a text introduces itself: "my sister Ines", "Dr Osei", "I work for Halden Marine", "our flat in Leiden".

A name alone says nothing; what stands beside it says whose it is. Public names (countries, nations, firms everybody
knows) and the places of a journey stay: replacing them would only cost the answer its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mnemon.memory.pieces import RELATIVES
from mnemon.privacy.findings import Finding
from mnemon.privacy.folding import fold
from mnemon.privacy.lexicon import COUNTRIES, INSTITUTIONS, NATIONS, PUBLIC_FIRMS
from mnemon.privacy.pattern import AROUND
from mnemon.words import CALENDAR_WORDS, FUNCTION_WORDS

CAPITAL = r"[^\W\d_a-zß-öø-ÿ][\w'’.-]{0,40}"
"""A word with a capital, in any alphabet that has them."""
_B = r"(?<![^\W_])"
_OTHERS = (
    r"boyfriend|girlfriend|fianc[ée]e?|therapist|client|pupil|student|patient|tenant|professor|tutor|mentor|manager"
    r"|supervisor|roommate|lodger|carer|nanny|vet|solicitor|lawyer|barrister|accountant|colleague|coworker|co-worker"
    r"|hija|hijo|madre|padre|hermana|hermano|tochter|sohn|bruder|schwester|frau|mann|mère|père|fils|fille|frère|sœur"
)
_TITLES = (
    r"Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Rev|Sgt|Capt|Sir|Dame|Sister|Father|Nurse|Coach|Herr|Frau|Señora?|Sra?|Mme|Monsieur"
    r"|Madame|Uncle|Aunt|Auntie|Grandma|Grandpa|Nana|Granny|Opa|Oma"
)
_PERSON = re.compile(
    rf"{_B}(?i:my|our|his|her|their|mi|meine?|mon|ma) (?i:(?:late|ex|ex-|elder|younger|best|old|new|little|big) ?)?"
    rf"(?i:{RELATIVES}|{_OTHERS})s?,? (?:(?i:is |was |called |named |is called |is named )){{0,3}}"
    rf"(?P<v>{CAPITAL}(?: {CAPITAL}){{0,2}})"
    rf"|{_B}(?:{_TITLES})\.? (?P<w>{CAPITAL}(?: {CAPITAL}){{0,2}})"
    rf"|{_B}(?i:my (?:full |real |first |last |sur|maiden )?name(?: is|['’]s)|i am called|call me|me llamo|je m['’]appelle"
    rf"|ich heiße) (?P<x>{CAPITAL}(?: {CAPITAL}){{0,3}})"
    rf"|(?:^|[.!?,\n] ?)(?:(?i:i['’]m|i am|this is|regards|cheers|thanks|yours|love),?|[-–—])\s"
    rf"(?P<y>{CAPITAL}(?: {CAPITAL}){{0,2}})(?=[.!?]?\s{{0,8}}(?:$|\n|[.!?]\s))"
    rf"|{_B}(?P<z>{CAPITAL}(?: {CAPITAL}){{1,3}}) ?(?=[(<]\s?[\w.+-]{{1,80}}@[\w-]{{1,63}}\.)"
)
_WORK = (
    r"my (?:employer|company|firm|school|university|college|landlord|agency|insurer|bank|clinic|boss's company) is"
    r"|(?:i|we|he|she) (?:\w{1,12} )?(?:work|works|worked|volunteer|volunteered|interned|bank|banked|banks) (?:for|at|with)"
    r"|i['’]m (?:employed|working|training) (?:by|at|for|with)"
    r"|(?:hired|employed|sacked|fired|dismissed|laid off|made redundant|headhunted) (?:by|from)"
    r"|(?:my|our|his|her) (?:[\w-]{1,20} )?(?:job|shift|interview|internship|placement|contract|boss|manager|role|position"
    r"|employer|account|claim|policy|mortgage|loan|pension|insurance|broadband|lease|order|complaint|appointment|course)s?"
    r",? (?:at|with|from)"
)
_ORG = re.compile(rf"{_B}(?i:{_WORK}) (?P<v>{CAPITAL}(?: (?:{CAPITAL}|&|and (?={CAPITAL} (?:Sons|Co)))){{0,3}})")
# Endings that are no words of their own make a firm of whatever stands before them; the others only in a sentence that
# speaks of somebody's own affairs, since "which bank is safest" may well name one.
_LEGAL = r"Ltd|Limited|LLC|LLP|Inc|Corp|PLC|Plc|plc|GmbH|AG|KG|SARL|SAS|BV|B\.V|NV|AB|ApS|Oy|SpA|S\.p\.A|Srl|Pty"
_TRADE = (
    r"Holdings|Group|Partners|Associates|Solicitors|Chambers|Consulting|Consultants|Consultancy|Logistics|Haulage"
    r"|Insurance|Mutual|Assurance|Bank|Savings|Credit Union|Building Society|Capital|Ventures|Investments|Financial"
    r"|Securities|Pharma|Pharmaceuticals|Biotech|Labs?|Laboratories|Systems|Software|Technologies|Tech|Robotics"
    r"|Solutions|Studios?|Media|Press|Foods|Bakery|Brewery|Roasters|Farms|Motors|Marine|Shipping|Engineering|Steelworks"
    r"|Construction|Builders|Plumbing|Roofing|Joinery|Electrical|Energy|Utilities|Telecom|Freight|Surgery|Clinic|Hospital"
    r"|Hospice|Dental|Practice|Pharmacy|Nursery|Academy|College|Primary|Grammar|Foundation|Trust|Lettings|Estates"
    r"|Properties|Realty|Housing|Vets|Veterinary|Textiles|Printers|Optics|Analytics|Security|Care Home|Day ?care"
)
_FIRM = re.compile(
    rf"{_B}(?P<v>(?:{CAPITAL} (?:& |and )?){{1,3}}(?:(?P<legal>{_LEGAL})|{_TRADE}|(?:& |and )(?:Sons|Co|Daughters))\b)"
)
_OWN = re.compile(r"\b(?:i|i['’]\w{1,2}|me|my|mine|we|we['’]\w{1,2}|us|our|ours|his|her)\b", re.IGNORECASE)
_LIVES = (
    r"(?:i|we|he|she|they)(?:['’](?:ve|m|re|s|d|ll))? (?:\w{1,12} ){0,2}?(?:live|lives|lived|living|moved|move|moving"
    r"|relocated|relocating|settled|settling|grew up|was born|were born|was raised|am based|are based|based|commute"
    r"|commutes|rent|renting|rented|went to school|study|studying|studies|work|works|working|teach|teaches)"
    r"(?: (?:back|over|out|away|up|down|here|there))?(?: (?:full|part)[- ]time)? (?:to|in|from|near|at|outside|around)"
    r"|(?:i|we|he|she)(?:['’](?:m|re|s)| am| are| is)(?: (?:originally|both|all))? from"
    r"|(?:vivo|vivimos) en|ich wohne in|j['’]habite à|(?:back )?home in|(?:back )?home to|here in"
    r"|bought (?:a|our|my) (?:[\w-]{1,12} )?(?:house|flat|home|apartment|cottage|place) in"
)
_NO_JOURNEY = (
    r"(?!(?:trip|holiday|vacation|visit|weekend|tour|itinerary|honeymoon|stay|days?|nights?|week|flight|stopover|conference"
    r"|layover|guide|essay|paper|book|thesis|novel|interest|time|first|stop|hotel|journey|way|favou?rite|dream|faith"
    r"|confidence|belief|role|part|change)\b)"
)
_HOME = re.compile(
    rf"{_B}(?i:{_LIVES}|(?:my|our|his|her) (?:[\w'’-]{{1,20}} )?{_NO_JOURNEY}[\w'’-]{{1,20}}(?: is| are| lives?)?"
    rf"(?: back| over| up| down| out)? (?:in|near|outside)) (?P<v>{CAPITAL}(?: {CAPITAL}){{0,2}})"
)
_ENDS_NAME = re.compile(r"['’]s?$|[.,;:!?]+$")


def introduced(text: str) -> Iterator[Finding]:
    """The people, firms and homes that ``text`` names as somebody's own."""
    for kind, pattern in (("person", _PERSON), ("org", _ORG), ("place", _HOME), ("org", _FIRM)):
        for match in pattern.finditer(text):
            group = "v" if kind != "person" else match.lastgroup or "v"
            start, words = _without_lead(match.start(group), trimmed(match[group]))
            if not words or is_public(words) or (kind == "org" and fold(words.split(" ")[0]) in PUBLIC_FIRMS):
                continue
            if pattern is not _FIRM or match["legal"] or _is_of_somebody(text, match, words):
                yield Finding(start, start + len(words), kind, words)


def _is_of_somebody(text: str, firm: re.Match[str], name: str) -> bool:
    """Whether the sentence around a firm, or the one before or after it, speaks of somebody's own affairs."""
    around = text[max(0, firm.start() - AROUND) : firm.end() + AROUND]
    return " " in name and bool(_OWN.search(around))


def trimmed(name: str) -> str:
    """A name without what follows it: its possessive, marks, the next sentence's first word."""
    while (shorter := _ENDS_NAME.sub("", name)) != name:
        name = shorter
    words = name.split(" ")
    for i, word in enumerate(words):
        if word.endswith((".", "'s", "’s")) and i + 1 < len(words):
            return " ".join(words[: i + 1]).rstrip(".").removesuffix("'s").removesuffix("’s")
    return name


def is_public(name: str) -> bool:
    """Whether it names nobody's own: a country, a nation, a day, a kind of institution."""
    folded = fold(name)
    return (
        folded in COUNTRIES
        or folded in NATIONS
        or (folded in CALENDAR_WORDS and folded not in ("may", "april", "june", "august"))
        or (folded in INSTITUTIONS)
    )


def _without_lead(start: int, name: str) -> tuple[int, str]:
    """A sentence's first word belongs to no name: "The Harrow Clinic", "At Harrow Labs"."""
    while " " in name and fold(name.split(" ")[0]) in FUNCTION_WORDS:
        first = name.split(" ")[0]
        start, name = start + len(first) + 1, name[len(first) + 1 :]
    return start, name
