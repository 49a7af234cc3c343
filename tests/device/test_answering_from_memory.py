"""Questions whose answer is one fact, asked of the real built-in model."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import real_models

from mnemon.answering.prompts import _surely_read
from mnemon.assistant import Assistant
from mnemon.memory.records import Message
from mnemon.runtime.worker import LocalModel


@pytest.mark.parametrize(
    ("asked", "answer", "not_in_it"),
    [
        ("What is my name?", "Rosalind", "for sure"),
        ("What do people call me?", "Roz", "called Rosalind"),
        ("What's my name again?", "Rosalind", "for sure"),
    ],
)
def test_a_name_and_a_nickname_told_in_one_breath(tmp_path: Path, asked: str, answer: str, not_in_it: str) -> None:
    with Assistant(tmp_path) as assistant:
        assistant.ask("My name is Rosalind, but everyone calls me Roz.")
        assistant.ask("Imogen and I had a long talk about names yesterday.")
        assistant.wait()
        said = assistant.ask(asked).text
        assert answer in said
        assert not_in_it not in said


def test_a_question_of_its_own_does_not_lean_on_the_one_before(tmp_path: Path) -> None:
    with Assistant(tmp_path) as assistant:
        assistant.ask("My dog is called Biscuit.")
        assistant.wait()
        chat = assistant.chat()
        chat.send("What is my dog called?").finish()
        assert "Biscuit" not in chat.send("When was I born?").finish().text


@pytest.mark.parametrize(("said", "searches"), [("Good morning! How are you today?", 2), ("It rained today.", 2)])
def test_small_talk_is_looked_up_once_in_all_memory_and_once_in_the_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, searches: int
) -> None:
    """What may have changed since is looked for where the answer rests on it: it takes longer than the rest."""
    with Assistant(tmp_path) as assistant:
        for told in ("We moved to Leeds.", "We painted the kitchen green.", "I slept badly.", "We moved to Bristol."):
            assistant.remember(told)
        calls: list[str] = []
        recall = assistant.memory.recall

        def counted(text: str, **how: Any) -> Any:
            calls.append(text)
            return recall(text, **how)

        monkeypatch.setattr(assistant.memory, "recall", counted)
        assistant.ask(said)
        assert len(calls) == searches
        calls.clear()
        assert "Bristol" in assistant.ask("Where do we live?").text
        assert len(calls) > searches


def test_what_stands_in_the_conversation_is_noted_again_only_for_a_question_about_it(tmp_path: Path) -> None:
    spec = replace(real_models.built_in(), memory_placement="message")
    with LocalModel.load(spec, real_models.ONE_THREAD) as model, Assistant(tmp_path, chat_model=model) as assistant:
        assistant.remember("The apple trees of my neighbour Otis are in bloom.")
        chat = assistant.chat()
        for said in ("My dog is called Biscuit.", "The apple trees are in bloom.", "The apple trees look lovely."):
            chat.send(said).finish()
            assistant.wait()
        chat.send("What is my dog called?").finish()
        owners = [m for m in assistant.memory.messages.branch(chat.conversation_id) if m.role == "owner"]
        noted = [m.context for m in owners]
    assert "Otis" in noted[0], "told elsewhere"
    assert [c.count("\n") for c in noted[1:3]] == [2, 2], "the day, and no note of what stands there already"
    assert "Biscuit" in noted[3], "the question rests on it"


def test_what_may_have_left_the_window_is_noted_again() -> None:
    def message(number: int, text: str, context: str = "") -> Message:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        return Message(number, 1, None, "owner", "", text, at, context=context)

    history = [message(1, "a" * 60), message(2, "b" * 30, "c" * 30), message(3, "d" * 30)]
    assert _surely_read(history, 1000) == history
    assert _surely_read(history, 100) == history[1:]
    assert _surely_read(history, 40) == history[2:]
    assert _surely_read(history, 4) == []
