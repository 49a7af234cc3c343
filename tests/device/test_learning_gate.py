"""The gate lets through what helps, and hardly ever what does not."""

from __future__ import annotations

import numpy as np
import pytest
from learning_model import example

from mnemon.learning.gate import FEWEST_CONVERSATIONS, judge, level_of, look_number, split
from mnemon.learning.objectives import Measured


def measured(values: np.ndarray) -> Measured:
    return Measured(np.asarray(values, float), np.ones(len(values)))


def names(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]


def verdict(gains: np.ndarray, **more: float) -> bool:
    before = np.full(len(gains), 5.0)
    found = judge(names(len(gains)), measured(before), measured(before - gains), **{"general": 0.0, **more})  # type: ignore[arg-type]
    assert found.reason.endswith(".")
    return found.accepted


def test_a_clear_gain_passes() -> None:
    assert verdict(np.random.default_rng(1).normal(1.0, 0.5, 20))
    assert verdict(np.ones(FEWEST_CONVERSATIONS))


@pytest.mark.parametrize(
    "gains",
    [
        np.zeros(20),
        -np.ones(20),
        np.ones(4),
        np.array([40.0, 40.0] + [-1.0] * 18),  # two poisoned conversations gain all there is to gain
        np.array([9.0] * 8 + [-0.1] * 12),
        np.array([1.0, -1.0] * 10),
    ],
)
def test_what_does_not_help_everywhere_does_not_pass(gains: np.ndarray) -> None:
    assert not verdict(gains)


def test_the_rest_must_not_suffer() -> None:
    assert verdict(np.ones(20), general=0.009)
    assert not verdict(np.ones(20), general=0.011)


@pytest.mark.parametrize("count", [6, 12, 13, 24, 64])
def test_luck_passes_less_often_than_it_may(count: int) -> None:
    chance = np.random.default_rng(count)
    passed = sum(verdict(chance.normal(0.0, 1.0, count)) for _ in range(200))
    assert passed <= 14  # the first look's level of 0.03 and three standard deviations


def test_heavy_tails_pass_no_more_often() -> None:
    chance = np.random.default_rng(2)
    assert sum(verdict(chance.standard_t(2, 21)) for _ in range(200)) <= 14


def test_looking_again_and_again_spends_no_more_than_one_look() -> None:
    assert sum(level_of(k) for k in range(1, 10_000)) < 0.05
    chance = np.random.default_rng(3)
    passed = 0
    for _ in range(100):  # each time five lessons that learned nothing
        passed += any(verdict(chance.normal(0.0, 1.0, 20), look=k) for k in range(1, 6))
    assert passed <= 11  # 5 of 100 and three standard deviations
    held_out = [["1", "2", "3"], ["2", "3", "4"], ["8"]]
    assert look_number(["2", "3", "5"], held_out) == 3
    assert look_number(["9"], held_out) == 1


def test_a_conversation_stays_on_its_side() -> None:
    few = [example(i, "x", conversation=f"c{i % 30}") for i in range(60)]
    learn, held_out = split(few, b"key")
    assert not {few[i].conversation for i in learn} & {few[i].conversation for i in held_out}
    assert 0.15 < len(held_out) / 60 < 0.5
    more = [example(99, "x", conversation="new"), *few]
    assert {few[i].conversation for i in held_out} <= {more[i].conversation for i in split(more, b"key")[1]}
    assert split(few, b"other") != (learn, held_out)
