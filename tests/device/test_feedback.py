"""What the owner does with answers is kept as examples: once, with all it rests on; never of a temporary chat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal_app import INFO, settings

from mnemon.assistant import Assistant
from mnemon.chat import Chat
from mnemon.errors import InputError
from mnemon.feedback import says_something_else
from mnemon.learning.examples import Example
from mnemon.runtime.scripted import ScriptedModel
from mnemon.settings import LearningSettings, MemorySettings, Settings


@pytest.fixture
def assistant(tmp_path: Path) -> Iterator[Assistant]:
    model = ScriptedModel(["First answer here.", "Second answer here.", "Third answer here."], info=INFO)
    with Assistant(tmp_path, settings=settings(), chat_model=model) as opened:
        yield opened


def recorded(assistant: Assistant) -> list[Example]:
    assistant.wait()
    return assistant.lessons.examples.all()


def asked(chat: Chat, text: str = "How long do I boil an egg?") -> int:
    return chat.send(text).finish().answer_id


def test_an_edited_answer_takes_the_place_of_the_old_one_and_is_learned_from(assistant: Assistant) -> None:
    chat = assistant.chat()
    answer = asked(chat)
    written = chat.rewrite(answer, "answer first.")
    assert [message.text for message in chat.messages()] == ["How long do I boil an egg?", "answer first."]
    assert [message.id for message in chat.siblings(written.id)] == [answer, written.id]
    (example,) = recorded(assistant)
    assert (example.kind, example.chosen, example.rejected) == ("edited", "answer first.", "First answer here.")
    assert example.prompt[-1].content.endswith("How long do I boil an egg?")
    assert {f"m{answer}", written.memory_id} < set(example.memories)


def test_an_edit_that_says_something_else_is_a_correction_too(assistant: Assistant) -> None:
    chat = assistant.chat()
    chat.rewrite(asked(chat, "What is the capital of Australia?"), "It is Canberra.")
    again = assistant.ask("Which city is the capital of Australia?")
    assert again.recalled[0].text == "It is Canberra."
    assert again.recalled[0].corrects


@pytest.mark.parametrize(
    ("old", "new", "other"),
    [
        ("Boil it for 8 minutes.", "8 minutes.", False),
        ("Boil it for eight minutes.", "Boil it for 8 min!", False),
        ("Boil it for 8 minutes.", "Boil it for 10 minutes.", True),
        ("Your dog is called Rex.", "It's Rex.", False),
        ("Your dog is called Rex.", "Your dog is called Bruno.", True),
        ("You meet on Monday.", "You meet on Tuesday.", True),
    ],
)
def test_another_manner_is_told_from_another_matter(old: str, new: str, other: bool) -> None:
    assert says_something_else(old, new) is other


def test_a_thumb_is_noted_turned_and_taken_back(assistant: Assistant) -> None:
    chat = assistant.chat()
    answer = asked(chat)
    assert chat.praise(answer)
    assert chat.thumbs() == {answer: "up"}
    assert [(e.kind, e.chosen, e.rejected) for e in recorded(assistant)] == [("praised", "First answer here.", None)]
    assert chat.blame(answer)
    assert chat.thumbs() == {answer: "down"}
    assert [(e.kind, e.chosen, e.rejected) for e in recorded(assistant)] == [("blamed", "", "First answer here.")]
    assert not chat.blame(answer)
    assert chat.thumbs() == {}
    assert recorded(assistant) == []


def test_the_answer_that_was_kept_after_another_was_asked_for_is_the_picked_one(assistant: Assistant) -> None:
    chat = assistant.chat()
    second = chat.regenerate(asked(chat)).finish().answer_id
    assert recorded(assistant) == []
    asked(chat, "And what about a soft one?")
    (example,) = recorded(assistant)
    assert (example.kind, example.chosen, example.rejected) == ("picked", "Second answer here.", "First answer here.")
    assert f"m{second}" in example.memories


def test_going_back_to_the_first_answer_picks_that_one(assistant: Assistant) -> None:
    chat = assistant.chat()
    first = asked(chat)
    chat.regenerate(first).finish()
    chat.show(first)
    asked(chat, "And what about a soft one?")
    (example,) = recorded(assistant)
    assert (example.chosen, example.rejected) == ("First answer here.", "Second answer here.")


@pytest.mark.parametrize("words", ["Shorter, please.", "Can you say that in metric units?", "Make it a list"])
def test_an_answer_asked_for_in_another_manner_and_kept_is_the_one_wanted_at_first(
    assistant: Assistant, words: str
) -> None:
    chat = assistant.chat()
    asked(chat)
    asked(chat, words)
    assert recorded(assistant) == []
    asked(chat, "Thanks, and rice?")
    (example,) = recorded(assistant)
    assert (example.kind, example.chosen, example.rejected) == (
        "rewritten",
        "Second answer here.",
        "First answer here.",
    )
    assert example.prompt[-1].content.endswith("How long do I boil an egg?")


def test_a_copied_answer_is_accepted_unless_the_owner_said_something_of_it(assistant: Assistant) -> None:
    chat = assistant.chat()
    answer = asked(chat)
    chat.used(answer)
    assert [example.kind for example in recorded(assistant)] == ["accepted"]
    chat.blame(answer)
    chat.used(answer)
    assert [example.kind for example in recorded(assistant)] == ["blamed"]


def test_nothing_of_a_temporary_chat_is_recorded(assistant: Assistant) -> None:
    chat = assistant.chat(temporary=True)
    answer = asked(chat)
    chat.used(answer)
    second = chat.regenerate(answer).finish().answer_id
    chat.pick(answer, second)
    chat.rewrite(answer, "answer first.")
    with pytest.raises(InputError, match="temporary"):
        chat.praise(answer)
    asked(chat, "Next?")
    assert chat.thumbs() == {}
    assert recorded(assistant) == []


def test_nothing_is_recorded_where_the_owner_does_not_want_it(tmp_path: Path) -> None:
    chosen = Settings(memory=MemorySettings(key="file"), learning=LearningSettings(record=False))
    with Assistant(
        tmp_path, settings=chosen, chat_model=ScriptedModel(["One two.", "Three four."], info=INFO)
    ) as own:
        chat = own.chat()
        answer = asked(chat)
        chat.rewrite(answer, "two.")
        with pytest.raises(InputError, match="Nothing is recorded"):
            chat.praise(answer)
        assert recorded(own) == []


def test_only_answers_can_be_praised_or_written_anew(assistant: Assistant) -> None:
    chat = assistant.chat()
    asked(chat)
    question = chat.messages()[0].id
    for act in (chat.praise, chat.blame, lambda id: chat.rewrite(id, "words")):
        with pytest.raises(InputError, match="is not an answer"):
            act(question)


def test_forgetting_anything_an_example_rests_on_takes_it_along(assistant: Assistant) -> None:
    chat = assistant.chat()
    told = chat.send("My dog is called Biscuit.").finish().question_id
    chat.rewrite(asked(chat, "How do I train a dog?"), "train it daily.")
    assert len(recorded(assistant)) == 1
    assistant.forget(f"m{told}")
    assert recorded(assistant) == []


def test_the_built_in_model_reads_an_example_as_it_read_the_question(tmp_path: Path) -> None:
    with Assistant(tmp_path, settings=settings(extract=True)) as own:
        own.ask("My dog is called Biscuit.")
        own.wait()
        chat = own.chat()
        answer = chat.send("What is my dog called?").finish()
        assert answer.route in ("local", "quoted")
        chat.rewrite(answer.answer_id, "Biscuit!")
        (example,) = own.lessons.examples.of("edited")
        assert "dog is called Biscuit" in example.prompt[0].content
        assert example.prompt[-1].content == "What is my dog called?"


def test_a_pick_counts_in_the_next_conversation_already(assistant: Assistant) -> None:
    chat = assistant.chat()
    chat.rewrite(asked(chat), "answer first.")
    assistant.ask("How do I cook rice?")
    model = assistant.model
    assert isinstance(model, ScriptedModel)
    first, second = (call.messages[0].content for call in model.calls)
    assert "preferred" not in first
    assert "Asked “How long do I boil an egg?”, they preferred “answer first.” to “First answer here.”" in second
