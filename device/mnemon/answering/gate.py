"""What a local model may say: its words pass here before anybody sees them.

The gate holds a sentence back while it may turn into a claim about the owner, checks it when it is whole, and lets
it out or ends the answer. Words that went out are never taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from mnemon import words
from mnemon.answering.questions import Asked, wants_something
from mnemon.memory.records import Recalled
from mnemon.runtime.chat_model import Generation, Piece

# A claim's least likely token under 10 % means the model was choosing between things to say.
UNSURE_LOGPROB = -2.3

_SECOND_PERSON = re.compile(r"\byou(?:r|rs|'re|'ve|'d|’re|’ve|’d)?\b", re.IGNORECASE)
_OFFER = re.compile(
    r"\byou (?:can|could|may|might|should|would|will|want|need|like|like to|tell|ask|have to|allow|let)\b|"
    r"\b(?:do|did|would|are|have|can|could|will) you\b|\byou(?:'re|’re| are) welcome\b|\bthank you\b|"
    r"\b(?:help|tell|ask|to|for|with) you\b",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(
    r"\b(?:don['’]?t|do not|didn['’]?t) (?:know|have|remember|recall)|\b(?:not|n['’]t) (?:sure|told me|mentioned)|"
    r"\bno (?:memory|record|idea)|\bnot yet\b",
    re.IGNORECASE,
)
_BROKEN = re.compile(
    r"<\|[^>]*\|?>|<(?:start|end)_of_turn>|\[/?INST\]|</?s>|^\s*(?:user|assistant|system|human)\s*:|"
    r"(?:what you know about the user|from earlier conversations):|�",
    re.IGNORECASE | re.MULTILINE,
)
_THANKS = re.compile(r"\bthank(?:s| you) for (?:telling|letting)\b", re.IGNORECASE)
_CANNOT = re.compile(r"\bi (?:can['’]?t|cannot|can not) do that\b", re.IGNORECASE)
_TELLS = re.compile(r"\W*(?:i|i['’]m|i['’]ve|we|my|our) (?!(?:need|want|wish|would like)\b)", re.IGNORECASE)
_THE_USER = re.compile(r"\bthe user\b", re.IGNORECASE)
# Long enough to see a role marker or a "you" at the start of a sentence before any of it is out.
HELD_CHARACTERS = 24
_YOU = re.compile(r"\byou\b", re.IGNORECASE)
_OWNER_SPEAKS = re.compile(r"\b(?:i|i['’]\w+|we|we['’]\w+|me|us|the user)\b(?!['’]s)", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[,;:.!?]|\b(?:and|but|because|so|while|then|that)\b", re.IGNORECASE)
_STUTTER = re.compile(r"\b(\w+)(?:\W+\1\b)+", re.IGNORECASE)
# Words an answer may use whatever its sources: how one phrases, not what one claims.
_PHRASING = frozenset(
    words.stem(w)
    for w in """
    afternoon anytime answer bad bit bye call certainly chat course day earlier else evening favourite feel find
    forget fun give glad good goodbye great happen happy hard hear hello help hey hi hope idea interesting keep kind
    know last let like listen live lovely love luck mean mention mind morning name new nice night note old people
    person pleasure right remember rest say see sleep sorry sound store sure talk tell thank thanks think time
    tomorrow tough told understood update want welcome wonder wonderful work yesterday
    """.split()
)
# How one phrases, but not of the owner: "you don't like smoke" claims more than "I no longer smoke".
_FEELING = frozenset(words.stem(w) for w in "favourite hope like love want".split())
# What Mnemon may say of itself.
ABOUT_MNEMON = (
    "I'm Mnemon, your small personal assistant. I run on your own device, this one, and remember what you tell me. "
    "Your memory is stored locally on this device, and encrypted. Nothing is sent to the cloud model unless you "
    "allow it. That is a hard one for my small on-device model. I can ask the larger cloud model if you allow it. "
    "I am a computer program; I cannot see or go anywhere. I keep everything private."
)
_OF_ITSELF = re.compile(r"\bi(?:['’]m| am| was) an?\b|\bi (?:work|live|own|drive|play)\b", re.IGNORECASE)
_MNEMON_IS = _PHRASING | set(words.content_words(ABOUT_MNEMON))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a sentence may be said, and why not."""

    allowed: bool
    reason: str = ""


def says_unknown(text: str) -> bool:
    """Whether ``text`` says that Mnemon does not know."""
    return bool(_UNKNOWN.search(text))


def is_broken(text: str) -> bool:
    """Whether ``text`` shows the machinery: role markers, control tokens, the prompt's own headings."""
    return bool(_BROKEN.search(text))


@dataclass(frozen=True, slots=True)
class _Clause:
    """A clause of what was told, not of a question: that somebody asks it makes nothing true.

    Attributes:
        stems: Those of all its words.
        of_owner: The owner speaks of themselves in it.
        denied: It says that something is not so.
    """

    stems: set[str]
    of_owner: bool
    denied: bool

    @classmethod
    def read(cls, text: str) -> _Clause:
        return cls(words.stems(text), bool(_OWNER_SPEAKS.search(text)), words.denies(text))


class Sources:
    """Everything an answer may rest on: the owner's message, what was recalled, what was said in this conversation.

    Args:
        texts: The sources' words.
        memories: What was recalled; the days on which it was said may be named too.
    """

    def __init__(self, texts: Iterable[str], memories: Iterable[Recalled] = ()) -> None:
        memories = list(memories)
        parts = [
            *texts,
            *(m.text for m in memories),
            *(f.text for m in memories for f in m.facts if f.valid_to is None),
        ]
        for memory in memories:
            if memory.source is not None:
                local = memory.source.said_at.astimezone()
                parts.append(f"{memory.source.speaker} {local.day} {local:%B %Y %A}")
        self._stems = {words.stem(w) for part in parts for w in words.words(part)}
        self._numbers = {n for part in parts for n in words.numbers(part)}
        named = {words.stem(name) for part in parts for name in words.names(part)}
        self._sequences = [[(stem, stem in named) for stem in words.content_words(part)] for part in parts]
        told = (part for text in parts for part in words.sentences(text) if not wants_something(part))
        self._clauses = [clause for part in told for clause in map(_Clause.read, _CLAUSE_END.split(part))]

    def __contains__(self, word: str) -> bool:
        return self.has_stem(words.stem(word))

    def has_stem(self, stem: str) -> bool:
        """Whether a word with this stem occurs."""
        return stem in self._stems

    def has_in_order(self, first: str, second: str) -> bool:
        """Whether both stems follow one another in a source, with at most one word between them that is no name."""
        for sequence in self._sequences:
            for i, (stem, _) in enumerate(sequence):
                following = sequence[i + 1 : i + 3]
                near = following[:1] if following and following[0][1] else following
                if stem == first and any(second == other for other, _ in near):
                    return True
        return False

    def says_of_owner(self, stems: set[str]) -> bool:
        """Whether a clause in which the owner tells of themselves has all of these stems."""
        return any(clause.of_owner and stems <= clause.stems for clause in self._clauses)

    def says_the_opposite(self, stems: set[str], *, denied: bool) -> bool:
        """Whether clauses have all of these stems, and every one of them denies what is not ``denied``, or the other
        way round: "You live in Leeds" of "I used to live in Leeds"."""
        signs = {clause.denied for clause in self._clauses if stems <= clause.stems}
        return bool(stems) and bool(signs) and denied not in signs

    def has_number(self, number: str) -> bool:
        """Whether the number occurs, as written or with its parts."""
        return number in self._numbers or all(part in self._stems for part in re.split(r"[.,:/]", number) if part)


class Gate:
    """Lets an answer out, a checked sentence at a time.

    Args:
        asked: What the owner asked.
        told: The question is about what was told: then every sentence is held and checked.
        strict: For a model too small to be trusted with wording: every content word of a claim must have a source,
            not only its names, numbers and dates.
    """

    def __init__(self, asked: Asked, *, told: bool, strict: bool) -> None:
        self._asked = asked
        self._sources = Sources(())
        self._told = told
        self._strict = strict
        self._sentence = ""
        self._sent = 0  # characters of the current sentence that are out already
        self._space = ""  # white space that goes out with the words after it, if any are let out
        self._logprobs: list[float] = []
        self._before: set[str] = set()
        self.said = ""
        self.refusal = ""

    def rest_on(self, sources: Sources) -> None:
        """Say what claims about the owner may rest on; before that, on nothing."""
        self._sources = sources

    def let_through(self, generation: Generation) -> Iterator[str]:
        """The words of ``generation`` that may be shown; ends it at the first that may not."""
        for piece in generation:
            yield from self.push(piece)
            if self.refusal:
                generation.stop()
                return
        yield from self.close()

    def push(self, piece: Piece) -> Iterator[str]:
        """Take the next piece; yields the words that may be shown now. Stops yielding after a refusal."""
        if self.refusal:
            return
        self._sentence += piece.text
        self._logprobs.extend(piece.logprobs)
        while (end := self._end_of_sentence()) is not None:
            sentence, rest = self._sentence[:end], self._sentence[end:]
            yield from self._judge(sentence)
            if self.refusal:
                return
            self._sentence, self._sent = rest, 0
        if not self._held():
            yield from self._out(self._sentence)

    def close(self) -> Iterator[str]:
        """The model has ended: judge what is left."""
        if not self.refusal and self._sentence.strip():
            yield from self._judge(self._sentence)
        self._sentence, self._sent = "", 0

    def _end_of_sentence(self) -> int | None:
        """Where the first sentence ends; one that announces a list ends with the list's first item."""
        for end in words.SENTENCE_END.finditer(self._sentence):
            if not self._sentence[: end.start()].rstrip().endswith(":"):
                return end.end()
        return None

    def _held(self) -> bool:
        """A sentence waits for its end once it speaks of the owner; with a strict gate, always."""
        if self._told or self._strict or len(self._sentence) < HELD_CHARACTERS:
            return True
        return bool(_SECOND_PERSON.search(self._sentence)) or "<" in self._sentence

    def _judge(self, sentence: str) -> Iterator[str]:
        verdict = self._check(sentence)
        self._logprobs.clear()
        if verdict.allowed:
            yield from self._out(sentence)
        else:
            self.refusal = verdict.reason

    def _out(self, sentence: str) -> Iterator[str]:
        new = self._space + sentence[self._sent :]
        self._sent = len(sentence)
        if not self.said:
            new = new.lstrip()
        shown = new.rstrip()
        self._space = new[len(shown) :]
        if shown:
            self.said += shown
            yield shown

    def _check(self, sentence: str) -> Verdict:
        if is_broken(sentence) or (self._strict and _THE_USER.search(sentence)):
            return Verdict(False, "the model lost its thread")
        if self._strict and self._repeats(sentence):
            return Verdict(False, "the model began to repeat itself")
        if self._strict and self._asked.asks and _THANKS.search(sentence):
            return Verdict(False, "it thanks for what was not told")
        if self._strict and _CANNOT.search(sentence) and _TELLS.match(self._asked.text):
            return Verdict(False, "it refuses what nobody asked for")
        if says_unknown(sentence):
            out_of_place = self._strict and self._asked.of_owner and not self._asked.asks  # nothing was asked
            return Verdict(not self._told and not out_of_place, "the model did not find it in what was recalled")
        claim = self._told or (_SECOND_PERSON.search(sentence) and not _OFFER.search(sentence))
        verdict = self._check_values(sentence) if claim or self._strict else Verdict(True)
        if verdict.allowed and claim:
            verdict = self._check_sign(sentence)
        if verdict.allowed and self._strict:
            verdict = self._check_words(sentence, claim=bool(claim))
        if verdict.allowed and self._told and self._logprobs and min(self._logprobs) < UNSURE_LOGPROB:
            return Verdict(False, "the model was not sure of its wording")
        return verdict

    def _repeats(self, sentence: str) -> bool:
        """For a small model: a word twice in a row, three words over again, or a sentence it has said already."""
        said = [word.lower() for word in words.words(sentence)]
        flat = " ".join(said)
        again = flat in self._before
        self._before.add(flat)
        triples = list(zip(said, said[1:], said[2:], strict=False))
        return again or len(set(triples)) < len(triples) or bool(_STUTTER.search(flat))

    def _check_words(self, sentence: str, *, claim: bool) -> Verdict:
        """For a small model: every meaningful word has a source, and claims keep the order of theirs."""
        stems = words.content_words(sentence)
        for stem in stems:
            if not self._sources.has_stem(stem) and stem not in _PHRASING:
                return Verdict(False, f"“{stem}” is in none of its sources")
        for clause in _CLAUSE_END.split(sentence):
            if _OF_ITSELF.search(clause) and not set(words.content_words(clause)) <= _MNEMON_IS:
                return Verdict(False, "it says of itself what was told of somebody else")
        if claim:
            sourced = [stem for stem in stems if stem not in _PHRASING]
            if not self._asked.asks and (strange := set(sourced) - words.stems(self._asked.text)):
                return Verdict(False, f"“{strange.pop()}” is not what was told just now")
            for first, second in pairwise(sourced):
                if not self._sources.has_in_order(first, second):
                    return Verdict(False, f"“{first} … {second}” is said like that in none of its sources")
            for clause in _CLAUSE_END.split(sentence):
                of_owner = {stem for stem in words.content_words(clause) if stem not in _PHRASING - _FEELING}
                if _YOU.search(clause) and not self._sources.says_of_owner(of_owner):
                    return Verdict(False, "its sources say that of somebody else")
        if self._told and not self._asked.yes_no:
            asked = set(words.content_words(self._asked.text))
            if not any(stem not in asked and stem not in _PHRASING for stem in stems):
                return Verdict(False, "it adds nothing to the question")
        return Verdict(True)

    def _check_sign(self, sentence: str) -> Verdict:
        """What was denied is not said to be so: "I'm not allergic to peanuts" has every word of the opposite."""
        for clause in _CLAUSE_END.split(sentence):
            stems = {stem for stem in words.content_words(clause) if stem not in _PHRASING}
            if _SECOND_PERSON.search(clause) and self._sources.says_the_opposite(stems, denied=words.denies(clause)):
                return Verdict(False, "its sources say the opposite")
        return Verdict(True)

    def _check_values(self, sentence: str) -> Verdict:
        for number in words.numbers(sentence):
            if not self._sources.has_number(number):
                return Verdict(False, f"{number} is in none of its sources")
        for name in [*words.names(sentence), *words.calendar_words(sentence)]:
            if name not in self._sources and name != "Mnemon":
                return Verdict(False, f"“{name}” is in none of its sources")
        return Verdict(True)
