"""Work that nobody waits for: none of it is lost without a trace."""

from __future__ import annotations

import logging
import threading

import pytest

from mnemon.background import Background
from mnemon.errors import ModelError


def test_jobs_run_in_order_and_those_they_ask_for_are_waited_for() -> None:
    background, done, both_given = Background(), list[str](), threading.Event()

    def first() -> None:
        both_given.wait(10)
        done.append("first")
        background.later(lambda: done.append("asked for"))

    background.later(first)
    background.later(lambda: done.append("second"))
    both_given.set()
    assert background.wait(10)
    assert done == ["first", "second", "asked for"]
    background.close(patience=0)
    background.later(lambda: done.append("too late"))
    assert "too late" not in done


@pytest.mark.parametrize(
    ("error", "logged"), [(ModelError("what was said"), "model"), (KeyError("what was said"), "KeyError")]
)
def test_a_failure_is_logged_without_what_was_said_and_ends_nothing(
    error: Exception, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    background, done = Background(), []

    def fail() -> None:
        raise error

    with caplog.at_level(logging.WARNING):
        background.later(fail)
        background.later(lambda: done.append("next"))
        assert background.wait(10)
    background.close(patience=0)
    assert done == ["next"]
    assert logged in caplog.text
    assert "what was said" not in caplog.text
