"""Conversations, profile, models, help, the palette, and taking words away."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from terminal_app import (
    INFO,
    load_with,
    notice,
    opened,
    program,
    ready,
    said,
    screen_text,
    settled,
    stored,
    tell,
    texts,
    wait_until,
)

from mnemon import new_file
from mnemon.errors import ChecksumError, InputError, TransferError
from mnemon.runtime.scripted import ScriptedModel
from mnemon.terminal import clipboard, editor, markdown_export, run
from mnemon.terminal.conversation import OpenConversation
from mnemon.terminal.screens.models import ModelsScreen
from mnemon.terminal.text import when


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def test_conversations_are_found_by_title_and_text_and_resumed(home: Path) -> None:
    with opened(home, "Noted.", "A fine city.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "My dog is called Biscuit.")
            await pilot.press("ctrl+n")
            await settled(pilot)
            await tell(pilot, "I moved to Bristol.")
            await pilot.press("ctrl+o")
            await wait_until(pilot, lambda: "My dog is called Biscuit." in screen_text(app))
            assert "2 March 2026, 10:" in screen_text(app)
            assert "2 messages" in screen_text(app)
            await pilot.press(*"bisc")
            await wait_until(pilot, lambda: "I moved to Bristol." not in screen_text(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: texts(app) == ["My dog is called Biscuit.", "Noted."])


async def test_what_was_looked_for_is_shown_and_opened_where_it_was_said(home: Path) -> None:
    with opened(home, "Noted.") as app:
        chat = app.assistant.chat()
        for number in range(60):
            told = "Then my dog Biscuit ate the post" if number == 3 else f"This is remark {number}"
            chat.send(told).finish()
        async with app.run_test(size=(80, 30)) as pilot:
            await ready(pilot)
            await pilot.press("ctrl+o", *"ate bisc")
            await wait_until(pilot, lambda: "my dog Biscuit ate the post" in screen_text(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: app.chat.transcript.selected is not None)
            selected = app.chat.transcript.selected
            assert selected is not None
            assert selected.text == "Then my dog Biscuit ate the post"


async def test_a_conversation_is_renamed_and_forgotten_only_after_yes(home: Path) -> None:
    with opened(home, "Noted.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "My dog is called Biscuit.")
            await pilot.press("ctrl+o")
            await wait_until(pilot, lambda: "2 messages" in screen_text(app))
            await pilot.press("ctrl+r")
            await wait_until(pilot, lambda: "Title" in screen_text(app))
            await pilot.press("ctrl+u", *"Pets", "enter")
            await wait_until(pilot, lambda: "Pets" in screen_text(app) and "2 messages" in screen_text(app))
            await pilot.press("ctrl+d")
            await wait_until(pilot, lambda: "Forget “Pets”?" in screen_text(app))
            await pilot.press("n")
            await wait_until(pilot, lambda: "Forget “Pets”?" not in screen_text(app))
            assert app.assistant.memory.messages.conversations()
            await pilot.press("ctrl+d")
            await wait_until(pilot, lambda: "Forget “Pets”?" in screen_text(app))
            await pilot.press("y")
            await wait_until(pilot, lambda: "No conversations yet." in screen_text(app))
            await pilot.press("escape")
            await wait_until(pilot, lambda: texts(app) == [])


async def test_the_profile_is_read_edited_added_to_and_removed_from(home: Path) -> None:
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("f4")
            await wait_until(pilot, lambda: "Nothing yet." in screen_text(app))
            await pilot.press("a")
            await wait_until(pilot, lambda: "A line about you" in screen_text(app))
            await pilot.press(*"Likes tea.", "enter")
            await wait_until(pilot, lambda: "Likes tea.  (written by you)" in screen_text(app))
            await pilot.press("e")
            await wait_until(pilot, lambda: "Edit this line" in screen_text(app))
            await pilot.press("backspace", *" a lot.", "enter")
            await wait_until(pilot, lambda: "Likes tea a lot." in screen_text(app))
            await pilot.press("d")
            await wait_until(pilot, lambda: "Remove" in screen_text(app))
            assert [line.text for line in app.assistant.profile.lines()] == ["Likes tea a lot."]
            await pilot.press("y")
            await wait_until(pilot, lambda: "Nothing yet." in screen_text(app))
            assert not app.assistant.profile.lines()


async def test_in_the_smallest_window_the_profile_can_be_read(home: Path) -> None:
    with opened(home, extract=True) as app:
        app.assistant.profile.add("The user lives in a lighthouse near Plymouth.")
        app.assistant.profile.add("The user keeps bees.")
        async with app.run_test(size=(40, 10)) as pilot:
            await ready(pilot)
            await pilot.press("f4")
            await wait_until(pilot, lambda: "Plymouth." in screen_text(app))
            assert "keeps bees." in screen_text(app)
            assert "e edit" in screen_text(app)


def test_a_day_is_named_only_where_it_is_another_one() -> None:
    now = datetime.now().astimezone()
    assert when(now) == f"{now:%H:%M}"
    assert when(now - timedelta(days=1)).endswith(f"{now.year}, {now:%H:%M}") or now.timetuple().tm_yday == 1


async def test_models_are_pulled_only_after_yes_and_then_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled: list[str] = []

    def pull(spec: object, _: object, *, progress: Callable[[int, int], None]) -> Path:
        progress(1, 2)
        pulled.append(spec.name)  # type: ignore[attr-defined]
        return Path("model.gguf")

    monkeypatch.setattr("mnemon.runtime.download.pull", pull)
    with opened(home) as app:
        async with app.run_test(size=(90, 30)) as pilot:
            await ready(pilot)
            await pilot.press("f5")
            await wait_until(pilot, lambda: "Qwen3" in screen_text(app))
            assert "Apache-2.0" in screen_text(app)
            await pilot.press("down", "u")
            await wait_until(pilot, lambda: "Press p to pull it" in said(app))
            await pilot.press("p")
            await wait_until(pilot, lambda: "Download " in screen_text(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: isinstance(app.screen, ModelsScreen))
            assert not pulled
            await pilot.press("p")
            await wait_until(pilot, lambda: "Download " in screen_text(app))
            await pilot.press("y")
            await wait_until(pilot, lambda: "is here. Press u" in said(app))
            assert len(pulled) == 1
            load_with(app, lambda _: ScriptedModel(info=INFO))
            await settled(pilot)
            await pilot.press("home", "u")
            await wait_until(pilot, lambda: "talks from now on" in said(app))
    assert "[model]" in (home / "settings.toml").read_text()


async def test_a_download_can_be_stopped_and_a_failed_one_is_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = threading.Event()

    def endless(_: object, __: object, *, progress: Callable[[int, int], None]) -> Path:
        while True:
            going.set()
            progress(1, 2)

    def wrong(_: object, __: object, *, progress: object) -> Path:
        raise ChecksumError("The file is not what the hub announced.", hint="Pull it again.")

    monkeypatch.setattr("mnemon.runtime.download.pull", endless)
    with opened(home) as app:
        async with app.run_test(size=(90, 30)) as pilot:
            await ready(pilot)
            await pilot.press("f5")
            await wait_until(pilot, lambda: "Qwen3" in screen_text(app))
            await pilot.press("down", "p")
            await wait_until(pilot, lambda: "Download " in screen_text(app))
            await pilot.press("y")
            await wait_until(pilot, going.is_set)
            await pilot.press("escape")
            await wait_until(pilot, lambda: "The download was stopped." in said(app))
            monkeypatch.setattr("mnemon.runtime.download.pull", wrong)
            await settled(pilot)
            await pilot.press("p")
            await wait_until(pilot, lambda: "Download " in screen_text(app))
            await pilot.press("y")
            await wait_until(pilot, lambda: "Pull it again." in said(app))
            assert "The file is not what the hub announced." in said(app)
            assert "Traceback" not in screen_text(app)


async def test_help_names_every_command(home: Path) -> None:
    from mnemon.terminal import keymap
    from mnemon.terminal.screens.help import HelpScreen

    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("f1")
            await wait_until(pilot, lambda: isinstance(app.screen, HelpScreen))
            listing = app.screen.listing().plain  # type: ignore[attr-defined]
            assert all(command.id in listing for command in keymap.commands())
            await pilot.press("escape")
            assert app.screen is app.chat


async def test_the_palette_reaches_everything(home: Path) -> None:
    with opened(home, "One.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("ctrl+p")
            await pilot.pause(0.1)
            await pilot.press(*"temporary chat")
            await wait_until(pilot, lambda: "Start a chat of which nothing is kept" in screen_text(app))
            await pilot.press("down", "enter")
            await wait_until(pilot, lambda: app.chat.conversation.temporary)
            await tell(pilot, "Nobody keeps this.")
            assert texts(app) == ["Nobody keeps this.", "One."]
            assert "Nobody keeps this." not in list(stored(app))


async def test_the_theme_is_remembered_and_an_unknown_one_is_named(home: Path) -> None:
    with opened(home, theme="no-such-theme") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            assert "no-such-theme" in said(app)
            app.theme = "nord"
            await pilot.pause()
    assert 'theme = "nord"' in (home / "settings.toml").read_text()


async def test_copying_says_what_worked(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "wl-copy", f"cat > {tmp_path}/clipboard")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    for name in ("DISPLAY", "TMUX", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with opened(home) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await pilot.press("f8")
            await wait_until(pilot, lambda: "no message to copy" in notice(app))
            messages = app.assistant.memory.messages
            talk = messages.start().id
            messages.add(talk, "owner", "code please")
            messages.add(talk, "assistant", "Two:\n\n```python\nfirst()\n```\n\n~~~\nsecond()\n~~~\n")
            app.chat.open(OpenConversation(app.assistant, talk))
            await settled(pilot)
            await pilot.press("f9")
            await wait_until(pilot, lambda: "Copied code block 2 of 2 with wl-copy." in said(app))
            assert (tmp_path / "clipboard").read_text() == "second()\n"
            await pilot.press("f9")
            await wait_until(pilot, lambda: "Copied code block 1 of 2 with wl-copy." in said(app))
            await pilot.press("alt+up", "up", "c")
            await wait_until(pilot, lambda: "Copied the message with wl-copy." in said(app))
            assert (tmp_path / "clipboard").read_text() == "code please"
            assert app.clipboard == "code please"


def test_without_a_native_tool_the_terminal_is_asked(tmp_path: Path) -> None:
    copied = clipboard.copy_native("x", {"PATH": str(tmp_path), "DISPLAY": ":0", "SSH_TTY": "/dev/pts/1"})
    assert copied == clipboard.Copied(None, remote=True)
    assert "OSC 52" in copied.sentence("the answer")


def test_a_native_tool_that_fails_gives_way_to_the_next(tmp_path: Path) -> None:
    program(tmp_path / "bin", "xclip", "exit 1")
    program(tmp_path / "bin", "xsel", f"/bin/cat > {tmp_path}/clipboard")
    environ = {"PATH": f"{tmp_path}/bin", "DISPLAY": ":0"}
    assert clipboard.copy_native("näme", environ) == clipboard.Copied("xsel", remote=False)
    assert (tmp_path / "clipboard").read_text("utf-8") == "näme"


async def test_a_conversation_is_exported_as_markdown(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with opened(home, "Café **au lait**.") as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await tell(pilot, "What do I drink?")
            await pilot.press("ctrl+s")
            await wait_until(pilot, lambda: "It is not encrypted." in screen_text(app))
            await pilot.press("enter")
            await wait_until(pilot, lambda: "Written to" in said(app))
    path = tmp_path / "what-do-i-drink.md"
    text = path.read_bytes().decode("utf-8")
    assert text.startswith("# What do I drink?\n\n**You** (2 March 2026, 10:")
    assert "Café **au lait**.\n" in text
    assert path.stat().st_mode & 0o777 == 0o600
    assert markdown_export.suggested_path("What do I drink?", tmp_path).name == "what-do-i-drink-2.md"
    with pytest.raises(TransferError, match="exists already"):
        new_file.write(path, text.encode())
    with pytest.raises(TransferError, match="cannot be written"):
        new_file.write(tmp_path / "none" / "x.md", text.encode())


def test_the_editor_gets_the_draft_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = program(tmp_path / "bin", "ed", f'printf " more" >> "$1"; echo "$1" > {tmp_path}/where')
    monkeypatch.setenv("VISUAL", str(script))
    assert editor.edit("draft") == "draft more"
    assert not Path((tmp_path / "where").read_text().strip()).exists()
    monkeypatch.setenv("VISUAL", str(program(tmp_path / "bin", "bad", "exit 3")))
    with pytest.raises(InputError, match="ended with 3"):
        editor.edit("draft")
    monkeypatch.setenv("VISUAL", str(tmp_path / "none"))
    with pytest.raises(InputError, match="cannot be started"):
        editor.edit("draft")


def test_while_the_app_has_the_screen_the_log_is_a_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("mnemon")
    before = list(log.handlers)

    class Surprised:
        def __init__(self, _assistant: object) -> None:
            pass

        def run(self) -> None:
            log.error("KeyError")

    monkeypatch.setattr("mnemon.terminal.app.MnemonApp", Surprised)
    with opened(home) as app:
        run(app.assistant)
    assert "mnemon ERROR KeyError" in (home / "mnemon.log").read_text("utf-8")
    assert log.handlers == before
