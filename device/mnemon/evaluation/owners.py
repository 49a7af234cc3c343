"""Simulated owners: what six kinds of people would have wanted Mnemon to say, to measure how well it learns.

Nobody's words are in here: an owner is a rule (:mod:`mnemon.evaluation.styles`) applied to neutral conversations,
which come from ``owner_talks.toml`` and, where a folder of training text is named, from its dialogues too. The
conversations are split before anything is made of them, and an answer that occurs on both sides is taken out of the
training side: no held-out text is ever learned from.
"""

from __future__ import annotations

import itertools
import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from mnemon.errors import InputError
from mnemon.evaluation.held_out import ENDING, read_rows
from mnemon.evaluation.styles import STYLES, has_measure
from mnemon.learning.examples import Example
from mnemon.runtime import prompt
from mnemon.runtime.chat_model import ChatMessage

NAMES = tuple(STYLES)
TRAIN, HELD_OUT = 128, 64
"""Examples of an owner, unless asked for otherwise: what a few weeks of use would give."""

_WHEN = datetime(2026, 11, 21, 12, tzinfo=UTC)
_TOLD_SHARE = 0.5
"""Of the conversations, those that rest on something told; the others are everyday talk."""
_CORPUS_ROWS = 200
"""Rows of each file that are looked at: a beginning says enough, and unpacking a whole file takes seconds."""
_WORDS = (3, 60)
"""An answer of a corpus has at least and at most so many words; longer ones are essays, not chat."""
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Talk:
    """A neutral conversation: what is known in it, and questions with their answers."""

    name: str
    facts: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Owner:
    """One simulated owner.

    Attributes:
        name: One of :data:`NAMES`.
        train: What the owner made of the answers they were given, to learn from.
        held_out: The same of other conversations, never learned from.
        general: What has nothing to do with the owner's manner, the same for everybody; it must not get worse.
    """

    name: str
    train: list[Example]
    held_out: list[Example]
    general: list[Example]


def build(
    name: str, corpus: Path | None = None, seed: int = 0, *, train: int = TRAIN, held_out: int = HELD_OUT
) -> Owner:
    """The owner ``name`` with ``train`` and ``held_out`` examples, the same for the same arguments.

    Args:
        corpus: A folder of ``NAME.jsonl.xz`` and ``NAME.heldout.jsonl.xz`` dialogues (see
            :mod:`mnemon.evaluation.held_out`) that half of the conversations are taken from, held-out ones from the
            held-out files. None: Mnemon's own conversations alone.

    Raises:
        InputError: There is no such owner, or the folder holds no such files.
    """
    if name not in STYLES:
        raise InputError(f"There is no simulated owner {name!r}.", hint=f"Known: {', '.join(NAMES)}.")
    chance = random.Random(f"{seed} owners")  # the same conversations for every owner, so that owners can be compared
    sides = [_own_talks(chance, side) for side in ("train", "held-out")]
    if corpus is not None:
        read = [_corpus_talks(corpus, chance, held_out=side) for side in (False, True)]
        sides = [_by_turns(own, other) for own, other in zip(sides, read, strict=True)]
    unseen = list(itertools.islice(_examples(name, sides[1], frozenset()), held_out))
    taken = frozenset(text for example in unseen for text in (example.chosen, example.rejected or ""))
    return Owner(name, list(itertools.islice(_examples(name, sides[0], taken), train)), unseen, general())


def general() -> list[Example]:
    """Requests with plain prose as the answer: the fixed general set."""
    return [
        _example(f"general-{number}", (), [], row["ask"], row["text"], None)
        for number, row in enumerate(_data()["general"])
    ]


def _examples(name: str, talks: Iterator[Talk], taken: frozenset[str]) -> Iterator[Example]:
    """What the owner ``name`` would have said in ``talks``; an answer that is ``taken`` is left out."""
    style = STYLES[name]
    for talk in talks:
        before: list[ChatMessage] = []
        for question, neutral in talk.turns:
            said = style(question, neutral)
            wanted = name != "metric" or has_measure(neutral)
            if wanted and said not in taken and neutral not in taken:
                yield _example(talk.name, talk.facts, before, question, said, neutral if said != neutral else None)
            before = [*before, ChatMessage("user", question), ChatMessage("assistant", said)]


def _example(
    talk: str, facts: Sequence[str], before: Sequence[ChatMessage], question: str, chosen: str, rejected: str | None
) -> Example:
    system = prompt.system_with_notes([prompt.fact_line(fact) for fact in facts])
    return Example(
        id=f"{talk}/{len(before) // 2}",
        prompt=(ChatMessage("system", system), *before, ChatMessage("user", question)),
        chosen=chosen,
        rejected=rejected,
        kind="accepted" if rejected is None else "edited",
        conversation=talk,
        memories=(),
        at=_WHEN,
    )


# -- conversations -------------------------------------------------------------------------------------------------


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(resources.files("mnemon.evaluation").joinpath("owner_talks.toml").read_text("utf-8"))


def _own_talks(chance: random.Random, side: str) -> Iterator[Talk]:
    """Mnemon's own: each everyday talk once, on one side only, among made-up facts that never end.

    Of the ways to ask and of the words for a place, each side has its own half: what is held out was never read.
    """
    data, first = _data(), side == "train"
    talks = list(enumerate(data["talk"]))
    random.Random("talks").shuffle(talks)  # fixed, so that no seed moves a talk to the other side
    cut = len(talks) * 2 // 3
    everyday = talks[:cut] if first else talks[cut:]
    chance.shuffle(everyday)
    while True:
        if everyday and chance.random() > _TOLD_SHARE:
            number, row = everyday.pop()
            turns = tuple(zip(row["turns"][::2], row["turns"][1::2], strict=True))
            yield Talk(f"talk-{number}", (), turns)
        else:
            yield _told(data, chance, side)


def _told(data: dict[str, Any], chance: random.Random, side: str) -> Talk:
    rows = chance.sample(data["told"], chance.choice((1, 2, 2, 3)))
    facts, turns = [], []
    for row in rows:
        words: dict[str, str] = {}
        facts.append(_filled(row["fact"], data, words, chance, side))
        ask = row["ask"][0 if side == "train" else 1]
        turns.append((_filled(ask, data, words, chance, side), _filled(row["answer"], data, words, chance, side)))
    return Talk(f"told-{side}-{chance.getrandbits(40):x}", tuple(facts), tuple(turns))


def _filled(text: str, data: dict[str, Any], words: dict[str, str], chance: random.Random, side: str) -> str:
    """``text`` with a word in each place; the same word for the same place throughout one fact."""

    def word(found: re.Match[str]) -> str:
        kind = found[1]
        if kind not in words:
            among = data["values"][kind].split("|")
            words[kind] = chance.choice(among[0 if side == "train" else 1 :: 2])
        return words[kind]

    return _SLOT.sub(word, text)


def _corpus_talks(folder: Path, chance: random.Random, *, held_out: bool) -> Iterator[Talk]:
    files = sorted(folder.glob("*.jsonl.xz"))
    files = [path for path in files if path.name.endswith(ENDING) == held_out]
    if not files:
        raise InputError(f"There is no dialogue in {folder}.", hint="Name a folder with NAME.jsonl.xz files.")
    talks = [talk for path in files for talk in _file_talks(path)]
    chance.shuffle(talks)
    yield from talks


def _file_talks(path: Path) -> Iterator[Talk]:
    for number, row in enumerate(itertools.islice(read_rows(path), _CORPUS_ROWS)):
        if messages := row.get("messages"):
            pairs = [
                (asked["content"].strip(), said["content"].strip())
                for asked, said in itertools.pairwise(messages)
                if asked["role"] == "user" and said["role"] == "assistant"
            ]
            if turns := tuple(pair for pair in pairs[:2] if _is_chat(*pair)):
                yield Talk(f"{path.name.split('.')[0]}-{number}", (), turns)


def _is_chat(question: str, answer: str) -> bool:
    least, most = _WORDS
    return 0 < len(question.split()) <= most and least <= len(answer.split()) <= most and "\n" not in answer


def _by_turns(own: Iterator[Talk], other: Iterator[Talk]) -> Iterator[Talk]:
    """One of each until the other ends, then own ones."""
    for talk in other:
        yield next(own)
        yield talk
    yield from own
