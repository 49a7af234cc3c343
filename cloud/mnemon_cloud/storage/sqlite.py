"""The state in one SQLite file: for one machine, with one process or several on the same file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mnemon_cloud.errors import StorageError
from mnemon_cloud.storage import KEPT_DAYS, AuditEntry, Device, InviteRecord

T = TypeVar("T")

_VERSIONS: tuple[str, ...] = (
    """
    CREATE TABLE invites (
        id BLOB PRIMARY KEY, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL,
        used_by BLOB, revoked INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE devices (
        id BLOB PRIMARY KEY, public_key BLOB NOT NULL UNIQUE, enrolled_at_ms INTEGER NOT NULL, revoked_at_ms INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE nonces (
        device_id BLOB NOT NULL, nonce BLOB NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY (device_id, nonce)
    ) WITHOUT ROWID;
    CREATE INDEX nonces_by_time ON nonces (until_ms);
    CREATE TABLE quotas (
        device_id BLOB NOT NULL, day INTEGER NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY (device_id, day)
    ) WITHOUT ROWID;
    CREATE TABLE audit (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, event TEXT NOT NULL, subject BLOB NOT NULL);
    """,
    """
    CREATE TABLE answers (
        device_id BLOB NOT NULL, request_id BLOB NOT NULL, owner BLOB NOT NULL, answer BLOB,
        until_ms INTEGER NOT NULL, PRIMARY KEY (device_id, request_id)
    );
    CREATE INDEX answers_by_time ON answers (until_ms);
    """,
)
"""What to run to get from one version of the tables to the next; ``user_version`` counts them."""


class SqliteStorage:
    """:class:`~mnemon_cloud.storage.Storage` in one file.

    One thread owns the connection, so the event loop never waits for the disk. What decides who may ask is on disk
    before it is acknowledged; nonces and quotas survive a killed process, not a power cut (an fsync for every call
    would take longer than the call's own work).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="storage")
        self._db: sqlite3.Connection | None = None
        self._failed = False

    @classmethod
    async def open(cls, path: Path) -> SqliteStorage:
        """Open the file, made when missing and brought up to date.

        Raises:
            StorageError: It cannot be opened, is damaged, or was written by a newer server.
        """
        storage = cls(path)
        try:
            await storage._run(storage._connect)
        except BaseException:
            await storage.close()
            raise
        return storage

    def _connect(self) -> None:
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
        db = self._db = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA secure_delete = ON")
        with self._transaction(durable=True):
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > len(_VERSIONS):
                raise StorageError(f"{self._path} was written by a newer server.", hint="Update mnemon.")
            for number, script in enumerate(_VERSIONS[version:], version + 1):
                for command in filter(str.strip, script.split(";")):
                    db.execute(command)
                db.execute(f"PRAGMA user_version = {number}")

    async def _run(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            try:
                return work()
            except sqlite3.Error as error:
                self._failed = True
                raise StorageError(
                    f"{self._path} cannot be used: {error}.", hint="Check the disk; run mnemon-cloud doctor."
                ) from error

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)
        except RuntimeError as error:
            raise StorageError(f"{self._path} is closed.", hint="Start the server again.") from error

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise StorageError(f"{self._path} is closed.", hint="Start the server again.")
        return self._db

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        db = self._connection
        db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    # -- life -------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Read something, to see that it answers; after a failure write something: a full disk can be read."""
        if self._failed:
            await self.claim_nonce(b"", b"", until_ms=1, now_ms=2)  # one row, over before it began
            self._failed = False
        await self._run(lambda: self._connection.execute("SELECT COUNT(*) FROM audit WHERE id < 0").fetchone())

    async def close(self) -> None:
        """Let go of the file; calling it again does nothing."""

        def work() -> None:
            db, self._db = self._db, None
            if db is not None:
                db.close()

        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError:  # closed before
            return
        self._thread.shutdown(wait=True)

    # -- invites ----------------------------------------------------------------------------------------------

    async def add_invite(self, id: bytes, *, created_at_ms: int, expires_at_ms: int) -> None:
        """Remember an invite by the hash of its secret."""

        def work() -> None:
            with self._transaction(durable=True) as db:
                db.execute(
                    "INSERT INTO invites (id, created_at_ms, expires_at_ms) VALUES (?, ?, ?)",
                    (id, created_at_ms, expires_at_ms),
                )
                _audit(db, created_at_ms, "invite-created", id)

        await self._run(work)

    async def invites(self) -> list[InviteRecord]:
        """All invites, newest first."""
        sql = "SELECT id, created_at_ms, expires_at_ms, used_by, revoked FROM invites ORDER BY created_at_ms DESC, id"
        rows = await self._run(lambda: self._connection.execute(sql).fetchall())
        return [InviteRecord(i, created, expires, used, bool(revoked)) for i, created, expires, used, revoked in rows]

    async def revoke_invite(self, id: bytes, *, now_ms: int) -> bool:
        """Make an unused invite worthless; False when there is none such."""

        def work() -> bool:
            with self._transaction(durable=True) as db:
                sql = "UPDATE invites SET revoked = 1 WHERE id = ? AND used_by IS NULL AND revoked = 0"
                done = db.execute(sql, (id,)).rowcount == 1
                if done:
                    _audit(db, now_ms, "invite-revoked", id)
                return done

        return await self._run(work)

    async def redeem(self, invite: bytes, *, public_key: bytes, device_id: bytes, now_ms: int) -> bytes | None:
        """Trade an invite for a device, once; see :class:`~mnemon_cloud.storage.Storage`."""

        def work() -> bytes | None:
            with self._transaction(durable=True) as db:
                found = db.execute(
                    "SELECT used_by, revoked, expires_at_ms FROM invites WHERE id = ?", (invite,)
                ).fetchone()
                if found is None or found[1]:
                    return None
                owner = db.execute(
                    "SELECT id, revoked_at_ms FROM devices WHERE public_key = ?", (public_key,)
                ).fetchone()
                if found[0] is not None:
                    same = owner is not None and owner[0] == found[0] and owner[1] is None
                    return bytes(found[0]) if same else None
                if owner is not None or found[2] <= now_ms:
                    return None
                db.execute(
                    "INSERT INTO devices (id, public_key, enrolled_at_ms) VALUES (?, ?, ?)",
                    (device_id, public_key, now_ms),
                )
                db.execute("UPDATE invites SET used_by = ? WHERE id = ?", (device_id, invite))
                _audit(db, now_ms, "device-enrolled", device_id)
                return device_id

        return await self._run(work)

    # -- devices ----------------------------------------------------------------------------------------------

    async def device(self, id: bytes) -> Device | None:
        """The device, also a revoked one."""
        sql = "SELECT id, public_key, enrolled_at_ms, revoked_at_ms FROM devices WHERE id = ?"
        row = await self._run(lambda: self._connection.execute(sql, (id,)).fetchone())
        return None if row is None else Device(*row)

    async def devices(self) -> list[Device]:
        """All devices, newest first."""
        sql = "SELECT id, public_key, enrolled_at_ms, revoked_at_ms FROM devices ORDER BY enrolled_at_ms DESC, id"
        return [Device(*row) for row in await self._run(lambda: self._connection.execute(sql).fetchall())]

    async def replace_key(self, id: bytes, *, old: bytes, new: bytes, now_ms: int) -> bool:
        """Give a device another key; see :class:`~mnemon_cloud.storage.Storage`."""

        def work() -> bool:
            with self._transaction(durable=True) as db:
                if db.execute("SELECT 1 FROM devices WHERE public_key = ?", (new,)).fetchone():
                    return False
                sql = "UPDATE devices SET public_key = ? WHERE id = ? AND public_key = ? AND revoked_at_ms IS NULL"
                done = db.execute(sql, (new, id, old)).rowcount == 1
                if done:
                    _audit(db, now_ms, "key-rotated", id)
                return done

        return await self._run(work)

    async def revoke_device(self, id: bytes, *, by: str, now_ms: int) -> bool:
        """End a device's access for good; see :class:`~mnemon_cloud.storage.Storage`."""

        def work() -> bool:
            with self._transaction(durable=True) as db:
                sql = "UPDATE devices SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms IS NULL"
                done = db.execute(sql, (now_ms, id)).rowcount == 1
                if done:
                    db.execute("DELETE FROM answers WHERE device_id = ?", (id,))
                    _audit(db, now_ms, f"device-revoked-by-{by}", id)
                return done

        return await self._run(work)

    # -- calls ------------------------------------------------------------------------------------------------

    async def claim_nonce(self, device_id: bytes, nonce: bytes, *, until_ms: int, now_ms: int) -> bool:
        """Use a nonce; False when it was used before."""

        def work() -> bool:
            with self._transaction(durable=False) as db:
                sql = (
                    "INSERT INTO nonces (device_id, nonce, until_ms) VALUES (?, ?, ?)"
                    " ON CONFLICT (device_id, nonce) DO UPDATE SET until_ms = excluded.until_ms"
                    " WHERE nonces.until_ms < ?"
                )
                return db.execute(sql, (device_id, nonce, until_ms, now_ms)).rowcount == 1

        return await self._run(work)

    async def reserve(self, device_id: bytes, day: int, tokens: int, *, limit: int) -> bool:
        """Take ``tokens`` from the allowance of a day; see :class:`~mnemon_cloud.storage.Storage`."""

        def work() -> bool:
            with self._transaction(durable=False) as db:
                used = _used(db, device_id, day)
                if limit and used + tokens > limit:
                    return False
                db.execute("INSERT OR REPLACE INTO quotas VALUES (?, ?, ?)", (device_id, day, used + tokens))
                return True

        return await self._run(work)

    async def give_back(self, device_id: bytes, day: int, tokens: int) -> None:
        """Return what was reserved and not used."""

        def work() -> None:
            with self._transaction(durable=False) as db:
                sql = "UPDATE quotas SET tokens = MAX(0, tokens - ?) WHERE device_id = ? AND day = ?"
                db.execute(sql, (tokens, device_id, day))

        await self._run(work)

    async def used(self, device_id: bytes, day: int) -> int:
        """Tokens taken on a day."""
        return await self._run(lambda: _used(self._connection, device_id, day))

    # -- answers ----------------------------------------------------------------------------------------------

    async def kept_answer(self, device_id: bytes, request_id: bytes, *, now_ms: int) -> bytes | None:
        """The sealed answer kept for a question."""
        return await self._run(lambda: _kept(self._connection, device_id, request_id, now_ms))

    async def begin_answer(
        self, device_id: bytes, request_id: bytes, *, owner: bytes, until_ms: int, now_ms: int
    ) -> bytes | None:
        """Take a question on; see :class:`~mnemon_cloud.storage.Storage`."""

        def work() -> bytes | None:
            with self._transaction(durable=False) as db:
                found = _kept(db, device_id, request_id, now_ms)
                if found is None:
                    sql = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, NULL, ?)"
                    db.execute(sql, (device_id, request_id, owner, until_ms))
                return found

        return await self._run(work)

    async def keep_answer(
        self, device_id: bytes, request_id: bytes, *, owner: bytes, answer: bytes, until_ms: int, most: int
    ) -> bool:
        """Keep a question's answer; see :class:`~mnemon_cloud.storage.Storage`."""

        def work() -> bool:
            with self._transaction(durable=False) as db:
                sql = (
                    "UPDATE answers SET answer = ?, until_ms = ? WHERE device_id = ? AND request_id = ? AND owner = ?"
                )
                if db.execute(sql, (answer, until_ms, device_id, request_id, owner)).rowcount == 0:
                    return False
                db.execute(
                    "DELETE FROM answers WHERE device_id = ?1 AND request_id IN (SELECT request_id FROM answers"
                    " WHERE device_id = ?1 AND answer IS NOT NULL"
                    " ORDER BY request_id = ?2 DESC, until_ms DESC LIMIT -1 OFFSET ?3)",
                    (device_id, request_id, most),
                )
                return True

        return await self._run(work)

    async def discard_answers(self, device_id: bytes, request_ids: Sequence[bytes]) -> None:
        """Delete kept answers."""

        def work() -> None:
            with self._transaction(durable=False) as db:
                sql = "DELETE FROM answers WHERE device_id = ? AND request_id = ? AND answer IS NOT NULL"
                db.executemany(sql, [(device_id, request_id) for request_id in request_ids])

        await self._run(work)

    async def sweep(self, *, now_ms: int) -> None:
        """Delete what is over."""

        def work() -> None:
            with self._transaction(durable=False) as db:
                db.execute("DELETE FROM nonces WHERE until_ms < ?", (now_ms,))
                db.execute("DELETE FROM answers WHERE until_ms <= ?", (now_ms,))
                db.execute("DELETE FROM quotas WHERE day < ?", (now_ms // 86_400_000 - KEPT_DAYS,))

        await self._run(work)

    # -- audit ------------------------------------------------------------------------------------------------

    async def audit(self, *, limit: int = 100) -> list[AuditEntry]:
        """What changed, newest first."""
        sql = "SELECT at_ms, event, subject FROM audit ORDER BY id DESC LIMIT ?"
        rows = await self._run(lambda: self._connection.execute(sql, (limit,)).fetchall())
        return [AuditEntry(*row) for row in rows]


def _used(db: sqlite3.Connection, device_id: bytes, day: int) -> int:
    row = db.execute("SELECT tokens FROM quotas WHERE device_id = ? AND day = ?", (device_id, day)).fetchone()
    return int(row[0]) if row else 0


def _kept(db: sqlite3.Connection, device_id: bytes, request_id: bytes, now_ms: int) -> bytes | None:
    sql = "SELECT answer FROM answers WHERE device_id = ? AND request_id = ? AND until_ms > ?"
    row = db.execute(sql, (device_id, request_id, now_ms)).fetchone()
    return row[0] if row else None


def _audit(db: sqlite3.Connection, at_ms: int, event: str, subject: bytes) -> None:
    db.execute("INSERT INTO audit (at_ms, event, subject) VALUES (?, ?, ?)", (at_ms, event, subject))
