"""Copies of the whole memory, made while it is in use, and putting one back.

A backup is an encrypted file like the memory itself, under the memory's key or under a key that Argon2id makes
from a passphrase and the file's own salt (its first 16 bytes). It is opened and checked before it counts as one.

A restore works on a copy of the backup beside the memory, brings it up to date, checks it, and takes out what was
forgotten since; only then it takes the memory's place, in one rename. The replaced file lies beside it until the new
one has been opened.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mnemon.errors import (
    DiskFullError,
    InputError,
    MnemonError,
    StoreBusyError,
    StoreCorruptError,
    TransferError,
    WrongKeyError,
)
from mnemon.memory import checking, keys, scrubbing, sealing
from mnemon.memory.files import sync_file, sync_folder
from mnemon.memory.forgetting import Forgetting
from mnemon.memory.locks import Presence
from mnemon.memory.records import from_ms
from mnemon.memory.sqlcipher import SALT_BYTES, SIDE_FILES, aside
from mnemon.memory.store import Store
from mnemon.paths import Home

_LEAST_PASSPHRASE = 8


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written and checked."""

    path: Path
    bytes: int
    conversations: int
    messages: int
    facts: int
    passphrase: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, or would do.

    Attributes:
        last_message: When the newest message of the backup was said; None: it has none.
        conversations: How many the memory has afterwards; the same for messages and facts.
        returned: Messages that are not in the present memory and come back.
        lost: Messages of the present memory that are not in the backup.
        forgotten: Messages, facts and profile lines of the backup left out because they were forgotten since.
        notes: What else the owner should know.
    """

    last_message: datetime | None
    conversations: int
    messages: int
    facts: int
    returned: int
    lost: int
    forgotten: int
    notes: tuple[str, ...] = ()


def default_name(now: datetime) -> str:
    """Such as ``mnemon-2026-11-21-093000.backup``."""
    return f"mnemon-{now.astimezone():%Y-%m-%d-%H%M%S}.backup"


def backup(store: Store, path: Path, *, passphrase: str | None = None) -> Backup:
    """Write the memory as it is at this moment to ``path``, check it, and only then give it its name.

    Others may go on writing. An older file at ``path`` is replaced when the new one is whole.

    Args:
        store: The memory.
        path: The file to write.
        passphrase: What shall open the backup; None: the memory's own key.

    Raises:
        InputError: The path is the memory itself, or the passphrase is too short.
        StoreCorruptError: The memory is damaged: no backup is made of that.
        DiskError: The file cannot be written.
    """
    if store.path is not None and path.exists() and path.samefile(store.path):
        raise InputError(f"{path} is the memory itself.", hint="Choose another name for the backup.")
    if passphrase is not None and len(passphrase) < _LEAST_PASSPHRASE:
        raise InputError("A passphrase needs at least eight characters.", hint="Four or more random words are good.")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with _mapped(path), _scratch(part):
        key = store.key
        store.copy(part)
        if passphrase is not None:
            with Store.open(part, key) as copied:
                key = _key_of(part, passphrase)
                copied.rekey(key)
        with Store.open(part, key) as copied:
            if wrong := checking.problems(copied):
                raise StoreCorruptError(
                    f"The memory is damaged ({wrong[0]}); no backup was made.",
                    hint="Restore an earlier one: mnemon memory restore PATH.",
                )
            copied.fold()
            conversations, messages, facts = (_count(copied, what) for what in ("conversations", "messages", "facts"))
        sync_file(part)
        part.replace(path)
        sync_folder(path.parent)
        return Backup(path, path.stat().st_size, conversations, messages, facts, passphrase is not None)


def restore(
    home: Home,
    how: str,
    path: Path,
    *,
    passphrase: keys.Passphrase | None = None,
    backup_passphrase: Callable[[], str] | None = None,
    agree: Callable[[Restored], bool] = lambda _: True,
) -> Restored | None:
    """Put a backup in the memory's place, once it is proved whole and ``agree`` has said yes.

    Args:
        home: Where the memory lies, lay, or shall lie.
        how: Where a key goes when there is none yet, as for :func:`keys.obtain`.
        path: The backup.
        passphrase: Asked for the key of the present memory when it is behind one.
        backup_passphrase: Asked when the present key does not open the backup.
        agree: Shown what would change.

    Returns:
        What was done; None when ``agree`` said no.

    Raises:
        TransferError: The file is no backup.
        WrongKeyError: Neither the key nor the passphrase opens it.
        StoreCorruptError: The backup is damaged; the memory stays as it is.
        StoreBusyError: Another Mnemon has the memory open.
        DiskError: The disk refuses; the memory stays as it is.
    """
    _refuse_what_is_no_backup(path)
    home.create()
    work = home.store.with_name(home.store.name + ".restore")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_mapped(home.store))
        stack.enter_context(_alone(home))
        stack.enter_context(_scratch(work))
        present, key, notes = _present(home, how, passphrase)
        if present is not None:
            stack.callback(present.close)
        _copy_file(path, work)
        with _told_as(work, path):
            opened_by = _key_for(work, key, backup_passphrase)
            with Store.open(work, opened_by) as copied:
                if wrong := checking.problems(copied):
                    raise StoreCorruptError(f"{path} is damaged: {wrong[0]}.", hint="Take another backup.")
                forgotten = _bury(copied, present, notes) if present is not None else 0
                would = _compared(copied, present, forgotten, notes)
                copied.fold()
        if not agree(would):
            return None
        if opened_by != key:
            key = key or keys.obtain(home, how, create=True, passphrase=passphrase)
            with Store.open(work, opened_by) as copied:
                copied.rekey(key)
                copied.fold()
        _swap(home, work, key, present)
        shutil.rmtree(
            home.sessions, ignore_errors=True
        )  # what the model had read of conversations that are others now
        return would


def _refuse_what_is_no_backup(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise TransferError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the path.") from error
    # One backup in 128 begins with a bracket, since it begins with random bytes; none begins with 64 letters.
    if head.startswith(sealing.MAGIC) or (head[:1] in (b"{", b"[") and head.isascii()):
        raise TransferError(f"{path} is an export, not a backup.", hint=f"Read it in: mnemon memory import {path}")


def _present(
    home: Home, how: str, passphrase: keys.Passphrase | None
) -> tuple[Store | None, bytes | None, list[str]]:
    """The memory that would be replaced, its key, and what is to be said about it."""
    if not home.store.exists():
        key = keys.obtain(home, how, create=False, passphrase=passphrase) if keys.there(home) else None
        return None, key, ["There is no memory to compare with: what was forgotten after the backup comes back."]
    refused: MnemonError | None = None
    for key, _ in keys.candidates(home, how, create=False, passphrase=passphrase):
        try:
            return Store.open(home.store, key), key, []
        except WrongKeyError as error:
            refused = refused or error
        except StoreCorruptError as error:
            note = "The present memory cannot be read: what was forgotten after the backup comes back."
            kept = f"It is kept as {aside(home.store)[1].name} until something is forgotten."
            return None, key, [f"{error} {note} {kept}"]
    raise refused or WrongKeyError(f"No key opens {home.store}.", hint="Run mnemon doctor.")


def _key_for(work: Path, key: bytes | None, phrase: Callable[[], str] | None) -> bytes:
    """What opens the copy: the memory's own key, else a passphrase."""
    if key is not None:
        try:
            Store.open(work, key).close()
        except WrongKeyError:
            if phrase is None:
                raise
        else:
            return key
    if phrase is None:
        raise WrongKeyError(f"There is no key that opens {work}.", hint="Put back the memory.key it was made with.")
    return _key_of(work, phrase())


def _bury(copied: Store, present: Store, notes: list[str]) -> int:
    """What was forgotten stays so: the present memory's tombstones go into the copy, and what they bury goes."""
    secret, rows = present.secret("tombstones"), present.rows("SELECT * FROM tombstones")
    forgetting = Forgetting(copied)
    if copied.secret("tombstones") != secret:
        if copied.tuples("SELECT 1 FROM tombstones LIMIT 1"):
            notes.append("The backup is of another memory; what that one had forgotten may come back with an import.")
            copied.execute("DELETE FROM tombstones")
        forgetting.adopt_key(secret)
    _put_tombstones(copied, rows)
    doomed = [
        f"{kind}{id}"
        for kind, table, said in (("m", "messages", "said_at"), ("f", "facts", "created_at"))
        for id, text, at in copied.tuples(f"SELECT id, text, {said} FROM {table} ORDER BY id")
        if rows and forgetting.is_forgotten(text, said_at=from_ms(at))
    ]
    lines = [
        id
        for id, text in copied.tuples("SELECT id, text FROM profile_lines")
        if rows and forgetting.is_forgotten(text)
    ]
    if doomed:
        forgetting.forget(doomed)
    copied.execute_many("DELETE FROM profile_lines WHERE id = ?", [(id,) for id in lines])
    _put_tombstones(copied, rows)  # forgetting anew has moved their times
    with copied.transaction():
        scrubbing.mark(copied)
    scrubbing.scrub(copied, at_once=True)
    return len(doomed) + len(lines)


def _put_tombstones(store: Store, rows: list[dict[str, object]]) -> None:
    if rows:
        columns = list(rows[0])
        with store.transaction():
            store.execute_many(
                f"INSERT OR REPLACE INTO tombstones ({', '.join(columns)})"
                f" VALUES ({', '.join(f':{name}' for name in columns)})",
                rows,
            )


def _compared(copied: Store, present: Store | None, forgotten: int, notes: list[str]) -> Restored:
    back, now = _said(copied), _said(present) if present is not None else set[int]()
    last = copied.tuples("SELECT max(said_at) FROM messages")[0][0]
    return Restored(
        last_message=None if last is None else from_ms(last),
        conversations=_count(copied, "conversations"),
        messages=_count(copied, "messages"),
        facts=_count(copied, "facts"),
        returned=len(back - now),
        lost=len(now - back),
        forgotten=forgotten,
        notes=tuple(notes),
    )


def _said(store: Store) -> set[int]:
    """A number for each message, made from who said what when: the numbers of rows differ from memory to memory."""
    return {hash(row) for row in store.tuples("SELECT role, said_at, text FROM messages")}


def _swap(home: Home, work: Path, key: bytes, present: Store | None) -> None:
    replaced, *unreadable = aside(home.store)
    with contextlib.ExitStack() as stack:
        if present is not None:
            stack.enter_context(present.alone())  # others wait, and nothing of it is left in a log
            replaced.unlink(missing_ok=True)
            _link(home.store, replaced)
        else:
            # A log that belongs to a file that is gone or damaged must not be applied to this one.
            for ending, kept in zip(("", *SIDE_FILES), unreadable, strict=True):
                beside = home.store.with_name(home.store.name + ending)
                if beside.exists() and ending:
                    beside.replace(kept)
                elif beside.exists():
                    kept.unlink(missing_ok=True)
                    _link(beside, kept)
        sync_file(work)
        work.replace(home.store)
        sync_folder(home.root)
        try:
            Store.open(home.store, key).close()
        except BaseException:
            if replaced.exists():
                replaced.replace(home.store)
            raise
        replaced.unlink(missing_ok=True)
        if present is not None:
            present.close()


def _link(path: Path, name: Path) -> None:
    try:
        os.link(path, name)
    except OSError:  # a file system without hard links
        _copy_file(path, name)


def _copy_file(path: Path, to: Path) -> None:
    handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with path.open("rb") as source, os.fdopen(handle, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())


def _key_of(path: Path, passphrase: str) -> bytes:
    with path.open("rb") as file:
        return sealing.stretched(passphrase, file.read(SALT_BYTES))


def _count(store: Store, table: str) -> int:
    return int(store.tuples(f"SELECT count(*) FROM {table}")[0][0])


@contextlib.contextmanager
def _scratch(part: Path) -> Iterator[None]:
    """Whatever happens, nothing of a file that was worked on is left under that name."""
    endings = ("", *SIDE_FILES, ".backup", ".backup.part")
    try:
        for ending in endings:
            part.with_name(part.name + ending).unlink(missing_ok=True)
        yield
    finally:
        for ending in endings:
            with contextlib.suppress(OSError):
                part.with_name(part.name + ending).unlink(missing_ok=True)


@contextlib.contextmanager
def _told_as(work: Path, path: Path) -> Iterator[None]:
    """What is wrong with the copy is told of the file it is a copy of."""
    try:
        yield
    except (StoreCorruptError, WrongKeyError) as error:
        hint = error.hint if isinstance(error, WrongKeyError) else "Take another backup; the memory stays as it was."
        raise type(error)(str(error).replace(str(work), str(path)), hint=hint) from error


@contextlib.contextmanager
def _alone(home: Home) -> Iterator[None]:
    here = Presence(home.lock)
    try:
        if not here.first:
            raise StoreBusyError(
                "Another Mnemon is open.", hint="Close it first: a restore needs the memory for itself."
            )
        yield
    finally:
        here.close()


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise DiskFullError(f"No space is left for {path}.", hint="Free some space and try again.") from error
        raise TransferError(
            f"{path} cannot be written: {error.strerror or error}.", hint="Choose another."
        ) from error
