"""What is learned from: what the owner did with an answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mnemon.runtime.chat_model import ChatMessage

Kind = Literal["accepted", "edited", "picked", "praised", "blamed", "rewritten", "asked"]


@dataclass(frozen=True, slots=True)
class Example:
    """One thing the owner did with an answer.

    Attributes:
        prompt: What the model had read when it answered.
        chosen: The answer the owner wants.
        rejected: The one they do not want instead; None when there was no other.
        kind: What they did.
        conversation: Examples are held out by conversation.
        memories: Ids of the messages and facts it rests on: it goes when one of them is forgotten.
        at: When.
    """

    id: str
    prompt: tuple[ChatMessage, ...]
    chosen: str
    rejected: str | None
    kind: Kind
    conversation: str
    memories: tuple[str, ...]
    at: datetime
