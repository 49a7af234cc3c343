"""Whether a text may leave now: ``never``, ``ask`` each time (the default), or ``allow`` for a topic, for a while.

``never`` and ``ask`` are the setting ``privacy.mode``: it must be readable before the memory is opened, and says
nothing of anybody. Topics live in the encrypted memory: "divorce, lawyer" in a plain file would tell on its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from mnemon.clock import Clock, utc_now
from mnemon.errors import InputError, NotFoundError, SettingsError
from mnemon.memory.records import from_ms, to_ms
from mnemon.memory.store import Store
from mnemon.paths import Home
from mnemon.privacy.findings import NEVER
from mnemon.settings import PrivacySettings, load
from mnemon.words import content

Answer = Literal["refuse", "ask", "send"]
MODES: Final = ("never", "ask")
LONGEST: Final = timedelta(days=90)
"""A permission nobody remembers giving is none."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A topic the owner lets through without being asked, until it expires."""

    id: int
    topic: str
    given_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds for one text, and why, in one line."""

    answer: Answer
    why: str


class Consent:
    """What the owner allows.

    Args:
        store: Where permissions are kept.
        mode: The setting ``privacy.mode``.
        now: The clock; tests set it.

    Raises:
        SettingsError: There is no such mode.
    """

    def __init__(self, store: Store, mode: str = "ask", now: Clock = utc_now) -> None:
        check_mode(mode)
        self.mode = mode
        self._store = store
        self._now = now

    def decide(self, text: str, *, kinds: Collection[str] = (), empty: bool = False) -> Decision:
        """Whether ``text``, the owner's own words, may leave now.

        Args:
            kinds: The kinds of what was found in it.
            empty: Nothing but what never leaves is in it.
        """
        if self.mode == "never":
            return Decision("refuse", "Nothing leaves this device: privacy.mode is never.")
        if empty:
            return Decision("refuse", "Nothing would be left of it: all of it is of a kind that never leaves.")
        grave = sorted(NEVER & set(kinds))
        words = content(text)
        for permission in self.permissions():
            if any(topic and topic <= words for topic in map(content, permission.topic.split(","))):
                if grave:
                    return Decision("ask", f"The topic is allowed, but a {grave[0]} was cut out: have a look.")
                until = permission.expires_at.astimezone().strftime("%Y-%m-%d %H:%M")
                return Decision("send", f"You allowed the topic “{permission.topic}” until {until}.")
        return Decision("ask", "You are asked each time.")

    def allow(self, topic: str, lasting: timedelta) -> Permission:
        """Let a topic through for a while.

        Args:
            topic: Words separated by commas; a text is of the topic when it holds all words of one of them.

        Raises:
            InputError: The topic says nothing, or the time is not between a minute and 90 days.
        """
        topic = " ".join(topic.split())
        if not all(content(part) for part in topic.split(",")):
            raise InputError(f"{topic!r} is no topic.", hint="Give words such as: cooking, recipe.")
        if not timedelta(minutes=1) <= lasting <= LONGEST:
            raise InputError("A permission lasts from a minute to 90 days.", hint="Give a time such as 2h or 7d.")
        now = self._now()
        with self._store.transaction():
            cursor = self._store.execute(
                "INSERT INTO permissions (topic, given_at, expires_at) VALUES (?, ?, ?)",
                (topic, to_ms(now), to_ms(now + lasting)),
            )
        return Permission(int(cursor.lastrowid), topic, now, now + lasting)

    def withdraw(self, id: int) -> None:
        """Take a permission back.

        Raises:
            NotFoundError: There is none with that number.
        """
        with self._store.transaction():
            if not self._store.execute("DELETE FROM permissions WHERE id = ?", (id,)).rowcount:
                raise NotFoundError(f"There is no permission {id}.", hint="`mnemon privacy mode` lists them.")

    def permissions(self) -> list[Permission]:
        """Those that hold now. A clock set back before one was given does not revive it."""
        now = to_ms(self._now())
        with self._store.transaction():
            self._store.execute("DELETE FROM permissions WHERE expires_at <= ?", (now,))
        return [
            Permission(row["id"], row["topic"], from_ms(row["given_at"]), from_ms(row["expires_at"]))
            for row in self._store.rows("SELECT * FROM permissions WHERE given_at <= ? ORDER BY id", (now,))
        ]


def nothing_leaves(settings: PrivacySettings, home: Home) -> bool:
    """Whether the mode is ``never``: in ``settings``, or by now in the owner's file, whoever changed it.

    A file that cannot be understood lets nothing leave.
    """
    try:
        return "never" in (settings.mode, load(home).privacy.mode)
    except SettingsError:
        return True


def check_mode(mode: str) -> None:
    """Refuse a mode there is not.

    Raises:
        SettingsError: It is neither ``never`` nor ``ask``.
    """
    if mode not in MODES:
        raise SettingsError(f"privacy.mode = {mode!r} is unknown.", hint="Known: never, ask.")
