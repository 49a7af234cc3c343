"""Facts in the first and second person."""

from __future__ import annotations

import pytest

from mnemon.voice import as_first_person, as_second_person


@pytest.mark.parametrize(
    ("fact", "first", "second"),
    [
        ("The user's dog is called Biscuit.", "My dog is called Biscuit.", "Your dog is called Biscuit."),
        ("The user works as a nurse.", "I work as a nurse.", "You work as a nurse."),
        ("The user is allergic to peanuts.", "I am allergic to peanuts.", "You are allergic to peanuts."),
        ("The user has a cat.", "I have a cat.", "You have a cat."),
        ("The user studies law.", "I study law.", "You study law."),
        ("The user watches birds.", "I watch birds.", "You watch birds."),
        (
            "The user no longer lives with their sister.",
            "I no longer live with my sister.",
            "You no longer live with your sister.",
        ),
        ("Anna is the user's sister.", "Anna is my sister.", "Anna is your sister."),
    ],
)
def test_a_fact_is_said_in_the_first_and_in_the_second_person(fact: str, first: str, second: str) -> None:
    assert as_first_person(fact) == first
    assert as_second_person(fact) == second
