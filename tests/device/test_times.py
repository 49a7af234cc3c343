"""Questions of time: a span is understood, and what was said or happened then is found first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemon.memory.embedding import Embedder
from mnemon.memory.memory import Memory
from mnemon.memory.ranking import FEATURES, Weights
from mnemon.memory.times import asked_time, bears, named

TODAY = date(2026, 11, 21)  # a Saturday
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EMBEDDER = Embedder()


@pytest.mark.parametrize(
    ("question", "first", "last"),
    [
        ("What did I do last spring?", date(2026, 3, 1), date(2026, 5, 31)),
        ("Who visited in March?", date(2026, 3, 1), date(2026, 3, 31)),
        ("Who visited in December?", date(2025, 12, 1), date(2025, 12, 31)),
        ("Where was I on 2 May 2026?", date(2026, 5, 2), date(2026, 5, 2)),
        ("Where was I on May 2nd?", date(2026, 5, 2), date(2026, 5, 2)),
        ("Where was I on 2026-05-02?", date(2026, 5, 2), date(2026, 5, 2)),
        ("Where was I on 25.5.2026?", date(2026, 5, 25), date(2026, 5, 25)),
        ("What broke yesterday?", date(2026, 11, 20), date(2026, 11, 20)),
        ("What broke two weeks ago?", date(2026, 11, 3), date(2026, 11, 11)),
        ("Where did we go in 2023?", date(2023, 1, 1), date(2023, 12, 31)),
        ("Where did we go last weekend?", date(2026, 11, 14), date(2026, 11, 15)),
        ("What did I get last Christmas?", date(2025, 12, 24), date(2025, 12, 26)),
        ("What happened in winter 2024?", date(2024, 12, 1), date(2025, 2, 28)),
        ("Where did I live before June 2023?", date.min, date(2023, 5, 31)),
        ("What did I buy since last summer?", date(2026, 6, 1), date.max),
    ],
)
def test_a_span_of_time_in_a_question(question: str, first: date, last: date) -> None:
    asked = asked_time(question, TODAY)
    assert asked is not None
    assert asked.spans == ((first, last),)


@pytest.mark.parametrize(
    "question", ["What is my dog called?", "What may I eat?", "Who will march with us?", "Do I have 12 chairs?", ""]
)
def test_a_question_without_time(question: str) -> None:
    assert asked_time(question, TODAY) is None


def test_a_day_is_seen_from_when_it_was_said() -> None:
    asked = asked_time("What broke on 4 May 2026?", TODAY)
    assert asked is not None
    assert bears(asked, "The kettle broke yesterday.", date(2026, 5, 5)) == 1
    assert bears(asked, "The kettle broke.", date(2026, 5, 4)) == 1
    assert bears(asked, "The kettle broke last year.", date(2026, 5, 4)) == 0.5
    assert bears(asked, "The kettle broke yesterday.", date(2026, 5, 9)) == 0


def test_asking_when_wants_a_time() -> None:
    asked = asked_time("When did the kettle break?", TODAY)
    assert asked is not None
    assert bears(asked, "The kettle broke yesterday.", TODAY) == 1
    assert bears(asked, "The kettle broke.", TODAY) == 0


WORDS = (
    "in on the last next two 2 31 February May 2023 9999 0000 weeks years ago before after Christmas 1/2/2024 spring"
)


@given(
    st.lists(st.sampled_from(WORDS.split())).map(" ".join) | st.text(),
    st.dates(date(1, 1, 1), date(9999, 12, 31)),
)
def test_any_text_on_any_day(text: str, day: date) -> None:
    for first, last in named(text, day):
        assert isinstance(first, date)
        assert isinstance(last, date)


NOTES = [
    ((2023, 2, 11), "Dinner with Petra at the harbour, we shared a plaice."),
    ((2023, 7, 3), "Dinner with Omar at the station buffet, soup again."),
    ((2024, 4, 20), "Dinner with Lise on the roof, it rained into the wine."),
    ((2025, 12, 25), "Dinner with my uncle, goose and far too much cabbage."),
    ((2026, 3, 9), "Dinner with Farid, he burned the rice."),
    ((2026, 11, 20), "Dinner with Nuria, tapas by the river."),
    ((2023, 5, 6), "Bought a second-hand cello."),
    ((2024, 8, 14), "Bought a red canoe from the neighbour."),
    ((2025, 6, 2), "Bought a sewing machine at the flea market."),
    ((2026, 4, 17), "Bought a wheelbarrow for the allotment."),
    ((2026, 11, 7), "Bought a lamp with a green shade."),
    ((2026, 11, 19), "Bought a kettle, the old one leaked."),
    ((2023, 9, 30), "Hiked up to the chapel with the twins."),
    ((2024, 1, 5), "Hiked along the frozen canal."),
    ((2025, 3, 22), "Hiked the ridge in fog, saw nothing."),
    ((2026, 5, 5), "Hiked to the quarry yesterday and got sunburnt."),
    ((2026, 8, 12), "Hiked the dunes barefoot."),
    ((2026, 10, 21), "Hiked round the reservoir with a borrowed dog."),
    ((2023, 11, 2), "The dentist filled a molar."),
    ((2024, 6, 18), "The dentist took an x-ray and found nothing."),
    ((2025, 10, 9), "The dentist said I grind my teeth."),
    ((2026, 2, 26), "The dentist polished everything."),
    ((2026, 7, 1), "The dentist moved to a new practice."),
    ((2026, 11, 14), "The dentist was ill, no check-up."),
    ((2023, 4, 1), "Read a novel about whalers."),
    ((2024, 10, 27), "Read a history of glass."),
    ((2025, 1, 16), "Read the memoir of a beekeeper."),
    ((2026, 6, 24), "Read poems by Szymborska."),
    ((2026, 9, 8), "Read a thriller set in Lagos."),
    ((2026, 11, 16), "Read a manual on grafting pears."),
]
ASKED = [
    ("Who did I have dinner with in 2024?", "Lise"),
    ("Who did I have dinner with last Christmas?", "uncle"),
    ("Who did I have dinner with yesterday?", "Nuria"),
    ("Who did I have dinner with last March?", "Farid"),
    ("Who did I have dinner with in summer 2023?", "Omar"),
    ("What did I buy two weeks ago?", "lamp"),
    ("What did I buy in May 2023?", "cello"),
    ("What did I buy last spring?", "wheelbarrow"),
    ("What did I buy on 14 August 2024?", "canoe"),
    ("What did I buy two days ago?", "kettle"),
    ("Where did I hike on 4 May 2026?", "quarry"),
    ("Where did I hike last summer?", "dunes"),
    ("Where did I hike last month?", "reservoir"),
    ("Where did I hike in January 2024?", "canal"),
    ("Where did I hike on 2025-03-22?", "ridge"),
    ("What did the dentist do in February?", "polished"),
    ("What did the dentist do last year?", "grind"),
    ("What did the dentist do before 2024?", "molar"),
    ("What was it with the dentist last Saturday?", "ill"),
    ("What happened to the dentist in July?", "practice"),
    ("What did I read last Monday?", "pears"),
    ("What did I read in September?", "Lagos"),
    ("What did I read on April 1st, 2023?", "whalers"),
    ("What did I read in autumn 2024?", "glass"),
]


@pytest.fixture(scope="module")
def notes() -> Iterator[Memory]:
    with Memory.temporary(embedder=EMBEDDER) as memory:
        for (year, month, day), text in NOTES:
            talk = memory.messages.start()
            at = datetime(year, month, day, 12, tzinfo=UTC)
            memory.index(memory.messages.add(talk.id, "owner", text, said_at=at))
        yield memory


def found_first(memory: Memory, weights: Weights) -> int:
    memory.weights = weights
    return sum(answer in memory.recall(question, limit=1, at=NOW)[0].text for question, answer in ASKED)


def test_notes_asked_for_by_their_time(notes: Memory) -> None:
    assert found_first(notes, replace(Weights(), time=0.0)) <= len(ASKED) // 2
    assert found_first(notes, Weights()) >= len(ASKED) - 1


def test_without_time_in_it_a_question_is_ranked_and_looked_up_as_before(notes: Memory) -> None:
    question = "Where did I hike with a borrowed dog?"
    _, found = notes.weighed(question)
    assert not found[:, FEATURES.index("time")].any()
    orders = []
    for time in (0.0, 1.0, 9.0):
        notes.weights = replace(Weights(), time=time)
        orders.append([(one.id, one.score) for one in notes.recall(question, limit=30, at=NOW)])
    assert orders[0] == orders[1] == orders[2]


def test_in_a_large_memory_what_was_said_then_is_on_the_short_list(notes: Memory) -> None:
    with Memory.temporary(embedder=EMBEDDER) as memory:
        talk = memory.messages.start()
        said = [
            memory.messages.add(
                talk.id, "owner", f"I bought thing {number}.", said_at=datetime(2024, 2, 3, tzinfo=UTC)
            )
            for number in range(600)
        ]
        then = memory.messages.add(talk.id, "owner", "Fixed the fence.", said_at=datetime(2026, 5, 2, 12, tzinfo=UTC))
        memory.index(*said, then)
        refs, found = memory.weighed("What did I buy on 2 May 2026?")
        assert then.memory_id in refs
        assert np.isclose(found[refs.index(then.memory_id), FEATURES.index("time")], 1)
