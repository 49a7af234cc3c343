"""Time told by an event: the question is cut in two, and the event's day is looked up in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from mnemon.memory.events import Relative, day_of, relative, seen_from
from mnemon.memory.memory import Memory
from mnemon.memory.ranking import Weights

ASKED_ON = date(2026, 6, 1)
START = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What did I buy before the move?", Relative("What did I buy?", "the move", "before")),
        ("Before the move, what did I eat?", Relative("What did I eat?", "the move", "before")),
        ("Where did we go after Anna's wedding?", Relative("Where did we go?", "Anna's wedding", "after")),
        (
            "since I started at the library how often did I swim?",
            Relative("How often did I swim?", "I started at the library", "since"),
        ),
        ("What did I eat when I lived in Leeds?", Relative("What did I eat?", "I lived in Leeds", "during")),
        ("When did I start at the library?", None),
        ("Where did I live before?", None),
        ("What did I buy before Christmas?", None),
        ("Who called before 3 May 2025?", None),
        ("What did I say after that?", None),
        ("What do I do after work?", None),
        ("After the storm?", None),
    ],
)
def test_a_question_is_cut_at_its_event(question: str, found: Relative | None) -> None:
    assert relative(question, ASKED_ON) == found


def test_days_on_each_side_of_an_event() -> None:
    day = date(2026, 5, 3)
    assert day_of("Anna's wedding is on 3 May.", date(2026, 5, 20)) == (day, day)
    assert day_of("Anna's wedding was lovely.", day) == (day, day)
    assert day_of("We talked about the years since 2011.", day) == (day, day)  # years are no day
    assert seen_from((day, day), "before") == (date.min, date(2026, 5, 2))
    assert seen_from((day, day), "until") == (date.min, day)
    assert seen_from((day, day), "after") == (date(2026, 5, 4), date.max)
    assert seen_from((day, day), "since") == (day, date.max)
    assert seen_from((day, day), "during") == (date(2026, 4, 26), date(2026, 5, 10))


NOTES = [
    (0, "I bought a bicycle from the market."),
    (12, "We went to Norway by train."),
    (15, "I moved my savings to another bank."),
    (20, "I bought a sewing machine, finally."),
    (40, "We moved to Hollin Street yesterday, boxes everywhere."),
    (50, "I bought a garden bench for the new place."),
    (60, "Anna's wedding was lovely, I cried."),
    (70, "I started at the library on Monday."),
    (75, "We went to Crete for a week."),
    (90, "I read Middlemarch, four hundred pages so far."),
    (100, "I bought a wool coat."),
]
AT = START + timedelta(days=120)


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    with Memory.temporary() as opened:
        for day, text in NOTES:
            talk = opened.messages.start()
            said = opened.messages.add(talk.id, "owner", text, said_at=START + timedelta(days=day))
            opened.index(said)
            if "Hollin" in text:
                fact = opened.facts.add(
                    "The user lives in Hollin Street.", attribute="home", source_id=said.id, origin="pattern"
                )
                opened.index_facts(fact)
        yield opened


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What did I buy before the move?", {"bicycle", "sewing machine"}),
        ("What did I buy after the move?", {"garden bench", "wool coat"}),
        ("Where did we go after Anna's wedding?", {"Crete"}),
        ("Where did we go before Anna's wedding?", {"Norway"}),
        ("What have I read since I started at the library?", {"Middlemarch"}),
    ],
)
def test_what_was_said_on_that_side_of_the_event_comes_first(memory: Memory, question: str, first: set[str]) -> None:
    found = [one.text for one in memory.recall(question, limit=len(first), at=AT)]
    assert all(any(word in text for text in found) for word in first), found


def test_an_event_nobody_told_changes_nothing(memory: Memory) -> None:
    with_event = memory.recall("What did I buy before the earthquake?", limit=3, at=AT)
    memory.weights, usual = Weights(time=0.0), memory.weights
    try:
        assert [one.id for one in with_event] == [
            one.id for one in memory.recall("What did I buy before the earthquake?", limit=3, at=AT)
        ]
    finally:
        memory.weights = usual
