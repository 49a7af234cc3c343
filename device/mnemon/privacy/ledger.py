"""What left the device, and when: a record that is only ever added to, each entry sealing all before it.

An entry's hash is an HMAC over the entry and the hash of the one before, with a key kept inside the encrypted memory;
a sealed head says how many there are and what the last one is. Changing, removing, reordering or cutting off entries
is found by :meth:`Ledger.verify`. Somebody who holds the memory's key could write the whole ledger anew: who wants to
be safe against that notes the head elsewhere and gives it to ``verify``.

The hash covers a salted digest of the text, not the text: when a message is forgotten, the words and the salt go, and
the entry still says that so many bytes left on that day, and the chain still holds.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mnemon.clock import Clock, utc_now
from mnemon.errors import DiskFullError, InputError, NotAllowedError, ReadOnlyError
from mnemon.memory.records import from_ms, to_ms
from mnemon.memory.store import Store

_FIRST = bytes(32)
_SEALED = ("id", "at", "kind", "recipient", "bytes", "digest", "kept", "placeholders", "sources")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that left.

    Attributes:
        kind: What it was: ``question``, ``update`` ...
        bytes: How many.
        text: The exact words; None when only their digest is kept or the message behind them was forgotten.
        digest: SHA-256 of the salt and the words.
        placeholders: Those in it, without what they stand for.
        sources: Ids of the messages and facts it held words of.
        hash: Seals this entry and all before it.
    """

    id: int
    at: datetime
    kind: str
    recipient: str
    bytes: int
    text: str | None
    digest: str
    placeholders: tuple[str, ...]
    sources: tuple[str, ...]
    hash: str

    def as_dict(self) -> dict[str, Any]:
        """As printed by ``--json`` and exported."""
        return {
            "id": self.id,
            "at": self.at.astimezone().isoformat(timespec="milliseconds"),
            "kind": self.kind,
            "recipient": self.recipient,
            "bytes": self.bytes,
            "text": self.text,
            "digest": self.digest,
            "placeholders": list(self.placeholders),
            "sources": list(self.sources),
            "hash": self.hash,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What :meth:`Ledger.verify` found: problems, none when all is as it was written, and the head to note down."""

    entries: int
    head: str
    problems: tuple[str, ...]


class Ledger:
    """The record of one memory.

    Args:
        store: Where it is kept.
        keep_text: Keep the exact words (the setting ``privacy.ledger_text``); otherwise their salted digest only.
        now: The clock; tests set it.
    """

    def __init__(self, store: Store, *, keep_text: bool = True, now: Clock = utc_now) -> None:
        self._store = store
        self._keep_text = keep_text
        self._now = now

    def add(
        self,
        text: str,
        *,
        kind: str = "question",
        recipient: str,
        placeholders: Iterable[str] = (),
        sources: Sequence[str] = (),
    ) -> Entry:
        """Record what leaves now. To be called, and committed, before the first byte is sent.

        Raises:
            InputError: A source is no id of a message or fact.
            NotAllowedError: A source was forgotten meanwhile: its words must not leave, and not stay here.
        """
        if any(s[:1] not in ("m", "f") or not s[1:].isdigit() for s in sources):
            raise InputError("A source is a message (m12) or a fact (f3).", hint="Give their ids.")
        salt = secrets.token_bytes(16)
        with self._store.transaction():
            if self._forgotten(sources):
                raise NotAllowedError("What it rests on was forgotten meanwhile: nothing was sent.")
            last = self._store.rows("SELECT id, hash FROM ledger ORDER BY id DESC LIMIT 1")
            before = bytes(last[0]["hash"]) if last else _FIRST
            row: dict[str, Any] = {
                "id": last[0]["id"] + 1 if last else 1,
                "at": to_ms(self._now()),
                "kind": kind,
                "recipient": recipient,
                "bytes": len(text.encode()),
                "digest": hashlib.sha256(salt + text.encode()).digest(),
                "kept": "text" if self._keep_text else "digest",
                "placeholders": json.dumps(sorted(set(placeholders))),
                "sources": json.dumps(sorted(set(sources))),
                "salt": salt,
                "text": text if self._keep_text else None,
            }
            row["hash"] = self._seal(before, row)
            self._store.execute(
                "INSERT INTO ledger (id, at, kind, recipient, bytes, digest, kept, placeholders, sources, salt, text,"
                " hash) VALUES (:id, :at, :kind, :recipient, :bytes, :digest, :kept, :placeholders, :sources, :salt,"
                " :text, :hash)",
                row,
            )
            self._store.execute_many(
                "INSERT INTO ledger_sources (entry_id, kind, ref) VALUES (?, ?, ?)",
                [(row["id"], s[0], int(s[1:])) for s in sorted(set(sources))],
            )
            self._store.execute(
                "INSERT INTO ledger_head (id, entries, seal) VALUES (1, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET entries = excluded.entries, seal = excluded.seal",
                (row["id"], self._head_seal(row["id"], row["hash"])),
            )
        return _entry(row)

    def entries(self, *, limit: int | None = None) -> list[Entry]:
        """What left, newest first."""
        sql = "SELECT * FROM ledger ORDER BY id DESC LIMIT ?"
        return [_entry(row) for row in self._store.rows(sql, (-1 if limit is None else limit,))]

    def verify(self, noted: str = "") -> Verdict:
        """Check every entry, their order and their end.

        Args:
            noted: A head noted earlier (``"12:5f0c…"``): the ledger must still contain it.

        Raises:
            InputError: ``noted`` is no head.
        """
        at, _, wanted = noted.partition(":")
        if noted and not (at.isdigit() and len(wanted) == 64):
            raise InputError(f"{noted!r} is no head of a ledger.", hint="It looks like 12:5f0c… and has 64 letters.")
        problems, before, expected = list[str](), _FIRST, 1
        rows = self._store.rows("SELECT * FROM ledger ORDER BY id")
        for row in rows:
            if row["id"] != expected:
                problems.append(f"Entry {expected} is missing.")
            elif not hmac.compare_digest(bytes(row["hash"]), self._seal(before, row)):
                problems.append(f"Entry {row['id']} or the one before it was changed.")
            problems += self._problems_of_text(row)
            before, expected = bytes(row["hash"]), row["id"] + 1
        head = self._store.rows("SELECT entries, seal FROM ledger_head")
        if rows and not head:
            problems.append("The head is missing.")
        elif head and (not rows or head[0]["entries"] != rows[-1]["id"]):
            problems.append(f"There were {head[0]['entries']} entries: the end was cut off or added to.")
        elif head and not hmac.compare_digest(bytes(head[0]["seal"]), self._head_seal(rows[-1]["id"], before)):
            problems.append("The head does not belong to the last entry.")
        if noted and (int(at) == 0 or {row["id"]: bytes(row["hash"]).hex() for row in rows}.get(int(at)) != wanted):
            problems.append(f"The head noted after entry {at} is not in this ledger.")
        return Verdict(len(rows), f"{expected - 1}:{before.hex()}" if rows else "", tuple(problems))

    def export(self, path: Path) -> int:
        """Write all entries, oldest first, as JSON Lines to a new file; returns their number.

        Raises:
            InputError: The file is there already.
            DiskError: It cannot be written.
        """
        entries = self.entries()[::-1]
        try:
            with path.open("x", encoding="utf-8") as file:
                path.chmod(0o600)
                file.writelines(json.dumps(entry.as_dict(), ensure_ascii=False) + "\n" for entry in entries)
        except FileExistsError as error:
            raise InputError(f"{path} is there already.", hint="Name another file.") from error
        except OSError as error:
            kind = DiskFullError if error.errno in (28, 122) else ReadOnlyError  # ENOSPC, EDQUOT
            raise kind(f"{path} cannot be written: {error.strerror}.", hint="Name another place.") from error
        return len(entries)

    def _problems_of_text(self, row: dict[str, Any]) -> list[str]:
        if row["text"] is not None:
            whole = hashlib.sha256(bytes(row["salt"] or b"") + row["text"].encode()).digest()
            same = hmac.compare_digest(whole, bytes(row["digest"])) and len(row["text"].encode()) == row["bytes"]
            return [] if same else [f"The text of entry {row['id']} was changed."]
        if row["kept"] == "text" and not self._forgotten(json.loads(row["sources"])):
            return [f"The text of entry {row['id']} was taken out, though nothing it rests on was forgotten."]
        return []

    def _forgotten(self, sources: Iterable[str]) -> bool:
        there = {"m": "SELECT 1 FROM messages WHERE id = ?", "f": "SELECT 1 FROM facts WHERE id = ?"}
        return any(not self._store.tuples(there[s[0]], (int(s[1:]),)) for s in sources)

    def _seal(self, before: bytes, row: dict[str, Any]) -> bytes:
        values = [row[name].hex() if isinstance(row[name], bytes) else row[name] for name in _SEALED]
        data = json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode()
        return hmac.digest(self._store.secret("ledger"), before + data, "sha256")

    def _head_seal(self, entries: int, last: bytes) -> bytes:
        return hmac.digest(self._store.secret("ledger"), b"head" + entries.to_bytes(8, "big") + last, "sha256")


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(
        row["id"],
        from_ms(row["at"]),
        row["kind"],
        row["recipient"],
        row["bytes"],
        row["text"],
        bytes(row["digest"]).hex(),
        tuple(json.loads(row["placeholders"])),
        tuple(json.loads(row["sources"])),
        bytes(row["hash"]).hex(),
    )
