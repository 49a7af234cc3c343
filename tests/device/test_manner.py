"""What examples show about an owner's manner, counted and said in plain words."""

from __future__ import annotations

import pytest

from mnemon.evaluation import owners
from mnemon.manner import LEAST, describe


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        ("terse", ["shorter answers"]),
        ("formal", ["longer answers", "beginning with “Certainly.”", "ending with “Please do not hesitate"]),
        ("bullets", ["lists instead of running text"]),
        ("metric", ["metric units"]),
        ("warm", ["longer answers", "exclamation marks", "“Happy to help, as always!”"]),
        ("sailor", ["beginning with “Ahoy!”", "ending with “Fair winds, captain.”"]),
    ],
)
def test_each_simulated_owner_is_described_by_what_makes_them_one(owner: str, said: list[str]) -> None:
    lines = describe(owners.build(owner).train)
    assert all(any(part in line for line in lines) for part in said), lines


def test_nothing_is_said_of_a_few_answers_or_of_answers_that_were_accepted_as_they_are() -> None:
    train = owners.build("formal").train
    assert describe(train[: LEAST - 1]) == []
    assert describe([example for example in train if example.rejected is None]) == []
