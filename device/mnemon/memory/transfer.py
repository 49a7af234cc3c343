"""Memories out to a file and back: Mnemon's own JSON Lines, and what other programs export.

An export holds everything Mnemon was told and found out: conversations with all branches, facts with their times and
sources, what ties them to each other (:mod:`mnemon.memory.links`), the profile, and, only when it is sealed with a
passphrase, the tombstones of what was forgotten with the key to them (with that key in the open, anybody could test
guesses of what was forgotten).

An import is all or nothing, and doing it twice adds nothing. What was forgotten does not come back.
"""

from __future__ import annotations

import os
import secrets
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mnemon.errors import DiskFullError, ImportProblemsError, TransferError
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
    keep_good: bool = False,
) -> Imported:
    """Read ``path`` into memory: all of it or nothing.

    Args:
        format: ``mnemon``, ``chatgpt``, ``claude`` or ``locomo``; found out from the content when left out.
        progress: Called with the bytes read so far and those of the file.
        passphrase: Asked only when the file is sealed.
        sample: Of a LoCoMo file only the sample of that name, such as ``conv-26``.
        keep_good: Take what can be used when some entries cannot.

    Raises:
        ImportProblemsError: Some entries cannot be used, and ``keep_good`` was not wanted.
        TransferError: The file cannot be read, is not what it should be, or names an unknown format.
    """
    if format is not None and format not in get_args(Format):
        raise TransferError(f"There is no format {format!r}.", hint=f"Known: {', '.join(get_args(Format))}.")
    done, touched, facts = Imported(), array("q"), list[int]()
    with reading.opened(path, passphrase=passphrase, progress=progress) as source, memory.store.transaction():
        first = next(source.values, None)
        while isinstance(first, reading.Broken):
            done.problem(f"{path}: entry {source.at}", first.why)
            first = next(source.values, None)
        if first is None and done.problems:
            raise _refused(path, done)
        found = importers.recognise(first)
        if not isinstance(first, dict) or found is None or (format is not None and found != format):
            wanted = f" of the format {format}" if format else " that Mnemon knows"
            raise TransferError(f"{path} is no export{wanted}.", hint=f"Known: {', '.join(get_args(Format))}.")
        done.format = found
        if found == "mnemon":
            archive.Reader(memory, done, touched, facts, path, source).read(first)
        else:
            _read_others(memory, done, touched, path, found, source, first, sample)
        if done.problems and not keep_good:
            raise _refused(path, done)
    _index(memory, touched)
    if facts:
        memory.index_facts(*(memory.facts.get(id) for id in facts))
    return done


def _refused(path: Path, done: Imported) -> ImportProblemsError:
    more = f" and {done.problems - 1:,} more" if done.problems > 1 else ""
    return ImportProblemsError(
        f"Nothing was imported: {done.told[0]}{more}.",
        hint="Export again, or take what can be used: --keep-good.",
        problems=tuple(done.told),
    )


def _all(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _read_others(
    memory: Memory,
    done: Imported,
    touched: array[int],
    path: Path,
    found: str,
    source: reading.Source,
    first: dict[str, Any],
    sample: str | None,
) -> None:
    samples = []
    for element in _all(first, source.values):
        where = f"{path}: entry {source.at}"
        if isinstance(element, reading.Broken):
            done.problem(where, element.why)
            continue
        if importers.recognise(element) != found:
            if isinstance(element, dict) and not any(
                element.get(k) for k in ("mapping", "chat_messages", "conversation")
            ):
                continue  # a conversation that never began
            done.problem(where, f"is not of the format {found}")
            continue
        samples.append(str(element.get("sample_id")))
        if sample is not None and samples[-1] != sample:
            continue
        try:
            talks = list(importers.READERS[found](element))
            for talk in talks:
                Saver(memory, done, touched).save(talk)
        except (*archive.ODD, TransferError) as error:
            done.problem(where, archive.reason(error))
    if sample is not None and sample not in samples:
        raise TransferError(f"{path} has no sample {sample}.", hint=f"It has {', '.join(samples)}.")


def _index(memory: Memory, ids: array[int]) -> None:
    """After the words are safe: their meaning, in batches."""
    for start in range(0, len(ids), _INDEX_BATCH):
        found = memory.messages.many(ids[start : start + _INDEX_BATCH])
        memory.index(*found.values())
