"""The router's questions: what is held out shares neither template nor field with what is trained on."""

from __future__ import annotations

import json

import numpy as np
from train_router import fitting, questions

from mnemon.routing.reasons import KINDS


def test_held_out_fields_and_templates_are_never_trained_on() -> None:
    trained, held_out = questions.made(held_out=False), questions.made(held_out=True)
    assert not {one.text for one in trained} & {one.text for one in held_out if len(one.text) > 40}
    lists = questions.wordlists()["topic"]
    hidden = [topic.lower() for field, topics in lists.items() if field.startswith("held:") for topic in topics]
    assert any(topic in one.text.lower() for one in held_out for topic in hidden)
    assert not any(topic in one.text.lower() for one in trained for topic in hidden)


def test_every_kind_is_trained_on_and_held_out() -> None:
    assert {kind for one in questions.made(held_out=False) for kind in one.kinds} == set(KINDS)
    assert {kind for one in questions.made(held_out=True) for kind in one.kinds} == set(KINDS)


def test_the_questions_kept_in_the_repository_are_those_that_are_made() -> None:
    kept = [json.loads(line) for line in (questions.HERE / "held_out.jsonl").read_text("utf-8").splitlines()]
    assert [row["q"] for row in kept] == [one.text for one in questions.made(held_out=True)]


def test_a_row_of_several_kinds_is_fitted_to_their_side() -> None:
    features = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    allowed = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1]], np.float32)
    hard = np.array([True, True, False])
    weights, bias = fitting.fit(features, allowed, hard, np.ones(4, np.float32), steps=120)
    scores = features @ weights.T + bias
    assert (scores[:2, :2].max(axis=1) > scores[:2, 2]).all()
    assert (scores[2:, 2] > scores[2:, :2].max(axis=1)).all()
