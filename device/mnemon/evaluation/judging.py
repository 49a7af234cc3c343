"""Whether an answer is right, by rules alone: what it has to hold, what it made up, whether it holds together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time

from mnemon import words
from mnemon.answering.gate import ABOUT_MNEMON, Sources, is_broken, says_unknown
from mnemon.evaluation.built_in_cases import TODAY, TOLD, Case, Task
from mnemon.evaluation.spoken import looks_broken
from mnemon.memory.extraction import answer_lines
from mnemon.memory.records import Fact
from mnemon.profile import composition
from mnemon.runtime.chat_model import StopReason

CHAT: frozenset[Task] = frozenset(("smalltalk", "meta"))
_SECOND_PERSON = re.compile(r"\b(?:you(?:r|rs|'re|'ve|'d)?|the user)\b", re.IGNORECASE)
_CLOUD = re.compile(r"\bcloud\b", re.IGNORECASE)
_PARTS = re.compile(r"[.,;:!?\n]|\band\b")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*")
_RELATIVE = frozenset(("today", "tomorrow", "yesterday"))
# A count may be worked out from what was told where everything is summed up; elsewhere it is a claim like any other.
_SUMS_UP: frozenset[Task] = frozenset(("list", "profile"))
# What follows a name that begins a sentence ("Marguerite is your sister"), but hardly an opening ("Lovely, …").
_AFTER_SUBJECT = frozenset("and are has is lives was were will works".split())
# Openings and subjects that are written with a capital only because they come first.
_ORDINARY = frozenset(
    """
    absolutely alright breakfast certainly congratulations dinner enjoy everybody everyone everything exactly friend
    friends glad good goodbye great hello hey hi hope indeed lovely lunch memory mnemon morning nice nobody noted
    nothing one people remembering somebody someone something sorry sounds sure thank thanks tonight wonderful work
    """.split()
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said to a case, and why it ended."""

    text: str
    stop_reason: StopReason = "end"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is worth.

    Attributes:
        right: It does what its task asks for; for a profile: Mnemon would keep it as it is.
        invented: Names, numbers and days in it that the case does not hold.
        broken: It is empty, shows role markers, or goes round in circles.
        found: Of what was wanted, how much it says: facts of a list or a profile, lines of an extraction.
        wanted: How much that was.
        said: Lines of an extraction, right or wrong.
        repeats: A list says something twice.
        whole: Small talk or an answer about Mnemon holds together, says nothing twice and comes to its end.
    """

    right: bool
    invented: tuple[str, ...] = ()
    broken: bool = False
    found: int = 0
    wanted: int = 0
    said: int = 0
    repeats: bool = False
    whole: bool = False


class Judge:
    """Judges the answers to a set of cases.

    Args:
        cases: All of them: which words are names and which are ordinary is learned from how they are written there.
    """

    def __init__(self, cases: Sequence[Case]) -> None:
        texts = [text for case in cases for text in case.texts]
        self._ordinary = _ORDINARY | {w for text in texts for w in words.words(text) if w.islower()}
        self._names = {w for case in cases for value in case.values for w in words.words(value) if w[0].isupper()}

    def judge(self, case: Case, answer: Answer) -> Verdict:
        """The verdict on one answer."""
        text = _flat(answer.text)
        invented = self.invented(case, answer.text)
        broken = _is_broken(case.task, answer)
        follows = _follows(text, case)
        if case.task == "extraction":
            return _judge_extraction(case, answer.text, invented, broken)
        if case.task == "list":
            wanted = case.must_all or case.must_any
            found = sum(holds(text, one) for one in wanted)
            repeats = repeats_itself(text)
            right = found == len(wanted) and not repeats and not _says_any(text, case.must_not)
            return Verdict(right, invented, broken, found, len(wanted), repeats=repeats)
        if case.task == "profile":
            covered = [holds(text, one) for one in case.must_all] or [_covers_fact(text, f) for f in case.listed]
            right = not broken and not _says_any(text, case.must_not) and _would_be_kept(text, case.listed)
            return Verdict(right, invented, broken, sum(covered), len(covered))
        if case.task == "unknown":
            right = says_unknown(text) and not invented and follows
        elif case.task == "hard":
            right = follows and (bool(case.must_all or case.must_any) or bool(_CLOUD.search(text)))
        elif case.task in CHAT:
            whole = not broken and answer.stop_reason == "end" and not repeats_itself(text)
            return Verdict(whole and follows and not invented, invented, broken, whole=whole)
        else:
            right = follows
        return Verdict(right, invented, broken)

    def invented(self, case: Case, answer: str) -> tuple[str, ...]:
        """Names, numbers and days that ``answer`` states about the owner and the case holds nowhere.

        In small talk, and in answers about Mnemon and the world, only sentences that speak of the owner count.
        """
        told = case.task in TOLD
        said = "\n".join(answer_lines(answer)) if case.task == "extraction" else answer.replace("’", "'")
        sources = Sources((*case.texts, ABOUT_MNEMON, "AI"), case.memories)
        found: list[str] = []
        for sentence in words.sentences(said):
            if not told and not _SECOND_PERSON.search(sentence):
                continue
            found += [n for n in words.numbers(sentence) if not sources.has_number(n)]
            found += [a for a in _ADDRESS.findall(sentence) if not any(a.lower() in t.lower() for t in case.texts)]
            if told and case.task not in _SUMS_UP:
                found += [w for w in _counts(sentence) if w not in sources]
            names = [*self._names_in(sentence, alone=told), *_days(sentence, told=told)]
            found += [name for name in names if name not in sources]
        return tuple(dict.fromkeys(found))

    def _names_in(self, sentence: str, *, alone: bool) -> list[str]:
        """The names of a sentence, its first word included where that is one."""
        names = words.names(sentence)
        first = words.words(sentence)[:1]
        if names[:1] == first and first[0].lower() in _ORDINARY and first[0] not in self._names:
            names = names[1:]  # "Thanks, I'll …"
        return [*self._first_name(sentence, alone=alone), *names]

    def _first_name(self, sentence: str, *, alone: bool) -> list[str]:
        """The first word, where it is a name and not just the beginning of a sentence."""
        tokens = words.words(sentence)
        first = re.sub(r"'s?$", "", tokens[0]) if tokens else ""
        low = first.lower()
        if not first[:1].isupper() or low in words.FUNCTION_WORDS or words.stem(first).isdigit():
            return []
        if first in self._names:
            return [first]
        if low in self._ordinary or low in words.CALENDAR_WORDS:
            return []
        is_subject = tokens[0] != first or (len(tokens) > 1 and tokens[1].lower() in _AFTER_SUBJECT)
        return [first] if is_subject or (alone and len(tokens) == 1) else []


def holds(text: str, wanted: str) -> bool:
    """Whether ``wanted`` occurs in ``text``, ignoring case, from the start of a word on; digits are whole numbers."""
    return bool(_pattern(wanted, whole=False).search(text))


def repeats_itself(text: str) -> bool:
    """Whether a part of ``text``, between its commas and full stops, says nothing but what an earlier one said.

    A part of a single meaningful word ("Thanks.") repeats only one that is the same, word for word: not so "Tell me
    what to forget and I'll forget it."
    """
    said: list[tuple[set[str], list[str]]] = []
    for part in _PARTS.split(text):
        stems, whole = set(words.content_words(part)), words.words(part.lower())
        if any(stems <= earlier if len(stems) > 1 else stems and whole == exactly for earlier, exactly in said):
            return True
        said.append((stems, whole))
    return False


def line_key(line: str) -> str:
    """A line of an extraction as lines are compared: case, white space and the full stop do not count."""
    return _flat(line).casefold().rstrip(" .")


def _judge_extraction(case: Case, text: str, invented: tuple[str, ...], broken: bool) -> Verdict:
    wanted = {line_key(line) for line in case.lines}
    said = {line_key(line) for line in answer_lines(text)}
    found = len(wanted & said)
    return Verdict(wanted == said, invented, broken, found, len(wanted), len(said))


def _follows(text: str, case: Case) -> bool:
    return (
        all(holds(text, wanted) for wanted in case.must_all)
        and (not case.must_any or any(holds(text, wanted) for wanted in case.must_any))
        and not _says_any(text, case.must_not)
    )


def _says_any(text: str, unwanted: Iterable[str]) -> bool:
    return any(_pattern(one, whole=True).search(text) for one in unwanted)


def _would_be_kept(text: str, facts: Sequence[str]) -> bool:
    """Whether Mnemon would take the profile as it is: it says what the facts say, all of it and nothing else."""
    day = datetime.combine(TODAY, time())
    known = [Fact(i, fact, "user", "", "", None, "owner", day) for i, fact in enumerate(facts)]
    return text.endswith(".") and composition.says_only(text, known)


def _covers_fact(text: str, fact: str) -> bool:
    """Whether the words of the fact that carry meaning are all in the text."""
    return words.content(fact) - {"user", words.stem("users"), words.stem("called")} <= words.stems(text)


def _is_broken(task: Task, answer: Answer) -> bool:
    text = answer.text
    if not text.strip() or is_broken(text) or answer.stop_reason == "repeat":
        return True
    # lists and lines begin alike by nature ("The user has …"), which is no sign of a loop
    return task not in ("extraction", "list", "profile") and looks_broken(text)


def _counts(sentence: str) -> list[str]:
    """Numbers written as words, from two on."""
    written = [(w, words.stem(w)) for w in words.words(sentence) if not w[0].isdigit()]
    return [word for word, digits in written if digits.isdigit() and int(digits) > 1]


def _days(sentence: str, *, told: bool) -> list[str]:
    """Months and days of the week; in answers about the owner also "yesterday" and "tomorrow"."""
    tokens = words.words(sentence)
    found = words.calendar_words(sentence)
    if found and tokens[0] in ("May", "March") and not "".join(tokens[1:2]).isdigit():
        found = found[1:]  # "May I …", "March on …"
    return [day for day in found if day.lower() not in _RELATIVE or (told and day.lower() != "today")]


def _flat(text: str) -> str:
    return " ".join(text.replace("’", "'").split())


def _pattern(wanted: str, *, whole: bool) -> re.Pattern[str]:
    flat = _flat(wanted)
    before = r"(?<!\w)" if flat[:1].isalnum() else ""
    after = r"(?!\w)" if (whole and flat[-1:].isalnum()) else r"(?!\d)" if flat[-1:].isdigit() else ""
    return re.compile(before + re.escape(flat) + after, re.IGNORECASE)
