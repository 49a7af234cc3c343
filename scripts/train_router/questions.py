"""Questions labelled by construction: templates by kind, filled from wordlists by field.

A fifth of each kind's templates and whole fields of the wordlists are held out: a held-out question has neither a
template nor a filling that training saw, where its template has fillings at all.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
HELD_OUT = 5  # one template of so many
FILLINGS = 24
HELD_OUT_FILLINGS = 6
_SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
_CHOICE = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")
_OPENINGS = (
    "hey, ",
    "ok so ",
    "hi, ",
    "quick one: ",
    "Mnemon, ",
    "um, ",
    "and ",
    "so ",
    "please, ",
    "one more thing: ",
)
_ENDINGS = (" please", " thanks", "?", "!", "...", " :)")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the kinds it may be of: one where it is ours, several where only its hardness is known."""

    text: str
    kinds: tuple[str, ...]

    @property
    def hard(self) -> bool:
        """Whether it is too hard for a small model."""
        return self.kinds[0].startswith("hard ")


def templates() -> dict[str, list[str]]:
    """The templates of each kind, in the order of the file."""
    found: dict[str, list[str]] = {}
    for line in _lines("templates.txt"):
        if re.fullmatch(r"\[(?:hard|easy) \w+\]", line):
            kind = line[1:-1]
        else:
            found.setdefault(kind, []).append(line)
    return found


def wordlists() -> dict[str, dict[str, list[str]]]:
    """Wordlists by slot, then by field."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in _lines("words.txt"):
        if header := re.fullmatch(r"\[(\w+)\]", line):
            slot = header[1]
        else:
            field, _, entries = line.partition(": ")
            found.setdefault(slot, {})[field] = [entry.strip() for entry in entries.split(" | ")]
    return found


def made(*, held_out: bool, seed: int = 7) -> list[Question]:
    """The questions to train on, or the held-out ones; the same for the same seed."""
    chance, lists = random.Random(f"{seed} {held_out}"), wordlists()
    found = list[Question]()
    for kind, lines in templates().items():
        shuffled = random.Random(f"{seed} {kind}").sample(lines, len(lines))
        mine = shuffled[::HELD_OUT] if held_out else [line for i, line in enumerate(shuffled) if i % HELD_OUT]
        for line in mine:
            fillings = HELD_OUT_FILLINGS if held_out else FILLINGS
            texts = {_spoken(_filled(line, lists, chance, held_out=held_out), chance) for _ in range(fillings)}
            found += [Question(text, (kind,)) for text in sorted(texts)]
    return found


def _filled(line: str, lists: dict[str, dict[str, list[str]]], chance: random.Random, *, held_out: bool) -> str:
    def fill(slot: re.Match[str]) -> str:
        fields = lists[slot[1]]
        mine = [name for name in fields if name.startswith("held:") == held_out]
        # A field that the template names is taken where it may be: in held-out questions another one stands for it.
        field = slot[2] if slot[2] in mine else chance.choice(mine)
        return chance.choice(fields[field])

    while _CHOICE.search(line):
        line = _CHOICE.sub(lambda found: chance.choice(found[1].split("|")), line)
    return _SLOT.sub(fill, line)


def _spoken(text: str, chance: random.Random) -> str:
    """As people type: often without capitals or marks, with a word before or after, now and then a slip."""
    text = " ".join(text.split())
    if chance.random() < 0.12:
        text = chance.choice(_OPENINGS) + text
    if chance.random() < 0.08:
        text = text.rstrip("?.!") + chance.choice(_ENDINGS)
    if chance.random() < 0.25:
        text = text.rstrip("?.!")
    if chance.random() < 0.3:
        text = text.lower()
    if chance.random() < 0.06 and len(text) > 12:
        at = chance.randrange(1, len(text) - 2)
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text


def _lines(name: str) -> Iterator[str]:
    for line in (HERE / name).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()
