"""The encrypted file everything is kept in: opened, migrated, shared between threads and processes, re-keyed.

SQLCipher 4 with a raw 256-bit key: no key stretching on opening (the key is random already), AES-256 with
an HMAC-SHA512 on every page. Settings chosen here, and why:

- 4096-byte pages: the file system's own, so that a torn write cannot reach into a neighbour.
- WAL with ``synchronous=FULL``: a committed message survives ``kill -9`` and a power cut; one fsync a commit.
- ``secure_delete`` and ``temp_store=MEMORY``: what is deleted is overwritten, what is sorted never touches a disk.
- SQLCipher's own log is off: it would write to standard error in the middle of a terminal app.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemon.errors import (
    DiskError,
    DiskFullError,
    MnemonError,
    ReadOnlyError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreNewerError,
    WrongKeyError,
)
from mnemon.memory.locks import exclusive

if TYPE_CHECKING:
    import sqlite_utils

Parameters = Sequence[Any] | Mapping[str, Any]

KEY_BYTES = 32
PAGE_BYTES = 4096
_RESERVED = 80  # the end of every page: 16 bytes of initialisation vector and 64 of HMAC-SHA512
_BUSY_MS = 5000
_PLAIN_HEADER = b"SQLite format 3\x00"

# Primary result codes of SQLite (an extended code has one of these in its low byte).
_PERM, _BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 3, 5, 6, 8, 10, 11, 13, 14, 26


class Store:
    """The encrypted SQLite file. One connection and one lock: any thread may use it.

    Several processes may have it open at once; a writer waits up to five seconds for the other and then
    raises :class:`~mnemon.errors.StoreBusyError`.

    Attributes:
        path: The file; None for a store that lives in memory only.
        db: The same connection as a ``sqlite_utils.Database``; write through :meth:`transaction`.
    """

    db: sqlite_utils.Database

    def __init__(self, connection: Any, path: Path | None, key: bytes) -> None:
        import sqlite_utils

        self.path = path
        self.db = sqlite_utils.Database(connection)
        self._connection = connection
        self._key = key
        self._lock = threading.RLock()
        self._closed = False

    @classmethod
    def open(cls, path: Path | None, key: bytes, *, busy_ms: int = _BUSY_MS) -> Store:
        """Open the memory, making it when it is not there, and bring its tables up to date.

        Before tables that hold something are changed, a copy is put beside the file (``memory.db.backup``,
        encrypted with the same key; :meth:`remove_backups` deletes it).

        Args:
            path: The file; None keeps everything in memory and nothing on disk.
            key: 32 bytes.
            busy_ms: How long to wait for another process, in milliseconds.

        Raises:
            WrongKeyError: The key does not open the file.
            StoreCorruptError: The file is empty, damaged or half-written.
            StoreNewerError: A newer Mnemon wrote it.
            StoreBusyError: Another process holds it too long.
            DiskFullError: No space is left.
            ReadOnlyError: The file or its folder cannot be written.
        """
        if len(key) != KEY_BYTES:
            raise WrongKeyError(f"A memory key has {KEY_BYTES} bytes, not {len(key)}.", hint="Check where it lives.")
        if path is None:
            store = cls(_connect(None, key, busy_ms), None, key)
            store._migrate()
            return store
        if not path.exists():
            _create(cls, path, key, busy_ms)
        _refuse_what_cannot_be_a_store(path)
        store = cls(_connect(path, key, busy_ms), path, key)
        try:
            store._configure_file()
            store._migrate()
        except BaseException:
            store.close()
            raise
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite_utils.Database]:
        """All or nothing: writes inside are committed together at the end, or not at all.

        A transaction inside a transaction is a savepoint. Other threads wait; other processes may read.

        Raises:
            StoreError: What went wrong, as the most fitting of its kinds.
            DiskError: No space is left, or the file cannot be written.
        """
        with self._lock, self._mapped():
            if self._connection.in_transaction:
                with self.db.atomic():
                    yield self.db
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, params: Parameters = ()) -> list[dict[str, Any]]:
        """The rows a query gives, each as a dictionary."""
        with self._lock, self._mapped():
            cursor = self._connection.execute(sql, params)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def tuples(self, sql: str, params: Parameters = ()) -> list[tuple[Any, ...]]:
        """The rows a query gives, as plain tuples: for the many small rows of an index."""
        with self._lock, self._mapped():
            return self._connection.execute(sql, params).fetchall()  # type: ignore[no-any-return]

    def execute(self, sql: str, params: Parameters = ()) -> Any:
        """Run one statement and return its cursor (``lastrowid``, ``rowcount``)."""
        with self._lock, self._mapped():
            return self._connection.execute(sql, params)

    def execute_many(self, sql: str, params: Sequence[Parameters]) -> None:
        """Run one statement once for each of ``params``."""
        with self._lock, self._mapped():
            self._connection.executemany(sql, params)

    def changes(self) -> int:
        """A number that moves when another connection has written (SQLite's ``data_version``)."""
        return int(self.tuples("PRAGMA data_version")[0][0])

    def derive_key(self, purpose: str) -> bytes:
        """32 bytes made from the memory key by HKDF-SHA256, different for every purpose.

        They change when the memory gets a new key; for what must outlive that, see :meth:`secret`.
        """
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(hashes.SHA256(), 32, salt=None, info=b"mnemon/" + purpose.encode()).derive(self._key)

    def secret(self, name: str) -> bytes:
        """32 random bytes kept inside the file, made at first use; they stay when the key changes."""
        with self.transaction():
            self.execute(
                "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (name, secrets.token_bytes(KEY_BYTES)),
            )
            return bytes(self.tuples("SELECT value FROM secrets WHERE name = ?", (name,))[0][0])

    def rekey(self, new_key: bytes) -> None:
        """Encrypt the whole file anew with ``new_key``, in place and in one transaction.

        A crash on the way leaves the file readable with the old key. Backups of the old key are removed.

        Raises:
            StoreBusyError: Another Mnemon has the memory open.
        """
        if len(new_key) != KEY_BYTES:
            raise WrongKeyError(
                f"A memory key has {KEY_BYTES} bytes, not {len(new_key)}.", hint="Check where it lives."
            )
        if self.path is None:
            self._key = new_key
            return
        with self._lock, self._mapped():
            # Leaving WAL succeeds only for the sole connection, and a rollback journal makes PRAGMA rekey atomic.
            self._connection.execute("PRAGMA journal_mode = DELETE")
            try:
                self._connection.execute(f"PRAGMA rekey = \"x'{new_key.hex()}'\"")
                self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
                self._key = new_key
            finally:
                self._connection.execute("PRAGMA journal_mode = WAL")
            self.remove_backups()

    def scrub(self) -> None:
        """After deleting: merge the word indexes and empty the write-ahead log, so that no old page is left.

        When another process is reading, its log stays until it is done; the next scrub or close empties it.
        """
        with self._lock, self._mapped():
            for table in ("message_words", "fact_words"):
                self._connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")
            if self.path is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self.remove_backups()

    def remove_backups(self) -> None:
        """Delete the copy made before a migration: it still holds what was forgotten since."""
        if self.path is not None:
            _backup_path(self.path).unlink(missing_ok=True)

    def problems(self) -> list[str]:
        """Check every page's HMAC and how pages and rows hang together; an empty list means the file is sound.

        Reads the whole file, but does not compare indexes with their tables.
        """
        with self._lock, self._mapped():
            found = [str(row[0]) for row in self._connection.execute("PRAGMA cipher_integrity_check").fetchall()]
            if found:  # SQLCipher reads no further in a file with a forged page
                return found
            checks = [str(row[0]) for row in self._connection.execute("PRAGMA quick_check").fetchall()]
            return [line for line in checks if line != "ok"]

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._connection.close()

    def _configure_file(self) -> None:
        assert self.path is not None  # noqa: S101
        try:
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except Exception as error:
            if _code(error) == _NOTADB:
                raise _why_not_readable(self.path, self._key) from error
            raise _translated(error, self.path) from error
        with self._mapped():
            self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
            self._connection.execute("PRAGMA synchronous = FULL")
            pages = int(self._connection.execute("PRAGMA page_count").fetchall()[0][0])
        log = self.path.with_name(self.path.name + "-wal")
        if not (log.exists() and log.stat().st_size) and pages * PAGE_BYTES > self.path.stat().st_size:
            raise _damaged(self.path, "its end is missing")

    def _migrate(self) -> None:
        from mnemon.memory.schema import migrations

        with self._lock, self._mapped():
            applied = {step.name for step in migrations.applied(self.db)}
            pending = {step.name for step in migrations.pending(self.db)}
            known = applied & {step.name for step in migrations._migrations}
            if applied - known:
                raise StoreNewerError(
                    f"{self.path} was written by a newer Mnemon ({', '.join(sorted(applied - known))}).",
                    hint="Update Mnemon: pip install --upgrade mnemon.",
                )
            if not pending:
                return
            if applied and self.path is not None and self._holds_something():
                self._back_up()
            self._connection.execute("BEGIN EXCLUSIVE")
            try:
                migrations.apply(self.db)  # looks again at what is pending: another process may have been first
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _holds_something(self) -> bool:
        return bool(self._connection.execute("SELECT 1 FROM conversations LIMIT 1").fetchall())

    def _back_up(self) -> None:
        assert self.path is not None  # noqa: S101
        part = self.path.with_name(self.path.name + ".backup.part")
        part.unlink(missing_ok=True)
        self._connection.execute("VACUUM INTO ?", (str(part),))  # the copy is encrypted with the same key
        part.chmod(0o600)
        part.replace(_backup_path(self.path))

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        if self._closed:  # a thread that was still at work when the program ended
            raise StoreError("The memory is closed.", hint="Open it again.")
        try:
            yield
        except (MnemonError, KeyboardInterrupt):
            raise
        except Exception as error:
            if _code(error) is None:
                raise
            raise _translated(error, self.path) from error


def _create(cls: type[Store], path: Path, key: bytes, busy_ms: int) -> None:
    """Make the file under another name and rename it when it is whole: an empty memory is never a young one."""
    part = path.with_name(path.name + ".new")
    try:
        with exclusive(path.parent):
            if path.exists():
                return
            for left_over in ("", "-wal", "-shm", "-journal"):
                part.with_name(part.name + left_over).unlink(missing_ok=True)
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            store = cls(_connect(part, key, busy_ms), part, key)
            try:
                store._configure_file()
                store._migrate()
            finally:
                store.close()
            part.replace(path)
    except OSError as error:
        raise _translated(error, path) from error


def _connect(path: Path | None, key: bytes, busy_ms: int) -> Any:
    from sqlcipher3 import dbapi2

    try:
        connection = dbapi2.connect(
            str(path) if path else ":memory:", isolation_level=None, check_same_thread=False, timeout=busy_ms / 1000
        )
        connection.execute("PRAGMA cipher_log_level = NONE").fetchall()
        if path:
            connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"").fetchall()
            connection.execute(f"PRAGMA cipher_page_size = {PAGE_BYTES}").fetchall()
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA busy_timeout = {int(busy_ms)}").fetchall()
        connection.execute("PRAGMA secure_delete = ON").fetchall()
    except dbapi2.Error as error:
        raise _translated(error, path) from error
    return connection


def _refuse_what_cannot_be_a_store(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(len(_PLAIN_HEADER))
    except OSError as error:
        raise _translated(error, path) from error
    if size == 0:
        raise _damaged(path, "it is empty")
    if head == _PLAIN_HEADER:
        raise StoreCorruptError(
            f"{path} is a plain SQLite file, not an encrypted memory.", hint="Move it away and start again."
        )
    if size < PAGE_BYTES or head == bytes(len(head)):
        raise _damaged(path, "its beginning is missing")


def _why_not_readable(path: Path, key: bytes) -> StoreError:
    """Wrong key and damaged first page look alike to SQLCipher. If any later page proves the key, it is damage."""
    with path.open("rb") as file:
        salt = file.read(16)
        pages = path.stat().st_size // PAGE_BYTES
        # With a raw key SQLCipher makes the HMAC key from it by two rounds of PBKDF2 over the masked salt.
        mac_key = hashlib.pbkdf2_hmac("sha512", key, bytes(byte ^ 0x3A for byte in salt), 2, KEY_BYTES)
        for number in {2, pages // 2, pages - 1} & set(range(2, pages)):
            file.seek((number - 1) * PAGE_BYTES)
            page = file.read(PAGE_BYTES)
            signed = page[: PAGE_BYTES - _RESERVED + 16] + number.to_bytes(4, "little")
            if hmac.compare_digest(hmac.digest(mac_key, signed, "sha512"), page[-64:]):
                return _damaged(path, "its first page cannot be read")
    return WrongKeyError(
        f"The key does not open {path}.",
        hint="Check the passphrase or memory.key; the file and its key belong together.",
    )


def _damaged(path: Path, how: str) -> StoreCorruptError:
    backup = _backup_path(path)
    hint = (
        f"Copy {backup.name} over it, or import your last export."
        if backup.exists()
        else "Restore a copy of it, or move it away and import your last export."
    )
    return StoreCorruptError(f"{path} is damaged: {how}.", hint=hint)


def _backup_path(path: Path) -> Path:
    return path.with_name(path.name + ".backup")


def _code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return int(code) & 0xFF if code is not None else None


def _translated(error: BaseException, path: Path | None) -> MnemonError:
    """The error of Mnemon's own tree that says what an error of SQLite or of the system means for the owner."""
    code = _code(error)
    where = str(path) if path else "The temporary memory"
    number = getattr(error, "errno", None)
    if code == _FULL or number in (28, 122) or (code == _IOERR and _no_space(path)):
        return DiskFullError(f"No space is left for {where}.", hint="Free some space; nothing saved before is lost.")
    if code in (_READONLY, _CANTOPEN, _PERM) or number in (1, 13, 30):
        return ReadOnlyError(
            f"{where} cannot be opened for writing.", hint="Make the folder writable, or set MNEMON_HOME to another."
        )
    if code in (_BUSY, _LOCKED):
        return StoreBusyError("Another Mnemon is using the memory.", hint="Close it, or try again in a moment.")
    if code in (_CORRUPT, _NOTADB):
        return _damaged(path, "a page cannot be read") if path else StoreCorruptError(f"{where} is damaged.")
    if code == _IOERR or code is None:
        return DiskError(f"{where} cannot be read or written: {error}.", hint="Check the disk.")
    return StoreError(f"The memory refused that: {error}.", hint="Run mnemon doctor.")


def _no_space(path: Path | None) -> bool:
    """SQLite reports a full disk as an input/output error when the shared-memory file cannot grow."""
    if path is None:
        return False
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path.parent).free < 1 << 20
    return False
