"""The memory panel: what an answer rests on, changed and forgotten on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest
from terminal_app import notice, opened, ready, screen_text, settled, stored, tell, texts, wait_until
from textual.widgets import Input, OptionList

from mnemon.memory.records import Fact
from mnemon.terminal.app import MnemonApp
from mnemon.terminal.screens.dialogs import Choose, Confirm

WIDE = (120, 30)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _facts(app: MnemonApp) -> list[Fact]:
    return app.assistant.memory.facts.list(valid_only=False)


async def _told_and_asked(pilot: object, app: MnemonApp) -> None:
    """Biscuit is told on one day, with a fact taken from it, and asked for."""
    await ready(pilot)  # type: ignore[arg-type]
    await tell(pilot, "My dog is called Biscuit.")  # type: ignore[arg-type]
    told = app.assistant.memory.messages.branch(app.chat.conversation.conversation_id or 0)[0]
    facts = app.assistant.memory.facts
    fact = facts.add(
        "The user's dog is called Biscuit.",
        subject="dog",
        attribute="name",
        value="Biscuit",
        source_id=told.id,
        origin="pattern",
    )
    app.assistant.memory.index_facts(fact)
    await tell(pilot, "What is my dog called?")  # type: ignore[arg-type]


async def test_it_shows_what_was_recalled_with_the_day_and_how_the_answer_came_about(home: Path) -> None:
    with opened(home, "Noted.", "Biscuit.") as app:
        async with app.run_test(size=WIDE) as pilot:
            await _told_and_asked(pilot, app)
            await wait_until(pilot, lambda: "It was given 1 memory:" in screen_text(app))
            shown = screen_text(app)
            assert "Said by scripted, in its own words." in shown
            assert "1. 2 March 2026, you" in shown
            assert "“My dog is called Biscuit.”" in shown
            assert "• The user's dog is called Biscuit." in shown


async def test_a_quoted_answer_is_called_quoted_and_an_unknown_one_not_known(home: Path) -> None:
    with opened(home, "Noted.", "Your dog is called Rex.", "You were born in 1980.") as app:
        async with app.run_test(size=WIDE) as pilot:
            await _told_and_asked(pilot, app)
            await wait_until(pilot, lambda: "Quoted: these are your own words." in screen_text(app))
            assert "quoted" in app.chat.status.route
            await tell(pilot, "When was I born?")
            await wait_until(pilot, lambda: "Not known: nothing near enough was" in screen_text(app))


async def test_it_follows_the_selected_answer(home: Path) -> None:
    with opened(home, "Noted.", "Biscuit.", "Hello!") as app:
        async with app.run_test(size=WIDE) as pilot:
            await _told_and_asked(pilot, app)
            await tell(pilot, "hello")
            await pilot.press("alt+up", "up", "up")
            assert app.chat.transcript.selected is not None
            assert app.chat.transcript.selected.text == "Biscuit."
            await wait_until(pilot, lambda: "Biscuit" in str(app.chat.panel._rows))


async def test_editing_a_fact_ends_the_old_one_and_leaves_the_words_alone(home: Path) -> None:
    with opened(home, "Noted.", "Biscuit.") as app:
        async with app.run_test(size=WIDE) as pilot:
            await _told_and_asked(pilot, app)
            await pilot.press("f3")
            await wait_until(pilot, lambda: isinstance(app.focused, OptionList))
            await pilot.press("down", "e")
            await wait_until(pilot, lambda: isinstance(app.focused, Input))
            app.screen.query_one(Input).value = "The user's dog is called Crumpet."
            await pilot.press("enter")
            await wait_until(pilot, lambda: len(_facts(app)) == 2)
            by_text = {fact.text: fact for fact in _facts(app)}
            assert by_text["The user's dog is called Biscuit."].valid_to is not None
            assert by_text["The user's dog is called Crumpet."].origin == "owner"
            assert "My dog is called Biscuit." in list(stored(app))
            await wait_until(pilot, lambda: "× The user's dog is called Biscuit." in screen_text(app))


async def test_forgetting_asks_first_and_then_leaves_nothing(home: Path) -> None:
    with opened(home, "Noted.", "Biscuit.") as app:
        async with app.run_test(size=WIDE) as pilot:
            await _told_and_asked(pilot, app)
            await pilot.press("f3")
            await wait_until(pilot, lambda: isinstance(app.focused, OptionList))
            await pilot.press("f")
            await wait_until(pilot, lambda: "Forget this?" in screen_text(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: app.screen is app.chat)
            assert "My dog is called Biscuit." in list(stored(app))
            await pilot.press("f")
            await wait_until(pilot, lambda: "Forget this?" in screen_text(app))
            await pilot.press("y")
            await wait_until(pilot, lambda: "My dog is called Biscuit." not in list(stored(app)))
            await settled(pilot)
            await wait_until(pilot, lambda: "My dog is called Biscuit." not in screen_text(app))
            assert not _facts(app)
            await tell(pilot, "and now?")
            assert texts(app)[-2] == "and now?"


async def test_in_the_smallest_window_a_dialog_says_how_to_answer_it(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test(size=(40, 10)) as pilot:
            await ready(pilot)
            app.push_screen(Confirm("Forget this?", "My dog is called Biscuit and he likes long walks. " * 8))
            await wait_until(pilot, lambda: "y yes   n no" in screen_text(app))
            assert "Forget this?" in screen_text(app)
            await pilot.press("n")
            await wait_until(pilot, lambda: app.screen is app.chat)
            assert "y yes   n no" not in screen_text(app)


async def test_forgetting_asked_in_the_conversation_needs_a_yes(home: Path) -> None:
    with opened(home, "Noted.", "Biscuit.") as app:
        async with app.run_test(size=WIDE) as pilot:
            await _told_and_asked(pilot, app)
            for key, stays in (("escape", True), ("y", False)):
                await tell(pilot, "forget what I told you about Biscuit")
                await wait_until(pilot, lambda: "It cannot be undone." in screen_text(app))
                await pilot.press(key)
                await wait_until(pilot, lambda: app.screen is app.chat)
                await settled(pilot)
                await wait_until(pilot, lambda: ("My dog is called Biscuit." in list(stored(app))) is stays)  # noqa: B023
            assert not [text for text in stored(app) if "Biscuit" in text]
            assert not _facts(app)


async def test_marks_and_not_colour_alone_say_what_would_be_forgotten(home: Path) -> None:
    long = f"I am allergic to walnuts, {'which is a nuisance at every single party, ' * 3}and to bees."
    answers: list[object] = []
    with opened(home) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(pilot)
            app.push_screen(
                Choose("Forget this?", [("m1", long)], [("m2", "I like cats."), ("m3", "Bees!")]), answers.append
            )
            await wait_until(pilot, lambda: "[x] I am allergic to walnuts" in screen_text(app))
            shown = screen_text(app)
            assert "and to bees." in shown  # nothing is cut
            assert "[ ] I like cats." in shown
            await pilot.press("end", "space")
            await wait_until(pilot, lambda: "[x] Bees!" in screen_text(app))
            await pilot.press("home", "enter")
            await wait_until(pilot, lambda: "[ ] I am allergic to walnuts" in screen_text(app))
            await pilot.press("y")
            await wait_until(pilot, lambda: answers == [("m3",)])


async def test_a_message_without_facts_gets_one_by_hand(home: Path) -> None:
    with opened(home, "Noted.", "Biscuit.") as app:
        async with app.run_test(size=WIDE) as pilot:
            await ready(pilot)
            await tell(pilot, "My dog is called Biscuit.")
            await tell(pilot, "What is my dog called?")
            await pilot.press("f3")
            await wait_until(pilot, lambda: isinstance(app.focused, OptionList))
            await pilot.press("e")
            await wait_until(pilot, lambda: isinstance(app.focused, Input))
            app.screen.query_one(Input).value = "Biscuit is a dog."
            await pilot.press("enter")
            await wait_until(pilot, lambda: [fact.text for fact in _facts(app)] == ["Biscuit is a dog."])
            assert _facts(app)[0].source_id is not None


async def test_the_conversation_a_memory_is_from_opens_at_that_message(home: Path) -> None:
    with opened(home, "Noted.", "Biscuit.") as app:
        async with app.run_test(size=WIDE) as pilot:
            await ready(pilot)
            await tell(pilot, "My dog is called Biscuit.")
            await pilot.press("ctrl+n")
            await settled(pilot)
            await tell(pilot, "What is my dog called?")
            await pilot.press("f3")
            await wait_until(pilot, lambda: isinstance(app.focused, OptionList))
            await pilot.press("o")
            await wait_until(pilot, lambda: texts(app) == ["My dog is called Biscuit.", "Noted."])
            await wait_until(pilot, lambda: app.chat.transcript.selected is not None)
            selected = app.chat.transcript.selected
            assert selected is not None
            assert selected.text == "My dog is called Biscuit."


async def test_in_a_small_window_it_takes_the_place_of_the_transcript_until_escape(home: Path) -> None:
    with opened(home, "Noted.", "Biscuit.") as app:
        async with app.run_test(size=(40, 12)) as pilot:
            await _told_and_asked(pilot, app)
            assert "Memory" not in screen_text(app)
            await pilot.press("f3")
            await wait_until(pilot, lambda: "2 March 2026, you" in screen_text(app))
            await pilot.press("escape")
            await wait_until(pilot, lambda: "2 March 2026, you" not in screen_text(app))
            assert app.chat.composer.has_focus
            assert not notice(app)


async def test_whether_it_is_open_in_a_wide_window_is_remembered(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test(size=WIDE) as pilot:
            await ready(pilot)
            assert app.chat.panel.display
            await pilot.press("f3")
            await pilot.pause()
            assert not app.chat.panel.display
    assert "memory_panel = false" in (home / "settings.toml").read_text()


async def test_what_was_left_open_before_is_caught_up_with(home: Path) -> None:
    with opened(home, extract=True) as app:
        messages = app.assistant.memory.messages
        messages.add(messages.start().id, "owner", "I live in Oslo.")
        async with app.run_test() as pilot:
            await ready(pilot)
            await wait_until(pilot, lambda: not messages.pending_extraction())
            assert [fact.value for fact in _facts(app)] == ["Oslo"]


async def test_two_facts_that_contradict_each_other_are_settled_by_a_key(home: Path) -> None:
    with opened(home, "Noted.", "Biscuit.") as app:
        async with app.run_test(size=WIDE) as pilot:
            await _told_and_asked(pilot, app)
            memory = app.assistant.memory
            known = memory.facts.list()[0]
            other = memory.facts.add(
                "The user's dog is called Biscuits.",
                subject="dog",
                attribute="name",
                value="Biscuits",
                origin="owner",
            )
            memory.doubts.raise_between(known.id, other.id)
            app.chat.look_at_answer()
            await wait_until(pilot, lambda: "? or: The user's dog is called" in screen_text(app))
            app.chat.panel.focus_list()
            app.chat.panel.query_one(OptionList).highlighted = 1
            await pilot.press("s")
            await wait_until(pilot, lambda: memory.doubts.open() == [])
            assert [fact.value for fact in memory.facts.list()] == ["Biscuit"]
