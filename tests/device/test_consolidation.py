"""What is told, brought together with what is known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from no_embedder import NoEmbedder

from mnemon.memory.consolidation import consolidate
from mnemon.memory.extraction import FactDraft, extract
from mnemon.memory.memory import Memory
from mnemon.memory.records import Fact

DAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


class Talk:
    """Tells things to a memory, a day apart."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.conversation = memory.messages.start()
        self.days = 0

    def tell(self, text: str, *, days: int | None = None) -> list[Fact]:
        self.days = self.days + 1 if days is None else days
        at = DAY + timedelta(days=self.days)
        message = self.memory.messages.add(self.conversation.id, "owner", text, said_at=at)
        return consolidate(self.memory, message, extract(message))

    def known(self) -> set[str]:
        return {fact.text for fact in self.memory.facts.list()}


@pytest.fixture
def talk() -> Iterator[Talk]:
    with Memory.temporary(embedder=NoEmbedder()) as memory:  # type: ignore[arg-type]
        yield Talk(memory)


def test_forgotten_does_not_return_by_extraction_but_may_be_told_anew(talk: Talk) -> None:
    fact = talk.tell("My dog is called Biscuit.")[0]
    message = talk.memory.messages.get(fact.source_id or 0)
    talk.memory.forget(fact.memory_id)
    assert consolidate(talk.memory, message, extract(message)) == []
    assert talk.known() == set()
    assert talk.tell("My dog is called Biscuit.", days=400)[0].value == "Biscuit"


def test_what_a_model_read_ends_nothing_that_was_plainly_said(talk: Talk) -> None:
    talk.tell("I work as a glazier for Prendergast and Sons.")
    known = talk.known()
    at = DAY + timedelta(days=9)
    words = "We go to the old works on Mondays."
    message = talk.memory.messages.add(talk.conversation.id, "owner", words, said_at=at)
    misread = FactDraft("The user works for The old works.", attribute="employer", value="old works", origin="model")
    assert consolidate(talk.memory, message, [misread]) == []
    assert talk.known() == known
    hobby = FactDraft("The user plays the oboe.", attribute="instrument", value="oboe", origin="model")
    assert [fact.text for fact in consolidate(talk.memory, message, [hobby])] == ["The user plays the oboe."]


def test_doing_it_twice_changes_nothing(talk: Talk) -> None:
    talk.tell("I live in Leeds.")
    talk.tell("We moved to Bristol.")
    before = talk.memory.facts.list(valid_only=False)
    for message in talk.memory.messages.branch(talk.conversation.id):
        assert consolidate(talk.memory, message, extract(message)) == []
    assert talk.memory.facts.list(valid_only=False) == before


def test_moving_ends_the_old_home_with_the_reason_kept(talk: Talk) -> None:
    old = talk.tell("I live in Leeds.")[0]
    new = talk.tell("We moved to Bristol yesterday.", days=10)[0]
    ended = talk.memory.facts.get(old.id)
    assert ended.superseded_by == new.id
    assert talk.memory.facts.why(ended) == "because on 12 March 2026 you said: “We moved to Bristol yesterday.”"
    assert ended.valid_to == new.valid_from
    assert talk.memory.facts.why(new) == ""
    assert talk.known() == {"The user lives in Bristol."}


def test_a_move_long_ago_told_later_still_wins(talk: Talk) -> None:
    talk.tell("I live in Leeds.")
    talk.tell("We moved to Bristol in 2019.")
    assert talk.known() == {"The user lives in Bristol."}


def test_an_older_message_leaves_the_present_alone(talk: Talk) -> None:
    talk.tell("I live in Bristol.", days=30)
    older = talk.tell("I live in Leeds.", days=1)[0]
    assert talk.known() == {"The user lives in Bristol."}
    assert older.valid_to == DAY + timedelta(days=30)


def test_an_indirect_move(talk: Talk) -> None:
    talk.tell("I live in a flat in Oakham.")
    talk.tell("Finally moved in last night! The cottage in Rothbury creaks like a ship.")
    assert talk.known() == {"The user lives in Rothbury."}


def test_a_new_employer_takes_the_job_told_with_the_old_one_along(talk: Talk) -> None:
    talk.tell("I work as a nurse at Seacroft.")
    talk.tell("I started at Thornbury Clinic on Monday.")
    assert talk.known() == {"The user works at Thornbury Clinic."}


@pytest.mark.parametrize(
    ("first", "later", "known"),
    [
        ("My wifi password is kelp44.", "The wifi password is now tern91.", {"The user's wifi password is tern91."}),
        ("I'm vegetarian.", "I'm vegan now.", {"The user is vegan."}),
        ("I love running.", "I hate running.", {"The user does not like running."}),
        ("I prefer tea over coffee.", "Actually I prefer coffee over tea.", {"The user prefers coffee over tea."}),
        ("My favourite film is Alien.", "My favourite film is Heat.", {"The user's favourite film is Heat."}),
        ("My boss is called Dan.", "My new boss is called Petra.", {"The user's new boss is called Petra."}),
        ("My dog is called Rex.", "My dog is called Rex.", {"The user's dog is called Rex."}),
        (
            "I'm allergic to nuts.",
            "I'm allergic to kiwi.",
            {"The user is allergic to nuts.", "The user is allergic to kiwi."},
        ),
        (
            "I have a dog called Rex.",
            "I have a dog called Pip.",
            {"The user's dog is called Rex.", "The user's dog is called Pip."},
        ),
        ("My dog is called Rex.", "Sorry, my dog is called Pip, not Rex.", {"The user's dog is called Pip."}),
        ("My dog is called Rex.", "no, it's Pip", {"The user's dog is called Pip."}),
        ("The gate code is 8841.", "Sorry, I meant 8842.", {"The user's gate code is 8842."}),
        ("My flight is on 3 May at 7:40.", "Actually it's 8:10.", {"The user's flight is on 3 May 2026 at 8:10."}),
        ("My dog is called Rex.", "no, it's 44", {"The user's dog is called Rex."}),
    ],
)
def test_later_against_first(talk: Talk, first: str, later: str, known: set[str]) -> None:
    talk.tell(first)
    talk.tell(later)
    assert talk.known() == known


@pytest.mark.parametrize(
    ("first", "later", "gone"),
    [
        ("I live in Leeds.", "I don't live in Leeds any more.", "The user lives in Leeds."),
        ("I work for Harrow Foods.", "I no longer work for Harrow Foods.", "The user works for Harrow Foods."),
        ("I work for Harrow Foods.", "I quit my job.", "The user works for Harrow Foods."),
        ("I'm vegan.", "I'm not vegan any more.", "The user is vegan."),
        ("I'm engaged to Raf.", "We broke up.", "The user is engaged to Raf."),
    ],
)
def test_what_no_longer_holds(talk: Talk, first: str, later: str, gone: str) -> None:
    talk.tell(first)
    assert gone in talk.known()
    talk.tell(later)
    assert gone not in talk.known()


def test_said_again_strengthens(talk: Talk) -> None:
    fact = talk.tell("I'm allergic to peanuts.")[0]
    assert talk.tell("Remember, I am allergic to peanuts!") == []
    assert talk.memory.facts.mentions([fact.id]) == {fact.id: 1}
    assert talk.known() == {"The user is allergic to peanuts."}


def test_facts_are_indexed(talk: Talk) -> None:
    fact = talk.tell("My dog is called Biscuit.")[0]
    assert talk.memory.store.tuples("SELECT ref FROM vectors WHERE kind = 'fact'") == [(fact.id,)]
