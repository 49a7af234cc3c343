"""Where Mnemon keeps its files: the only module that decides it.

``MNEMON_HOME`` moves everything; otherwise the platform's own data folder is used
(``~/.local/share/mnemon`` on Linux). Nothing is created by asking.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from mnemon.errors import DiskFullError, ReadOnlyError


@dataclass(frozen=True, slots=True)
class Home:
    """The folder all of one owner's data lives in, and the names inside it."""

    root: Path

    @property
    def settings(self) -> Path:
        """The owner's settings (TOML)."""
        return self.root / "settings.toml"

    @property
    def store(self) -> Path:
        """The encrypted memory (SQLCipher)."""
        return self.root / "memory.db"

    @property
    def store_new(self) -> Path:
        """A memory being made for the first time. While it is there, a missing memory is no loss."""
        return self.root / "memory.db.new"

    @property
    def key(self) -> Path:
        """The key of the memory, or the wrapped key, when no keyring holds it (mode 0600)."""
        return self.root / "memory.key"

    @property
    def lock(self) -> Path:
        """An empty file that every open Mnemon holds a lock on."""
        return self.root / "memory.lock"

    @property
    def store_log(self) -> Path:
        """What was written to the memory and is not folded into its file yet (SQLite's WAL)."""
        return self.root / "memory.db-wal"

    @property
    def sync_lock(self) -> Path:
        """An empty file; whoever sends from the outbox holds a lock on it."""
        return self.root / "sync.lock"

    @property
    def sync_report(self) -> Path:
        """What the last round of sync did: times and numbers, nothing that was said."""
        return self.root / "sync.json"

    @property
    def models(self) -> Path:
        """Pulled models."""
        return self.root / "models"

    @property
    def sessions(self) -> Path:
        """Encrypted key-value caches of conversations: deleting them costs time only."""
        return self.root / "sessions"

    @property
    def log(self) -> Path:
        """The terminal app's log; never holds what was said."""
        return self.root / "mnemon.log"

    def create(self) -> None:
        """Make the folder, readable by its owner only.

        Raises:
            ReadOnlyError: The folder cannot be made or written.
            DiskFullError: No space is left.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            writable = os.access(self.root, os.W_OK | os.X_OK)
        except OSError as error:
            if error.errno in (28, 122):  # ENOSPC, EDQUOT
                raise DiskFullError(
                    f"No space is left for {self.root}.", hint="Free some space and try again."
                ) from error
            writable = False
        if not writable:
            raise ReadOnlyError(
                f"{self.root} cannot be written.",
                hint="Make it writable, or set MNEMON_HOME to a folder that is.",
            )


def home(root: str | os.PathLike[str] | None = None) -> Home:
    """The home to use: the argument, else ``MNEMON_HOME``, else the platform's data folder."""
    chosen = root or os.environ.get("MNEMON_HOME") or platformdirs.user_data_dir("mnemon", appauthor=False)
    return Home(Path(chosen).expanduser().absolute())
