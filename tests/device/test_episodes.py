"""What a talk was about: its own lines, linked to its messages, gone with the first of them that is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mnemon import words
from mnemon.assistant import Assistant
from mnemon.errors import ModelError, NotFoundError
from mnemon.memory.embedding import Embedder
from mnemon.memory.episodes import condense, talks
from mnemon.memory.memory import Memory
from mnemon.memory.records import Message
from mnemon.runtime.scripted import ScriptedModel

DAY = datetime(2026, 3, 3, 18, 30, tzinfo=UTC)
TALK = (
    "We picked up the keys to the cottage in Ludlow this morning.",
    "What should I pack first?",
    "Imogen drove the van and Biscuit was sick on the way.",
    "The boiler is a Vaillant and nobody knows how old it is.",
    "ok",
)


class Clock:
    now = DAY


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


@pytest.fixture
def memory(embedder: Embedder) -> Iterator[Memory]:
    Clock.now = DAY
    with Memory.temporary(embedder=embedder, now=lambda: Clock.now) as opened:
        yield opened


def say(memory: Memory, *texts: str, conversation: int | None = None) -> list[Message]:
    conversation = conversation or memory.messages.start().id
    said = []
    for text in texts:
        Clock.now += timedelta(minutes=1)
        said.append(memory.messages.add(conversation, "owner", text))
        said.append(memory.messages.add(conversation, "assistant", "I see."))
    memory.index(*said)
    return said


def test_an_episode_says_only_what_was_said_and_leads_back_to_it(memory: Memory) -> None:
    said = say(memory, *TALK)
    Clock.now += timedelta(hours=4)
    (episode,) = condense(memory, said[0].conversation_id)
    resting = memory.messages.many(episode.message_ids)
    assert [message.text for message in resting.values()] == [TALK[0], TALK[2], TALK[3]]
    assert words.supported(f"{episode.title} {episode.text}", " ".join(TALK))
    assert (episode.began_at, episode.ended_at) == (said[0].said_at, said[6].said_at)
    assert memory.episodes.between(since=DAY, until=DAY + timedelta(days=1)) == [episode]
    assert memory.store.tuples("SELECT length(vector) FROM vectors WHERE kind = 'episode'") == [(768,)]


def test_a_talk_that_goes_on_has_none_and_doing_it_twice_changes_nothing(memory: Memory) -> None:
    said = say(memory, *TALK)
    conversation = said[0].conversation_id
    assert memory.episodes.due() == ()
    assert condense(memory, conversation) == []
    Clock.now += timedelta(hours=4)
    assert memory.episodes.due() == (conversation,)
    assert len(condense(memory, conversation)) == 1
    assert memory.episodes.due() == ()
    assert condense(memory, conversation) == []


def test_a_later_talk_in_the_same_conversation_is_another_episode(memory: Memory) -> None:
    said = say(memory, *TALK)
    Clock.now += timedelta(days=1)
    more = say(
        memory,
        "The plumber says the boiler has to go.",
        "Dr Okafor filled two of my teeth.",
        conversation=said[0].conversation_id,
    )
    assert [len(talk) for talk in talks([*said, *more])] == [10, 4]
    Clock.now += timedelta(hours=4)
    assert len(condense(memory, said[0].conversation_id)) == 2


@pytest.mark.parametrize("texts", [("Hello!", "ok"), ("Where do I live?", "What is my name?"), ("I live in Leeds.",)])
def test_what_tells_nothing_becomes_no_episode_and_is_not_looked_at_again(
    memory: Memory, texts: tuple[str, ...]
) -> None:
    said = say(memory, *texts)
    Clock.now += timedelta(hours=4)
    assert condense(memory, said[0].conversation_id) == []
    assert memory.episodes.due() == ()


def test_forgetting_one_message_takes_the_episode_and_the_rest_is_told_anew(memory: Memory) -> None:
    said = say(memory, *TALK)
    Clock.now += timedelta(hours=4)
    (episode,) = condense(memory, said[0].conversation_id)
    assert memory.episodes.resting_on([said[4].id]) == (episode.id,)
    memory.forget(said[4].memory_id)
    with pytest.raises(NotFoundError):
        memory.episodes.get(episode.id)
    assert memory.store.tuples("SELECT 1 FROM vectors WHERE kind = 'episode'") == []
    assert memory.episodes.due() == (said[0].conversation_id,)
    (again,) = condense(memory, said[0].conversation_id)
    assert "Biscuit" not in f"{again.title} {again.text}"
    assert "Ludlow" in again.text


@pytest.mark.parametrize(
    ("answer", "origin"),
    [
        ("The user talked about the keys to the cottage in Ludlow.", "model"),
        ("The user talked about the keys to the cottage in Whitby.", "rule"),
        ("The user picked up 3 keys to the cottage in Ludlow.", "rule"),
        ("The user talked about the cottage in Ludlow and a lot", "rule"),
        (ModelError("no"), "rule"),
    ],
)
def test_a_model_words_it_only_in_words_that_were_said(memory: Memory, answer: str | Exception, origin: str) -> None:
    said = say(memory, *TALK)
    Clock.now += timedelta(hours=4)
    (episode,) = condense(memory, said[0].conversation_id, ScriptedModel([answer]))
    assert episode.origin == origin
    assert "Ludlow" in episode.text


def test_yesterdays_talk_is_an_episode_once_something_else_is_said(tmp_path: Path, embedder: Embedder) -> None:
    Clock.now = DAY
    with Assistant(tmp_path, chat_model=ScriptedModel("I see."), now=lambda: Clock.now) as assistant:
        chat = assistant.chat()
        for text in TALK:
            chat.send(text).finish()
        assistant.wait()
        assert assistant.memory.episodes.between() == []
        Clock.now += timedelta(days=1)
        assistant.ask("Good morning!")
        assistant.wait()
        (episode,) = assistant.memory.episodes.between()
        assert episode.conversation_id == chat.conversation_id
