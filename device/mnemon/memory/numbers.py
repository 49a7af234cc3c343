"""The numbers messages have in a file that is being read, and the ones they got here.

A dictionary of a million of them took some 400 MB; a table that SQLite keeps in memory (``temp_store``, so nothing of
it reaches the disk) takes 30, and goes with the transaction when the import is undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnemon.memory.store import Store

_BUFFERED = 1000
_MOST = (1 << 63) - 1

Place = tuple[int | None, int | None]


class MessageNumbers:
    """For each number in the file: the message it became (None: it was forgotten), and where its children go on.

    Satisfies :class:`~mnemon.memory.saving.Places` for one conversation at a time, whose turns are known by their
    number as text. Make and drop it within one transaction.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._talk = 0
        self._buffer: dict[int, tuple[int | None, int | None, int]] = {}
        store.execute(
            "CREATE TEMP TABLE imported (number INTEGER PRIMARY KEY, id INTEGER, place INTEGER, talk INTEGER)"
        )

    def next_talk(self) -> None:
        """From now on turns are those of another conversation."""
        self._talk += 1

    def __contains__(self, number: int) -> bool:
        return self._find(number) is not None

    def __getitem__(self, number: int) -> int | None:
        found = self._find(number)
        if found is None:
            raise KeyError(number)
        return found[0]

    def here(self, number: int) -> int | None:
        """The message's number here; None when it was forgotten or is not in the file."""
        found = self._find(number)
        return found[0] if found else None

    def get(self, key: str, /) -> Place | None:
        """Where the turn of this conversation with that key went."""
        try:
            found = self._find(int(key))
        except ValueError:  # a file may name anything a parent
            return None
        return found[:2] if found and found[2] == self._talk else None

    def __setitem__(self, key: str, value: Place, /) -> None:
        if len(self._buffer) >= _BUFFERED:
            self._store.execute_many(
                "INSERT INTO imported (number, id, place, talk) VALUES (?, ?, ?, ?)",
                [(number, *rest) for number, rest in self._buffer.items()],
            )
            self._buffer.clear()
        self._buffer[int(key)] = (*value, self._talk)

    def drop(self) -> None:
        """Forget them all."""
        self._store.execute("DROP TABLE imported")

    def _find(self, number: int) -> tuple[int | None, int | None, int] | None:
        found = self._buffer.get(number)
        if found is None and isinstance(number, int) and abs(number) <= _MOST:
            rows = self._store.tuples("SELECT id, place, talk FROM imported WHERE number = ?", (number,))
            found = rows[0] if rows else None
        return found
