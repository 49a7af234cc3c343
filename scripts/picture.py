"""Draw docs/app.svg, the picture in the README: a short, real conversation with the built-in model.

python scripts/picture.py
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from mnemon.assistant import Assistant
from mnemon.settings import MemorySettings, Settings
from mnemon.terminal.app import MnemonApp

TOLD = [
    "My dog is called Biscuit and he is afraid of the hoover.",
    "On Thursdays I play badminton with Priya.",
]
ASKED = "What is my dog called?"
SIZE = (112, 28)


async def draw(target: Path) -> None:
    """Hold the conversation and write its picture to ``target``."""
    settings = Settings(memory=MemorySettings(key="file"))
    with tempfile.TemporaryDirectory() as home, Assistant(home, settings=settings) as assistant:
        app = MnemonApp(assistant)
        async with app.run_test(size=SIZE) as pilot:
            await _until(pilot, lambda: app.model_ready)
            app.chat.composer.cursor_blink = False
            for text in [*TOLD, ASKED]:
                shown = len(app.chat.transcript.views)
                app.chat.composer.put(text)
                await pilot.press("enter")
                await _until(pilot, lambda before=shown: len(app.chat.transcript.views) == before + 2)
                await _until(pilot, lambda: not app.chat.answering)
                await asyncio.to_thread(assistant.wait, 30)
            app.chat.look_at_answer()
            await pilot.pause(0.5)
            svg = app.export_screenshot(title="Mnemon")
    target.write_text(without_addresses(svg), "utf-8")


def without_addresses(svg: str) -> str:
    """The picture without the fonts it would fetch from elsewhere: a README must not call home."""
    return re.sub(r"\s*@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)


async def _until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("the app took over a minute")
        await pilot.pause(0.05)


if __name__ == "__main__":
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "docs" / "app.svg"
    asyncio.run(draw(picture))
    print(f"Written to {picture}.")
