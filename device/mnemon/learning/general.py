"""The fixed general set: what must not get worse, whatever an owner likes."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from mnemon.learning.examples import Example
from mnemon.runtime.chat_model import ChatMessage

if TYPE_CHECKING:
    from collections.abc import Iterable


@cache
def general_set() -> tuple[Example, ...]:
    """Plain questions with plain answers, from ``general.toml``."""
    from datetime import UTC, datetime

    from mnemon.runtime.prompt import system_with_notes

    data = tomllib.loads(resources.files("mnemon.learning").joinpath("general.toml").read_text("utf-8"))
    rows: Iterable[dict[str, str]] = data["pair"]
    system = ChatMessage("system", system_with_notes([]))
    return tuple(
        Example(
            id=f"general-{number}",
            prompt=(system, ChatMessage("user", row["ask"])),
            chosen=row["answer"],
            rejected=None,
            kind="asked",
            conversation=f"general-{number}",
            memories=(),
            at=datetime(2026, 11, 21, tzinfo=UTC),
        )
        for number, row in enumerate(rows)
    )
