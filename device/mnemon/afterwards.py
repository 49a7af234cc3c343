"""What follows an answer: facts are taken from the owner's words, the profile follows them, talks that are over
become episodes, and messages from before there were further keys get theirs."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial

from mnemon.background import Background
from mnemon.errors import MnemonError
from mnemon.memory import scrubbing
from mnemon.memory.consolidation import consolidate
from mnemon.memory.episodes import condense
from mnemon.memory.extraction import extract
from mnemon.memory.memory import Memory
from mnemon.memory.retention import Retention
from mnemon.profile import Profile
from mnemon.runtime.chat_model import ChatModel

MOST_WITH_MODEL = 50
"""When more messages than this are to be caught up with (an import), the patterns read them alone: a model of a
billion weights takes seconds for each, and nobody asked for hours of that."""


class Afterwards:
    """Takes facts from messages in the background, one after the other, each once.

    A message stays marked as open in memory until its facts are taken, whatever fails on the way: :meth:`catch_up`
    finds it again.

    Args:
        memory: The owner's.
        profile: Refreshed when facts were added.
        model: The chat model if it is loaded; without one the patterns read alone.
        wanted: Whether facts are taken at all (the setting ``memory.extract``).
    """

    def __init__(
        self, memory: Memory, profile: Profile, model: Callable[[], ChatModel | None], *, wanted: bool
    ) -> None:
        self._memory = memory
        self._profile = profile
        self._model = model
        self._wanted = wanted
        self._background = Background()
        self._profile_due = False
        self._rules_kept_on: date | None = None
        self._filling = False
        self._closing = False

    def of_message(self, message_id: int) -> None:
        """Take facts from a message as soon as there is time."""
        self._background.later(partial(self.take_facts, message_id))
        self._background.later(self._condense)
        self._fill_later()

    def take_facts(self, message_id: int) -> None:
        """Take facts from a message now; one they were taken from already, or that was taken back, gives none."""
        if self._take(message_id, self._model()):
            self._refresh_profile_later()

    def take_back(self, message_id: int, *, at: datetime, reason: str) -> None:
        """End what is known from this message alone, also what is being taken from it this moment."""
        self._memory.messages.mark_extracted(message_id)
        end = partial(self._memory.facts.take_back, message_id, at=at, reason=reason)
        end()
        self._background.later(end)

    def catch_up(self) -> None:
        """Take facts from every message that a crash, a stopped answer or an import left open; then the profile."""
        waiting = deque(message.id for message in self._memory.messages.pending_extraction())
        if waiting:
            self._profile_due = True
            self._background.later(partial(self._catch_up, waiting, with_model=len(waiting) <= MOST_WITH_MODEL))
        self._background.later(self._condense)
        self._background.later(self._scrub)
        self._fill_later()

    def keep_rules(self, rules: Mapping[str, int], today: date) -> None:
        """Forget, as soon as there is time, what the owner's retention rules say is due; once a day is enough."""
        if rules and self._rules_kept_on != today:
            self._rules_kept_on = today
            self._background.later(Retention(self._memory, rules).apply)

    def of_forgetting(self) -> None:
        """Bring the profile in step as soon as there is time (lines may have gone with one of their facts), and
        overwrite what a forgetting left to do in a large file."""
        self._refresh_profile_later()
        self._background.later(self._scrub)

    def later(self, job: Callable[[], object]) -> None:
        """Do something else when its turn comes."""
        self._background.later(job)

    def wait(self, timeout: float | None) -> bool:
        """Wait until all of it is done; False when ``timeout`` seconds were not enough."""
        return self._background.wait(timeout)

    def close(self, *, patience: float) -> None:
        """Give what is under way ``patience`` seconds; what is left is caught up with another time."""
        self._closing = True
        self._background.close(patience=patience)
        if self._profile_due:
            self._profile_due = False
            with contextlib.suppress(MnemonError):
                self._profile.refresh(None)  # joined by rule: a model would keep the owner waiting for the exit

    def _take(self, message_id: int, model: ChatModel | None) -> bool:
        messages = self._memory.messages
        message = messages.get(message_id)
        if not messages.awaits_extraction(message_id):
            return False
        drafts = extract(message, model) if self._wanted else []
        added = consolidate(self._memory, message, drafts)
        messages.mark_extracted(message_id)
        return bool(added)

    def _catch_up(self, waiting: deque[int], *, with_model: bool) -> None:
        """One message at a time, so that what was said just now does not wait for all of them."""
        if self._closing:
            return
        if not waiting:
            self._refresh_profile()
            return
        try:
            self._take(waiting.popleft(), self._model() if with_model else None)
        finally:
            self._background.later(partial(self._catch_up, waiting, with_model=with_model))

    def _condense(self) -> None:
        """An episode for one conversation whose talk is over, then again at the end of the queue for the next."""
        due = () if self._closing or not self._wanted else self._memory.episodes.due(limit=2)
        if due:
            condense(self._memory, due[0], self._model())
        if len(due) > 1:
            self._background.later(self._condense)

    def _fill_later(self) -> None:
        if not self._filling:
            self._filling = True
            self._background.later(self._fill)

    def _fill(self) -> None:
        """Further keys for a few old messages, then again at the end of the queue; the end of a turn goes on with
        it when the turn made it wait."""
        more = False
        try:
            more = not self._closing and self._memory.fill_keys()
        finally:
            self._filling = False
        if more:
            self._fill_later()

    def _scrub(self) -> None:
        if scrubbing.is_due(self._memory.store):
            scrubbing.scrub(self._memory.store, at_once=True)

    def _refresh_profile_later(self) -> None:
        if not self._profile_due:
            self._profile_due = True
            self._background.later(self._refresh_profile)

    def _refresh_profile(self) -> None:
        self._profile_due = False  # facts that come from here on make it due again
        self._profile.refresh(self._model())
