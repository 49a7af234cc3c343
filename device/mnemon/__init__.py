"""Mnemon: a personal assistant that lives on its owner's device and remembers.

>>> from mnemon import Assistant
>>> with Assistant() as mnemon:
...     _ = mnemon.ask("My dog is called Biscuit.")
...     print("Biscuit" in mnemon.ask("What is my dog called?").text)
True

Names are loaded when they are first used: ``import mnemon`` costs a few milliseconds, not the model's runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.chat import Chat
    from mnemon.errors import (
        CloudError,
        DiskError,
        DownloadError,
        InputError,
        LearningError,
        MnemonError,
        ModelError,
        NotFoundError,
        SettingsError,
        StoreError,
        TransferError,
    )
    from mnemon.memory.records import Conversation, Fact, Message, Recalled, Source
    from mnemon.settings import Settings
    from mnemon.turns import Answer, ConsentAsked, Delta, MemoriesRecalled, Timing, Turn, TurnFinished, TurnStarted

_HOMES = {
    "Answer": "turns",
    "Assistant": "assistant",
    "Chat": "chat",
    "CloudError": "errors",
    "ConsentAsked": "turns",
    "Conversation": "memory.records",
    "Delta": "turns",
    "DiskError": "errors",
    "DownloadError": "errors",
    "Fact": "memory.records",
    "InputError": "errors",
    "LearningError": "errors",
    "MemoriesRecalled": "turns",
    "Message": "memory.records",
    "MnemonError": "errors",
    "ModelError": "errors",
    "NotFoundError": "errors",
    "Recalled": "memory.records",
    "Settings": "settings",
    "SettingsError": "errors",
    "Source": "memory.records",
    "StoreError": "errors",
    "Timing": "turns",
    "TransferError": "errors",
    "Turn": "turns",
    "TurnFinished": "turns",
    "TurnStarted": "turns",
}

__all__ = [
    "Answer",
    "Assistant",
    "Chat",
    "CloudError",
    "ConsentAsked",
    "Conversation",
    "Delta",
    "DiskError",
    "DownloadError",
    "Fact",
    "InputError",
    "LearningError",
    "MemoriesRecalled",
    "Message",
    "MnemonError",
    "ModelError",
    "NotFoundError",
    "Recalled",
    "Settings",
    "SettingsError",
    "Source",
    "StoreError",
    "Timing",
    "TransferError",
    "Turn",
    "TurnFinished",
    "TurnStarted",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # 40 ms, a fifth of what `mnemon --help` may take

        return version("mnemon")
    if name in _HOMES:
        return getattr(import_module(f"mnemon.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'mnemon' has no attribute {name!r}")
