"""Lessons while the app is open: when nobody uses it they begin by themselves, and the status line shows how far."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from textual.message import Message

from mnemon.learning.idle import look, may_continue

if TYPE_CHECKING:
    from mnemon.learning.lesson import Outcome, Progress
    from mnemon.lessons import Lessons

LOOK_EVERY_S = 30.0
"""How often the app asks whether a lesson may begin."""
CHECK_EVERY_S = 10.0
"""How often a lesson looks at power and heat."""


class Study:
    """One lesson in a thread of its own.

    Args:
        lessons: Holds it.
        post: Takes the messages, from any thread.
        by_itself: It ends when power or heat are against it; one the owner asked for goes on.
    """

    class Went(Message):
        """It is so far."""

        def __init__(self, progress: Progress) -> None:
            super().__init__()
            self.progress = progress

    class Ended(Message):
        """It is over; ``outcome`` is missing when ``error`` says why it failed."""

        def __init__(self, outcome: Outcome | None, error: Exception | None, *, by_itself: bool) -> None:
            super().__init__()
            self.outcome = outcome
            self.error = error
            self.by_itself = by_itself

    def __init__(self, lessons: Lessons, post: Callable[[Message], bool], *, by_itself: bool) -> None:
        self._lessons = lessons
        self._post = post
        self._by_itself = by_itself
        self._stop = threading.Event()
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="mnemon-lesson", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End it after the step that is under way; what it learned so far is judged like any lesson's."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the end; True when it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            outcome = self._lessons.hold(self._lessons.settings.minutes * 60.0, report=self._report, stop=self._stop)
        except Exception as error:  # noqa: BLE001 - whatever it is, the owner is told in one line
            self._post(self.Ended(None, error, by_itself=self._by_itself))
        else:
            self._post(self.Ended(outcome, None, by_itself=self._by_itself))

    def _report(self, progress: Progress) -> None:
        self._post(self.Went(progress))
        if self._by_itself and time.monotonic() - self._looked > CHECK_EVERY_S:
            self._looked = time.monotonic()
            if not may_continue(self._lessons.settings, look()).may:
                self._stop.set()


def quiet_for(used_at: float) -> timedelta:
    """How long nobody has used the app, from the monotonic time of the last key."""
    return timedelta(seconds=time.monotonic() - used_at)
