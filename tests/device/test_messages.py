"""Conversations as trees: nothing overwritten, the shown branch right, nothing lost in a crash."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from mnemon.errors import InputError, NotFoundError
from mnemon.memory.messages import Messages
from mnemon.memory.records import Message
from mnemon.memory.store import Store

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def messages() -> Iterator[Messages]:
    ticks = count()
    with Store.open(None, b"k" * 32) as store:
        yield Messages(store, lambda: START + timedelta(minutes=next(ticks)))


def texts(found: list[Message]) -> list[str]:
    return [message.text for message in found]


def test_what_is_not_there(messages: Messages) -> None:
    for ask in (
        messages.get,
        messages.siblings,
        messages.show,
        messages.conversation,
        messages.branch,
    ):
        with pytest.raises(NotFoundError):
            ask(7)
    with pytest.raises(NotFoundError):
        messages.add(7, "owner", "hello")
    one, two = messages.start(), messages.start()
    said = messages.add(one.id, "owner", "hello")
    with pytest.raises(NotFoundError):
        messages.add(two.id, "owner", "hello", parent_id=said.id)
    assert messages.branch(two.id) == []


def test_only_answers_change_their_words(messages: Messages) -> None:
    talk = messages.start()
    said = messages.add(talk.id, "owner", "My dog is called Biscuit.")
    answer = messages.add(talk.id, "assistant", "", status="generating")
    with pytest.raises(InputError, match="never changed"):
        messages.update(said.id, text="My dog is called Rex.")
    messages.update(said.id, status="complete", context="notes")
    messages.update(answer.id, text="A good name.", status="complete", recalled=["m1", "f2"], route="local")
    assert messages.get(said.id).text == "My dog is called Biscuit."
    assert messages.get(answer.id).recalled == ("m1", "f2")


def test_regenerated_and_edited_stand_beside_each_other(messages: Messages) -> None:
    talk = messages.start()
    question = messages.add(talk.id, "owner", "Q")
    first = messages.add(talk.id, "assistant", "A1")
    messages.add(talk.id, "assistant", "A2", parent_id=question.id)
    assert texts(messages.branch(talk.id)) == ["Q", "A2"]
    follow_up = messages.add(talk.id, "owner", "Q2")
    messages.show(first.id)
    assert texts(messages.branch(talk.id)) == ["Q", "A1"]
    edited = messages.add(talk.id, "owner", "Q edited", parent_id=None)
    assert texts(messages.siblings(question.id)) == ["Q", "Q edited"]
    assert texts(messages.siblings(first.id)) == ["A1", "A2"]
    assert texts(messages.branch(talk.id)) == ["Q edited"]
    messages.show(question.id)
    assert texts(messages.branch(talk.id)) == ["Q", "A2", "Q2"]
    assert messages.siblings(follow_up.id) == [follow_up]
    assert edited.parent_id is None


def test_around_stays_on_the_branch(messages: Messages) -> None:
    talk = messages.start()
    chain = [messages.add(talk.id, "owner", str(i)) for i in range(7)]
    messages.add(talk.id, "assistant", "aside", parent_id=chain[2].id)
    assert texts(messages.around(chain[4].id, 2, 1)) == ["2", "3", "4", "5"]
    assert texts(messages.around(chain[0].id, 5, 0)) == ["0"]
    assert texts(messages.around(chain[2].id, 0, 1)) == ["2", "aside"]


def test_list_and_search_of_conversations(messages: Messages) -> None:
    old = messages.start("Holidays 50% off")
    messages.add(old.id, "owner", "We sail to Harwich")
    new = messages.start("Work")
    messages.add(new.id, "owner", "the naïve plan")
    assert [c.id for c in messages.conversations()] == [new.id, old.id]
    messages.add(old.id, "owner", "and back")
    assert [c.id for c in messages.conversations()] == [old.id, new.id]
    assert [c.id for c in messages.conversations(limit=1)] == [old.id]
    assert [c.title for c in messages.conversations(matching="harw")] == ["Holidays 50% off"]
    assert [c.title for c in messages.conversations(matching="50%")] == ["Holidays 50% off"]
    assert [c.title for c in messages.conversations(matching="Naive")] == ["Work"]
    assert messages.conversations(matching="100%") == []
    for strange in ('"', "NEAR(", "a OR *", "-", "'; DROP TABLE messages; --"):
        messages.conversations(matching=strange)
    assert messages.conversation(old.id).messages == 2
    messages.rename(new.id, "Play")
    assert messages.conversation(new.id).title == "Play"


def test_a_crash_leaves_the_partial_answer_stopped(messages: Messages) -> None:
    talk = messages.start()
    messages.add(talk.id, "owner", "Q")
    answer = messages.add(talk.id, "assistant", "half of", status="generating")
    assert messages.recover() == 1
    assert messages.recover() == 0
    assert (messages.get(answer.id).status, messages.get(answer.id).text) == ("stopped", "half of")


def test_extraction_is_owed_for_the_owners_words_only(messages: Messages) -> None:
    talk = messages.start()
    mine = [messages.add(talk.id, "owner", str(i)) for i in range(3)]
    messages.add(talk.id, "assistant", "yes")
    messages.add(talk.id, "other", "hello", speaker="Anna")
    messages.mark_extracted(mine[0].id)
    assert texts(messages.pending_extraction(10)) == ["1", "2"]
    assert texts(messages.pending_extraction(1)) == ["1"]


def test_times_and_names_come_back_as_given(messages: Messages) -> None:
    talk = messages.start("t", origin="locomo", origin_ref="conv-1", created_at=START)
    said = messages.add(talk.id, "other", "Hi", speaker="Anna", said_at=START, ref="D1:1")
    assert messages.get(said.id) == said
    assert (said.said_at, said.speaker, said.ref) == (START, "Anna", "D1:1")
    found = messages.find_origin("locomo", "conv-1")
    assert found is not None
    assert found.id == talk.id
    assert messages.find_origin("locomo", "conv-2") is None
    assert messages.many([said.id, 99]) == {said.id: said}
