"""Which examples are learned from, what is made from past talks, and what their losses are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from learning_model import WHEN, LearningModel, example, log_probabilities, said, taste, tokens_of

from mnemon.errors import LossError
from mnemon.learning.objectives import FromScores, Measured, kind_for, texts
from mnemon.learning.selection import pairs, plausible, select
from mnemon.memory.records import Message
from mnemon.runtime.chat_model import ChatMessage


def embedded(some: Sequence[str]) -> np.ndarray:
    """Texts with the same first word of the answer mean the same."""
    vectors = np.zeros((len(some), 8), np.float32)
    for row, text in enumerate(some):
        vectors[row, tokens_of(text.splitlines()[-1])[0] % 8] = 1
    return vectors


def message(number: int, role: str, text: str, **more: object) -> Message:
    return replace(Message(number, 1, number - 1 or None, role, "", text, WHEN), **more)  # type: ignore[arg-type]


def test_all_are_taken_where_there_are_few() -> None:
    assert select([example(i, "a b") for i in range(5)], embedded, most=9) == [0, 1, 2, 3, 4]


def test_what_is_unlike_the_rest_is_worth_more_than_the_same_again() -> None:
    same = [example(i, f"{said(1)} two three {i}") for i in range(10)]
    other = example(10, f"{said(2)} five six seven")
    assert 10 in select([*same, other], embedded, most=2)


def test_what_the_owner_did_comes_before_what_was_made() -> None:
    done = [example(i, f"{said(1)} two three") for i in range(4)]
    made = [replace(one, kind="asked") for one in done]
    assert select([*made, *done], embedded, most=4) == [4, 5, 6, 7]


def test_words_that_say_something_are_worth_more_than_one_again_and_again() -> None:
    dull, rich = example(0, " ".join([said(1)] * 9)), example(1, f"{said(1)} b c d e f g h")
    assert select([dull, rich], embedded, most=1) == [1]


def test_garbage_is_left_out() -> None:
    some = [example(i, "x") for i in range(4)]
    assert plausible(some, [2.0, 3.0, 2.5, 9.0]) == [0, 1, 2]
    assert plausible([replace(one, chosen="") for one in some], [0.0] * 4) == [0, 1, 2, 3]


def test_a_past_talk_becomes_questions_with_their_answers() -> None:
    talk = [
        message(1, "owner", "How far is it?", context="Notes. "),
        message(2, "assistant", "Nine miles.", recalled=("f4",)),
        message(3, "owner", "No, it is twelve miles."),
        message(4, "assistant", "Noted."),
        message(5, "owner", "And back?"),
        message(6, "assistant", "cut off", status="stopped"),
    ]
    wrong, noted = pairs(talk, conversation="c1")
    assert (wrong.chosen, wrong.rejected, wrong.kind) == ("", "Nine miles.", "asked")
    assert wrong.memories == ("m1", "m2", "f4", "m3")
    assert wrong.prompt == (ChatMessage("user", "Notes. How far is it?"),)
    assert (noted.chosen, noted.rejected) == ("Noted.", None)
    assert [m.content for m in noted.prompt] == ["How far is it?", "Nine miles.", "No, it is twelve miles."]


def test_likelihood_is_nats_a_token() -> None:
    model, some = LearningModel(), [example(0, said(1, 2, 3)), example(1, said(4))]
    with model.scorer(texts(some)) as scorer:  # type: ignore[arg-type]
        found = FromScores(scorer, some).measure((), [1, 0])
    table = log_probabilities([0, 1, 2, 0], ())
    total = -sum(table[row, token] for row, token in enumerate((1, 2, 3, 4)))
    assert found.loss == pytest.approx(total / 4, rel=1e-6)
    assert found.weights.tolist() == [1.0, 3.0]


def test_preference_is_that_of_dpo_with_the_base_as_reference() -> None:
    model = LearningModel()
    some = [example(0, said(1), said(5, 6)), example(1, said(2)), example(2, "", said(7))]
    adapters = [(taste(4), 1.0)]
    with model.scorer(texts(some)) as scorer:  # type: ignore[arg-type]
        objective = FromScores(scorer, some, "preference")
        at_base = objective.measure((), [0, 2])
        found = objective.measure(adapters, [0, 1, 2])
    assert at_base.totals[1] == pytest.approx(math.log(2))

    def nats(active: Sequence[tuple[object, float]], *tokens: int) -> float:
        return float(sum(log_probabilities([0, *tokens[:-1]], active)[i, t] for i, t in enumerate(tokens)))  # type: ignore[arg-type]

    margin = (nats(adapters, 1) - nats((), 1)) - (nats(adapters, 5, 6) - nats((), 5, 6))
    assert found.totals[0] == pytest.approx(math.log1p(math.exp(-0.1 * margin)) - nats(adapters, 1), rel=1e-5)
    assert found.totals[1] == pytest.approx(-nats(adapters, 2), rel=1e-5)
    less = nats(adapters, 7) - nats((), 7)
    assert found.totals[2] == pytest.approx(math.log1p(math.exp(0.1 * less)), rel=1e-5)


def test_a_set_without_a_number_is_an_error_and_an_empty_one_is_nothing() -> None:
    with pytest.raises(LossError):
        _ = Measured(np.array([math.nan]), np.ones(1)).loss
    assert Measured(np.zeros(0), np.zeros(0)).loss == 0


def test_preference_is_for_those_who_mostly_say_what_they_do_not_want() -> None:
    wanted, blamed = example(0, "x"), example(1, "", "y")
    assert kind_for([wanted] * 3 + [blamed]) == "likelihood"
    assert kind_for([wanted, blamed]) == "preference"
