"""Questions with what answers them, and what does not: the project's own text and openly licensed dialogues.

Every file of dialogues is JSON Lines, xz-compressed, ``{"source", "license", "messages": [{"role", "content"}]}``. Of
share-alike text nothing is read, so that the weights carry no more than the duty to name their sources.
"""

from __future__ import annotations

import json
import lzma
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from train_builtin.conversations.attributes import Attribute, attributes, draw
from train_builtin.conversations.values import Values

from mnemon.words import sentences

Form = Literal["plainly", "freely", "in passing", "talk"]
"""A fact in one sentence; the same among other things, with openers and slips; what is mentioned and asked for in
other words; a question of a dialogue."""

TALKS = {"synthetic-persona-chat": 12_000, "self-dialogue": 16_000, "topical-chat": 4_000, "taskmaster3": 1_500}
"""Dialogues between two people, and how many questions of each are taken at most."""
SERVICES = {
    "service_dialogues": 4_500,
    "taskmaster3": 1_500,
    "taskmaster4": 1_500,
    "instructions": 500,
    "gsm8k": 400,
    "commonsense_qa": 800,
    "smalltalk": 500,
    "smalltalk-kb": 300,
}
"""What people say to an assistant, which seldom tells anything of them, and how much of each is taken at most."""
LICENCES = ("CC-BY-4.0", "BSD-3-Clause", "CDLA-Sharing-1.0", "Apache-2.0", "MIT", "ISC")
_SERVICE_LICENCES = tuple(licence for licence in LICENCES if licence != "CDLA-Sharing-1.0")

_FACTS, _WORDINGS, _FREE = 30, 3, 45  # of each kind: facts, wordings of each, and facts told freely
_ASKS = re.compile(r"(?:what|who|where|when|which|why|how|do|did|does|is|are|was|were|have|has|can|any)\b", re.I)
_SMALL_TALK = re.compile(r"how are you|about you|and you\?", re.I)
_LONGEST = 300
_OPENERS = (
    "btw ",
    "by the way, ",
    "Oh and ",
    "So, ",
    "just so you know: ",
    "FYI ",
    "I forgot to say, ",
    "Well, ",
    "",
    "",
)
_ENDINGS = ("", " :)", ", finally", " - can you believe it", " anyway", "", "", "!")
_AS_OWNER = tuple(
    (re.compile(rf"\b{yours}\b"), mine)
    for yours, mine in (
        ("are you", "am I"),
        ("Are you", "Am I"),
        ("were you", "was I"),
        ("Were you", "Was I"),
        ("you are", "I am"),
        ("you're", "I'm"),
        ("you were", "I was"),
        ("you've", "I've"),
        ("your", "my"),
        ("Your", "My"),
        ("yours", "mine"),
        ("yourself", "myself"),
        ("[Yy]ou", "I"),
    )
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and a message that answers it.

    Attributes:
        group: The kind of fact, the message or the dialogue; others of the same group may answer it as well.
    """

    question: str
    answer: str
    group: str
    form: Form


def told(seed: int) -> Iterator[Pair]:
    """Facts of every kind of ``train_builtin``, told and asked in many wordings."""
    chance = random.Random(seed)
    values = Values(chance, "train")
    for kind in attributes():
        for _ in range(_FACTS):
            fact = draw(kind, values)
            for saying in chance.sample(kind.say, min(_WORDINGS, len(kind.say))):
                text = _capital(fact.say(saying.text)) + chance.choice((".", ".", "", "!"))
                yield Pair(fact.say(_question(kind, chance)), text, kind.key, "plainly")


def told_freely(seed: int, fillers: list[str]) -> Iterator[Pair]:
    """The same with two facts in a breath, or beside ``fillers``, with openers, small letters and typing errors."""
    chance = random.Random(seed)
    values = Values(chance, "train")
    for kind in attributes():
        for _ in range(_FREE):
            fact = draw(kind, values)
            text = fact.say(chance.choice(kind.say).text)
            how = chance.random()
            if how < 0.35:
                other = draw(chance.choice(attributes()), values)
                both = [text, other.say(chance.choice(other.attribute.say).text)]
                chance.shuffle(both)
                text = chance.choice((", and ", ". ", "; ")).join(both)
            elif how < 0.65:
                both = [text, chance.choice(fillers).rstrip(".")]
                chance.shuffle(both)
                text = ". ".join(map(_capital, both)) + "."
            text = chance.choice(_OPENERS) + text + chance.choice(_ENDINGS)
            question = fact.say(_question(kind, chance))
            if chance.random() < 0.2:
                question = _slipped(question, chance)
            yield Pair(
                question, _slipped(_capital(text) if chance.random() < 0.7 else text, chance), kind.key, "freely"
            )


def told_in_passing() -> Iterator[Pair]:
    """What nobody would look for under a kind of fact, asked for in words that it does not say (in_passing.tsv)."""
    for line in Path(__file__).with_name("in_passing.tsv").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            answer, *questions = line.split("\t")
            yield from (Pair(question, answer, answer, "in passing") for question in questions)


def talk(folder: Path, seed: int) -> Iterator[Pair]:
    """Questions of dialogues with what was answered, most of them as one would ask of oneself.

    Raises:
        FileNotFoundError: A source is not in ``folder``.
    """
    for source, most in TALKS.items():
        chance = random.Random(f"{seed}/{source}")
        found = []
        for number, said in enumerate(_dialogues(folder, source, LICENCES)):
            for (_, asked), (_, reply) in pairwise(said):
                question = sentences(asked)[-1].strip() if asked.endswith("?") else ""
                answer = " ".join(part for part in sentences(reply) if not part.rstrip().endswith("?"))
                if (
                    4 <= len(question.split()) <= 20
                    and _ASKS.match(question)
                    and not _SMALL_TALK.search(question)
                    and len(answer.split()) >= 4
                    and len(answer) <= _LONGEST
                ):
                    found.append(Pair(question, answer, f"{source}/{number}", "talk"))
        chance.shuffle(found)
        for pair in found[:most]:
            mine = chance.random() < 0.7
            yield Pair(_as_owner(pair.question), pair.answer, pair.group, "talk") if mine else pair


def said_between_people(folder: Path, seed: int) -> list[str]:
    """What people say to each other that does not ask: as many from each source as it gives questions at most."""
    return [
        text
        for source, most in TALKS.items()
        for text in _some((text for _, text in _every(folder, source, LICENCES)), most // 2, f"{seed}/{source}")
        if not text.endswith("?")
    ]


def said_to_assistants(folder: Path, seed: int) -> list[str]:
    """What people say to an assistant, a long prompt cut off."""
    found: list[str] = []
    for source, most in SERVICES.items():
        said = (text[:500] for role, text in _every(folder, source, _SERVICE_LICENCES) if role == "user")
        found += _some(said, most, f"{seed}/{source}")
    return found


def _question(kind: Attribute, chance: random.Random) -> str:
    return chance.choice(chance.choice(kind.questions).ask)


def _as_owner(question: str) -> str:
    for yours, mine in _AS_OWNER:
        question = yours.sub(mine, question)
    return question


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _slipped(text: str, chance: random.Random) -> str:
    """Some in small letters, some with a letter left out or two of them swapped."""
    if chance.random() < 0.3:
        text = text.lower()
    if chance.random() < 0.25 and len(text) > 12:
        at = chance.randrange(3, len(text) - 2)
        text = text[:at] + (text[at + 1] + text[at] + text[at + 2 :] if chance.random() < 0.5 else text[at + 1 :])
    return text


def _some(texts: Iterator[str], most: int, seed: str) -> list[str]:
    found = list(dict.fromkeys(text for text in texts if text))
    random.Random(seed).shuffle(found)
    return found[:most]


def _every(folder: Path, source: str, licences: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for said in _dialogues(folder, source, licences):
        yield from said


def _dialogues(folder: Path, source: str, licences: tuple[str, ...]) -> Iterator[list[tuple[str, str]]]:
    with lzma.open(folder / f"{source}.jsonl.xz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["license"].startswith(licences):
                yield [(said["role"], said["content"].strip()) for said in row["messages"]]
