"""The state in PostgreSQL: for several processes, on one machine or many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mnemon_cloud.errors import StorageError
from mnemon_cloud.storage import KEPT_DAYS, AuditEntry, Device, InviteRecord

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

_VERSIONS: tuple[str, ...] = (
    """
    CREATE TABLE invites (
        id BYTEA PRIMARY KEY, created_at_ms BIGINT NOT NULL, expires_at_ms BIGINT NOT NULL,
        used_by BYTEA, revoked BOOLEAN NOT NULL DEFAULT FALSE
    );
    CREATE TABLE devices (
        id BYTEA PRIMARY KEY, public_key BYTEA NOT NULL UNIQUE, enrolled_at_ms BIGINT NOT NULL, revoked_at_ms BIGINT
    );
    CREATE TABLE nonces (
        device_id BYTEA NOT NULL, nonce BYTEA NOT NULL, until_ms BIGINT NOT NULL, PRIMARY KEY (device_id, nonce)
    );
    CREATE INDEX nonces_by_time ON nonces (until_ms);
    CREATE TABLE quotas (
        device_id BYTEA NOT NULL, day BIGINT NOT NULL, tokens BIGINT NOT NULL, PRIMARY KEY (device_id, day)
    );
    CREATE TABLE audit (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at_ms BIGINT NOT NULL, event TEXT NOT NULL, subject BYTEA NOT NULL
    );
    CREATE TABLE answers (
        device_id BYTEA NOT NULL, request_id BYTEA NOT NULL, owner BYTEA NOT NULL, answer BYTEA,
        until_ms BIGINT NOT NULL, PRIMARY KEY (device_id, request_id)
    );
    CREATE INDEX answers_by_time ON answers (until_ms);
    """,
)
"""What to run to get from one version of the tables to the next; ``mnemon_schema`` holds how many have run."""

_MIGRATING = 0x6D6E656D6F6E  # the advisory lock under which tables change: one process at a time
_CONNECT_SECONDS = 10.0
_CONNECTION_SECONDS = 5.0  # how long a call waits for a free connection


class PostgresStorage:
    """:class:`~mnemon_cloud.storage.Storage` in a PostgreSQL database; several processes may share it.

    Everything is as durable as the server's ``synchronous_commit`` says.
    """

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], name: str) -> None:
        self._pool = pool
        self._name = name
        self._failed = False

    @classmethod
    async def open(cls, url: str, *, connections: int = 8) -> PostgresStorage:
        """Connect, and bring the tables up to date.

        Args:
            url: Such as ``postgresql://user@host/database``; what it leaves out comes from ``PGPASSWORD``,
                ``PGPASSFILE`` and the like.
            connections: At most, for this process.

        Raises:
            StorageError: It cannot be reached, or was written by a newer server.
        """
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
        from psycopg_pool import AsyncConnectionPool

        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            raise StorageError("storage.url is no PostgreSQL URL.", hint="See docs/cloud.md.") from error
        # Never the URL itself: there may be a password in it.
        name = f"{parts.get('host') or 'localhost'}/{parts.get('dbname') or parts.get('user') or ''}"
        pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=connections,
            timeout=_CONNECTION_SECONDS,
            open=False,
            kwargs={"autocommit": True, "connect_timeout": int(_CONNECT_SECONDS)},
            # After the database was restarted a connection is found to be dead here, and not in the middle of a call.
            check=AsyncConnectionPool.check_connection,
        )
        storage = cls(pool, name)
        try:
            await pool.open(wait=True, timeout=_CONNECT_SECONDS)
            async with storage._transaction() as db:
                await storage._migrate(db)
        except psycopg.Error as error:
            await storage.close()
            raise StorageError(
                f"{name} cannot be opened: {type(error).__name__}.", hint="Check storage.url and the database's log."
            ) from error
        except BaseException:
            await storage.close()
            raise
        return storage

    async def _migrate(self, db: AsyncConnection[Any]) -> None:
        await db.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
        await db.execute("CREATE TABLE IF NOT EXISTS mnemon_schema (version BIGINT NOT NULL)")
        row = await (await db.execute("SELECT COALESCE(MAX(version), 0) FROM mnemon_schema")).fetchone()
        version = int(row[0]) if row else 0
        if version > len(_VERSIONS):
            raise StorageError(f"{self._name} was written by a newer server.", hint="Update mnemon.")
        for number, script in enumerate(_VERSIONS[version:], version + 1):
            await db.execute(script.encode())
            await db.execute("INSERT INTO mnemon_schema VALUES (%s)", (number,))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        import psycopg

        try:
            async with self._pool.connection() as db:
                yield db
        except psycopg.Error as error:
            self._failed = True
            raise StorageError(
                f"{self._name} cannot be used: {type(error).__name__}.", hint="Look into the database's log."
            ) from error

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self._connected() as db, db.transaction():
            yield db

    async def _row(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        async with self._connected() as db:
            return await (await db.execute(sql.encode(), values)).fetchone()

    async def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        async with self._connected() as db:
            return await (await db.execute(sql.encode(), values)).fetchall()

    async def _change(self, sql: str, *values: object) -> int:
        """Run one statement; how many rows it changed."""
        async with self._connected() as db:
            return (await db.execute(sql.encode(), values)).rowcount

    # -- life -------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Read something, to see that it answers; after a failure write something: a standby can be read."""
        if self._failed:
            await self.claim_nonce(b"", b"", until_ms=1, now_ms=2)  # one row, over before it began
            self._failed = False
        await self._row("SELECT COUNT(*) FROM audit WHERE id < 0")

    async def close(self) -> None:
        """Let go of the connections; calling it again does nothing."""
        await self._pool.close()

    # -- invites ----------------------------------------------------------------------------------------------

    async def add_invite(self, id: bytes, *, created_at_ms: int, expires_at_ms: int) -> None:
        """Remember an invite by the hash of its secret."""
        async with self._transaction() as db:
            sql = "INSERT INTO invites (id, created_at_ms, expires_at_ms) VALUES (%s, %s, %s)"
            await db.execute(sql, (id, created_at_ms, expires_at_ms))
            await _audit(db, created_at_ms, "invite-created", id)

    async def invites(self) -> list[InviteRecord]:
        """All invites, newest first."""
        sql = "SELECT id, created_at_ms, expires_at_ms, used_by, revoked FROM invites ORDER BY created_at_ms DESC, id"
        return [InviteRecord(*row) for row in await self._rows(sql)]

    async def revoke_invite(self, id: bytes, *, now_ms: int) -> bool:
        """Make an unused invite worthless; False when there is none such."""
        sql = "UPDATE invites SET revoked = TRUE WHERE id = %s AND used_by IS NULL AND NOT revoked"
        return await self._audited(sql, (id,), now_ms, "invite-revoked", id)

    async def _audited(self, sql: str, values: tuple[object, ...], now_ms: int, event: str, id: bytes) -> bool:
        """Change one row and say so in the audit; False when there is none to change."""
        async with self._transaction() as db:
            done = (await db.execute(sql.encode(), values)).rowcount == 1
            if done:
                await _audit(db, now_ms, event, id)
            return done

    async def redeem(self, invite: bytes, *, public_key: bytes, device_id: bytes, now_ms: int) -> bytes | None:
        """Trade an invite for a device, once; see :class:`~mnemon_cloud.storage.Storage`."""
        async with self._transaction() as db:
            # The lock makes those who hold the same invite go one after the other.
            sql = "SELECT used_by, revoked, expires_at_ms FROM invites WHERE id = %s FOR UPDATE"
            found = await (await db.execute(sql, (invite,))).fetchone()
            if found is None or found[1]:
                return None
            if found[0] is not None:
                sql = "SELECT id FROM devices WHERE id = %s AND public_key = %s AND revoked_at_ms IS NULL"
                same = await (await db.execute(sql, (found[0], public_key))).fetchone()
                return bytes(found[0]) if same else None
            if found[2] <= now_ms:
                return None
            sql = "INSERT INTO devices (id, public_key, enrolled_at_ms) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
            if (await db.execute(sql, (device_id, public_key, now_ms))).rowcount == 0:
                return None
            await db.execute("UPDATE invites SET used_by = %s WHERE id = %s", (device_id, invite))
            await _audit(db, now_ms, "device-enrolled", device_id)
            return device_id

    # -- devices ----------------------------------------------------------------------------------------------

    async def device(self, id: bytes) -> Device | None:
        """The device, also a revoked one."""
        row = await self._row("SELECT id, public_key, enrolled_at_ms, revoked_at_ms FROM devices WHERE id = %s", id)
        return None if row is None else Device(*row)

    async def devices(self) -> list[Device]:
        """All devices, newest first."""
        sql = "SELECT id, public_key, enrolled_at_ms, revoked_at_ms FROM devices ORDER BY enrolled_at_ms DESC, id"
        return [Device(*row) for row in await self._rows(sql)]

    async def replace_key(self, id: bytes, *, old: bytes, new: bytes, now_ms: int) -> bool:
        """Give a device another key; see :class:`~mnemon_cloud.storage.Storage`."""
        from psycopg.errors import UniqueViolation

        sql = "UPDATE devices SET public_key = %s WHERE id = %s AND public_key = %s AND revoked_at_ms IS NULL"
        try:
            return await self._audited(sql, (new, id, old), now_ms, "key-rotated", id)
        except StorageError as error:
            if isinstance(error.__cause__, UniqueViolation):
                return False
            raise

    async def revoke_device(self, id: bytes, *, by: str, now_ms: int) -> bool:
        """End a device's access for good; see :class:`~mnemon_cloud.storage.Storage`."""
        sql = "UPDATE devices SET revoked_at_ms = %s WHERE id = %s AND revoked_at_ms IS NULL"
        async with self._transaction() as db:
            done = (await db.execute(sql, (now_ms, id))).rowcount == 1
            if done:
                await db.execute("DELETE FROM answers WHERE device_id = %s", (id,))
                await _audit(db, now_ms, f"device-revoked-by-{by}", id)
            return done

    # -- calls ------------------------------------------------------------------------------------------------

    async def claim_nonce(self, device_id: bytes, nonce: bytes, *, until_ms: int, now_ms: int) -> bool:
        """Use a nonce; False when it was used before."""
        sql = (
            "INSERT INTO nonces (device_id, nonce, until_ms) VALUES (%s, %s, %s)"
            " ON CONFLICT (device_id, nonce) DO UPDATE SET until_ms = excluded.until_ms WHERE nonces.until_ms < %s"
        )
        return await self._change(sql, device_id, nonce, until_ms, now_ms) == 1

    async def reserve(self, device_id: bytes, day: int, tokens: int, *, limit: int) -> bool:
        """Take ``tokens`` from the allowance of a day; see :class:`~mnemon_cloud.storage.Storage`."""
        most = limit or 2**62
        if tokens > most:
            return False
        sql = (
            "INSERT INTO quotas (device_id, day, tokens) VALUES (%s, %s, %s)"
            " ON CONFLICT (device_id, day) DO UPDATE SET tokens = quotas.tokens + excluded.tokens"
            " WHERE quotas.tokens + excluded.tokens <= %s"
        )
        return await self._change(sql, device_id, day, tokens, most) == 1

    async def give_back(self, device_id: bytes, day: int, tokens: int) -> None:
        """Return what was reserved and not used."""
        sql = "UPDATE quotas SET tokens = GREATEST(0, tokens - %s) WHERE device_id = %s AND day = %s"
        await self._change(sql, tokens, device_id, day)

    async def used(self, device_id: bytes, day: int) -> int:
        """Tokens taken on a day."""
        row = await self._row("SELECT tokens FROM quotas WHERE device_id = %s AND day = %s", device_id, day)
        return int(row[0]) if row else 0

    # -- answers ----------------------------------------------------------------------------------------------

    async def kept_answer(self, device_id: bytes, request_id: bytes, *, now_ms: int) -> bytes | None:
        """The sealed answer kept for a question."""
        row = await self._row(_KEPT, device_id, request_id, now_ms)
        return row[0] if row else None

    async def begin_answer(
        self, device_id: bytes, request_id: bytes, *, owner: bytes, until_ms: int, now_ms: int
    ) -> bytes | None:
        """Take a question on; see :class:`~mnemon_cloud.storage.Storage`."""
        sql = (
            "INSERT INTO answers (device_id, request_id, owner, until_ms) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (device_id, request_id) DO UPDATE"
            " SET owner = excluded.owner, answer = NULL, until_ms = excluded.until_ms"
            " WHERE answers.answer IS NULL OR answers.until_ms <= %s"
        )
        async with self._transaction() as db:
            # A row that is in the way stays locked to the end of the transaction, so it is there to be read.
            if (await db.execute(sql, (device_id, request_id, owner, until_ms, now_ms))).rowcount == 1:
                return None
            row = await (await db.execute(_KEPT, (device_id, request_id, now_ms))).fetchone()
            return row[0] if row else None

    async def keep_answer(
        self, device_id: bytes, request_id: bytes, *, owner: bytes, answer: bytes, until_ms: int, most: int
    ) -> bool:
        """Keep a question's answer; see :class:`~mnemon_cloud.storage.Storage`."""
        async with self._transaction() as db:
            sql = (
                "UPDATE answers SET answer = %s, until_ms = %s"
                " WHERE device_id = %s AND request_id = %s AND owner = %s"
            )
            if (await db.execute(sql, (answer, until_ms, device_id, request_id, owner))).rowcount == 0:
                return False
            sql = (
                "DELETE FROM answers WHERE device_id = %s AND request_id IN (SELECT request_id FROM answers"
                " WHERE device_id = %s AND answer IS NOT NULL ORDER BY request_id = %s DESC, until_ms DESC OFFSET %s)"
            )
            await db.execute(sql, (device_id, device_id, request_id, most))
            return True

    async def discard_answers(self, device_id: bytes, request_ids: Sequence[bytes]) -> None:
        """Delete kept answers."""
        sql = "DELETE FROM answers WHERE device_id = %s AND request_id = ANY(%s) AND answer IS NOT NULL"
        await self._change(sql, device_id, list(request_ids))

    # -- keeping house ----------------------------------------------------------------------------------------

    async def sweep(self, *, now_ms: int) -> None:
        """Delete what is over."""
        await self._change("DELETE FROM nonces WHERE until_ms < %s", now_ms)
        await self._change("DELETE FROM answers WHERE until_ms <= %s", now_ms)
        await self._change("DELETE FROM quotas WHERE day < %s", now_ms // 86_400_000 - KEPT_DAYS)

    async def audit(self, *, limit: int = 100) -> list[AuditEntry]:
        """What changed, newest first."""
        sql = "SELECT at_ms, event, subject FROM audit ORDER BY id DESC LIMIT %s"
        return [AuditEntry(*row) for row in await self._rows(sql, limit)]


_KEPT = "SELECT answer FROM answers WHERE device_id = %s AND request_id = %s AND until_ms > %s"


async def _audit(db: AsyncConnection[Any], at_ms: int, event: str, subject: bytes) -> None:
    sql = "INSERT INTO audit (at_ms, event, subject) VALUES (%s, %s, %s)"
    await db.execute(sql, (at_ms, event, subject))
