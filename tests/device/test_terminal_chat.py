"""The chat screen: writing, stopping, scrolling, versions, and coming back after whatever went wrong."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from terminal_app import (
    INFO,
    load_with,
    notice,
    opened,
    ready,
    said,
    screen_text,
    settled,
    stored,
    tell,
    texts,
    views,
    wait_until,
)
from textual import events

from mnemon.errors import DiskFullError, ModelError, ModelMissingError, StoreBusyError
from mnemon.runtime.scripted import Scripted, ScriptedModel

LONG = " ".join(f"word{n}" for n in range(2000))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def test_a_message_is_answered_and_both_are_kept(home: Path) -> None:
    with opened(home, "Hello **you**.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press(*"hi there", "enter")
            await settled(pilot)
            assert texts(app) == ["hi there", "Hello **you**."]
            assert "Hello you." in screen_text(app)
            assert app.chat.composer.text == ""
            assert app.chat.composer.has_focus
        assert list(stored(app)) == ["hi there", "Hello **you**."]


async def test_letters_and_enter_in_one_burst_are_sent_whole(home: Path) -> None:
    with opened(home, "One.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            for key, letter in [("h", "h"), ("i", "i"), ("enter", "\r"), ("x", "x")]:
                app.post_message(events.Key(key, letter))
            await wait_until(pilot, lambda: texts(app) == ["hi", "One."])
            assert app.chat.composer.text == "x"


@pytest.mark.parametrize("key", ["ctrl+j", "shift+enter", "alt+enter", "shift+\r"])
async def test_the_newline_keys_break_the_line_and_do_not_send(home: Path, key: str) -> None:
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("a", key, "b")
            assert app.chat.composer.text == "a\nb"
            assert not views(app)
            assert "⏎ Send" in screen_text(app)
            assert "^j New line" in screen_text(app)


async def test_one_setting_swaps_enter_and_newline_and_the_footer_tells_the_truth(home: Path) -> None:
    with opened(home, "Answer.", enter_sends=False) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("a", "enter", "b")
            assert app.chat.composer.text == "a\nb"
            assert "^j Send" in screen_text(app)
            assert "⏎ New line" in screen_text(app)
            await pilot.press("ctrl+j")
            await settled(pilot)
            assert texts(app) == ["a\nb", "Answer."]


def test_alt_enter_as_terminals_really_send_it_is_not_a_plain_enter() -> None:
    from textual._xterm_parser import XTermParser

    from mnemon.terminal import terminal_keys

    terminal_keys.teach()
    parser = XTermParser()
    keys = [event.key for event in [*parser.feed("\x1b\r"), *parser.feed("\r")] if isinstance(event, events.Key)]
    assert keys == ["alt+enter", "enter"]


async def test_a_paste_never_sends(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            app.post_message(events.Paste("one\r\ntwo\rthree\n"))
            await wait_until(pilot, lambda: app.chat.composer.text != "")
            assert app.chat.composer.text == "one\ntwo\nthree\n"
            assert not views(app)


async def test_a_huge_paste_is_cut_and_says_so(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            app.post_message(events.Paste("x" * 1_000_000))
            await wait_until(pilot, lambda: bool(notice(app)))
            assert len(app.chat.composer.text) == 200_000
            assert "longer than a message may be" in notice(app)


async def test_nothing_is_not_sent(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("space", "enter")
            assert not app.chat.answering
            assert not views(app)
        assert not list(stored(app))


async def test_escape_stops_and_keeps_what_there_is(home: Path) -> None:
    with opened(home, LONG, "Next.", delay=0.01) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("a", "enter")
            await wait_until(pilot, lambda: "word3" in "".join(texts(app)))
            await pilot.press("escape")
            await settled(pilot)
            assert "word3" in texts(app)[1]
            assert "word1999" not in texts(app)[1]
            assert "stopped" in views(app)[1].header()
            await tell(pilot, "b")
            assert texts(app)[-1] == "Next."


async def test_the_first_escape_leaves_the_selection_and_the_second_stops(home: Path) -> None:
    with opened(home, LONG, "ok", delay=0.01) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("a", "enter")
            await wait_until(pilot, lambda: "word3" in "".join(texts(app)))
            await pilot.press("alt+up")
            assert app.chat.transcript.selected is not None
            await pilot.press("escape")
            assert app.chat.composer.has_focus
            assert app.chat.answering
            await pilot.press("escape")
            await settled(pilot)


async def test_a_growing_answer_never_pulls_a_reader_down(home: Path) -> None:
    with opened(home, "\n\n".join(f"line {n}" for n in range(400)), "ok", delay=0.02) as app:
        async with app.run_test(size=(60, 16)) as pilot:
            await ready(pilot)
            await pilot.press("a", "enter")
            transcript = app.chat.transcript
            await wait_until(pilot, lambda: transcript.max_scroll_y > 20)
            assert transcript.following
            await pilot.press("pageup", "pageup")
            place, height = transcript.scroll_y, transcript.max_scroll_y
            await wait_until(pilot, lambda: transcript.max_scroll_y > height + 10)
            assert transcript.scroll_y == place
            await pilot.press("escape")
            await wait_until(pilot, lambda: transcript.following)
            assert app.chat.answering
            await pilot.press("escape")
            await settled(pilot)


async def test_an_answer_made_anew_stands_beside_the_old_one(home: Path) -> None:
    with opened(home, "First.", "Second.", "Third.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "a")
            await pilot.press("ctrl+r")
            await wait_until(pilot, lambda: "2/2" in views(app)[-1].header())
            await pilot.press("ctrl+r")
            await wait_until(pilot, lambda: "3/3" in views(app)[-1].header())
            assert texts(app) == ["a", "Third."]
            await pilot.press("alt+left")
            await wait_until(pilot, lambda: texts(app) == ["a", "Second."])
            assert "2/3" in views(app)[-1].header()
            await pilot.press("alt+up", "left")
            await wait_until(pilot, lambda: texts(app) == ["a", "First."])
            await pilot.press("left")
            await settled(pilot)
            assert "1/3" in views(app)[-1].header()


async def test_an_edited_question_stands_beside_the_old_one(home: Path) -> None:
    with opened(home, "First.", "Second.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "What about A")
            await pilot.press("f7")
            await pilot.press("backspace", "B", "ctrl+s")
            await wait_until(pilot, lambda: texts(app) == ["What about B", "Second."])
            await settled(pilot)
            assert "2/2" in views(app)[0].header()
            await pilot.press("alt+up", "up", "left")
            await wait_until(pilot, lambda: texts(app) == ["What about A", "First."])


@pytest.mark.parametrize("error", [ModelError("The model broke.", hint="Choose another."), RuntimeError("boom")])
async def test_after_a_failure_the_text_comes_back_and_the_same_words_ask_again(home: Path, error: Exception) -> None:
    with opened(home, error, "Better.", "And on.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "precious words")
            assert app.chat.composer.text == "precious words"
            assert "Ctrl+R tries again" in notice(app)
            assert "boom" not in notice(app)
            await pilot.press("enter")
            await wait_until(pilot, lambda: texts(app)[-1] == "Better.")
            await settled(pilot)
            assert texts(app) == ["precious words", "Better."]
            assert not notice(app)
            await tell(pilot, "more")
            assert texts(app)[-1] == "And on."
        assert list(stored(app)).count("precious words") == 1


async def test_after_a_failure_other_words_take_the_place_of_the_old(home: Path) -> None:
    with opened(home, Scripted("Half an", fail=ModelError("Broke.")), "Fine.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "first words")
            app.chat.composer.put("other words")
            await pilot.press("enter")
            await wait_until(pilot, lambda: texts(app) == ["other words", "Fine."])
            await settled(pilot)
            assert "2/2" in views(app)[0].header()


@pytest.mark.parametrize("error", [DiskFullError("No space is left."), StoreBusyError("The memory is busy.")])
async def test_words_that_could_not_be_saved_come_back(
    home: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(home, "Fine.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            messages = type(app.assistant.memory.messages)

            def fail(*_: object, **__: object) -> None:
                raise error

            with monkeypatch.context() as broken:
                broken.setattr(messages, "add", fail)
                await pilot.press(*"hello", "enter")
                await wait_until(pilot, lambda: bool(notice(app)))
            assert str(error) in notice(app)
            assert app.chat.composer.text == "hello"
            assert not views(app)
            await pilot.press("enter")
            await wait_until(pilot, lambda: texts(app) == ["hello", "Fine."])


async def test_a_question_without_an_answer_is_offered_again_after_a_restart(home: Path) -> None:
    with opened(home, ModelError("The model broke.")) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "are you there")
    with opened(home, "Here I am.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            assert "no answer yet" in notice(app)
            assert app.chat.composer.text == ""
            await pilot.press("ctrl+r")
            await wait_until(pilot, lambda: texts(app) == ["are you there", "Here I am."])
            await settled(pilot)
            assert not notice(app)


async def test_the_conversation_is_there_again_after_a_restart(home: Path) -> None:
    with opened(home, "Noted.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "My dog is called Biscuit.")
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            assert texts(app) == ["My dog is called Biscuit.", "Noted."]
            await pilot.press("up")
            assert app.chat.composer.text == "My dog is called Biscuit."


async def test_a_new_chat_leaves_nothing_until_something_is_said(home: Path) -> None:
    with opened(home, "One.", "Two.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "a")
            await pilot.press("ctrl+n")
            await wait_until(pilot, lambda: not views(app))
            await pilot.press("ctrl+n")
            await settled(pilot)
            assert len(app.assistant.memory.messages.conversations()) == 1
            await tell(pilot, "b")
            assert len(app.assistant.memory.messages.conversations()) == 2


async def test_a_temporary_chat_is_marked_and_leaves_nothing(home: Path) -> None:
    with opened(home, "Secret answer.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("ctrl+t")
            await wait_until(pilot, lambda: "TEMPORARY" in screen_text(app))
            await tell(pilot, "xylophone confession")
            assert texts(app) == ["xylophone confession", "Secret answer."]
            assert "TEMPORARY" in screen_text(app)
        assert not list(stored(app))
    everything = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"xylophone" not in everything
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            assert not views(app)


async def test_quitting_while_an_answer_is_written_keeps_it(home: Path) -> None:
    with opened(home, LONG, "ok", delay=0.01) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("a", "enter")
            await wait_until(pilot, lambda: "word3" in "".join(texts(app)))
            await pilot.press("ctrl+q")
            await wait_until(pilot, lambda: app._exit)
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            assert "word3" in texts(app)[1]
            assert "stopped" in views(app)[1].header()


async def test_control_c_stops_and_only_twice_quits(home: Path) -> None:
    with opened(home, LONG, "ok", delay=0.01) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("a", "enter")
            await wait_until(pilot, lambda: "word3" in "".join(texts(app)))
            await pilot.press("ctrl+c")
            await settled(pilot)
            app._interrupted_at = 0
            await pilot.press("ctrl+c")
            assert "quits" in said(app)
            await pilot.press("ctrl+c")
            await wait_until(pilot, lambda: app._exit)


async def test_one_may_type_and_send_while_the_model_loads(home: Path) -> None:
    loaded = threading.Event()
    with opened(home) as app:

        def load(_: str) -> ScriptedModel:
            assert loaded.wait(10)
            return ScriptedModel("Now I am here.", info=INFO)

        load_with(app, load)
        async with app.run_test() as pilot:
            await wait_until(pilot, lambda: "loading model…" in screen_text(app))
            await pilot.press(*"hi", "enter")
            await wait_until(pilot, lambda: app.chat.answering)
            assert "loading model…" in screen_text(app)
            loaded.set()
            await ready(pilot)
            await wait_until(pilot, lambda: texts(app) == ["hi", "Now I am here."])


async def test_a_missing_model_is_one_line_and_the_input_works(home: Path) -> None:
    with opened(home) as app:

        def load(_: str) -> ScriptedModel:
            raise ModelMissingError("The model gone is not here.", hint="Pull it, or press F5 to choose another.")

        load_with(app, load)
        async with app.run_test() as pilot:
            await wait_until(pilot, lambda: "is not here" in notice(app))
            assert "not loaded" in screen_text(app)
            await tell(pilot, "hello")
            assert app.chat.composer.text == "hello"
            assert "F5" in notice(app)
            load_with(app, lambda _: ScriptedModel("Back.", info=INFO))
            await pilot.press("enter")
            await wait_until(pilot, lambda: texts(app) == ["hello", "Back."])


async def test_up_and_down_walk_through_what_was_sent_and_keep_the_draft(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "one")
            await tell(pilot, "two")
            await pilot.press(*"dra", "up")
            assert app.chat.composer.text == "two"
            await pilot.press("up", "up")
            assert app.chat.composer.text == "one"
            await pilot.press("down", "down")
            assert app.chat.composer.text == "dra"


async def test_the_raw_view_shows_what_was_written(home: Path) -> None:
    with opened(home, "Hello **you**.", "*Again*.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "a")
            assert "Hello you." in screen_text(app)
            await pilot.press("f6")
            await wait_until(pilot, lambda: "Hello **you**." in screen_text(app))
            await tell(pilot, "b")
            assert "*Again*." in screen_text(app)
            await pilot.press("f6")
            await wait_until(pilot, lambda: "Hello you." in screen_text(app))


async def test_what_would_steer_the_terminal_is_shown_as_a_mark(home: Path) -> None:
    with opened(home, "red \x1b[31malert\x07 [bold]not markup[/bold]") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "[red]mine[/red]")
            assert "\x1b" not in screen_text(app)
            assert "[bold]not markup[/bold]" in screen_text(app)
            assert "[red]mine[/red]" in screen_text(app)


async def test_a_long_conversation_draws_its_end_first_and_the_rest_on_demand(home: Path) -> None:
    with opened(home) as app:
        messages = app.assistant.memory.messages
        conversation = messages.start()
        for number in range(100):
            messages.add(conversation.id, "owner" if number % 2 == 0 else "assistant", f"message {number}")
        async with app.run_test() as pilot:
            await ready(pilot)
            assert len(views(app)) == 40
            await pilot.press("ctrl+home")
            assert "60 earlier messages" in screen_text(app)
            await pilot.press("ctrl+home", "ctrl+home")
            await wait_until(pilot, lambda: len(views(app)) == 100)
            assert texts(app)[0] == "message 0"


@pytest.mark.parametrize("size", [(40, 10), (20, 5), (300, 80)])
async def test_every_size_can_be_written_in(home: Path, size: tuple[int, int]) -> None:
    with opened(home, "Yes.") as app:
        async with app.run_test(size=size) as pilot:
            await ready(pilot)
            await tell(pilot, "works?")
            await wait_until(pilot, lambda: "Yes." in screen_text(app))
            await pilot.resize_terminal(80, 24)
            await pilot.resize_terminal(*size)
            assert app.chat.composer.has_focus
