"""The owner's keys: what is accepted, what is refused, and what the owner is told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from terminal_app import opened, ready, said, screen_text, wait_until
from textual.widgets import TextArea

from mnemon.terminal import keymap


def test_every_command_has_a_name_of_its_own_and_words_for_it() -> None:
    commands = keymap.commands()
    assert [name for name, count in Counter(c.id for c in commands).items() if count > 1] == []
    assert all(command.description and command.keys for command in commands)


@pytest.mark.parametrize("enter_sends", [True, False])
def test_the_keys_as_they_come_do_not_clash(enter_sends: bool) -> None:
    base = keymap.base(enter_sends=enter_sends)
    assert [c.id for c in keymap.commands(base) if keymap._clash(c.id, base)] == []


def test_no_key_of_the_chat_is_taken_by_the_input_first() -> None:
    from mnemon.terminal.screens.chat import ChatScreen

    editing = {key for key, _ in TextArea._merged_bindings or ()}
    shadowed = [b.id for k, b in ChatScreen._merged_bindings or () if k in editing and b.id and not b.priority]
    assert shadowed == []


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"chat.neww": "f12"}, "Did you mean chat.new?"),
        ({"zzz": "f12"}, "F1 lists the names."),
        ({"chat.new": ""}, "no key is named"),
        ({"chat.new": "controll+n"}, "is not a key"),
        ({"chat.new": "n"}, "impossible to type"),
        ({"chat.new": "ctrl+u"}, "edits the text you write"),
        ({"chat.new": "ctrl+o"}, "that is the key of chat.conversations"),
        ({"chat.new": "f1"}, "that is the key of app.help"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_one_line_saying_why(own: dict[str, str], words: str) -> None:
    accepted, problems = keymap.check({**own, "chat.export": "f12"})
    assert accepted == {"chat.export": "f12"}
    assert len(problems) == 1
    assert words in problems[0]


def test_two_commands_may_trade_keys() -> None:
    own = {"chat.new": "ctrl+o", "chat.conversations": "ctrl+n"}
    assert keymap.check(own) == (own, [])


def test_letters_are_fine_where_nothing_is_typed() -> None:
    assert keymap.check({"message.copy": "y"}) == ({"message.copy": "y"}, [])


def test_keys_are_written_as_people_write_them() -> None:
    assert [keymap.display(k) for k in ("ctrl+o", "f2", "alt+up", "pageup", "escape", "e", "shift+enter")] == [
        "Ctrl+O",
        "F2",
        "Alt+Up",
        "Page Up",
        "Esc",
        "e",
        "Shift+Enter",
    ]


async def test_a_remapped_key_works_and_is_shown(tmp_path: Path) -> None:
    with opened(tmp_path / "home", keymap={"app.help": "f12", "chat.nonsense": "f9"}) as app:
        async with app.run_test() as pilot:
            await ready(pilot)
            await wait_until(pilot, lambda: "chat.nonsense" in said(app) and "f12 Help" in screen_text(app))
            await pilot.press("f1")
            assert app.screen is app.chat
            await pilot.press("f12")
            await wait_until(pilot, lambda: "F12" in screen_text(app))
