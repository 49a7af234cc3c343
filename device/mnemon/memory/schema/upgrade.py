"""Bringing the tables of a memory up to date when it is opened, with a copy beside it first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mnemon.errors import StoreNewerError
from mnemon.memory import schema
from mnemon.memory.sqlcipher import backup_path

if TYPE_CHECKING:
    from mnemon.memory.store import Store


def upgrade(store: Store) -> None:
    """Apply the migrations the memory has not had yet, all or none; nothing is written when there are none.

    Before tables that hold something are changed, the memory is copied (:func:`back_up`).

    Raises:
        StoreNewerError: It has had migrations that this Mnemon does not know.
        StoreError: It cannot be read, or another process holds it too long.
        DiskError: It, or the copy, cannot be written.
    """
    migrations = schema.migrations
    applied = {step.name for step in migrations.applied(store.db)}
    unknown = applied - {step.name for step in migrations._migrations}
    if unknown:
        raise StoreNewerError(
            f"{store.path} was written by a newer Mnemon ({', '.join(sorted(unknown))}).",
            hint="Update Mnemon: pip install --upgrade mnemon.",
        )
    if not migrations.pending(store.db):
        return
    if applied and store.tuples("SELECT 1 FROM conversations LIMIT 1"):
        back_up(store)
    with store.transaction() as db:
        migrations.apply(db)  # looks again at what is pending: another process may have been first


def back_up(store: Store) -> None:
    """Copy the memory to ``memory.db.backup`` beside it, under the same key; one kept in memory only has no copy."""
    if store.path is None:
        return
    part = store.path.with_name(store.path.name + ".backup.part")
    part.unlink(missing_ok=True)
    store.copy(part)
    part.replace(backup_path(store.path))
