"""Life changes told in passing, facts that may not both hold, and how strong a fact is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemon.assistant import Assistant
from mnemon.errors import InputError, NotFoundError
from mnemon.evaluation import changes as evaluation
from mnemon.memory.changes import announces, relation
from mnemon.memory.consolidation import consolidate
from mnemon.memory.embedding import Embedder
from mnemon.memory.extraction import extract
from mnemon.memory.memory import Memory
from mnemon.memory.records import Fact, Message

DAY = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


class Life:
    """Tells things to a memory, thirty days apart."""

    def __init__(self, embedder: Embedder) -> None:
        self.day = DAY
        self.memory = Memory.temporary(embedder=embedder, now=lambda: self.day)
        self.conversation = self.memory.messages.start().id

    def tell(self, text: str) -> Message:
        self.day += timedelta(days=30)
        message = self.memory.messages.add(self.conversation, "owner", text, said_at=self.day)
        self.memory.index(message)
        consolidate(self.memory, message, extract(message))
        return message

    def facts(self, message: Message) -> list[Fact]:
        return self.memory.facts.of_messages([message.id]).get(message.id, [])


@pytest.fixture
def life(embedder: Embedder) -> Life:
    return Life(embedder)


@pytest.mark.parametrize(
    "text", ["I still live in Leeds.", "I play the flute too.", "Do I work there now?", "I like the sea."]
)
def test_what_goes_on_or_is_added_or_asked_announces_no_change(text: str) -> None:
    assert not announces(text)


def test_a_change_no_rule_reads_ends_what_was_said_about_the_same_thing(life: Life) -> None:
    old = life.tell("I drive an old Corolla.")
    other = life.tell("My sister Imogen plays the cello.")
    new = life.tell("The Corolla finally died, I'm driving a Yaris now.")
    assert life.memory.changes.newer([old.id, other.id]) == {old.id: [new.id]}
    assert life.memory.changes.older([new.id]) == {new.id: [old.id]}
    (ended,) = life.facts(old)
    assert ended.valid_to == new.said_at
    assert "The Corolla finally died" in life.memory.facts.why(ended)
    assert all(fact.valid_to is None for fact in life.facts(other))


def test_a_brother_who_moves_is_still_called_so(life: Life) -> None:
    old = life.tell("My brother Aidan lives in Galway.")
    life.tell("Aidan has relocated to Rotterdam for work.")
    held = {fact.attribute: fact.valid_to is None for fact in life.facts(old)}
    assert held == {"home": False, "name": True}


def test_a_message_without_facts_is_recalled_as_changed(life: Life) -> None:
    old = life.tell("I sing in the Chapel Choir.")
    life.tell("I've left the Chapel Choir and sing with the Harbour Singers.")
    recalled = {memory.id: memory.valid for memory in life.memory.recall("Which choir do I sing in?")}
    assert recalled[old.memory_id] is False


def test_when_the_words_that_changed_it_are_forgotten_it_holds_again(life: Life) -> None:
    old = life.tell("I sing in the Chapel Choir.")
    new = life.tell("I've left the Chapel Choir and sing with the Harbour Singers.")
    life.memory.forget(new.memory_id)
    assert life.memory.changes.newer([old.id]) == {}


def test_shared_names_weigh_more_than_shared_words() -> None:
    named = relation("Petra and I split up.", "My girlfriend is called Petra.", 0.3)
    worded = relation("I moved the spare key.", "The key is new.", 0.3)
    assert named > worded > relation("I like tea.", "The key is new.", 0.3)


def test_two_birthdays_are_a_doubt_that_the_owner_settles(life: Life) -> None:
    first = life.facts(life.tell("My birthday is on 3 May."))[0]
    second = life.facts(life.tell("My birthday is on 5 May."))[0]
    (doubt,) = life.memory.doubts.open()
    assert (doubt.older.id, doubt.newer.id) == (first.id, second.id)
    with pytest.raises(InputError):
        life.memory.doubts.settle(doubt.id, holds=second.id + 1)
    life.memory.doubts.settle(doubt.id, holds=first.id)
    assert life.memory.doubts.open() == []
    assert life.memory.facts.get(second.id).valid_to is not None
    with pytest.raises(NotFoundError):
        life.memory.doubts.settle(doubt.id, holds=first.id)


def test_a_question_about_two_facts_in_doubt_shows_both(tmp_path: Path) -> None:
    with Assistant(tmp_path) as assistant:
        for text in ("My birthday is on 3 May.", "My birthday is on 5 May."):
            assistant.ask(text)
            assistant.wait()
        answer = assistant.ask("When is my birthday?").text
        assert "3 May" in answer
        assert "5 May" in answer
        assert answer.endswith("Which of the two is right?")
        assistant.ask("My birthday is on 5 May.")
        assistant.wait()
        assert "3 May" not in assistant.ask("When is my birthday?").text


def test_saying_one_of_two_again_settles_the_doubt(life: Life) -> None:
    first = life.facts(life.tell("My sister is called Ines."))[0]
    second = life.facts(life.tell("My sister is called Inez."))[0]
    assert len(life.memory.doubts.open()) == 1
    life.tell("My sister is called Ines.")
    assert life.memory.doubts.open() == []
    assert life.memory.facts.get(first.id).valid_to is None
    assert life.memory.facts.get(second.id).superseded_by == first.id


def test_different_names_are_two_sisters_and_both_may_be_right(life: Life) -> None:
    life.tell("My sister is called Ines.")
    life.tell("My sister is called Anna.")
    assert life.memory.doubts.open() == []
    life.tell("My sister is called Anne.")
    (doubt,) = life.memory.doubts.open()
    life.memory.doubts.settle(doubt.id, holds=None)
    assert life.memory.doubts.open() == []
    assert len(life.memory.facts.list()) == 3


def test_a_doubt_goes_with_a_forgotten_fact(life: Life) -> None:
    life.tell("My birthday is on 3 May.")
    life.memory.forget(life.tell("My birthday is on 5 May.").memory_id)
    assert life.memory.doubts.open() == []


@settings(max_examples=15)
@given(ages=st.lists(st.integers(0, 2000), min_size=1, max_size=6), later=st.integers(1, 1000))
def test_strength_falls_with_time_and_rises_with_every_use(ages: list[int], later: int) -> None:
    with Memory.temporary(now=lambda: DAY) as memory:
        message = memory.messages.add(memory.messages.start().id, "owner", "I live in Leeds.", said_at=DAY)
        fact = memory.facts.add("The user lives in Leeds.", source_id=message.id, origin="pattern")
        rehearsal = memory.facts.rehearsal
        before = float(rehearsal.strength([fact.id], DAY + timedelta(days=2000))[0])
        for age in ages:
            rehearsal.use([fact.id], DAY + timedelta(days=age))
            after = float(rehearsal.strength([fact.id], DAY + timedelta(days=2000))[0])
            assert before <= after < 1.0
            before = after
        assert float(rehearsal.strength([fact.id], DAY + timedelta(days=2000 + later))[0]) < before


def test_a_fact_is_learned_by_repetition_and_unknown_ones_have_no_strength(life: Life) -> None:
    fact = life.facts(life.tell("My dog is called Biscuit."))[0]
    rehearsal = life.memory.facts.rehearsal
    assert rehearsal.level(fact.id) == "working"
    assert rehearsal.level(fact.id, life.day + timedelta(days=9)) == "short-term"
    life.tell("My dog is called Biscuit.")
    rehearsal.use([fact.id, 99], life.day + timedelta(days=3))
    assert rehearsal.level(fact.id, life.day + timedelta(days=9)) == "long-term"
    assert np.array_equal(rehearsal.strength([99]), np.zeros(1, np.float32))


def test_the_present_is_told_as_present_and_the_past_as_past(tmp_path: Path, embedder: Embedder) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        '{"first": "I bank with Marlowe.", "later": "I\'ve switched from Marlowe to Castlegate.", "ask_now": "Which'
        ' bank am I with?", "now_any": ["castlegate"], "ask_before": "Which one was it before?", "before_any":'
        ' ["marlowe"]}\n'
    )
    figures = evaluation.run(rows)
    assert (figures["present"], figures["past"], figures["ended_as_present"]) == (1.0, 1.0, 0.0)


def test_an_answer_strengthens_the_fact_it_says(tmp_path: Path) -> None:
    with Assistant(tmp_path) as assistant:
        assistant.ask("My dog is called Biscuit.")
        assistant.wait()
        assistant.ask("What is my dog called?")
        assistant.wait()
        assert assistant.memory.store.tuples("SELECT count(*) FROM fact_uses")[0][0] == 1
