"""Is a memory sound: its pages, its tables, and its indexes against the rows they were made from."""

from __future__ import annotations

from mnemon.errors import MnemonError
from mnemon.memory.store import Store

_MOST = 20


def problems(store: Store) -> list[str]:
    """Everything SQLite and SQLCipher can find wrong, and vectors without their rows; empty when the memory is sound.

    More than :meth:`Store.problems`: each index is compared with its table, the word indexes with the words. Takes
    some 10 s for a gigabyte. At most twenty lines.
    """
    found = store.problems()
    if found:
        return found[:_MOST]
    found += [str(row[0]) for row in store.tuples("PRAGMA integrity_check") if row[0] != "ok"]
    found += [
        f"{row[0]} has a row that points to none in {row[2]}" for row in store.tuples("PRAGMA foreign_key_check")
    ]
    for table in store.word_indexes():
        try:
            store.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")
        except MnemonError:
            found.append(f"{table} does not agree with the words it was made from")
    for kind, table in (("message", "messages"), ("fact", "facts")):
        rows = store.tuples(
            f"SELECT count(*) FROM vectors WHERE kind = ? AND ref NOT IN (SELECT id FROM {table})", (kind,)
        )
        if rows[0][0]:
            found.append(f"{rows[0][0]} vectors belong to no row of {table}")
    return found[:_MOST]
