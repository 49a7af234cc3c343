"""Memories out to a file and back: Mnemon's own JSON Lines, and what other programs export.

An export holds everything Mnemon knows: conversations with all branches, facts with their times and sources, the
profile, and, only when it is sealed with a passphrase, the tombstones of what was forgotten with the key to them
(with that key in the open, anybody could test guesses of what was forgotten).

An import is all or nothing, and doing it twice adds nothing. What was forgotten does not come back.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mnemon.errors import DiskFullError, TransferError
from mnemon.memory import archive, importers, reading
from mnemon.memory.importers import Format
from mnemon.memory.saving import Imported, Saver

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

_INDEX_BATCH = 64

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        warning: What the owner should know about the file; empty when it is sealed.
    """

    conversations: int
    messages: int
    facts: int
    bytes: int
    sealed: bool
    warning: str = ""


def export(memory: Memory, path: Path, *, passphrase: str | None = None) -> Exported:
    """Write everything to ``path``, readable by its owner only; an older file there is replaced when all is written.

    Args:
        passphrase: Seal the file with it. None: plain JSON Lines, which anybody who has the file can read.

    Raises:
        TransferError: The file cannot be written.
        DiskFullError: No space is left.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            counts = archive.write(memory, file, passphrase)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise DiskFullError(f"No space is left for {path}.", hint="Free some space and try again.") from error
        raise TransferError(
            f"{path} cannot be written: {error.strerror or error}.", hint="Choose another."
        ) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    warning = "" if passphrase else f"{path} is not encrypted: whoever has the file can read it."
    return Exported(**counts, bytes=path.stat().st_size, sealed=bool(passphrase), warning=warning)


def import_file(
    memory: Memory,
    path: Path,
    *,
    format: str | None = None,
    progress: Progress | None = None,
    passphrase: Callable[[], str] | None = None,
    sample: str | None = None,
) -> Imported:
    """Read ``path`` into memory: all of it or nothing.

    Args:
        format: ``mnemon``, ``chatgpt``, ``claude`` or ``locomo``; found out from the content when left out.
        progress: Called with the bytes read so far and those of the file.
        passphrase: Asked only when the file is sealed.
        sample: Of a LoCoMo file only the sample of that name, such as ``conv-26``.

    Raises:
        TransferError: The file cannot be read, is not what it should be, or names an unknown format.
    """
    if format is not None and format not in get_args(Format):
        raise TransferError(f"There is no format {format!r}.", hint=f"Known: {', '.join(get_args(Format))}.")
    done, touched, facts = Imported(), list[int](), list[int]()
    try:
        with reading.opened(path, passphrase=passphrase, progress=progress) as source, memory.store.transaction():
            first = next(source.values, None)
            found = importers.recognise(first)
            if not isinstance(first, dict) or found is None or (format is not None and found != format):
                wanted = f" of the format {format}" if format else " that Mnemon knows"
                raise TransferError(f"{path} is no export{wanted}.", hint=f"Known: {', '.join(get_args(Format))}.")
            done.format = found
            if found == "mnemon":
                archive.Reader(memory, done, touched, facts, path).read(first, source.values)
            else:
                _read_others(memory, done, touched, path, found, _all(first, source.values), sample)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise TransferError(
            f"{path} has an entry that cannot be understood ({error}).", hint="Export again."
        ) from error
    _index(memory, touched)
    if facts:
        memory.index_facts(*(memory.facts.get(id) for id in facts))
    return done


def _all(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _read_others(
    memory: Memory,
    done: Imported,
    touched: list[int],
    path: Path,
    found: str,
    values: Iterator[Any],
    sample: str | None,
) -> None:
    samples = []
    for element in values:
        if importers.recognise(element) != found:
            if isinstance(element, dict) and not any(
                element.get(k) for k in ("mapping", "chat_messages", "conversation")
            ):
                continue  # a conversation that never began
            raise TransferError(f"{path} has an entry that is not of the format {found}.", hint="Export again.")
        samples.append(str(element.get("sample_id")))
        if sample is not None and samples[-1] != sample:
            continue
        for talk in importers.READERS[found](element):
            Saver(memory, done, touched).save(talk)
    if sample is not None and sample not in samples:
        raise TransferError(f"{path} has no sample {sample}.", hint=f"It has {', '.join(samples)}.")


def _index(memory: Memory, ids: list[int]) -> None:
    """After the words are safe: their meaning, in batches."""
    for start in range(0, len(ids), _INDEX_BATCH):
        found = memory.messages.many(ids[start : start + _INDEX_BATCH])
        memory.index(*found.values())
