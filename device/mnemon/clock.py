"""What the time is: everything that writes a moment down takes a clock, so that a test can set it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Tells the moment, in UTC."""


def utc_now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(UTC)
