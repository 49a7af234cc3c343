"""Every command of the palette."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand

if TYPE_CHECKING:
    from mnemon.terminal.app import MnemonApp


def every(app: MnemonApp) -> Iterator[SystemCommand]:
    """What the owner can do, by name: each does what its key does."""
    chat = app.chat
    yield SystemCommand("New chat", "Start a new conversation", chat.action_new)
    yield SystemCommand("Temporary chat", "Start a chat of which nothing is kept", chat.action_temporary)
    yield SystemCommand("Conversations", "Search, resume, rename or forget a conversation", chat.action_conversations)
    yield SystemCommand("Answer again", "Another answer to the same question, or retry", chat.action_regenerate)
    yield SystemCommand("Ask the cloud", "Have the bigger model answer this", chat.action_ask_cloud)
    yield SystemCommand("That was fine", "Questions like this one stay on this device", chat.action_fine)
    yield SystemCommand("Edit and resend", "Rewrite your last or selected message", chat.action_edit_question)
    yield SystemCommand("Version before", "Show the version before (2/3)", lambda: chat.action_sibling(-1))
    yield SystemCommand("Version after", "Show the version after (2/3)", lambda: chat.action_sibling(1))
    yield SystemCommand(
        "Good answer", "Say that the answer was good; again takes it back", partial(chat.action_thumb, "praised")
    )
    yield SystemCommand("Bad answer", "Say that the answer was not good", partial(chat.action_thumb, "blamed"))
    yield SystemCommand("Write the answer yourself", "What the answer should have been", chat.action_rewrite)
    yield SystemCommand(
        "What was learned", "What Mnemon learned from you; go back, or learn now", chat.action_learned
    )
    yield SystemCommand("Stop", "Stop the answer and keep what is there", chat.stop_answer)
    yield SystemCommand("Copy message", "Copy the selected message or the last answer", chat.action_copy_message)
    yield SystemCommand("Copy code block", "Copy a code block of the answer", chat.action_copy_code)
    yield SystemCommand("Export to Markdown", "Write this conversation to a file", chat.action_export)
    yield SystemCommand("Raw view", "Show answers as they were written, or as Markdown", chat.action_raw)
    yield SystemCommand("Write in your editor", "Go on writing in $EDITOR", chat.open_editor)
    yield SystemCommand("Memory panel", "What the answer rests on; edit or forget it", chat.action_memory)
    yield SystemCommand("Profile", "What is known about you, in a few lines", chat.action_profile)
    yield SystemCommand("Models", "Choose or download a model", chat.action_models)
    yield SystemCommand("Theme", "Choose the colours", app.action_change_theme)
    yield SystemCommand("Keys", "Show every key", app.action_help)
    yield SystemCommand("Quit", "Close Mnemon", app.action_quit)
