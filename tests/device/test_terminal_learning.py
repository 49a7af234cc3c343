"""Learning in the app: thumbs, answers in the owner's words, two to pick from, what was learned, and lessons."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from learned import learn
from terminal_app import notice, opened, ready, said, screen_text, settled, tell, texts, views, wait_until
from textual import events

from mnemon.errors import LearningError
from mnemon.evaluation import owners
from mnemon.learning.idle import Verdict
from mnemon.learning.lesson import Outcome, Progress
from mnemon.lessons import Standing
from mnemon.terminal.app import MnemonApp
from mnemon.terminal.screens.dialogs import PickOne
from mnemon.terminal.screens.learned import LearnedScreen

LEARNED = Outcome(True, 6.0, 4.5, 12, 60.0, "vector", 40, 1, "It helps.")
REJECTED = Outcome(False, 6.0, 6.1, 12, 60.0, "vector", 40, None, "It does not help.")
MAY = Standing({"edited": 20}, 20, (), Verdict((), ()))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def kinds(app: MnemonApp) -> list[tuple[str, str, str | None]]:
    return [(one.kind, one.chosen, one.rejected) for one in app.assistant.lessons.examples.all()]


async def test_thumbs_from_the_input_and_on_a_selected_answer(home: Path) -> None:
    with opened(home, "Boil it long.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("alt+g")
            assert "no finished answer" in notice(app)
            await tell(pilot, "An egg?")
            await pilot.press("alt+g")
            await wait_until(pilot, lambda: "👍 good" in views(app)[-1].header())
            assert "Noted: a good answer." in said(app)
            await pilot.press("alt+up", "minus")
            await wait_until(pilot, lambda: "👎 not good" in views(app)[-1].header())
            assert kinds(app) == [("blamed", "", "Boil it long.")]
            await pilot.press("minus")
            await wait_until(pilot, lambda: "👎" not in views(app)[-1].header())
            assert kinds(app) == []


async def test_an_answer_written_anew_is_shown_in_its_place(home: Path) -> None:
    with opened(home, "Boil it long.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "An egg?")
            await pilot.press("alt+w")
            await wait_until(pilot, lambda: "The answer as it should be" in screen_text(app))
            await pilot.press("exclamation_mark", "ctrl+s")
            await wait_until(pilot, lambda: texts(app) == ["An egg?", "Boil it long.!"])
            assert "in your words · 2/2" in views(app)[-1].header()
            assert kinds(app) == [("edited", "Boil it long.!", "Boil it long.")]
            await tell(pilot, "And rice?")
            assert texts(app) == ["An egg?", "Boil it long.!", "And rice?", "Boil it long."]


async def test_escape_leaves_the_answer_as_it_is(home: Path) -> None:
    with opened(home, "Boil it long.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "An egg?")
            await pilot.press("alt+w", "x", "escape")
            await settled(pilot)
            assert texts(app) == ["An egg?", "Boil it long."]
            assert kinds(app) == []


async def test_nothing_is_kept_of_a_temporary_chat(home: Path) -> None:
    with opened(home, "Boil it long.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("ctrl+t")
            await settled(pilot)
            await tell(pilot, "An egg?")
            await pilot.press("alt+g")
            await wait_until(pilot, lambda: "Of a temporary chat nothing is learned" in said(app))
            assert kinds(app) == []


async def test_alt_and_a_letter_as_terminals_really_send_it_is_a_command_and_no_text(home: Path) -> None:
    with opened(home, "Boil it long.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "An egg?")
            app.post_message(events.Key("alt+g", "g"))
            await wait_until(pilot, lambda: "👍 good" in views(app)[-1].header())
            app.post_message(events.Key("alt+k", "k"))
            await pilot.press("x")
            assert app.chat.composer.text == "x"


def due(app: MnemonApp, *, now: bool) -> None:
    """Make two answers due for every question, or for none."""
    app.chat._is_time_for_two = lambda _answer: now  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("key", "shown", "kept"),
    [
        ("1", "One two three four.", [("picked", "One two three four.", "Five six seven eight.")]),
        ("2", "Five six seven eight.", [("picked", "Five six seven eight.", "One two three four.")]),
        ("escape", "One two three four.", []),
    ],
)
async def test_two_answers_to_pick_from(
    home: Path, key: str, shown: str, kept: list[tuple[str, str, str | None]]
) -> None:
    with opened(home, "One two three four.", "Five six seven eight.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            due(app, now=True)
            app.chat.composer.put("An egg?")
            await pilot.press("enter")
            await wait_until(pilot, lambda: isinstance(app.screen, PickOne))
            assert "One two three four." in screen_text(app)
            assert "Five six seven eight." in screen_text(app)
            due(app, now=False)
            await pilot.press(key)
            await wait_until(pilot, lambda: texts(app) == ["An egg?", shown])
            assert kinds(app) == kept


async def test_two_answers_that_are_alike_are_not_asked_about(home: Path) -> None:
    with opened(home, "One two three four.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            due(app, now=True)
            app.chat.composer.put("An egg?")
            await pilot.press("enter")
            model: Any = app.assistant.model
            await wait_until(pilot, lambda: len(model.calls) == 2)
            await settled(pilot)
            await wait_until(pilot, lambda: not app.chat.answering and "1/2" in views(app)[-1].header())
            assert not isinstance(app.screen, PickOne)
            assert kinds(app) == []


async def test_what_was_learned_is_shown_and_can_be_gone_back_from(home: Path) -> None:
    with opened(home) as app:
        lessons = app.assistant.lessons
        number = learn(app.assistant, [lessons.examples.add(e) for e in owners.build("formal", train=5).train])
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("f10")
            await wait_until(pilot, lambda: "foretold 25% better" in screen_text(app))
            page = screen_text(app)
            assert f"Version {number}" in page
            assert "beginning with “Certainly.”" in page
            assert "Learned from 5 written anew" in page
            assert "No lesson begins by itself now" in page
            await pilot.press("up", "r")
            await wait_until(pilot, lambda: "Go back to The model as it came?" in screen_text(app))
            await pilot.press("y")
            await wait_until(pilot, lambda: "answers from now on" in said(app))
            assert [chapter.in_use for chapter in lessons.chapters()] == [True]
            await pilot.press("escape")
            await wait_until(pilot, lambda: not isinstance(app.screen, LearnedScreen))


class Held:
    """A lesson that waits to be told how it ends."""

    def __init__(self, app: MnemonApp, outcome: Outcome | Exception) -> None:
        self.begun, self.go_on, self.stopped = threading.Event(), threading.Event(), threading.Event()
        self._outcome = outcome
        app.assistant.lessons.hold = self.hold  # type: ignore[method-assign]

    def hold(self, seconds: float, *, report: Callable[[Progress], None], stop: threading.Event) -> Outcome:
        report(Progress("learning", 3, 5.0, 5.0, 1.0, 0.42))
        self.begun.set()
        while not self.go_on.wait(0.01):
            if stop.is_set():
                self.stopped.set()
                break
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (LEARNED, "Learned: answers as you want them are foretold 25% better"),
        (REJECTED, "Nothing changes: it does not help."),
        (LearningError("Another lesson is being held."), "Another lesson is being held."),
    ],
)
async def test_a_lesson_that_was_asked_for_shows_how_far_it_is_and_what_came_of_it(
    home: Path, outcome: Outcome | Exception, line: str
) -> None:
    with opened(home, "Hello you.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            held = Held(app, outcome)
            await pilot.press("f10", "l", "escape")
            await wait_until(pilot, lambda: "learning 42%" in screen_text(app))
            await tell(pilot, "hi")  # a turn in between
            assert texts(app) == ["hi", "Hello you."]
            held.go_on.set()
            await wait_until(pilot, lambda: line in said(app))
            assert "learning" not in screen_text(app)


async def test_a_lesson_begins_by_itself_when_the_conditions_hold_and_says_so_only_if_it_helped(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            asked: list[timedelta] = []

            def standing(quiet: timedelta) -> Standing:
                asked.append(quiet)
                return MAY

            app.assistant.lessons.standing = standing  # type: ignore[method-assign]
            held = Held(app, REJECTED)
            app._used_at -= 3600
            app.learn_if_quiet()
            await wait_until(pilot, held.begun.is_set)
            assert asked[0] >= timedelta(hours=1)
            held.go_on.set()
            await wait_until(pilot, lambda: not app.learning)
            assert said(app) == ""


async def test_a_key_means_that_somebody_is_there(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            app._used_at -= 3600
            await pilot.press("a")
            assert app.quiet < timedelta(minutes=1)


async def test_quitting_ends_a_lesson(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            held = Held(app, REJECTED)
            app.learn_now()
            await wait_until(pilot, held.begun.is_set)
            await pilot.press("ctrl+q")
            await wait_until(pilot, held.stopped.is_set)
