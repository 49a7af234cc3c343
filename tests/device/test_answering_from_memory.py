"""Questions whose answer is one fact, asked of the real built-in model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mnemon.assistant import Assistant


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
