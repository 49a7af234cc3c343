"""What is chosen to be forgotten: by the owner's words, by person, by words, by time and by rule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from test_index import HashingEmbedder

from mnemon import Assistant
from mnemon.answering.forget_requests import Proposal, understand
from mnemon.commands.talk import settle
from mnemon.errors import InputError, SettingsError
from mnemon.memory import selecting
from mnemon.memory.memory import Memory
from mnemon.memory.retention import Retention, parse
from mnemon.memory.store import Store
from mnemon.runtime.scripted import ScriptedModel
from mnemon.turns import ForgetProposed

TODAY = datetime(2026, 4, 2, 9, tzinfo=UTC)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(
        Store.open(tmp_path / "memory.db", b"k" * 32),
        embedder=HashingEmbedder(),  # type: ignore[arg-type]
        now=lambda: TODAY,
    ) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("forget what I told you about my diet", "my diet"),
        ("Please forget my old phone number.", "my old phone number"),
        ("can you delete everything about Priya?", "Priya"),
        ("Remove my address from your notes", "my address"),
        ("I'd like my salary deleted", "my salary"),
        ("forget that", ""),
        ("pretend I never said it", ""),
        ("That was silly. Pretend I never told you about the ring!", "the ring"),
    ],
)
def test_requests(text: str, what: str) -> None:
    request = understand(text)
    assert request is not None
    assert request.what == what
    assert not request.everything


@pytest.mark.parametrize(
    "text",
    [
        "Don't forget the milk",
        "I forgot my keys again",
        "I always forget my umbrella",
        "did you forget my birthday?",
        "How do I delete an app?",
        "I don't keep chickens",
        "never forget where you came from",
        "My bus leaves at nine",
    ],
)
def test_remarks_that_are_no_requests(text: str) -> None:
    assert understand(text) is None


def test_everything_is_not_forgotten_from_a_conversation() -> None:
    for text in ("forget everything", "Please erase all you know about me"):
        request = understand(text)
        assert request is not None
        assert request.everything


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("Priya's coming over", "Priya", True),
        ("PRIYA IS HERE", "priya", True),
        ("Priyanka is coming", "Priya", False),
        ("see you at the Ann-Marie hotel", "Ann", False),
        ("I will do it", "Will", False),
        ("ask Will about it", "will", True),
        ("I hope so", "Hope", False),
        ("Kit Sørensen rang", "kit sørensen", True),
        ("Kit rang", "Kit Sørensen", False),
    ],
)
def test_whole_names_only(text: str, name: str, found: bool) -> None:
    assert selecting.mentions(text, name) == found


def test_a_person_is_also_who_speaks_and_who_a_fact_is_about(memory: Memory) -> None:
    talk = memory.messages.start()
    one = memory.messages.add(talk.id, "owner", "my friend moved out")
    two = memory.messages.add(talk.id, "other", "hello there", speaker="Priya")
    fact = memory.facts.add("The friend moved out.", subject="friend priya", source_id=one.id, origin="pattern")
    memory.messages.add(talk.id, "other", "hi", speaker="Priyanka")
    assert selecting.by_person(memory.store, "Priya") == {two.memory_id, fact.memory_id}
    with pytest.raises(InputError):
        selecting.by_person(memory.store, " ")


@pytest.mark.parametrize("wanted", ["%", "_", '"', "*", "AND", "NEAR(", "🙂", "'; DROP TABLE messages"])
def test_odd_words_choose_nothing(memory: Memory, wanted: str) -> None:
    memory.messages.add(memory.messages.start().id, "owner", "plain words")
    assert selecting.by_words(memory.store, wanted) == set()
    assert selecting.by_person(memory.store, wanted) == set()


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("2026-03-01", date(2026, 3, 1), date(2026, 3, 2)),
        ("2025-12", date(2025, 12, 1), date(2026, 1, 1)),
        ("2025", date(2025, 1, 1), date(2026, 1, 1)),
        ("March 2026", date(2026, 3, 1), date(2026, 4, 1)),
        ("1 March 2026", date(2026, 3, 1), date(2026, 3, 2)),
        ("yesterday", date(2026, 4, 1), date(2026, 4, 2)),
        ("last month", date(2026, 3, 1), date(2026, 4, 1)),
        ("3 weeks ago", date(2026, 3, 12), date(2026, 3, 13)),
    ],
)
def test_days(text: str, first: date, after: date) -> None:
    assert selecting.days_named(text, TODAY.date()) == (first, after)


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "Smarch 2026", "0000", "99999"])
def test_no_days(text: str) -> None:
    with pytest.raises(InputError):
        selecting.days_named(text, TODAY.date())


def test_a_time_takes_what_was_said_in_it(memory: Memory) -> None:
    talk = memory.messages.start()
    said = [
        memory.messages.add(talk.id, "owner", f"day {day}", said_at=datetime(2026, 3, day, 12).astimezone())
        for day in (1, 15, 31)
    ]
    span = selecting.span("2026-03-02", "2026-03-31", None, TODAY)
    assert selecting.by_time(memory.store, span) == {m.memory_id for m in said[1:]}
    span = selecting.span(None, None, "2026-03-15", TODAY)
    assert selecting.by_time(memory.store, span) == {said[0].memory_id}
    with pytest.raises(InputError):
        selecting.span("2026-03-02", "2026-03-01", None, TODAY)


def test_an_earlier_wording_goes_with_the_one_it_was_edited_into(memory: Memory) -> None:
    talk = memory.messages.start()
    first = memory.messages.add(talk.id, "owner", "my chip is 9772 and blue")
    edited = memory.messages.add(talk.id, "owner", "my chip is 9772 and green", parent_id=None)
    other = memory.messages.add(talk.id, "owner", "something else entirely", parent_id=None)
    assert set(memory.forget(edited.memory_id).messages) == {first.id, edited.id}
    assert memory.messages.get(other.id).text == other.text


def test_rules_forget_what_is_old_and_theirs(memory: Memory) -> None:
    talk = memory.messages.start()
    old, new = TODAY - timedelta(days=91), TODAY - timedelta(days=89)
    gone = memory.messages.add(talk.id, "owner", "the doctor rang about Dario", said_at=old)
    for text, at in (("the doctor rang again", new), ("my knee is worse", old)):
        memory.messages.add(talk.id, "owner", text, said_at=at)
    rules = Retention(memory, {"topic health, doctors": 90, "imported": 1})
    assert [len(preview.gone.messages) for _, preview in rules.due()] == [1, 0]
    assert memory.holds(gone.memory_id)
    assert [(run.rule, run.messages) for run in rules.apply()] == [("topic health, doctors", 1)]
    assert not memory.holds(gone.memory_id)
    assert rules.apply() == []
    assert [run.messages for run in rules.history()] == [1]
    assert "Dario" not in str(memory.store.tuples("SELECT * FROM retention_runs"))
    assert len(memory.messages.branch(talk.id)) == 2


@pytest.mark.parametrize("text", ["health", "topic", "topic ,", "imported things", ""])
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(SettingsError):
        parse(text, 90)


def proposed(assistant: Assistant, *said: str) -> Proposal:
    chat = assistant.chat()
    for text in said[:-1]:
        chat.send(text).finish()
    assistant.wait()
    return next(event.proposal for event in chat.send(said[-1]) if isinstance(event, ForgetProposed))


def test_asked_in_a_conversation_shown_and_confirmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ScriptedModel(["Noted."] * 9)
    with Assistant(tmp_path / "home", chat_model=model, now=lambda: TODAY) as assistant:
        proposal = proposed(
            assistant, "My bus leaves at nine", "Zelda owes me 40 pounds", "forget what I said about Zelda"
        )
        assert [line.text for line in proposal.sure] == ["Zelda owes me 40 pounds"]
        assert assistant.memory.holds(proposal.sure[0].id)  # nothing goes before it is confirmed
        assert "Zelda" not in assistant.memory.messages.get(proposal.answer_id).text
        assert not settle(assistant, proposal, "What is the time?")  # no reply at all
        assert settle(assistant, proposal, "no")
        assert settle(assistant, proposal, "7 99")
        assert assistant.memory.holds(proposal.sure[0].id)
        assert settle(assistant, proposal, "Yes.")
        texts = [m.text for m in assistant.memory.messages.many(range(1, 99)).values()]
        assert not [text for text in texts if "Zelda" in text]  # the request itself is gone too
        assert "My bus leaves at nine" in texts
        assert assistant.memory.facts.list() == [f for f in assistant.memory.facts.list() if "Zelda" not in f.text]
    assert "Forgotten: 3 messages" in capsys.readouterr().out


def test_a_temporary_chat_forgets_nothing(tmp_path: Path) -> None:
    with Assistant(tmp_path / "home", chat_model=ScriptedModel(["Noted."] * 9), now=lambda: TODAY) as assistant:
        assistant.ask("Zelda owes me 40 pounds")
        events = list(assistant.chat(temporary=True).send("forget everything about Zelda"))
        assert not [event for event in events if isinstance(event, ForgetProposed)]
