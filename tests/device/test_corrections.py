"""What the owner corrected is found for like questions and wins over what the model believes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mnemon.assistant import Assistant
from mnemon.errors import InputError
from mnemon.memory.corrections import sets_right
from mnemon.runtime.scripted import ScriptedModel


@pytest.fixture
def assistant(tmp_path: Path) -> Iterator[Assistant]:
    """The real built-in model."""
    with Assistant(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    "text",
    [
        "No, my sister's name is Ines, not Inez.",
        "that's wrong, I said Thursday",
        "It's Canberra, not Sydney.",
        "You got that wrong: it is the blue one.",
        "I said half past eight.",
    ],
)
def test_what_sets_an_answer_right(text: str) -> None:
    assert sets_right(text)


@pytest.mark.parametrize(
    "text",
    ["No.", "That's wrong.", "No, is it not Ines?", "Thanks, that's right.", "I live in Leeds.", "Nobody came."],
)
def test_what_sets_nothing_right(text: str) -> None:
    assert not sets_right(text)


def test_a_corrected_name_is_the_name_the_next_day(tmp_path: Path, assistant: Assistant) -> None:
    assistant.ask("My sister is called Inez.")
    assistant.wait()
    chat = assistant.chat()
    assert "Inez" in chat.send("What is my sister called?").finish().text
    chat.send("No, my sister's name is Ines, not Inez.").finish()
    assistant.wait()
    assert [f.value for f in assistant.memory.facts.list(subject="sister")] == ["Ines"]
    assistant.close()
    with Assistant(tmp_path) as reopened:
        answer = reopened.ask("What's the name of my sister?")
        assert "Ines" in answer.text.replace("not Inez", "")
        assert answer.recalled[0].corrects


def test_a_bare_correction_changes_the_fact_the_answer_was_given(assistant: Assistant) -> None:
    assistant.ask("The boiler service is on Tuesday.")
    assistant.ask("My dog is called Biscuit.")
    assistant.wait()
    chat = assistant.chat()
    chat.send("When is the boiler service?").finish()
    chat.send("That's wrong, I said Thursday.").finish()
    assistant.wait()
    assert "Thursday" in assistant.ask("When is the boiler service?").text


def test_what_the_world_is_like_is_corrected_too(tmp_path: Path) -> None:
    with Assistant(tmp_path, chat_model=ScriptedModel("It is Sydney.")) as assistant:
        chat = assistant.chat()
        chat.send("What is the capital of Australia?").finish()
        chat.send("No, the capital is Canberra, not Sydney.").finish()
        answer = assistant.ask("Which city is the capital of Australia?")
        assert answer.recalled[0].text == "No, the capital is Canberra, not Sydney."
        assert "Canberra" in answer.text
        assert "corrects" not in answer.as_dict()["recalled"][0]
        other = assistant.ask("What is the tallest mountain in Peru?")
        assert not any(memory.corrects for memory in other.recalled)


def test_an_answer_is_edited(assistant: Assistant) -> None:
    chat = assistant.chat()
    answer = chat.send("Which day is the choir?").finish()
    message = chat.correct(answer.answer_id, "The choir is on Wednesday evenings.")
    assistant.wait()
    again = assistant.ask("What day is choir?")
    assert "Wednesday" in again.text
    with pytest.raises(InputError):
        chat.correct(message.id, "The choir is on Friday.")


def test_a_correction_is_forgotten_with_its_words_or_its_question(assistant: Assistant) -> None:
    chat = assistant.chat()
    question = chat.send("Which day is the choir?").finish()
    message = chat.correct(question.answer_id, "The choir is on Wednesday evenings.")
    assert assistant.memory.corrections.find("Which day is the choir?")
    assistant.forget(message.memory_id)
    assert assistant.memory.corrections.find("Which day is the choir?") == []
