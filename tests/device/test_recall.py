"""Recall: the right words are among the first found, with where they come from and whether they still hold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mnemon.errors import ModelMissingError
from mnemon.memory.clauses import wants_done
from mnemon.memory.embedding import Embedder
from mnemon.memory.memory import Memory
from mnemon.memory.phrasing import is_plain_question, telling_words
from mnemon.memory.records import Message

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
EMBEDDER = Embedder()

TOLD = [
    "My dog Biscuit ate a whole block of butter.",
    "We moved into a flat on Hollin Street.",
    "I work nights on the stroke ward.",
    "The dentist is on Thursday at three.",
    "My sister Lenore lives in Winnipeg.",
    "I can't stand lilies.",
    "The wifi password is on the back of Nan's photo.",
]


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.temporary(embedder=EMBEDDER) as opened:
        yield opened


def tell(memory: Memory, *texts: str, role: str = "owner", speaker: str = "", at: datetime = START) -> list[Message]:
    talk = memory.messages.start()
    said = [
        memory.messages.add(talk.id, role, text, speaker=speaker, said_at=at)  # type: ignore[arg-type]
        for text in texts
    ]
    memory.index(*said)
    return said


def test_nothing_to_find(memory: Memory) -> None:
    assert memory.recall("Where do I live?") == []
    tell(memory, *TOLD)
    assert memory.recall("") == []
    assert memory.recall("   ") == []
    assert memory.recall("Where?", limit=0) == []
    for strange in ('"', "NEAR(a b)", "* OR -", "\x00", "'; DROP TABLE facts", "日本語", "🙂" * 50, "word " * 2000):
        memory.recall(strange)
        memory.search(strange)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is my dog called?", "Biscuit"),
        ("where do I live?", "Hollin"),
        ("What do I do for work?", "stroke ward"),
        ("When do I see the dentist?", "Thursday"),
        ("who's my relative in Canada?", "Lenore"),
        ("which flowers shouldn't be sent to me?", "lilies"),
        ("where did I jot the internet password?", "Nan"),
    ],
)
def test_told_and_asked_in_other_words(memory: Memory, question: str, answer: str) -> None:
    for text in TOLD:
        tell(memory, text)
    assert any(answer in found.text for found in memory.recall(question, limit=2))


def test_several_ask_at_once(memory: Memory) -> None:
    tell(memory, *TOLD)
    questions = ["What is my dog called?", "where do I live?", "What do I do for work?"] * 3

    def ask(question: str) -> list[str]:
        return [found.id for found in memory.recall(question)]

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(ask, questions)) == [ask(question) for question in questions]


def test_after_a_question_that_cannot_be_embedded_the_next_one_is_answered(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(embedder: Embedder, text: str) -> np.ndarray:
        raise ModelMissingError("The embedder is not there.", hint="Reinstall Mnemon.")

    tell(memory, *TOLD)
    with monkeypatch.context() as patched:
        patched.setattr(Embedder, "embed_one", refuse)
        with pytest.raises(ModelMissingError):
            memory.recall("where do I live?")
    assert memory.recall("where do I live?")


def test_the_source_is_who_and_when(memory: Memory) -> None:
    said = tell(memory, TOLD[0])[0]
    found = memory.recall("What is my dog called?")[0]
    assert (found.id, found.kind, found.text, found.valid) == (said.memory_id, "message", said.text, True)
    assert found.source is not None
    assert (found.source.message_id, found.source.said_at, found.source.role) == (said.memory_id, START, "owner")
    assert 0.2 < found.cosine <= 1
    assert 0 < found.overlap < 1
    assert found.as_dict()["source"]["id"] == said.memory_id  # type: ignore[index]


def test_answers_and_questions_are_not_recalled_but_found_by_search(memory: Memory) -> None:
    tell(memory, "Your dog is called Biscuit.", role="assistant")
    asked = tell(memory, "What is my dog called?")
    told = tell(memory, "My dog is Biscuit, isn't that sweet?")
    assert [f.id for f in memory.recall("What is my dog called?")][:1] == [told[0].memory_id]
    assert asked[0].memory_id not in {f.id for f in memory.recall("What is my dog called?")}
    found = {f.id for f in memory.search("dog called")}
    assert asked[0].memory_id in found
    assert len(found) == 3


def test_excluded_ones_make_room(memory: Memory) -> None:
    said = [m for text in TOLD for m in tell(memory, text)]
    found = memory.recall("What is my dog called?", limit=3, exclude={said[0].memory_id})
    assert len(found) == 3
    assert said[0].memory_id not in {f.id for f in found}


def test_an_answer_is_found_through_the_question_before_it(memory: Memory) -> None:
    talk = memory.messages.start()
    memory.index(
        memory.messages.add(talk.id, "assistant", "What is your favourite pudding?", said_at=START),
        memory.messages.add(talk.id, "owner", "Rhubarb crumble, no contest.", said_at=START),
    )
    for text in TOLD:
        tell(memory, text)
    assert "Rhubarb" in memory.recall("What is my favourite pudding?")[0].text


def test_whoever_is_named_speaks_first(memory: Memory) -> None:
    tell(memory, "I adopted a kitten last week.", role="other", speaker="Anna")
    tell(memory, "I adopted a kitten last month.", role="other", speaker="Ben")
    assert memory.recall("What did Ben adopt?")[0].source.speaker == "Ben"  # type: ignore[union-attr]
    assert memory.recall("What did Anna adopt?")[0].source.speaker == "Anna"  # type: ignore[union-attr]
    tell(memory, "I adopted a kitten in May.")
    assert memory.recall("What did I adopt?")[0].source.role == "owner"  # type: ignore[union-attr]


def test_said_twice_is_recalled_once(memory: Memory) -> None:
    tell(memory, "My dog is called Biscuit.")
    tell(memory, "my dog is called biscuit")
    assert len(memory.recall("dog")) == 1


def test_facts_lead_to_their_message_and_what_ended_ranks_below(memory: Memory) -> None:
    old, new = (
        tell(memory, "Just got the keys, Hollin Street!"),
        tell(memory, "Unpacked the last box. Marlow at last."),
    )
    before = memory.facts.add(
        "The user lives on Hollin Street.", attribute="home", source_id=old[0].id, origin="pattern", valid_from=START
    )
    now = memory.facts.add("The user lives in Marlow.", attribute="home", source_id=new[0].id, origin="pattern")
    memory.index_facts(before, now)
    moved = START + timedelta(days=30)
    memory.facts.end(before.id, at=moved, superseded_by=now.id, reason="moved")
    first, second = memory.recall("Where does the user live?", limit=2)
    assert (first.id, first.valid, first.facts[0].text) == (new[0].memory_id, True, "The user lives in Marlow.")
    assert (second.id, second.valid) == (old[0].memory_id, False)
    earlier = {f.id: f.valid for f in memory.recall("Where do I live?", at=START + timedelta(days=1))}
    assert earlier[old[0].memory_id]


def test_facts_written_by_hand_are_recalled_as_themselves(memory: Memory) -> None:
    tell(memory, *TOLD)
    fact = memory.facts.add("The user is allergic to penicillin.", origin="owner")
    memory.index_facts(fact)
    found = memory.recall("What medicine can I not take?", limit=3)
    assert (fact.memory_id, "fact", None) in {(f.id, f.kind, f.source) for f in found}


def test_exact_words_win_when_they_are_rare(memory: Memory) -> None:
    for i in range(60):
        tell(memory, f"Invoice {4000 + i} was paid on day {i}.")
    assert "4037" in memory.recall("Was invoice 4037 paid?")[0].text
    assert memory.recall("Was invoice 4037 paid?")[0].overlap == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("What is my dog called?", True),
        ("hey, what's my dog called", True),
        ("Thanks! And where do I live?", True),
        ("did I tell you about Anna", True),
        ("My dog is Biscuit. What do you think?", False),
        ("when I was nine we moved to Leeds", False),
        ("I wonder who that was", False),
        ("My dog is Biscuit, isn't that sweet?", False),
        ("Leo won the race, remember?", False),
        ("Anna?", True),
        ("Do you know Lenore? She is my sister.", False),
        ("", False),
        ("tell me a long story about the sea", True),
        ("please write me a poem", True),
        ("where did I put the drill\nI lent it to Marta", False),
        ("Where is it?\n\nAnd who has it?", True),
        ("give me the short version first, always", False),  # a standing order tells how they want it
        ("from now on write me in Dutch", False),
        ("What do I always forget?", True),
        ("good morning\nwhat is my dog called", False),  # in doubt a message tells
    ],
)
def test_plain_questions(text: str, plain: bool) -> None:
    assert is_plain_question(text) is plain


def test_words_that_tell_memories_apart() -> None:
    assert telling_words("What's my dog's name, the dog's?") == ["dog", "name"]


def test_a_person_asked_about_by_name_is_found_where_nobody_says_the_name(memory: Memory) -> None:
    said = tell(memory, "Hi Petra! Great to see you, Petra!", role="other", speaker="Jonas")
    said += tell(memory, "I painted the harbour at dawn.", role="other", speaker="Petra")
    found = memory.recall("What did Petra paint?", limit=2)
    assert [memory.id for memory in found] == [said[1].memory_id, said[0].memory_id]
    assert found[0].cosine - found[1].cosine > 0.2


@pytest.mark.parametrize(
    ("text", "wants"),
    [
        ("I need a dentist appointment on Friday, please.", True),
        ("Book the appointment for nine.", True),
        ("What time is it?", True),
        ("The dentist sees me on Friday at nine.", False),
        ("Please remember that my bike lock is 4417.", False),
        ("I wanted a brother and got two sisters.", False),
    ],
)
def test_what_only_wants_something_done(text: str, wants: bool) -> None:
    assert wants_done(text) is wants


def test_what_the_owner_told_goes_before_what_others_say_of_themselves(memory: Memory) -> None:
    tell(memory, "I play the piano and the guitar.", "I'd love to play an instrument.", role="other", speaker="Ines")
    tell(memory, "On Tuesdays I sit in the town orchestra with my oboe.")
    assert "oboe" in memory.recall("Which instrument do I play?", limit=1)[0].text
    found = memory.recall("Which instrument does Ines play?", limit=1)[0].source
    assert found is not None
    assert found.speaker == "Ines"


def test_what_is_told_goes_before_what_is_wanted(memory: Memory) -> None:
    tell(memory, "I need a dentist appointment that afternoon, please.")
    tell(memory, "The dentist wants to see me again on 4 May at three.")
    assert [one.text[:3] for one in memory.recall("When is my dentist appointment?", limit=2)] == ["The", "I n"]
    assert memory.search("dentist appointment", limit=1)[0].text.startswith("I need")


def test_answers_and_questions_do_not_crowd_out_what_was_told(memory: Memory) -> None:
    for number in range(100):
        tell(memory, f"Where is my spare key number {number}?")
        tell(memory, f"Your spare key number {number} may be anywhere.", role="assistant")
    tell(memory, "The one for emergencies is taped under the birdbath.")
    tell(memory, *(f"We painted fence {number}." for number in range(20)))
    assert "birdbath" in memory.recall("Where is my spare key?", limit=1)[0].text


def test_who_begins_to_speak_later_is_known_by_name(memory: Memory) -> None:
    tell(memory, "I sail on Sundays.")
    assert "sail" in memory.recall("What does Ines do on Sundays?", limit=1)[0].text
    tell(memory, "I row on Sundays.", role="other", speaker="Ines Abt")
    assert "row" in memory.recall("What does Ines do on Sundays?", limit=1)[0].text
