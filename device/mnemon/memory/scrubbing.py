"""Nothing of what was deleted is left between the rows of the file.

``secure_delete`` zeroes a row where it lies. But when SQLite moves rows between pages (a page was split, or two
became one), it lays a page out anew and leaves what stood there before in the gap between its pointers and its rows:
copies of rows that live on elsewhere, which a later deletion does not know of (``rebuildPage`` in SQLite's btree.c
clears no gap). Only writing the file anew (``VACUUM``) is sure to leave none of them.

That takes as long as the file is large. A small one is written anew at once, a large one in the background; a mark in
the file's header, set in the transaction that forgets, tells the next start what a crash left to do.
"""

from __future__ import annotations

import logging
import secrets

from mnemon.errors import DiskError, StoreError
from mnemon.memory.sqlcipher import PAGE_BYTES
from mnemon.memory.store import Store

log = logging.getLogger(__name__)

AT_ONCE_BYTES = 32 << 20
"""Up to this size a file is written anew while the owner waits: some 25,000 messages, about a second."""


def mark(store: Store) -> None:
    """Note, inside the transaction that deletes, that the file is to be written anew."""
    # Another value each time: who has just finished must not take away the mark of a later forgetting.
    store.execute(f"PRAGMA user_version = {secrets.randbelow((1 << 31) - 1) + 1}")


def is_due(store: Store) -> bool:
    """Whether what was deleted may still lie somewhere in the file."""
    return _mark(store) != 0


def scrub(store: Store, *, at_once: bool = False) -> bool:
    """Leave nothing of what was deleted, in the file, its log and the copies beside it.

    Call it outside a transaction. What cannot be done now (another process is at work, no space is left) stays due.

    Args:
        store: The file; copies that Mnemon keeps beside it are deleted.
        at_once: Write also a large file anew now, which holds up everybody who writes.

    Returns:
        Whether all of it is done.
    """
    store.remove_backups()
    try:
        for table in store.word_indexes():
            store.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")
        found = _mark(store)
        large = store.tuples("PRAGMA page_count")[0][0] * PAGE_BYTES > AT_ONCE_BYTES
        if found and (at_once or not large):
            store.execute("VACUUM")
        if store.path is not None and store.tuples("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            return False  # another process reads in the log: what lies under it is the old file
        if large and not at_once:
            return not found
        with store.transaction():
            if found and _mark(store) == found:
                store.execute("PRAGMA user_version = 0")
    except (StoreError, DiskError) as error:
        if store.closed:
            raise
        log.warning("what was forgotten could not be overwritten yet: %s", error.code)
        return False
    return not is_due(store)


def _mark(store: Store) -> int:
    return int(store.tuples("PRAGMA user_version")[0][0])
