"""What the app looks like, at fixed sizes; `pytest --snapshot-update` accepts a wanted change."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from terminal_app import opened, ready, settled, tell, wait_until
from textual.pilot import Pilot

from mnemon.terminal.app import MnemonApp

Compare = Callable[..., bool]

AT = datetime(2026, 3, 2, 10, 7, tzinfo=UTC)

ANSWER = (
    "Yes, you told me.\n\n- **Biscuit** is your dog\n- he chewed your slippers\n\n```python\ndog = 'Biscuit'\n```"
)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def _look(app: MnemonApp, *keys: str, wide: bool = False) -> Callable[[Pilot[None]], Any]:
    """A conversation, the same every time: no blinking, no speed, no leftovers."""

    async def before(pilot: Pilot[None]) -> None:
        await ready(pilot)
        app.chat.composer.cursor_blink = False
        app.assistant.now = lambda: AT  # the clock of the tests goes on with every look, background work's too
        await tell(pilot, "My dog is called Biscuit.")
        told = app.assistant.memory.messages.branch(app.chat.conversation.conversation_id or 0)[0]
        fact = app.assistant.memory.facts.add(
            "The user's dog is called Biscuit.", subject="dog", attribute="name", value="Biscuit",
            source_id=told.id, origin="pattern",
        )  # fmt: skip
        app.assistant.memory.index_facts(fact)
        app.assistant.profile.add("Has a dog called Biscuit.")
        await tell(pilot, "Do you remember my dog?")
        await pilot.press(*keys)
        await settled(pilot)
        for blinking in app.screen.query("Input"):
            blinking.cursor_blink = False  # type: ignore[attr-defined]
        app.chat.status.speed = 42.0
        if "f5" in keys:
            await wait_until(pilot, lambda: bool(app.screen.query_one("#models").option_count))  # type: ignore[attr-defined]
        await pilot.pause(0.2)

    return before


@pytest.mark.parametrize(
    ("name", "size", "keys"),
    [
        ("main", (80, 24), ()),
        ("memory", (120, 30), ("f3",)),
        ("small", (40, 10), ()),
        ("small-memory", (40, 10), ("f3",)),
        ("selected", (80, 24), ("alt+up",)),
        ("profile", (80, 24), ("f4",)),
        ("help", (80, 24), ("f1",)),
    ],
)
def test_it_looks_as_it_should(
    name: str, size: tuple[int, int], keys: tuple[str, ...], tmp_path: Path, snap_compare: Compare
) -> None:
    with opened(tmp_path / "home", "Noted.", ANSWER) as app:
        assert snap_compare(app, run_before=_look(app, *keys), terminal_size=size)


def test_the_models_look_as_they_should(
    tmp_path: Path, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnemon.runtime import catalog

    first = catalog.catalog()[0]
    here = replace(first, name="built-in", title="Small", size_bytes=14_000_000, ram_bytes=150_000_000, licence="MIT",
                   context=1024, summary="Comes with Mnemon.")  # fmt: skip
    there = replace(here, name="big", title="Big", size_bytes=1_400_000_000, ram_bytes=2_500_000_000, path=None)
    monkeypatch.setattr(catalog, "catalog", lambda: (here, there))
    monkeypatch.setattr(catalog, "installed", lambda _: (here,))
    with opened(tmp_path / "home", "Noted.", ANSWER) as app:
        assert snap_compare(app, run_before=_look(app, "f5"), terminal_size=(80, 24))
