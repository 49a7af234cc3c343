"""The profile: a few lines, each resting on facts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from no_embedder import NoEmbedder

from mnemon.errors import InputError, ModelError, NotFoundError
from mnemon.memory.memory import Memory
from mnemon.memory.records import Fact
from mnemon.profile import Profile
from mnemon.profile.composition import says_only
from mnemon.runtime.scripted import ScriptedModel


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.temporary(embedder=NoEmbedder()) as memory:  # type: ignore[arg-type]
        yield memory


def know(memory: Memory, text: str, attribute: str, value: str, subject: str = "user") -> Fact:
    return memory.facts.add(text, subject=subject, attribute=attribute, value=value, origin="owner")


@pytest.fixture
def facts(memory: Memory) -> list[Fact]:
    return [
        know(memory, "The user lives in Bristol.", "home", "Bristol"),
        know(memory, "The user works as a nurse.", "job", "a nurse"),
        know(memory, "The user likes hiking.", "like", "hiking"),
        know(memory, "The user likes jazz.", "like", "jazz"),
        know(memory, "The user's dog is called Biscuit.", "name", "Biscuit", "dog"),
    ]


def test_bad_lines_are_refused(memory: Memory) -> None:
    profile = Profile(memory)
    for text in ("", "  ", "x" * 301):
        with pytest.raises(InputError):
            profile.add(text)
    with pytest.raises(NotFoundError):
        profile.edit(7, "Something.")
    with pytest.raises(NotFoundError):
        profile.remove(7)
    assert profile.lines() == []
    assert profile.text() == ""
    assert profile.refresh(None) == []


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "NONE",
        "I am sorry, I cannot help with that.",
        "The user lives in Paris and works as a nurse.",
        "The user lives in Bristol.",
        "The user lives in Bristol. Their as a nurse.",
        "The user works as a nurse and lives in Bristol with a cat.",
        "<think>The user lives in Bristol",
        "The user does not live in Bristol and works as a nurse.",
        ModelError("out of memory"),
    ],
)
def test_what_the_model_adds_or_leaves_out_is_thrown_away(memory: Memory, facts: list[Fact], answer: Any) -> None:
    lines = Profile(memory).refresh(ScriptedModel(answer))
    assert "The user lives in Bristol and works as a nurse." in [line.text for line in lines]
    assert "The user's dog is called Biscuit." in [line.text for line in lines]


def test_a_models_wording_is_taken_when_it_says_just_that(memory: Memory, facts: list[Fact]) -> None:
    lines = Profile(memory).refresh(ScriptedModel(lambda call: "The user is a nurse and they live in Bristol."))
    assert says_only("The user works as a nurse and they live in Bristol.", facts[:2])
    assert any("Bristol" in line.text for line in lines)


def test_lines_rest_on_their_facts(memory: Memory, facts: list[Fact]) -> None:
    profile = Profile(memory)
    lines = profile.refresh(None)
    assert [line.text for line in lines] == [
        "The user lives in Bristol and works as a nurse.",
        "The user's dog is called Biscuit.",
        "The user likes hiking and jazz.",
    ]
    assert lines[0].fact_ids == (facts[0].id, facts[1].id)
    assert profile.text() == "\n".join(line.text for line in lines)
    memory.facts.end(facts[0].id, at=datetime.now(UTC))
    assert "Bristol" not in profile.text()  # at once, before any refresh
    assert "nurse" in "\n".join(line.text for line in profile.refresh(None))
    memory.forget(facts[4].memory_id)
    assert "Biscuit" not in profile.text()
    assert not memory.store.tuples("SELECT 1 FROM profile_lines WHERE text LIKE '%Biscuit%'")


def test_unchanged_lines_are_not_written_anew(memory: Memory, facts: list[Fact]) -> None:
    model = ScriptedModel("no")
    profile = Profile(memory)
    before = profile.refresh(model)
    asked = len(model.calls)
    after = profile.refresh(model)
    assert len(model.calls) == asked
    assert [(line.text, line.updated_at) for line in before] == [(line.text, line.updated_at) for line in after]


def test_hand_edits_win_and_stay(memory: Memory, facts: list[Fact]) -> None:
    profile = Profile(memory)
    home = profile.refresh(None)[0]
    edited = profile.edit(home.id, "Lives by the harbour in Bristol.")
    assert edited.by_hand
    own = profile.add("Likes short answers.")
    for _ in range(2):
        texts = [line.text for line in profile.refresh(None)]
        assert texts.count("Lives by the harbour in Bristol.") == texts.count("Likes short answers.") == 1
        assert not any("works as a nurse" in text for text in texts)  # told by the edited line already
    profile.remove(own.id)
    assert "short answers" not in profile.text()


def test_an_edit_while_the_model_writes_is_not_doubled(memory: Memory, facts: list[Fact]) -> None:
    profile = Profile(memory)
    home = profile.refresh(None)[0]
    know(memory, "The user likes tea.", "like", "tea")

    def meanwhile(_call: object) -> str:
        profile.edit(home.id, "Lives by the harbour.")
        return "no"

    texts = [line.text for line in profile.refresh(ScriptedModel(meanwhile))]
    assert "Lives by the harbour." in texts
    assert not any("Bristol" in text for text in texts)
    assert any("tea" in text for text in texts)


def test_a_removed_line_does_not_come_back(memory: Memory, facts: list[Fact]) -> None:
    profile = Profile(memory)
    line = next(line for line in profile.refresh(None) if "Biscuit" in line.text)
    profile.remove(line.id)
    assert "Biscuit" not in "\n".join(line.text for line in profile.refresh(None))
    with pytest.raises(NotFoundError):
        profile.edit(line.id, "x")


def test_never_more_than_twelve_lines(memory: Memory) -> None:
    for number in range(120):
        know(memory, f"The user likes thing{number}.", "like", f"thing{number}")
    profile = Profile(memory)
    profile.add("Mine.")
    lines = profile.refresh(None)
    assert len(lines) == 12
    assert lines[0].text == "Mine."
    assert all(len(line.text) <= 300 for line in lines)
