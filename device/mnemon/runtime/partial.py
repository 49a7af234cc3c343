"""A file that is on its way: what has arrived of it, and a note of which content it is the beginning of.

It is called ``NAME.part`` until all of it is there and matches what was announced; a pull that was cut short leaves
it behind, and the next one goes on from its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemon.errors import ChecksumError

if TYPE_CHECKING:
    from mnemon.runtime.catalog import ModelSpec
    from mnemon.runtime.hub import Announced

_PULL_AGAIN = "Nothing of it was kept: pull again."


class Part:
    """The beginning of a file, its running hash, and the note of what it is the beginning of. Close it when done.

    Attributes:
        path: Of what has arrived.
        note: Of the note, beside it.
        size: Bytes that have arrived.
        storage_etag: What the storage called the content; empty when it did not say.
    """

    def __init__(self, path: Path, announced: Announced, storage_etag: str) -> None:
        self.path = path
        self.note = path.with_name(path.name + ".json")
        self.storage_etag = storage_etag
        self._announced = announced
        self._file = path.open("ab")
        self._hash = hashlib.sha256()
        self.size = 0

    @classmethod
    def open(cls, target: Path, announced: Announced) -> Part:
        """The part left by an earlier pull if it is of the same content, else an empty one."""
        path = target.with_name(target.name + ".part")
        note: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            note = json.loads(path.with_name(path.name + ".json").read_text("utf-8"))
        if target.exists() and target.stat().st_size == announced.size and not path.exists():
            target.replace(path)  # all but its manifest was there: check it again instead of fetching it again
            note = {"etag": announced.etag, "size": announced.size}
        same = announced.etag != "" and [note.get("etag"), note.get("size")] == [announced.etag, announced.size]
        if not same or (path.exists() and path.stat().st_size > announced.size):
            path.unlink(missing_ok=True)
        part = cls(path, announced, str(note.get("storage_etag", "")) if same else "")
        part._reread()
        part._write_note()
        return part

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end.

        Raises:
            ChecksumError: It is longer now than was announced; it has been removed.
        """
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)
        if self.size > self._announced.size:
            self.remove()
            raise ChecksumError("More arrived than was announced.", hint=_PULL_AGAIN)

    def restart(self, storage_etag: str = "") -> None:
        """Throw away what is there."""
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0
        self.storage_etag = storage_etag
        self._write_note()

    def verified(self, spec: ModelSpec) -> str:
        """The SHA-256, once size and hash are what was announced and the bytes are on the disk.

        Raises:
            ChecksumError: The hash is another one; it has been removed.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        found = self._hash.hexdigest()
        if self._announced.sha256 not in ("", found):
            self.remove()
            raise ChecksumError(
                f"{spec.file} arrived damaged: SHA-256 {found[:12]}…, announced {self._announced.sha256[:12]}….",
                hint=_PULL_AGAIN,
            )
        return found

    def remove(self) -> None:
        """Close and delete it."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def close(self) -> None:
        """Keep it for the next pull."""
        self._file.close()

    def _reread(self) -> None:
        with self.path.open("rb") as file:
            while chunk := file.read(1 << 20):
                self._hash.update(chunk)
                self.size += len(chunk)

    def _write_note(self) -> None:
        note = {"etag": self._announced.etag, "size": self._announced.size, "storage_etag": self.storage_etag}
        self.note.write_text(json.dumps(note), "utf-8")
