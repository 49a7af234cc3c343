"""300 prompts with 1,500 private values planted in them: how many would leave, and does everything come back?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from planted import Planted, in_pieces, prompts, world

from mnemon.memory.memory import Memory
from mnemon.privacy.disguise import seen
from mnemon.privacy.folding import fold
from mnemon.privacy.guard import Guard, Outgoing

PROMPTS = 300


@pytest.fixture(scope="module")
def sent() -> Iterator[list[tuple[Planted, Outgoing]]]:
    chance = random.Random(20)
    known = world(chance)
    with Memory.temporary() as memory:
        for told in known.facts:
            memory.facts.add(told, origin="owner")
        guard = Guard(memory)
        yield [(prompt, guard.prepare(prompt.text)) for prompt in prompts(known, chance, PROMPTS)]


def leaks(value: str, outgoing: Outgoing) -> bool:
    """Whether a person could still read the value: as letters and digits, whatever stands between them."""
    return bare(value) in bare(outgoing.text)


def bare(text: str) -> str:
    return "".join(c for c in fold(seen(text).text) if c.isalnum()).removesuffix("s")


def test_known_values_do_not_leave(sent: list[tuple[Planted, Outgoing]]) -> None:
    values = [(value, outgoing) for prompt, outgoing in sent for value in prompt.known]
    left = [value for value, outgoing in values if leaks(value, outgoing)]
    assert len(values) == 750
    assert 1 - len(left) / len(values) >= 0.99, left


def test_values_of_a_known_form_do_not_leave(sent: list[tuple[Planted, Outgoing]]) -> None:
    values = [(kind, value, outgoing) for prompt, outgoing in sent for kind, value in prompt.by_form]
    left = [(kind, value) for kind, value, outgoing in values if leaks(value, outgoing)]
    assert len(values) == 750
    assert 1 - len(left) / len(values) >= 0.95, left
    asked, missed = Counter(kind for kind, _, _ in values), Counter(kind for kind, _ in left)
    assert all(1 - missed[kind] / asked[kind] >= 0.9 for kind in asked), missed


def test_everything_comes_back_exactly_also_in_pieces(sent: list[tuple[Planted, Outgoing]]) -> None:
    chance = random.Random(3)
    for prompt, outgoing in sent:
        pieces = in_pieces(outgoing.text, chance)
        assert outgoing.restorer.restore(outgoing.text) == prompt.text
        assert "".join(outgoing.restorer.stream(pieces)) == prompt.text


def test_what_is_asked_stays_readable(sent: list[tuple[Planted, Outgoing]]) -> None:
    for prompt, outgoing in sent:
        for words in ("mention", "For the form:", "agreed. Put", "please check this:", "What should I do next?"):
            assert (words in prompt.text) == (words in outgoing.text)
