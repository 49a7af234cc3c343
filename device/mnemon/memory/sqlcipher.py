"""SQLCipher's file: opened, told apart from what is none, and its errors said in Mnemon's own words.

A wrong key and a damaged first page look alike to SQLCipher; :func:`why_not_readable` tells them apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import shutil
from pathlib import Path
from typing import Any

from mnemon.errors import (
    DiskError,
    DiskFullError,
    MnemonError,
    ReadOnlyError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    WrongKeyError,
)

KEY_BYTES = 32
PAGE_BYTES = 4096
SALT_BYTES = 16
"""The first bytes of the file, in the open; they stay when the key changes."""
SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file that is in use."""
_RESERVED = 80  # the end of every page: 16 bytes of initialisation vector and 64 of HMAC-SHA512
_PLAIN_HEADER = b"SQLite format 3\x00"

# Primary result codes of SQLite (an extended code has one of these in its low byte).
_PERM, _BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, NOTADB = 3, 5, 6, 8, 10, 11, 13, 14, 26


def connect(path: Path | None, key: bytes, busy_ms: int) -> Any:
    """A connection with this key; nothing of the file is read yet.

    Args:
        path: The file; None: in memory only, and not encrypted.
        key: 32 bytes.
        busy_ms: How long to wait for another process, in milliseconds.

    Raises:
        StoreError: The file cannot be opened.
        DiskError: The same, because of the disk.
    """
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
        raise translated(error, path) from error
    return connection


def opens(path: Path, key: bytes) -> bool:
    """Whether this key opens the file now; False also when that cannot be found out."""
    try:
        connection = connect(path, key, 0)
    except MnemonError:
        return False
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except connection.Error:
        return False
    finally:
        connection.close()
    return True


def encrypt_anew(path: Path, key: bytes, new_key: bytes) -> None:
    """Give a file nobody else uses another key, and look at every page afterwards.

    When that fails, the file may be readable with neither: it must be a copy.

    Raises:
        StoreCorruptError: A page cannot be read back.
        DiskError: The disk refuses.
    """
    for at, wanted in ((key, f"PRAGMA rekey = \"x'{new_key.hex()}'\""), (new_key, "PRAGMA cipher_integrity_check")):
        connection = connect(path, at, 0)
        try:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            found = connection.execute(wanted).fetchall()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except connection.Error as error:
            raise translated(error, path) from error
        finally:
            connection.close()
        if at == new_key and found:
            raise damaged(path, str(found[0][0]))


def remove(path: Path, *, keep: bool = False) -> None:
    """Delete a file, if it is there, with what SQLite put beside it; ``keep``: only that."""
    for ending in SIDE_FILES if keep else ("", *SIDE_FILES):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def refuse_what_cannot_be_a_store(path: Path) -> None:
    """Say what is wrong with a file that no key can open.

    Raises:
        StoreCorruptError: It is empty, cut off at its beginning, or not encrypted.
        DiskError: It cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(len(_PLAIN_HEADER))
    except OSError as error:
        raise translated(error, path) from error
    if size == 0:
        raise damaged(path, "it is empty")
    if head == _PLAIN_HEADER:
        raise StoreCorruptError(
            f"{path} is a plain SQLite file, not an encrypted memory.", hint="Move it away and start again."
        )
    if size < PAGE_BYTES or head == bytes(len(head)):
        raise damaged(path, "its beginning is missing")


def why_not_readable(path: Path, key: bytes) -> StoreError:
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
                return damaged(path, "its first page cannot be read")
    return WrongKeyError(
        f"The key does not open {path}.",
        hint="Check the passphrase or memory.key; the file and its key belong together.",
    )


def damaged(path: Path, how: str) -> StoreCorruptError:
    """The error for a file that is not what was written."""
    backup = backup_path(path)
    hint = (
        f"Copy {backup.name} over it, or import your last export."
        if backup.exists()
        else "Restore a backup: mnemon memory restore PATH."
    )
    return StoreCorruptError(f"{path} is damaged: {how}.", hint=hint)


def backup_path(path: Path) -> Path:
    """Where the copy made before a migration lies."""
    return path.with_name(path.name + ".backup")


def aside(path: Path) -> list[Path]:
    """The names under which a restore keeps what it replaces: a sound memory, and an unreadable one with its log."""
    name = path.name
    unreadable = (f"{name}.damaged{ending}" for ending in ("", *SIDE_FILES))
    return [path.with_name(kept) for kept in (f"{name}.replaced", *unreadable)]


def result_code(error: BaseException) -> int | None:
    """SQLite's primary result code; None for an error of something else."""
    code = getattr(error, "sqlite_errorcode", None)
    return int(code) & 0xFF if code is not None else None


def translated(error: BaseException, path: Path | None) -> MnemonError:
    """The error of Mnemon's own tree that says what an error of SQLite or of the system means for the owner."""
    code = result_code(error)
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
    if code in (_CORRUPT, NOTADB):
        return damaged(path, "a page cannot be read") if path else StoreCorruptError(f"{where} is damaged.")
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
