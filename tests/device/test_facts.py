"""Facts with a beginning and an end."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mnemon.errors import InputError, NotFoundError
from mnemon.memory.facts import Facts
from mnemon.memory.messages import Messages
from mnemon.memory.store import Store

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open(None, secrets.token_bytes(32)) as store:
        yield store


@pytest.fixture
def facts(store: Store) -> Facts:
    return Facts(store, lambda: NOW)


@pytest.fixture
def source(store: Store) -> int:
    messages = Messages(store)
    return messages.add(messages.start().id, "owner", "We moved to Bristol.").id


@pytest.mark.parametrize("text", ["", " \n ", "x" * 1001])
def test_a_fact_needs_words_but_not_too_many(facts: Facts, text: str) -> None:
    with pytest.raises(InputError):
        facts.add(text, origin="owner")


def test_what_was_taken_from_a_message_names_it(facts: Facts) -> None:
    with pytest.raises(InputError, match="no message"):
        facts.add("The user lives in Leeds.", origin="model")
    with pytest.raises(NotFoundError, match="m77"):
        facts.add("The user lives in Leeds.", origin="model", source_id=77)
    with pytest.raises(NotFoundError, match="f5"):
        facts.get(5)
    with pytest.raises(NotFoundError):
        facts.end(5, at=NOW)
    with pytest.raises(NotFoundError):
        facts.edit(5, "Something.")


def test_ending_and_superseding(facts: Facts, source: int) -> None:
    old = facts.add("The user lives in Leeds.", attribute="home", value="Leeds", source_id=source, origin="pattern")
    new = facts.add(
        "The user lives in Bristol.", attribute="home", value="Bristol", source_id=source, origin="pattern"
    )
    ended = facts.end(old.id, at=NOW - timedelta(days=1), superseded_by=new.id, reason="moved")
    assert ended.valid_to == ended.valid_from == NOW  # never before it began
    assert (ended.superseded_by, ended.reason) == (new.id, "moved")
    assert facts.end(old.id, at=NOW + timedelta(days=9), reason="again") == ended
    assert [fact.id for fact in facts.list()] == [new.id]
    assert [fact.id for fact in facts.list(valid_only=False)] == [new.id, old.id]
    assert facts.list(subject="dog") == []
    assert len(facts.list(valid_only=False, limit=1)) == 1
    assert [fact.id for fact in facts.of_messages([source])[source]] == [new.id, old.id]


def test_an_edit_ends_the_old_and_keeps_what_it_is_about(facts: Facts, source: int) -> None:
    old = facts.add(
        "The user's dog is called Biscit.",
        subject="Dog",
        attribute="name",
        value="Biscit",
        source_id=source,
        origin="model",
    )
    new = facts.edit(old.id, "The user's dog is called Biscuit.")
    assert (new.subject, new.attribute, new.value, new.origin, new.source_id) == (
        "dog",
        "name",
        "Biscuit",
        "owner",
        None,
    )
    assert facts.get(old.id).superseded_by == new.id
    assert facts.edit(new.id, new.text) == new
    assert facts.edit(new.id, "The user has no dog.").value == ""


def test_said_again_is_noted_once(facts: Facts, source: int, store: Store) -> None:
    messages = Messages(store)
    again = messages.add(messages.start().id, "owner", "I live in Bristol, as I said.").id
    fact = facts.add("The user lives in Bristol.", source_id=source, origin="pattern")
    for _ in range(2):
        facts.mention(fact.id, again)
        facts.mention(fact.id, source)
    assert facts.mentions([fact.id]) == {fact.id: 1}
    assert facts.of_messages([again]) == {again: [fact]}
    store.execute("DELETE FROM messages WHERE id = ?", (source,))
    assert facts.list(valid_only=False) == []
