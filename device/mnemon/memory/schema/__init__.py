"""The tables, as numbered migrations. A migration that was released is never edited."""

from __future__ import annotations

from sqlite_utils import Migrations

from mnemon.memory.schema import memories, rooms

migrations = Migrations("mnemon")
"""In this order; which of them a file has had is kept in it by name."""

for _step in (*memories.STEPS, *rooms.STEPS):
    migrations()(_step)
