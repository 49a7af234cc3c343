"""One turn of conversation, with a scripted model on a real encrypted memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mnemon import (
    Assistant,
    Delta,
    InputError,
    MemoriesRecalled,
    MnemonError,
    ModelError,
    NotFoundError,
    TurnFinished,
    TurnStarted,
)
from mnemon.memory.forgetting import FORGOTTEN_ANSWER
from mnemon.runtime.scripted import Call, Scripted, ScriptedModel

Open = Callable[..., Assistant]
TODAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def open_assistant(tmp_path: Path) -> Open:
    def open_it(*lines: object, now: datetime = TODAY, **options: object) -> Assistant:
        return Assistant(tmp_path / "home", chat_model=ScriptedModel(list(lines)), now=lambda: now, **options)

    return open_it


def test_told_today_and_asked_tomorrow(open_assistant: Open) -> None:
    with open_assistant("Lovely name!") as assistant:
        assistant.ask("My dog is called Biscuit.")
    with open_assistant("Your dog is called Biscuit.", now=TODAY + timedelta(days=1)) as assistant:
        answer = assistant.ask("What is my dog called?")
    assert answer.text == "Your dog is called Biscuit."
    assert answer.route == "local"
    assert answer.recalled[0].source is not None
    assert answer.recalled[0].source.text == "My dog is called Biscuit."


def test_a_wrong_name_is_replaced_by_the_owners_own_words(open_assistant: Open) -> None:
    with open_assistant("Nice.", "Your dog is called Rex.", now=TODAY) as assistant:
        assistant.ask("My dog is called Biscuit.")
        answer = assistant.ask("What is my dog called?")
    assert answer.text == "You told me today: “My dog is called Biscuit”."
    assert answer.route == "quoted"
    assert "Rex" in answer.reason


def test_what_was_never_told_is_not_known(open_assistant: Open) -> None:
    with open_assistant("You were born in 1980.") as assistant:
        answer = assistant.ask("When was I born?")
    assert answer.route == "unknown"
    assert "don't know" in answer.text


def test_events_come_in_order_and_the_words_are_saved_first(open_assistant: Open) -> None:
    with open_assistant("Hello there. How are you?") as assistant:
        chat = assistant.chat()
        turn = chat.send("hello!")
        assert [m.text for m in chat.messages()] == ["hello!"]
        events = list(turn)
        assert isinstance(events[0], TurnStarted)
        assert isinstance(events[1], MemoriesRecalled)
        assert isinstance(events[-1], TurnFinished)
        assert "".join(e.text for e in events if isinstance(e, Delta)) == events[-1].answer.text
        assert [m.status for m in chat.messages()] == ["complete", "complete"]


def test_a_failing_model_loses_nothing_and_can_be_asked_again(open_assistant: Open) -> None:
    with open_assistant(Scripted("Well, bees ", fail=ModelError("The model broke.")), "Bees dance.") as assistant:
        chat = assistant.chat()
        with pytest.raises(ModelError):
            chat.send("tell me about bees").finish()
        assert [m.status for m in chat.messages()][-1] == "failed"
        turn = chat.retry()
        assert turn is not None
        assert turn.finish().text == "Bees dance."
        assert chat.retry() is None


def test_stopping_keeps_what_was_said(open_assistant: Open, tmp_path: Path) -> None:
    model = ScriptedModel(["Bees dance in the hive. " * 200], delay=0.01)
    with Assistant(tmp_path / "home", chat_model=model) as assistant:
        chat = assistant.chat()
        turn = chat.send("tell me about bees")
        for event in turn:
            if isinstance(event, Delta):
                threading.Thread(target=turn.stop).start()
            if isinstance(event, TurnFinished):
                assert event.answer.status == "stopped"
                assert event.answer.text.startswith("Bees dance")
        assert chat.messages()[-1].text.startswith("Bees dance")


def test_leaving_the_loop_stops_the_answer(open_assistant: Open) -> None:
    with open_assistant("One thing. Another thing. A third thing.") as assistant:
        chat = assistant.chat()
        for event in chat.send("tell me things"):
            if isinstance(event, Delta):
                break
        del event
        assert chat.messages()[-1].status == "stopped"


def test_another_answer_and_another_wording_stand_beside_the_first(open_assistant: Open) -> None:
    with open_assistant("First thing.", "Second thing.", "Third thing.") as assistant:
        chat = assistant.chat()
        first = chat.send("say a thing").finish()
        second = chat.regenerate(first.answer_id).finish()
        assert [m.text for m in chat.siblings(second.answer_id)] == ["First thing.", "Second thing."]
        third = chat.edit(first.question_id, "say another thing").finish()
        assert [m.text for m in chat.siblings(third.question_id)] == ["say a thing", "say another thing"]
        assert [m.text for m in chat.messages()] == ["say another thing", "Third thing."]
        chat.show(first.question_id)
        assert [m.text for m in chat.messages()] == ["say a thing", "Second thing."]


def test_a_conversation_in_which_nothing_is_said_leaves_nothing_behind(open_assistant: Open) -> None:
    with open_assistant("Ok.") as assistant:
        chat = assistant.chat()
        for text, where in (("", "auto"), ("Hello", "cloud")):
            with pytest.raises(MnemonError):
                chat.send(text, where)
        assert (chat.title, chat.messages(), chat.retry()) == ("", [], None)
        assert assistant.memory.messages.conversations() == []
        chat.send("Hello").finish()
        (kept,) = assistant.memory.messages.conversations()
        assert kept.id == chat.conversation_id


def test_an_edited_message_no_longer_counts(open_assistant: Open) -> None:
    with open_assistant("Ok.", "Ok.") as assistant:
        chat = assistant.chat()
        first = chat.send("My dog is called Biscit.").finish()
        assistant.wait()
        chat.edit(first.question_id, "My dog is called Biscuit.").finish()
        assistant.wait()
        assert [f.value for f in assistant.memory.facts.list()] == ["Biscuit"]


def test_words_taken_back_before_facts_were_taken_from_them_give_none(open_assistant: Open) -> None:
    with open_assistant("Ok.") as assistant:
        chat = assistant.chat()
        said = assistant.memory.messages.add(chat.conversation_id, "owner", "My dog is called Biscit.")
        chat.edit(said.id, "My dog is called Biscuit.").finish()
        assistant.catch_up()
        assert assistant.wait(10)
        assert [f.value for f in assistant.memory.facts.list()] == ["Biscuit"]


def test_an_edit_does_not_end_what_another_message_says_too(open_assistant: Open) -> None:
    with open_assistant("Ok.", "Ok.", "Ok.") as assistant:
        chat = assistant.chat()
        chat.send("My dog is called Biscuit.").finish()
        again = chat.send("My dog is called Biscuit.").finish()
        assert assistant.wait(10)
        chat.edit(again.question_id, "I live in Oslo.").finish()
        assert assistant.wait(10)
        assert {f.value for f in assistant.memory.facts.list()} == {"Biscuit", "Oslo"}


def test_what_was_left_open_is_caught_up_with(open_assistant: Open) -> None:
    with open_assistant() as assistant:
        chat = assistant.chat()
        assistant.memory.messages.add(chat.conversation_id, "owner", "I'm allergic to peanuts.")
        assistant.memory.messages.add(chat.conversation_id, "owner", "I live in Oslo.")
    with open_assistant() as assistant:
        assistant.catch_up()
        assert assistant.wait(10)
        assert {f.value for f in assistant.memory.facts.list()} == {"peanuts", "Oslo"}
        assert "Oslo" in assistant.profile.text()
        assert assistant.memory.messages.pending_extraction() == []


@pytest.mark.parametrize(("count", "asked"), [(2, True), (51, False)])
def test_a_large_import_is_caught_up_with_by_the_patterns_alone(tmp_path: Path, count: int, asked: bool) -> None:
    model = ScriptedModel("NONE")
    with Assistant(tmp_path / "home", chat_model=model) as assistant:
        chat = assistant.chat()
        for number in range(count):
            text = f"My locker code is {number}."
            assistant.memory.messages.add(chat.conversation_id, "owner", text)
        assistant.catch_up()
        assert assistant.wait(30)
        assert assistant.memory.messages.pending_extraction() == []
        assert any(call.grammar for call in model.calls) == asked


def test_waiting_and_closing_include_the_profile(open_assistant: Open) -> None:
    with open_assistant("Ok.", "Ok.") as assistant:
        assistant.ask("I live in Oslo.")
        assert assistant.wait(10)
        assert "Oslo" in assistant.profile.text()
        assistant.ask("I'm allergic to peanuts.")
    with open_assistant() as assistant:
        assert "peanuts" in assistant.profile.text()


def test_facts_are_taken_from_words_whose_answer_failed(open_assistant: Open) -> None:
    with open_assistant(ModelError("The model broke.")) as assistant:
        with pytest.raises(ModelError):
            assistant.ask("I live in Oslo.")
        assert assistant.wait(10)
        assert [f.value for f in assistant.memory.facts.list()] == ["Oslo"]


def test_a_temporary_chat_says_that_its_promise_to_remember_ends_with_it(open_assistant: Open) -> None:
    promise = "Got it. I'll remember that your sister is called Wren."
    with open_assistant(promise, "You noted that I should remember Wren, your sister.", promise) as assistant:
        chat = assistant.chat(temporary=True)
        assert "temporary" in chat.send("My sister is called Wren.").finish().note
        assert not chat.send("What is my sister called?").finish().note
        assert not assistant.chat().send("My sister is called Wren.").finish().note


def test_a_temporary_chat_leaves_nothing_behind(open_assistant: Open, tmp_path: Path) -> None:
    with open_assistant("Noted.", "Your parrot is called Quetzal.") as assistant:
        chat = assistant.chat(temporary=True)
        chat.send("My parrot is called Quetzal.").finish()
        assert "Quetzal" in chat.send("What is my parrot called?").finish().text
        assistant.wait()
        assert len(chat.messages()) == 4
        assert assistant.memory.messages.conversations() == []
        assert assistant.recall("parrot Quetzal") == []
    with open_assistant() as assistant:
        assert assistant.memory.search("Quetzal") == []


def test_facts_are_taken_in_the_background_and_hold_their_source(open_assistant: Open) -> None:
    with open_assistant("Ok.") as assistant:
        answer = assistant.ask("I'm allergic to peanuts.")
        assert assistant.wait(10)
        (fact,) = assistant.memory.facts.list()
        assert fact.source_id == answer.question_id
        assert "peanuts" in fact.text


def test_what_changed_is_answered_as_it_is_now_whatever_else_was_said_with_it(open_assistant: Open) -> None:
    with open_assistant() as assistant:
        assistant.remember("I'm allergic to peanuts and I live in Leeds.")
        assistant.remember("We moved to Bristol last month.")
        first = assistant.recall("Where do I live?")
        assert "Bristol" in next(memory.text for memory in first if memory.valid)
        assert not next(memory for memory in first if "Leeds" in memory.text).valid
        assert next(memory for memory in assistant.recall("What am I allergic to?") if "peanuts" in memory.text).valid
    with open_assistant("You live in Leeds.") as assistant:
        answer = assistant.ask("Where do I live?")
        assert "Bristol" in answer.text
        assert "Leeds" not in answer.text


def test_remember_recall_and_forget(open_assistant: Open) -> None:
    with open_assistant() as assistant:
        facts = assistant.remember("My sister Imogen lives in Oslo.")
        assert any("Oslo" in fact.text for fact in facts)
        found = assistant.recall("Where does my sister live?")[0]
        assistant.forget(found.id)
        assert assistant.recall("Where does my sister live?") == []
        with pytest.raises(NotFoundError):
            assistant.forget("m99")


@pytest.mark.parametrize("everything", [False, True])
def test_what_another_process_forgets_leaves_what_this_model_has_read(
    open_assistant: Open, tmp_path: Path, everything: bool
) -> None:
    class Counting(ScriptedModel):
        dropped = 0

        def forget_all_sessions(self) -> None:
            self.dropped += 1

    model = Counting("Ok.")
    with Assistant(tmp_path / "home", chat_model=model) as here, open_assistant() as there:
        told = here.ask("My dog is called Biscuit.")
        assert here.wait(10)
        if everything:
            there.memory.forget_everything()
        else:
            there.forget(f"m{told.question_id}")
        assert model.dropped == 0
        for _ in range(2):
            here.ask("Good morning!")
            assert model.dropped == 1


def test_what_is_forgotten_while_it_is_answered_is_not_in_the_answer(open_assistant: Open) -> None:
    def says(call: Call) -> str:
        if "What is" not in call.last:
            return "Ok."
        assistant.forget(f"m{told.question_id}")
        return "Your dog is called Biscuit."

    with open_assistant(says) as assistant:
        told = assistant.ask("My dog is called Biscuit.")
        assert assistant.wait(10)
        answer = assistant.ask("What is my dog called?")
        assert answer.text == FORGOTTEN_ANSWER
        assert not any("Biscuit" in found.text for found in assistant.memory.search("Biscuit"))
        assert all("Biscuit" not in m.text for m in assistant.chat(answer.conversation_id).messages())


@pytest.mark.parametrize("whole", [False, True])
def test_a_question_forgotten_while_it_is_answered_ends_quietly(open_assistant: Open, whole: bool) -> None:
    def says(_call: Call) -> str:
        if whole:
            assistant.memory.forget_conversation(chat.conversation_id)
        else:
            assistant.forget("m1")
        return "That is a secret."

    with open_assistant(says) as assistant:
        chat = assistant.chat()
        assert chat.send("Can you keep a secret?").finish().text == FORGOTTEN_ANSWER
        assert assistant.wait(10)
        assert [row["text"] for row in assistant.memory.store.rows("SELECT text FROM messages")] == (
            [] if whole else [FORGOTTEN_ANSWER]
        )


@pytest.mark.parametrize("text", ["", "  \n ", "a\x00b", "x" * 200_001])
def test_what_cannot_be_a_message_is_refused_in_one_line(open_assistant: Open, text: str) -> None:
    with open_assistant() as assistant:
        with pytest.raises(InputError) as caught:
            assistant.ask(text)
        assert "\n" not in caught.value.one_line()
        assert assistant.memory.messages.conversations() == []


def test_the_async_edge(open_assistant: Open) -> None:
    async def talk(assistant: Assistant) -> str:
        parts = [e.text async for e in assistant.astream("tell me about bees") if isinstance(e, Delta)]
        return "".join(parts) + (await assistant.aask("and wasps?")).text

    with open_assistant("Bees dance.", "Wasps too.") as assistant:
        assert asyncio.run(talk(assistant)) == "Bees dance.Wasps too."


def test_closing_twice_does_nothing(open_assistant: Open) -> None:
    assistant = open_assistant("Ok.")
    assistant.ask("My dog is called Biscuit.")
    assistant.close()
    assistant.close()
    with open_assistant() as again:
        assert again.recall("What is my dog called?")[0].text == "My dog is called Biscuit."
