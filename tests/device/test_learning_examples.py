"""Examples are kept, replaced, and go with what they rest on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from no_embedder import NoEmbedder

from mnemon.errors import InputError
from mnemon.learning.examples import Example, Examples
from mnemon.memory.memory import Memory
from mnemon.memory.records import Message
from mnemon.runtime.chat_model import ChatMessage

WHEN = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.temporary(embedder=NoEmbedder()) as made:  # type: ignore[arg-type]
        yield made


def example(question: str = "How are you?", chosen: str = "Well.", **more: object) -> Example:
    values = Example("", (ChatMessage("user", question),), chosen, None, "edited", "c1", (), WHEN)
    return replace(values, **more)  # type: ignore[arg-type]


def say(memory: Memory, text: str) -> Message:
    said = memory.messages.add(memory.messages.start().id, "owner", text)
    memory.index(said)
    return said


def test_what_was_added_is_read_back(memory: Memory) -> None:
    examples = Examples(memory.store)
    said = say(memory, "I like short answers.")
    first = examples.add(example(rejected="I am well, thank you.", memories=(said.memory_id,)))
    second = examples.add(example("And now?", kind="asked"))
    assert examples.all() == [first, second]
    assert examples.of("asked") == [second]
    assert (first.id, first.memories, examples.count()) == ("1", (said.memory_id,), 2)


def test_a_later_word_on_the_same_answer_replaces_the_earlier_one(memory: Memory) -> None:
    examples = Examples(memory.store)
    examples.add(example(chosen="Fine."))
    examples.add(example(chosen="Made from a talk.", kind="asked"))
    examples.add(example(chosen="Elsewhere.", conversation="c2"))
    last = examples.add(example(chosen="Splendid."))
    assert {e.chosen for e in examples.all()} == {"Elsewhere.", "Splendid."}
    made = examples.add(example(chosen="Made from a talk.", kind="asked"))
    assert last in examples.all()
    assert made in examples.all()


def test_nothing_half_is_kept(memory: Memory) -> None:
    examples = Examples(memory.store)
    for wrong in (example(chosen=" "), replace(example(), prompt=()), example(memories=("c3",))):
        with pytest.raises(InputError):
            examples.add(wrong)
    assert examples.count() == 0


def test_an_example_goes_with_the_message_it_rests_on(memory: Memory) -> None:
    examples = Examples(memory.store)
    kept = examples.add(example())
    said = say(memory, "The boat is called Marigold.")
    examples.add(example("What is the boat called?", "Marigold.", memories=(said.memory_id,)))
    memory.forget(said.memory_id)
    assert examples.all() == [kept]


def test_an_example_goes_with_the_fact_it_rests_on(memory: Memory) -> None:
    examples = Examples(memory.store)
    fact = memory.facts.add(
        "The user's boat is called Marigold.", subject="boat", attribute="name", value="Marigold", origin="owner"
    )
    examples.add(example("And?", "A boat.", memories=(fact.memory_id,)))
    memory.forget(fact.memory_id)
    assert examples.count() == 0


def test_an_example_goes_when_its_answer_is_reworded(memory: Memory) -> None:
    examples = Examples(memory.store)
    said = say(memory, "Thursday.")
    examples.add(example(memories=(said.memory_id,)))
    memory.store.execute("UPDATE messages SET text = ? WHERE id = ?", ("Thursday.", said.id))
    assert examples.count() == 1
    memory.store.execute("UPDATE messages SET text = ? WHERE id = ?", ("Friday.", said.id))
    assert examples.count() == 0


def test_an_example_that_says_what_was_forgotten_goes_though_it_rests_on_other_words(memory: Memory) -> None:
    examples = Examples(memory.store)
    said = say(memory, "My doctor is called Ondine Harrowgate.")
    kept = examples.add(example())
    examples.add(example("Whom do I see on Monday?", "Dr Harrowgate."))
    memory.forget(said.memory_id)
    assert examples.all() == [kept]


def test_forgetting_everything_leaves_no_example(memory: Memory) -> None:
    Examples(memory.store).add(example())
    memory.forget_everything()
    assert Examples(memory.store).count() == 0
