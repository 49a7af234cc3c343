"""Which key does what: the bindings with their names, the owner's own keys, and whether they get along."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding

if TYPE_CHECKING:
    from textual.dom import DOMNode

NEWLINE_KEYS = "ctrl+j,shift+enter,alt+enter"
"""Ctrl+J first: it is the one every terminal reports, so it is the one the footer shows."""

_TYPING = frozenset({"app", "chat", "composer"})
"""Where letters are typed: a key without Ctrl or Alt there would make that letter impossible to write."""

_NAMED = frozenset(
    "up down left right home end pageup pagedown insert delete backspace tab enter escape space".split()
    + [f"f{n}" for n in range(1, 25)]
)
_MODIFIERS = frozenset({"ctrl", "alt", "shift", "super", "meta", "hyper"})


@dataclass(frozen=True, slots=True)
class Command:
    """A named binding: where it holds, its keys, and what it does."""

    scope: str
    id: str
    keys: tuple[str, ...]
    description: str


def _classes() -> dict[str, tuple[type[DOMNode], ...]]:
    """Every class with bindings, by scope."""
    from mnemon.terminal.app import MnemonApp
    from mnemon.terminal.screens import chat, consent, conversations, dialogs, help, learned, models, profile
    from mnemon.terminal.widgets.checklist import Checklist
    from mnemon.terminal.widgets.composer import Composer
    from mnemon.terminal.widgets.memory_panel import MemoryPanel
    from mnemon.terminal.widgets.message_view import MessageView

    return {
        "app": (MnemonApp,),
        "chat": (chat.ChatScreen,),
        "composer": (Composer,),
        "message": (MessageView,),
        "memory": (MemoryPanel,),
        "conversations": (conversations.ConversationsScreen,),
        "profile": (profile.ProfileScreen,),
        "models": (models.ModelsScreen,),
        "learned": (learned.LearnedScreen,),
        "help": (help.HelpScreen,),
        "dialogs": (
            dialogs.Confirm,
            dialogs.Ask,
            dialogs.Rewrite,
            dialogs.Choose,
            Checklist,
            consent.Consent,
            dialogs.PickOne,
        ),
    }


_TOGETHER = (
    ("app", "chat", "composer"),
    ("app", "chat", "message"),
    ("app", "chat", "memory"),
    ("app", "conversations"),
    ("app", "profile"),
    ("app", "models"),
    ("app", "learned"),
    ("app", "help"),
)
"""Scopes that are active at the same time: there one key can do only one thing."""


def commands(keymap: Mapping[str, str] | None = None) -> list[Command]:
    """Every named binding, with the keys it has under ``keymap``."""
    keymap = keymap or {}
    found: list[Command] = []
    for scope, classes in _classes().items():
        for cls in classes:
            for binding in cls.__dict__.get("BINDINGS", ()):
                if isinstance(binding, Binding) and binding.id:
                    keys = keymap.get(binding.id, binding.key)
                    found.append(Command(scope, binding.id, split(keys), binding.tooltip or binding.description))
    return found


def base(*, enter_sends: bool) -> dict[str, str]:
    """The keymap before the owner's own: Enter sends, or Enter breaks the line."""
    return {} if enter_sends else {"composer.send": NEWLINE_KEYS, "composer.newline": "enter"}


def split(keys: str) -> tuple[str, ...]:
    """``"ctrl+o, f2"`` as its keys."""
    return tuple(key.strip() for key in keys.split(",") if key.strip())


def check(own: Mapping[str, str], *, enter_sends: bool = True) -> tuple[dict[str, str], list[str]]:
    """The keymap to use, and one line for each of the owner's entries that cannot be used.

    An entry that names no command, no key, or a key that already does something else where both are active is
    left out; the others hold.
    """
    start = base(enter_sends=enter_sends)
    known = {command.id: command for command in commands(start)}
    problems: list[str] = []
    wanted: dict[str, str] = {}
    for command_id, keys in own.items():
        if command_id not in known:
            close = difflib.get_close_matches(command_id, known, 1)
            hint = f"Did you mean {close[0]}?" if close else "F1 lists the names."
            problems.append(f"terminal.keymap: there is no command {command_id}. {hint}")
        elif wrong := _wrong_key(known[command_id], split(keys)):
            problems.append(f"terminal.keymap: {command_id} = {keys!r}: {wrong}")
        else:
            wanted[command_id] = ",".join(split(keys))
    accepted = start | wanted
    for command_id in list(wanted):
        if other := _clash(command_id, accepted):
            problems.append(
                f"terminal.keymap: {command_id} = {wanted[command_id]!r}: that is the key of {other}. Choose another."
            )
            del accepted[command_id]
            if command_id in start:
                accepted[command_id] = start[command_id]
    return accepted, problems


def display(key: str) -> str:
    """A key as people write it: ``Ctrl+O``, ``F2``, ``Page Up``."""
    names = {"pageup": "Page Up", "pagedown": "Page Down", "escape": "Esc", "delete": "Del"}
    return "+".join(names.get(part, part.capitalize() if len(part) > 1 else part) for part in key.split("+")).replace(
        "Ctrl+" + key[-1], "Ctrl+" + key[-1].upper()
    )


def _wrong_key(command: Command, keys: tuple[str, ...]) -> str:
    if not keys:
        return "no key is named."
    for key in keys:
        *modifiers, last = key.split("+")
        if not set(modifiers) <= _MODIFIERS or (len(last) > 1 and last not in _NAMED and "_" not in last):
            return f"{key} is not a key. Write it as ctrl+o, alt+up or f2."
        if (
            command.scope in _TYPING
            and last not in _NAMED
            and not set(modifiers) & {"ctrl", "alt", "super", "meta", "hyper"}
        ):
            return f"{key} alone would make it impossible to type. Add ctrl or alt."
        if command.scope in _TYPING and key not in command.keys and key in _editing_keys():
            return f"{key} edits the text you write. Choose another."
    return ""


def _editing_keys() -> frozenset[str]:
    """Keys the input takes before anybody else sees them."""
    from textual.widgets import TextArea

    return frozenset(key for key, _ in TextArea._merged_bindings or ()) - {"up", "down", "pageup", "pagedown"}


def _clash(command_id: str, keymap: Mapping[str, str]) -> str:
    every = commands(keymap)
    mine = next(command for command in every if command.id == command_id)
    for together in _TOGETHER:
        if mine.scope in together:
            for other in every:
                if other.scope in together and other.id != command_id and set(other.keys) & set(mine.keys):
                    return other.id
    return ""
