"""What the terminal tests share: a real assistant on a real encrypted memory, a scripted model, and patience."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from mnemon.assistant import Assistant
from mnemon.runtime.chat_model import ModelInfo
from mnemon.runtime.holder import ModelHolder
from mnemon.runtime.scripted import ScriptedModel
from mnemon.settings import MemorySettings, Settings, TerminalSettings
from mnemon.terminal.app import MnemonApp
from mnemon.terminal.widgets.message_view import MessageView

INFO = ModelInfo("scripted", "", "scripted", 1_000_000_000, 0, 1024)
"""Large enough to be trusted with its own wording, so that tests see what the script says."""


def settings(*, extract: bool = False, **terminal: object) -> Settings:
    """Settings for a machine without a keyring; facts are taken from what is said only if asked for."""
    memory = MemorySettings(key="file", extract=extract)
    return Settings(memory=memory, terminal=replace(TerminalSettings(), **terminal))


@contextmanager
def opened(
    home: Path, *script: object, delay: float = 0.0, extract: bool = False, **terminal: object
) -> Iterator[MnemonApp]:
    """The app on the memory in ``home``; every look at the clock is a minute after the one before."""
    minutes = itertools.count()

    def now() -> datetime:
        return datetime(2026, 3, 2, 10, tzinfo=UTC) + timedelta(minutes=next(minutes))

    model = ScriptedModel(list(script) or "All right.", delay=delay, info=INFO)
    chosen = settings(extract=extract, **terminal)
    with Assistant(home, settings=chosen, chat_model=model, now=now) as assistant:
        app = MnemonApp(assistant)
        app.animation_level = "none"
        yield app


def load_with(app: MnemonApp, load: Callable[[str], ScriptedModel]) -> None:
    """From now on nothing is loaded, and ``load`` does it."""
    ModelHolder.__init__(app.assistant._models, load, "some-model")


async def wait_until(pilot: Pilot[None], true: Callable[[], bool], *, seconds: float = 10) -> None:
    """Wait until something holds, instead of for a time that is hoped to be long enough."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"this never came true: {screen_text(pilot.app)}")
        await pilot.pause(0.01)
    await pilot.pause()


async def ready(pilot: Pilot[None]) -> None:
    """Wait until the model is loaded and the conversation is on screen."""
    app = pilot.app
    assert isinstance(app, MnemonApp)
    await wait_until(pilot, lambda: app.model_ready and bool(app.chat.transcript.children))
    await settled(pilot)


async def settled(pilot: Pilot[None]) -> None:
    """Wait until no answer is being written and no background work of the screen is left."""
    app = pilot.app
    assert isinstance(app, MnemonApp)
    await wait_until(pilot, lambda: not app.chat.answering)
    for worker in [w for w in app.workers if w.group in ("panel", "conversation", "fill", "facts")]:
        with suppress(WorkerCancelled):  # it gave way to a newer one
            await asyncio.wait_for(worker.wait(), 10)
    await pilot.pause()


async def tell(pilot: Pilot[None], text: str) -> None:
    """Type a message, send it, and wait for the whole answer."""
    app = pilot.app
    assert isinstance(app, MnemonApp)
    before = len(app.chat.transcript.views)
    app.chat.composer.focus()
    app.chat.composer.put(text)
    await pilot.press("enter")
    await wait_until(pilot, lambda: len(app.chat.transcript.views) > before or app.chat.answering)
    await settled(pilot)


def views(app: MnemonApp) -> list[MessageView]:
    """The messages on screen."""
    return app.chat.transcript.views


def texts(app: MnemonApp) -> list[str]:
    """Their words."""
    return [view.text for view in views(app)]


def notice(app: MnemonApp) -> str:
    """The line above the input."""
    return str(app.chat.query_one("#notice").render()) if app.chat.query_one("#notice").display else ""


def said(app: MnemonApp) -> str:
    """The lines that go away by themselves."""
    return "\n".join(notification.message for notification in app._notifications)


def screen_text(app: object) -> str:
    """What is on screen, as text."""
    strips = app.screen._compositor.render_strips()  # type: ignore[attr-defined]
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def program(folder: Path, name: str, script: str) -> Path:
    """A small program on its own folder, for ``PATH``."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def stored(app: MnemonApp) -> Iterable[str]:
    """Every message in the encrypted memory."""
    rows = app.assistant.memory.store.rows("SELECT text FROM messages ORDER BY id")
    return [row["text"] for row in rows]
