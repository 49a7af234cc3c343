"""A message cut into plain statements the patterns can read: one clause each, spelt out, without openers.

What is asked, supposed, quoted, requested or imagined is left out here, once, so that no pattern has to think of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mnemon.memory.phrasing import SUPPOSITIONS, asks, asks_for_service

MAX_CHARACTERS = 20_000
"""Only so much of a message is read for facts; the whole of it stays findable."""

MAX_CLAUSE_CHARACTERS = 400
"""What runs on longer than this is a list or a paste, not a statement; it also bounds the patterns' time."""

_ABBREVIATION = re.compile(
    r"(?:\b(?:dr|mr|mrs|ms|st|prof|no|approx|e\.g|i\.e|vs|jr|sr)|(?-i:(?<![\w'’])[A-Z]))\.$", re.IGNORECASE
)

_OPENER = re.compile(
    r"^(?:(?:hey|hi|hello|oh|ah|ok|okay|well|so|also|and|but|plus|anyway|btw|fyi|by the way|just so you know|ps|note"
    r"|yes|yeah|yep|yup|right|honestly|actually|basically|guess what|good news|bad news|important|update|quick update"
    r"|as it happens|as you know|for the record|to be honest|tbh|turns out|it turns out|apparently|sadly|luckily"
    r"|happily|finally|now|today|recently|lately|currently|these days|nowadays|at the moment|since then|ugh|haha|lol"
    r"|fun fact|reminder|mnemon|hi mnemon|hey mnemon|no|nope|sorry|oops|correction|wait|i mean|one more thing|wrong"
    r"|that(?:['’]s| is) (?:wrong|not right|incorrect))"
    r"\b[\s,:;!.–—-]*"
    r"|(?:please |can you |could you |will you )*(?:remember|note|keep in mind|bear in mind|don['’]?t forget"
    r"|remind me"
    r"|save|write down|make a note)(?: that| this| about the fact that)?\b[\s,:]*"
    r"|(?:i (?:just )?(?:want(?:ed)?|have) (?:you )?to (?:know|tell you|let you know|mention)"
    r"|i should (?:tell you|mention)"
    r"|(?:just )?(?:so you|for you to) know|you should know|did i (?:tell|mention)(?: you)?|i (?:think|guess"
    r"|believe) i"
    r" (?:told|mentioned)(?: you)?)(?: that)?\b[\s,:]*)",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"^(?:(?:oh|no|nope|sorry|oops|wait|hang on|hold on|correction|actually|i meant?|i said|my mistake|wrong"
    r"|that(?:['’]s| is) (?:wrong|not right|incorrect)"
    r"|not \w+)[\s,:;.–—-]+)+"
    r"|\bi meant\b|\bactually\b|, not [\w' ]+[.!]*$|\brenamed\b",
    re.IGNORECASE,
)
_ASKED_TO_KEEP = re.compile(
    r"^(?:please |can you |could you |will you )*(?:remember|note|keep in mind|save|did i (?:tell|mention))", re.I
)
_UNREAL = re.compile(
    rf"\b(?:{SUPPOSITIONS}|if|unless|wish|would|might|maybe|perhaps|could|should"
    r"|hypothetically"
    r"|thinking (?:of|about)|considering|tempted|dreamt|dreamed|almost|nearly|as though|used to think|in (?:a"
    r"|the|my) "
    r"(?:dream|novel|book|film|movie|story|game)|my character|whether|possibly|not sure|or something|probably)\b",
    re.IGNORECASE,
)
_WANTED = re.compile(r"\bwould (?:really |rather |quite )?(?:like|love|prefer)\b", re.IGNORECASE)
_SUPPOSED = re.compile(
    rf"^(?:{SUPPOSITIONS}|if|let['’]?s say|say i|i wish|assume|in (?:a|the|my) "
    r"(?:dream|novel|book|film|movie|story|game))\b",
    re.IGNORECASE,
)
_REPORTED = re.compile(
    r"\b(?:said|says|told me|thinks|claims|claimed|asked|shouted|wrote|writes)(?: that)? (?:i|my|we)\b", re.IGNORECASE
)

_CONTRACTIONS = [
    (re.compile(pattern, re.IGNORECASE), spelt)
    for pattern, spelt in (
        (r"\bI['’]?m\b", "I am"),
        (r"\bI['’]ve\b|\bive\b", "I have"),
        (r"\bI['’]ll\b", "I will"),
        (r"\bI['’]d (?=been\b)", "I had "),
        (r"\bI['’]d\b", "I would"),
        (r"\b(we|they|you)['’]re\b", r"\1 are"),
        (r"\b(we|they|you)['’]ve\b", r"\1 have"),
        (r"\b(we|they|you|he|she|it)['’]ll\b", r"\1 will"),
        (r"\b(we|they|you|he|she)['’]d\b", r"\1 would"),
        (r"\b(he|she|it)['’]s (got|been|had|moved|started|turned|gone)\b", r"\1 has \2"),
        (r"\b(he|she|it|that|there|here|who|what|where)['’]s\b", r"\1 is"),
        (r"\bcan['’]?t\b|\bcan not\b", "cannot"),
        (r"\bwon['’]t\b", "will not"),
        (r"\b(do|does|did|is|are|was|were|has|have|had)n['’]t\b", r"\1 not"),
        (r"\b(dont)\b", "do not"),
        (r"\b(doesnt)\b", "does not"),
        (r"\bgonna\b", "going to"),
        (r"\bwanna\b", "want to"),
        (r"\b(I|we|have|has) (?:have )?got (?=an?\b|two\b|three\b|four\b|\d|no\b|my\b|our\b)", r"\1 have "),
        (r"\b(I|we|they) have have\b", r"\1 have"),
        (r"\b(he|she|it) has (?:have|got) (?=an?\b)", r"\1 has "),
        (
            r"(?<=\w)['’]s (?=(?:called|named|an?|in|on|at|not|allergic|turning|getting|coming|working|living"
            r"|from|due"
            r"|booked|just|now|moved|under|behind|\d|(?:mon|tues|wednes|thurs|fri|satur|sun)day)\b)",
            " is ",
        ),
        (r"(?<=name)['’]?s (?=\w)", " is "),
        (r"\b(names) (?=\w)", "name is "),
    )
]
# "Moved to Bristol last week" means "I moved": verbs people begin with when they leave the "I" out.
_ELLIPTICAL = re.compile(
    r"^(?=(?:just |finally |recently )?(?:moved|started|got|bought|sold|quit|handed in|retired|passed|adopted"
    r"|joined|booked"
    r"|switched|changed|became|turned|work(?:ing)? (?:as|at|for|in)|live in|living in|allergic|love|hate|prefer"
    r"|unpacked"
    r"|opened|closed|gave up|given up|divorced|married|engaged|born in|gone (?:vegan|veggie|vegetarian)|own)\b)",
    re.IGNORECASE,
)
_BREAK = re.compile(
    r"\s*;\s*|\s+[-–—]+\s+|\s*,?\s+(?:because|but|although|though|whereas|while)\s+"
    r"|\s*,\s*(?:and |so |then )?(?=(?:i|we|my|our|he|she|it|they|his|her|its|the|both|there)\b)"
    r"|\s*,?\s+(?:and|so|then|plus)\s+(?=(?:i|we|my|our|he|she|it|they|his|its)\b(?! and\b))"
    r"|\s*,?\s+and\s+(?=(?:started|work|live|moved|love|hate|play|speak|drive|drink|enjoy|prefer|collect|study"
    r"|bought)\b)"
    r"|\s*\((?=(?:i|we|my|he|she|it)\b)|\)\s*",
    re.IGNORECASE,
)

_MARKUP = re.compile(r"\[(?P<tag>[a-z]+)\](?P<words>[^\[\]]*)\[/(?P=tag)?\]")

# "My wife Sue and I moved" is one clause: the "and" must not break it.
_TOGETHER = re.compile(r"^((?:my|our) [\w-]+(?: [A-Z]\w+)?|me|[A-Z]\w+),? and (?:I|me)\b(?= (?!am\b))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Clause:
    """One statement.

    Attributes:
        text: Spelt out (``I am`` for ``I'm``), without openers.
        sentence: The sentence it stands in, as it was written.
        correction: It sets something right ("actually", "no, sorry, I meant").
    """

    text: str
    sentence: str
    correction: bool = False


def sentences(text: str) -> list[str]:
    """The sentences of a message that state something: no questions, requests, suppositions, quotations or code."""
    return [sentence for sentence in _split(text) if _states(sentence)]


def wants_done(text: str) -> bool:
    """Does it want something done or known, or state nothing at all?

    Such a message still tells a little and is found; of 40 told facts none is one, of what people say to an assistant
    that books and plays things 41 % are. A request to keep something in mind is a statement.
    """
    if _ASKED_TO_KEEP.match(text):
        return False
    return asks_for_service(text) or not sentences(text)


def clauses(sentence: str) -> list[Clause]:
    """The clauses of one stated sentence, suppositions left out."""
    correction = bool(_CORRECTION.search(sentence))
    spelt = without_openers(spell_out(sentence)).rstrip(" .!…?")
    spelt = _TOGETHER.sub(r"\1 & I", spelt)
    found, verb = [], ""
    for piece in _BREAK.split(spelt):
        piece = without_openers(piece).strip(" ,.!…:?")
        if not piece or len(piece) > MAX_CLAUSE_CHARACTERS or asks(piece):
            continue
        if verb and re.match(
            r"(?:started|work|live|moved|love|hate|play|speak|drive|drink|enjoy|prefer)\b", piece, re.I
        ):
            piece = f"{verb} {piece}"
        piece = _ELLIPTICAL.sub("I ", piece)
        if _UNREAL.search(_WANTED.sub("want", piece)) or _REPORTED.search(piece):
            continue
        verb = m.group() if (m := re.match(r"(?:i|we)\b", piece, re.I)) else ""
        found.append(Clause(piece, sentence, correction))
    return found


def spell_out(text: str) -> str:
    """Contractions written in full and quotation marks made straight; the words stay the owner's."""
    text = text.replace("’", "'").replace("“", '"').replace("”", '"')
    for pattern, spelt in _CONTRACTIONS:
        text = pattern.sub(spelt, text)
    return " ".join(text.split())


def without_openers(text: str) -> str:
    """The statement itself, without "by the way", "please remember that" and their like."""
    while True:
        shorter = _OPENER.sub("", text, count=1)
        if shorter == text or not shorter:
            return text
        text = shorter


def _split(text: str) -> list[str]:
    text = text[:MAX_CHARACTERS].replace("\x00", " ")
    text = re.sub(r"```.*?(?:```|\Z)", "\n", text, flags=re.DOTALL)
    text = _MARKUP.sub(r"\g<words>", text)
    text = re.sub(r"</?[a-z][a-z0-9]{0,9}>|\*\*|__", "", text)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith((">", "    "))]
    found: list[str] = []
    for line in lines:
        line = re.sub(r"""["“][^"”]*\b(?:I|I['’]m|my|we)\b[^"”]*["”]""", " ", line)
        start = len(found)
        for piece in re.split(r"(?<=[.!?…])[\"”')]*\s+", re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", line)):
            if len(found) > start and _ABBREVIATION.search(found[-1]):
                found[-1] += f" {piece}"
            elif piece.strip():
                found.append(piece.strip())
    return found


def _states(sentence: str) -> bool:
    if _ASKED_TO_KEEP.match(sentence) and len(without_openers(sentence).split()) > 2:
        sentence = without_openers(sentence).rstrip("? ")
    bare = without_openers(spell_out(sentence))
    if re.search(r"\?[\s\"')]*$", sentence) and not re.search(
        r",? (?:ok|okay|right|alright|yeah)\?\W*$", sentence, re.I
    ):
        return False
    return not (asks(bare) or _SUPPOSED.match(bare))
