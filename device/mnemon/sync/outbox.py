"""Questions that wait for a line to the cloud, and their answers, each put into its conversation once.

What waits is the exact text the owner let leave, with what its placeholders stand for; nothing is prepared anew
later. A question is in one of four states::

    waiting --> sending --> answered      the answer stands in the conversation, marked until it was seen
       ^           |
       +-----------+------> given up      too old, or nothing the server takes; told, and marked likewise

Only the holder of the sync lock sends (:mod:`mnemon.sync.daemon`), so what says ``sending`` when it comes is what a
process that died left behind: it is sent again, with the same id, and the server gives the answer it gave before. The
answer is written and the question taken off the list in one transaction.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from mnemon.clock import Clock, utc_now
from mnemon.errors import CloudError, NotFoundError
from mnemon.memory.messages import Messages
from mnemon.memory.records import Message, from_ms, to_ms
from mnemon.memory.store import Store
from mnemon.sync.parcel import Parcel

State = Literal["waiting", "sending", "answered", "given up"]

KEPT: Final = timedelta(days=7)
"""A question nobody could answer for so long is given up: by then the owner has asked elsewhere."""
LONGEST_WAIT_S: Final = 86_400.0
"""A server may ask to be left alone until tomorrow's allowance, and not longer."""
_JITTER: Final = 1.3
_ENTRY: Final = (
    "SELECT outbox.*, (SELECT json_group_array(kind || ref) FROM outbox_sources WHERE outbox_id = outbox.id)"
    " AS sources FROM outbox"
)
_OPEN: Final = "state IN ('waiting', 'sending')"
_SENDERS: Final = "(state = 'sending' OR state = 'waiting' AND next_at <= ?)"
"""What the holder of the sync lock may send, answer and close: not what a turn has claimed."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 20.0, 3600.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A question in the outbox.

    Attributes:
        id: Its number, as people name it.
        question_id: The owner's message.
        parcel: What leaves; its words are gone once it is answered or given up.
        next_at: When it is tried next.
        attempts: How often it has left so far.
        problem: Why the last attempt failed; empty when there was none.
        answer_id: The answer in the conversation, when there is one.
    """

    id: int
    question_id: int
    parcel: Parcel
    state: State
    queued_at: datetime
    next_at: datetime
    attempts: int = 0
    problem: str = ""
    answer_id: int | None = None


class Outbox:
    """The questions of one memory that wait, or whose answer has not been seen yet.

    Args:
        store: Where they are kept.
        now: The clock; tests set it.
    """

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self._messages = Messages(store, now)
        self._now = now

    def add(self, question_id: int, parcel: Parcel, *, attempts: int = 0, problem: str = "") -> Entry:
        """Let a question wait. The same message waits once: the newer parcel takes the older one's place.

        Args:
            question_id: The owner's message.
            parcel: What leaves.
            attempts: How often it left already.
            problem: Why it was not answered then.

        Raises:
            NotFoundError: The message was forgotten meanwhile.
        """
        now = to_ms(self._now())
        with self._store.transaction():
            self._messages.get(question_id)
            self._store.execute(f"DELETE FROM outbox WHERE question_id = ? AND {_OPEN}", (question_id,))
            cursor = self._store.execute(
                "INSERT INTO outbox (request_id, keep_key, question_id, text, meanings, max_tokens, state, queued_at,"
                " next_at, attempts, problem) VALUES (?, ?, ?, ?, ?, ?, 'waiting', ?, ?, ?, ?)",
                (
                    parcel.request_id,
                    parcel.keep_key,
                    question_id,
                    parcel.text,
                    json.dumps(dict(parcel.meanings), ensure_ascii=False),
                    parcel.max_tokens,
                    now,
                    now,
                    attempts,
                    problem,
                ),
            )
            id = int(cursor.lastrowid)
            self._store.execute_many(
                "INSERT INTO outbox_sources (outbox_id, kind, ref) VALUES (?, ?, ?)",
                [(id, s[0], int(s[1:])) for s in sorted({*parcel.sources, f"m{question_id}"})],
            )
        return self.get(id)

    def get(self, id: int) -> Entry:
        """The entry with that number.

        Raises:
            NotFoundError: There is none (any more).
        """
        found = self._entries("WHERE id = ?", (id,))
        if not found:
            raise NotFoundError(f"No question {id} waits.", hint="`mnemon sync status` lists them.")
        return found[0]

    def entries(self) -> list[Entry]:
        """Everything in it, oldest first."""
        return self._entries("ORDER BY id")

    def due(self) -> list[Entry]:
        """What waits and may be tried now, oldest first."""
        return self._entries("WHERE state = 'waiting' AND next_at <= ? ORDER BY id", (to_ms(self._now()),))

    def has_work(self) -> bool:
        """Whether something may be tried now, or was left in the middle by a process that died."""
        return bool(
            self._store.tuples(
                "SELECT 1 FROM outbox WHERE state = 'sending' OR (state = 'waiting' AND next_at <= ?) LIMIT 1",
                (to_ms(self._now()),),
            )
        )

    def next_at(self) -> datetime | None:
        """When something is to be tried next; None when nothing waits."""
        found = self._store.tuples("SELECT min(next_at) FROM outbox WHERE state = 'waiting'")[0][0]
        return None if found is None else from_ms(found)

    def waiting(self) -> int:
        """How many have no answer yet."""
        return int(self._store.tuples(f"SELECT count(*) FROM outbox WHERE {_OPEN}")[0][0])

    def is_open(self, entry: Entry) -> bool:
        """Whether it still has no answer, and nobody took it out."""
        return bool(self._store.tuples(f"SELECT 1 FROM outbox WHERE id = ? AND {_OPEN}", (entry.id,)))

    def drop(self, id: int) -> None:
        """Take a question out; it is not sent (again).

        Raises:
            NotFoundError: There is none with that number.
        """
        self.get(id)
        with self._store.transaction():
            self._store.execute("DELETE FROM outbox WHERE id = ?", (id,))

    def withdraw(self, question_id: int, *ids: int) -> None:
        """The owner said otherwise about a message, or it has its answer: nothing of it waits any longer.

        Args:
            question_id: The owner's message; what is under way for it brings no answer any more.
            ids: Entries that go with it.
        """
        with self._store.transaction():
            self._store.execute(
                f"DELETE FROM outbox WHERE {_OPEN} AND (question_id = ? OR id IN (SELECT value FROM json_each(?)))",
                (question_id, json.dumps(ids)),
            )

    def give_up(self, problem: str) -> None:
        """Give up everything that has no answer yet; it is told as news."""
        with self._store.transaction():
            for entry in self._entries(f"WHERE {_OPEN}"):
                self._close(entry, "given up", problem)

    # -- for a turn that asks what waits ---------------------------------------------------------------------------

    def open_in(self, conversation_id: int) -> list[Entry]:
        """What has no answer yet in a conversation, oldest first."""
        where = f"WHERE {_OPEN} AND question_id IN (SELECT id FROM messages WHERE conversation_id = ?) ORDER BY id"
        return self._entries(where, (conversation_id,))

    def claim(self, entries: Sequence[Entry], span: timedelta, *, sends: Entry | None) -> datetime | None:
        """Keep the sender off open entries for ``span`` from now, whatever it has under way.

        Args:
            entries: All of them, or none is claimed.
            span: How long.
            sends: Which of them leaves now.

        Returns:
            Until when; None when one of them is not open any more.
        """
        until, ids = to_ms(self._now() + span), json.dumps([entry.id for entry in entries])
        with self._store.transaction():
            claimed = self._store.execute(
                "UPDATE outbox SET state = 'waiting', next_at = ?, attempts = attempts + (id = ?)"
                f" WHERE {_OPEN} AND id IN (SELECT value FROM json_each(?))"
                f" AND (SELECT count(*) FROM outbox WHERE {_OPEN} AND id IN (SELECT value FROM json_each(?))) = ?",
                (until, sends.id if sends is not None else 0, ids, ids, len(entries)),
            ).rowcount
        return from_ms(until) if claimed else None

    def release(self, entries: Sequence[Entry], until: datetime, problem: str) -> None:
        """End a claim: they are due at once. What another one took meanwhile is left alone.

        Args:
            entries: Those claimed.
            until: What :meth:`claim` returned.
            problem: Why they were not answered.
        """
        with self._store.transaction():
            self._store.execute(
                "UPDATE outbox SET next_at = ?, problem = ? WHERE state = 'waiting' AND next_at = ?"
                " AND id IN (SELECT value FROM json_each(?))",
                (to_ms(self._now()), problem, to_ms(until), json.dumps([entry.id for entry in entries])),
            )

    # -- for the one who sends -------------------------------------------------------------------------------------

    def recover(self, *, hurry: bool = False) -> int:
        """What a process that died was sending waits again, at once; a clock that was set back keeps nothing away.

        Only for the holder of the sync lock. Returns how many there were.

        Args:
            hurry: Everything else that waits is due at once, too.
        """
        now = to_ms(self._now())
        latest = now if hurry else now + round(1000 * _JITTER * LONGEST_WAIT_S)
        with self._store.transaction():
            cursor = self._store.execute(
                "UPDATE outbox SET state = 'waiting', next_at = ? WHERE state = 'sending'", (now,)
            )
            self._store.execute(
                "UPDATE outbox SET next_at = ? WHERE state = 'waiting' AND next_at > ?",
                (now, latest),
            )
        return int(cursor.rowcount)

    def sending(self, entry: Entry) -> bool:
        """Note that it leaves now; False when it was answered, claimed, dropped or forgotten meanwhile."""
        with self._store.transaction():
            return bool(
                self._store.execute(
                    f"UPDATE outbox SET state = 'sending', attempts = attempts + 1 WHERE id = ? AND {_SENDERS}",
                    (entry.id, to_ms(self._now())),
                ).rowcount
            )

    def answered(self, entry: Entry, text: str, *, model: str) -> Message | None:
        """Put the answer into its conversation, once, and let go of what was sent.

        The answer becomes a version beside the one given at the time. The conversation shows it if nothing was said
        since; otherwise what is shown stays as it is.

        Returns:
            The answer's message; None when the question was forgotten, dropped, claimed or answered before.
        """
        with self._store.transaction():
            if not self._close(entry, "answered", "", claimed=False):
                return None
            question = self._messages.get(entry.question_id)
            shown = self._messages.conversation(question.conversation_id).leaf_id
            beside = shown == question.id or any(
                message.id == shown and message.parent_id == question.id
                for message in self._messages.many([shown] if shown else []).values()
            )
            answer = self._messages.add(
                question.conversation_id,
                "assistant",
                text,
                parent_id=question.id,
                said_at=self._now(),
                model=model,
                route="cloud",
            )
            if shown is not None and not beside:
                self._messages.show(shown)
            self._messages.update(question.id, status="complete")
            self._store.execute("UPDATE outbox SET answer_id = ? WHERE id = ?", (answer.id, entry.id))
        return answer

    def failed(self, entry: Entry, error: CloudError) -> Entry | None:
        """Note why an attempt failed, and when the next one is due, or that there is none. None when it is gone.

        What a turn has claimed meanwhile is left as it is.
        """
        now = self._now()
        final = error.code in ("question-refused", "not-allowed") or now - entry.queued_at > KEPT
        with self._store.transaction():
            if final:
                self._close(entry, "given up", str(error), claimed=False)
            else:
                pause = error.retry_after
                if pause is None or pause < _FIRST_PAUSE_S:
                    pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(entry.attempts, 12))
                at = to_ms(now + timedelta(seconds=min(pause, LONGEST_WAIT_S) * random.uniform(1.0, _JITTER)))
                self._store.execute(
                    f"UPDATE outbox SET state = 'waiting', next_at = ?, problem = ? WHERE id = ? AND {_SENDERS}",
                    (at, str(error), entry.id, to_ms(now)),
                )
        found = self._entries("WHERE id = ?", (entry.id,))
        return found[0] if found else None

    # -- for the one who looks -------------------------------------------------------------------------------------

    def news(self) -> list[Entry]:
        """What was answered or given up and has not been seen, oldest first."""
        return self._entries("WHERE state IN ('answered', 'given up') ORDER BY id")

    def seen(self, *ids: int) -> None:
        """The owner has seen this news: take it off the list."""
        with self._store.transaction():
            self._store.execute(
                "DELETE FROM outbox WHERE state IN ('answered', 'given up')"
                " AND id IN (SELECT value FROM json_each(?))",
                (json.dumps(ids),),
            )

    def _close(self, entry: Entry, state: State, problem: str, *, claimed: bool = True) -> bool:
        """End an entry that is still open; what left is in the ledger, so no copy of it stays here.

        Args:
            claimed: Also one that a turn has claimed.
        """
        done = self._store.execute(
            "UPDATE outbox SET state = ?, problem = ?, text = '', meanings = '{}' WHERE id = ?"
            f" AND {_OPEN} AND (? OR {_SENDERS})",
            (state, problem, entry.id, claimed, to_ms(self._now())),
        )
        if not done.rowcount:
            return False
        self._store.execute("DELETE FROM outbox_sources WHERE outbox_id = ?", (entry.id,))
        return True

    def _entries(self, where: str, params: tuple[Any, ...] = ()) -> list[Entry]:
        return [_entry(row) for row in self._store.rows(f"{_ENTRY} {where}", params)]


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(
        id=row["id"],
        question_id=row["question_id"],
        parcel=Parcel(
            row["text"],
            json.loads(row["meanings"]),
            tuple(json.loads(row["sources"])),
            row["max_tokens"],
            bytes(row["request_id"]),
            bytes(row["keep_key"]),
        ),
        state=row["state"],
        queued_at=from_ms(row["queued_at"]),
        next_at=from_ms(row["next_at"]),
        attempts=row["attempts"],
        problem=row["problem"],
        answer_id=row["answer_id"],
    )
