"""The vector of a question about what the owner told is turned towards those of what answers it; all else stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from mnemon.memory.embedding import Embedder
from mnemon.memory.memory import Memory
from mnemon.memory.records import Recalled
from mnemon.memory.towards_answers import asks_something, turned

EMBEDDER = Embedder()
SAID = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.temporary(embedder=EMBEDDER) as opened:
        yield opened


def tell(memory: Memory, *texts: str, speaker: str = "") -> None:
    for text in texts:
        talk = memory.messages.start()
        role = "other" if speaker else "owner"
        memory.index(memory.messages.add(talk.id, role, text, speaker=speaker, said_at=SAID))


def found(memory: Memory, question: str, share: float) -> dict[str, Recalled]:
    memory.weights = replace(memory.weights, towards_answer=share)
    return {one.text: one for one in memory.recall(question, limit=10)}


def test_a_share_of_nothing_leaves_the_vector_and_all_of_it_keeps_its_length() -> None:
    meaning = EMBEDDER.embed_one("Where do I keep the ladder?")
    assert (turned(meaning, 0.0) == meaning).all()
    assert np.linalg.norm(turned(meaning, 1.0)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("question", "answer", "other"),
    [
        ("What instrument do I play?", "I practise the oboe every day.", "I like instruments of all kinds."),
        ("Where is my trip to?", "In June I'm off to Lisbon.", "The trip took us all day."),
    ],
)
def test_what_was_told_in_other_words_goes_before_what_shares_the_question_s(
    memory: Memory, question: str, answer: str, other: str
) -> None:
    tell(memory, answer, other)
    assert list(found(memory, question, 0.0)) == [other, answer]
    assert list(found(memory, question, 1.0)) == [answer, other]


def test_how_near_a_memory_is_said_of_the_question_as_asked(memory: Memory) -> None:
    tell(memory, "I've been restoring old violins for ten years.", "We painted the fence.")
    question = "What do I do for a living?"
    plain, after = found(memory, question, 0.0), found(memory, question, 1.0)
    for text, one in plain.items():
        assert after[text].cosine == pytest.approx(one.cosine, abs=1e-6)
        assert after[text].score != one.score


@pytest.mark.parametrize("words", ["violins", "I have a new violin.", "What does Ines do for a living?"])
def test_what_is_no_question_or_asks_for_others_is_looked_up_as_it_is(memory: Memory, words: str) -> None:
    tell(memory, "I've been restoring old violins for ten years.")
    tell(memory, "I bake bread for a living.", speaker="Ines")
    plain, after = found(memory, words, 0.0), found(memory, words, 1.0)
    assert {text: one.score for text, one in plain.items()} == {text: one.score for text, one in after.items()}


def test_what_counts_as_a_question() -> None:
    assert asks_something("what's my dog called")
    assert asks_something("Where did I put the ladder?")
    assert not asks_something("dentist appointment")
    assert not asks_something("My dog is called Biscuit.")
