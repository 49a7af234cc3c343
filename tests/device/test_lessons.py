"""Learning as a whole: what was learned is used, compared, taken back, and goes with what it was learned from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from learned import learn
from terminal_app import INFO, settings

from mnemon.assistant import Assistant
from mnemon.chapters import sparkline
from mnemon.errors import InputError, LearningError, NotFoundError, TooFewExamplesError
from mnemon.evaluation import owners
from mnemon.learning.examples import Example
from mnemon.runtime.scripted import Call, ScriptedModel
from mnemon.settings import LearningSettings

HOUR = timedelta(hours=1)


def answer(call: Call) -> str:
    return "With what was learned." if call.adapters else "As the model came."


@pytest.fixture
def assistant(tmp_path: Path) -> Iterator[Assistant]:
    with Assistant(tmp_path, settings=settings(), chat_model=ScriptedModel(answer, info=INFO)) as opened:
        yield opened


def some(assistant: Assistant, count: int) -> list[Example]:
    return [assistant.lessons.examples.add(example) for example in owners.build("formal", train=count).train]


def test_what_was_learned_is_used_in_turns_until_it_is_taken_back(assistant: Assistant) -> None:
    assert assistant.ask("How do I cook rice?").text == "As the model came."
    number = learn(assistant, some(assistant, 3))
    assert assistant.ask("How do I cook rice?").text == "With what was learned."
    assert [(chapter.version, chapter.in_use) for chapter in assistant.lessons.chapters()] == [
        (0, False),
        (number, True),
    ]
    assistant.lessons.rollback(0)
    assert assistant.ask("How do I cook rice?").text == "As the model came."
    with pytest.raises(NotFoundError):
        assistant.lessons.rollback(number + 1)


def test_it_is_not_used_where_the_owner_does_not_want_it(tmp_path: Path) -> None:
    own = replace(settings(), learning=LearningSettings(use=False))
    with Assistant(tmp_path, settings=own, chat_model=ScriptedModel(answer, info=INFO)) as assistant:
        learn(assistant, some(assistant, 3))
        assert assistant.ask("How do I cook rice?").text == "As the model came."


def test_the_same_question_with_and_without(assistant: Assistant) -> None:
    def ask() -> str:
        return assistant.chat(temporary=True).send("How do I cook rice?").finish().text

    with pytest.raises(LearningError, match="Nothing was learned yet"):
        assistant.lessons.compare(ask)
    number = learn(assistant, some(assistant, 3))
    compared = assistant.lessons.compare(ask)
    assert (compared.version, compared.learned, compared.base) == (
        number,
        "With what was learned.",
        "As the model came.",
    )
    assert assistant.memory.stats()["messages"] == 0


def test_a_version_in_plain_words(assistant: Assistant) -> None:
    learn(assistant, some(assistant, 3))
    chapter = assistant.lessons.chapters()[-1]
    assert chapter.gain == (
        "Answers as you want them are foretold 25% better (loss 6.00 to 4.50), everything else 0.2% worse."
    )
    assert chapter.about == (
        "Learned from 3 written anew, 3 of them still there.",
        "What was tuned: vector, in 1 steps, 40 measurements and 2 min.",
    )
    assert chapter.sparkline == "█▆▃▁▁"


@pytest.mark.parametrize(("curve", "marks"), [((), 0), ((1.0,), 0), ((1.0, 1.0), 2), (tuple(range(400)), 40)])
def test_a_sparkline_is_never_longer_than_a_line(curve: tuple[float, ...], marks: int) -> None:
    assert len(sparkline(curve)) == marks


def test_forgetting_what_it_was_learned_from_puts_it_out_of_use_and_to_the_test(assistant: Assistant) -> None:
    chat = assistant.chat()
    asked = chat.send("How do I cook rice?").finish()
    chat.rewrite(asked.answer_id, "with water.")
    learn(assistant, [*assistant.lessons.examples.all(), *some(assistant, 40)])
    assert assistant.ask("How are you today, then?").text == "With what was learned."
    assistant.forget(f"m{asked.question_id}")
    assert assistant.ask("How are you today, then?").text == "As the model came."
    assistant.wait()
    assistant.lessons.close()  # waits for the test: for a model that nothing changes it helps nobody
    assert [chapter.version for chapter in assistant.lessons.chapters()] == [0]


def test_an_example_can_be_forgotten_alone(assistant: Assistant) -> None:
    examples = some(assistant, 3)
    learn(assistant, examples)
    assert assistant.lessons.forget([examples[0].id]) == 1
    assert assistant.ask("How do I cook rice?").text == "As the model came."
    with pytest.raises(InputError, match="no example"):
        assistant.lessons.forget([examples[0].id])


def test_where_learning_stands(assistant: Assistant) -> None:
    empty = assistant.lessons.standing(HOUR)
    assert (empty.new, empty.recorded) == (0, "There are no examples yet.")
    assert "0 new examples, 8 are needed" in empty.verdict.against
    learn(assistant, some(assistant, 9))
    seen = assistant.lessons.standing(HOUR)
    assert (seen.examples, seen.new) == ({"edited": 9}, 0)
    assert seen.recorded.startswith("9 examples (9 written anew), 0 of them new. They show: ")
    assert any("may begin in 12 h" in line for line in seen.verdict.against)


def test_without_enough_to_test_on_no_lesson_begins_by_itself_and_one_asked_for_says_so(assistant: Assistant) -> None:
    for example in owners.build("formal", train=9).train:
        assistant.lessons.examples.add(replace(example, conversation="c1"))
    standing = assistant.lessons.standing(HOUR)
    assert "to test on" in standing.verdict.against[0]
    with pytest.raises(TooFewExamplesError):
        assistant.lessons.hold(5)


def test_a_lesson_that_changes_nothing_is_not_used(assistant: Assistant) -> None:
    for number, example in enumerate(owners.build("formal", train=60).train):
        # sixty conversations, since a third of them at random is held out, and six are needed
        assistant.lessons.examples.add(replace(example, conversation=f"c{number}"))
    shares: list[float] = []
    outcome = assistant.lessons.hold(
        60, evaluations=4, space="vector", report=lambda progress: shares.append(progress.share)
    )
    assert not outcome.accepted
    assert shares == sorted(shares)
    assert [chapter.version for chapter in assistant.lessons.chapters()] == [0]
