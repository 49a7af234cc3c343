"""The encrypted file everything is kept in: opened, migrated, shared between threads and processes, re-keyed, copied.

SQLCipher 4 with a raw 256-bit key: no key stretching on opening (the key is random already), AES-256 with
an HMAC-SHA512 on every page. Settings chosen here, and why:

- 4096-byte pages: the file system's own, so that a torn write cannot reach into a neighbour.
- WAL with ``synchronous=FULL``: a committed message survives ``kill -9`` and a power cut; one fsync a commit.
- ``secure_delete`` and ``temp_store=MEMORY``: what is deleted is overwritten, what is sorted never touches a disk.
- SQLCipher's own log is off: it would write to standard error in the middle of a terminal app.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemon.errors import MnemonError, StoreBusyError, StoreError, WrongKeyError
from mnemon.memory.files import sync_file, sync_folder
from mnemon.memory.locks import exclusive
from mnemon.memory.sqlcipher import (
    KEY_BYTES,
    NOTADB,
    PAGE_BYTES,
    aside,
    backup_path,
    connect,
    damaged,
    encrypt_anew,
    refuse_what_cannot_be_a_store,
    remove,
    result_code,
    translated,
    why_not_readable,
)

if TYPE_CHECKING:
    import sqlite_utils

Parameters = Sequence[Any] | Mapping[str, Any]

_BUSY_MS = 5000


class Store:
    """The encrypted SQLite file. One connection and one lock: any thread may use it.

    Several processes may have it open at once; a writer waits up to five seconds for the other and then
    raises :class:`~mnemon.errors.StoreBusyError`.

    Attributes:
        path: The file; None for a store that lives in memory only.
        db: The same connection as a ``sqlite_utils.Database``; write through :meth:`transaction`.
    """

    db: sqlite_utils.Database

    def __init__(self, connection: Any, path: Path | None, key: bytes, busy_ms: int = _BUSY_MS) -> None:
        self.path = path
        self._connection = connection
        self._key = key
        self._busy_ms = busy_ms
        self._lock = threading.RLock()
        self._closed = False
        self._adopt_connection()

    def _adopt_connection(self) -> None:
        import sqlite_utils

        self.db = sqlite_utils.Database(self._connection)

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
            store = cls(connect(None, key, busy_ms), None, key)
            store._upgrade()
            return store
        if not path.exists():
            _create(cls, path, key, busy_ms)
        while True:
            refuse_what_cannot_be_a_store(path)
            opened = path.stat().st_ino
            store = cls(connect(path, key, busy_ms), path, key, busy_ms)
            try:
                store._configure_file()
                if path.stat().st_ino != opened:  # a restored one took its place this moment
                    store.close()
                    continue
                store._upgrade()
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
        known = "SELECT value FROM secrets WHERE name = ?"
        if there := self.tuples(known, (name,)):
            return bytes(there[0][0])
        with self.transaction():
            self.execute(
                "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (name, secrets.token_bytes(KEY_BYTES)),
            )
            return bytes(self.tuples(known, (name,))[0][0])

    def rekey(self, new_key: bytes) -> None:
        """Encrypt the whole file anew with ``new_key``: a copy of it, which then takes its place in one rename.

        Whatever fails on the way, it opens with the old key or with the new one. (``PRAGMA rekey`` in place does
        not promise that: after one refused write its own rollback mixes pages of both keys.) Copies beside the file,
        which open with the old key, are removed.

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
        part = self.path.with_name(self.path.name + ".rekey")
        remove(part)
        try:
            with self.alone(), self._mapped():
                self.copy(part)
                encrypt_anew(part, self._key, new_key)
                sync_file(part)
                part.replace(self.path)
                sync_folder(self.path.parent)
                self._connection.close()
                self._connection, self._key = connect(self.path, new_key, self._busy_ms), new_key
                self._adopt_connection()
        except OSError as error:
            raise translated(error, self.path) from error
        finally:
            with contextlib.suppress(OSError):
                remove(part)
        self.remove_backups()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other process out, with all that was written in the one file and no log beside it.

        Raises:
            StoreBusyError: Another Mnemon has the memory open.
        """
        with self._lock:
            with self._mapped():
                # Leaving WAL succeeds only for the sole connection; in exclusive mode its lock stays from then on.
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            try:
                with self._mapped():
                    self._connection.execute("PRAGMA journal_mode = DELETE").fetchall()
                    self._connection.execute("BEGIN EXCLUSIVE")
                    self._connection.execute("COMMIT")
                yield
            finally:
                if not self._closed:
                    with self._mapped():
                        self._connection.execute("PRAGMA locking_mode = NORMAL").fetchall()
                        self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()  # lets go of it
                        self._connection.execute("PRAGMA journal_mode = WAL").fetchall()

    def copy(self, path: Path) -> None:
        """Write one moment of the whole memory to a new file, encrypted with the same key, while others go on.

        Raises:
            StoreError: The file is there, or the memory cannot be read.
            DiskError: The file cannot be written.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise translated(error, path) from error
        with self._lock, self._mapped(path):
            self._connection.execute("VACUUM INTO ?", (str(path),))

    @property
    def key(self) -> bytes:
        """The 32 bytes that open the file."""
        return self._key

    def fold(self) -> None:
        """Have everything in the one file, with no log beside it: before the file gets another name.

        Closing does the same, but a disk that refuses then goes unnoticed.

        Raises:
            StoreBusyError: Another process is reading.
            DiskError: The disk refuses.
        """
        with self._lock, self._mapped():
            if self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]:
                raise StoreBusyError(
                    "Another Mnemon is using the memory.", hint="Close it, or try again in a moment."
                )

    def size(self) -> int:
        """Bytes on disk: the file and the log of what is not folded into it yet."""
        found = 0
        for path in (self.path, self.path.with_name(self.path.name + "-wal")) if self.path else ():
            with contextlib.suppress(FileNotFoundError):  # the last of several processes takes the log away
                found += path.stat().st_size
        return found

    def word_indexes(self) -> list[str]:
        """The names of the full-text tables."""
        rows = self.tuples(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%USING fts5%' ORDER BY name"
        )
        return [row[0] for row in rows]

    def remove_backups(self) -> None:
        """Delete the copies kept beside the file: they still hold what was forgotten since."""
        if self.path is not None:
            for kept in (backup_path(self.path), *aside(self.path)):
                kept.unlink(missing_ok=True)
            remove(self.path.with_name(self.path.name + ".rekey"))

    def problems(self) -> list[str]:
        """Check every page's HMAC and how pages and rows hang together; an empty list means the file is sound.

        Reads the whole file, but does not compare indexes with their tables.
        """
        with self._lock, self._mapped():
            if (
                self.path is not None
            ):  # the check reads the file alone, and a crash may have left a good page in the log
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            found = [str(row[0]) for row in self._connection.execute("PRAGMA cipher_integrity_check").fetchall()]
            if found:  # SQLCipher reads no further in a file with a forged page
                return found
            checks = [str(row[0]) for row in self._connection.execute("PRAGMA quick_check").fetchall()]
            return [line for line in checks if line != "ok"]

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

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
            if result_code(error) == NOTADB:
                raise why_not_readable(self.path, self._key) from error
            raise translated(error, self.path) from error
        with self._mapped():
            self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
            self._connection.execute("PRAGMA synchronous = FULL")
            pages = int(self._connection.execute("PRAGMA page_count").fetchall()[0][0])
        log = self.path.with_name(self.path.name + "-wal")
        if not (log.exists() and log.stat().st_size) and pages * PAGE_BYTES > self.path.stat().st_size:
            raise damaged(self.path, "its end is missing")

    def _upgrade(self) -> None:
        from mnemon.memory.schema.upgrade import upgrade

        with self._lock, self._mapped():
            upgrade(self)

    @contextlib.contextmanager
    def _mapped(self, path: Path | None = None) -> Iterator[None]:
        if self._closed:  # a thread that was still at work when the program ended
            raise StoreError("The memory is closed.", hint="Open it again.")
        try:
            yield
        except (MnemonError, KeyboardInterrupt):
            raise
        except Exception as error:
            if result_code(error) is None:
                raise
            raise translated(error, path or self.path) from error


def _create(cls: type[Store], path: Path, key: bytes, busy_ms: int) -> None:
    """Make the file under another name and rename it when it is whole: an empty memory is never a young one."""
    part = path.with_name(path.name + ".new")
    try:
        with exclusive(path.parent):
            if path.exists():
                return
            remove(part, keep=True)
            os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600))
            store = cls(connect(part, key, busy_ms), part, key)
            try:
                store._configure_file()
                store._upgrade()
                store.fold()
            finally:
                store.close()
            part.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise translated(error, path) from error
