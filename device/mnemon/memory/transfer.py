"""Memories out to a file and back: Mnemon's own JSON Lines, and what other programs export.

An export holds everything Mnemon knows: conversations with all branches, facts with their times and sources, the
profile, and, only when it is sealed with a passphrase, the tombstones of what was forgotten with the key to them
(with that key in the open, anybody could test guesses of what was forgotten).

An import is all or nothing, and doing it twice adds nothing. What was forgotten does not come back.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

from mnemon.errors import DiskFullError, MnemonError, TransferError
from mnemon.memory import importers, reading, sealing
from mnemon.memory.importers import Format, Talk, Turn
from mnemon.memory.records import FactOrigin, MessageRole, MessageStatus, from_ms, to_ms

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

VERSION = 1
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


@dataclass(slots=True)
class Imported:
    """What an import added.

    Attributes:
        already_there: Messages and facts that were in memory before.
        forgotten: Messages and facts left out because they were forgotten.
    """

    format: str = ""
    conversations: int = 0
    messages: int = 0
    facts: int = 0
    profile_lines: int = 0
    already_there: int = 0
    forgotten: int = 0


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
            counts = _write(memory, file, passphrase)
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
            if found is None or (format is not None and found != format):
                wanted = f" of the format {format}" if format else " that Mnemon knows"
                raise TransferError(f"{path} is no export{wanted}.", hint=f"Known: {', '.join(get_args(Format))}.")
            done.format = found
            if found == "mnemon":
                _Own(memory, done, touched, facts, path).read(first, source.values)
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
            _Saver(memory, done, touched).save(talk)
    if sample is not None and sample not in samples:
        raise TransferError(f"{path} has no sample {sample}.", hint=f"It has {', '.join(samples)}.")


class _Saver:
    """Puts one conversation into the tables, or what is new of it."""

    def __init__(self, memory: Memory, done: Imported, touched: list[int]) -> None:
        self._memory, self._store, self._done, self._touched = memory, memory.store, done, touched

    def save(self, talk: Talk, existing: int | None = None) -> dict[str, int | None]:
        """Returns, for each turn's key, the message it became; None: it was forgotten."""
        if existing is None and (same := self._memory.messages.find_origin(talk.origin, talk.ref)):
            existing = same.id
        places: dict[
            str, int | None
        ] = {}  # where children of a turn go on: its message, or its nearest kept ancestor
        ids: dict[str, int | None] = {}
        there = self._there(existing) if existing is not None else {}
        conversation, added = existing, list[Turn]()
        for turn in talk.turns:
            above = places.get(turn.parent) if turn.parent is not None else None
            known = there.get(_fingerprint(turn.role, to_ms(turn.said_at), turn.text))
            if known is not None:
                self._done.already_there += 1
                places[turn.key] = ids[turn.key] = known
                continue
            if self._memory.is_forgotten(turn.text, said_at=turn.said_at):
                self._done.forgotten += 1
                places[turn.key], ids[turn.key] = above, None
                continue
            if conversation is None:
                conversation = self._start(talk)
            places[turn.key] = ids[turn.key] = self._add(conversation, above, turn)
            added.append(turn)
        if conversation is not None and added:
            leaf = places.get(talk.leaf) if talk.leaf else None
            self._finish(conversation, leaf or places[added[-1].key], added)
        return ids

    def _start(self, talk: Talk) -> int:
        self._done.conversations += 1
        title = "" if self._memory.is_forgotten(talk.title) else talk.title
        return self._memory.messages.start(
            title, origin=talk.origin, origin_ref=talk.ref, created_at=talk.created_at
        ).id

    def _there(self, conversation: int) -> dict[bytes, int]:
        rows = self._store.tuples(
            "SELECT role, said_at, text, id FROM messages WHERE conversation_id = ?", (conversation,)
        )
        return {_fingerprint(role, said_at, text): id for role, said_at, text, id in rows}

    def _add(self, conversation: int, parent: int | None, turn: Turn) -> int:
        # Straight into the table: Messages.add counts the conversation each time, which is slow for a long one.
        cursor = self._store.execute(
            "INSERT INTO messages (conversation_id, parent_id, role, speaker, text, said_at, status, model, route, ref,"
            " context, recalled, extracted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                conversation,
                parent,
                turn.role,
                turn.speaker,
                turn.text,
                to_ms(turn.said_at),
                turn.status,
                turn.model,
                turn.route,
                turn.ref,
                turn.context,
                json.dumps(list(turn.recalled)),
                to_ms(datetime.now(UTC)) if turn.extracted else None,
            ),
        )
        self._done.messages += 1
        if turn.role != "assistant":
            self._touched.append(int(cursor.lastrowid))
        return int(cursor.lastrowid)

    def _finish(self, conversation: int, leaf: int | None, added: list[Turn]) -> None:
        self._store.execute(
            "UPDATE conversations SET leaf_id = ?, updated_at = max(updated_at, ?) WHERE id = ?",
            (leaf, max(to_ms(turn.said_at) for turn in added), conversation),
        )


class _Own:
    """Reads Mnemon's own export."""

    def __init__(self, memory: Memory, done: Imported, touched: list[int], facts: list[int], path: Path) -> None:
        self._memory, self._store, self._done, self._path = memory, memory.store, done, path
        self._saver = _Saver(memory, done, touched)
        self._messages: dict[int, int | None] = {}
        self._facts: dict[int, int | None] = {}
        self._new_facts = facts
        self._fresh: list[tuple[int, tuple[str, ...]]] = []

    def read(self, header: dict[str, Any], values: Iterator[Any]) -> None:
        """Read all that follows the header; the last line says how many there must be."""
        if header.get("mnemon") != "export" or header.get("version") != VERSION:
            raise TransferError(
                f"{self._path} is an export of version {header.get('version')}; this Mnemon reads version {VERSION}.",
                hint="Update Mnemon: pip install --upgrade mnemon.",
            )
        self._tombstone_key(header)
        known = {
            _export_name(self._store, row[0]): row[0] for row in self._store.tuples("SELECT id FROM conversations")
        }
        lines, ended = 0, False
        talk: Talk | None = None
        superseded: list[tuple[int, int]] = []
        for line in values:
            kind = line["kind"]
            if kind != "message" and talk is not None:
                self._save(talk, known)
                talk = None
            if kind == "conversation":
                talk = Talk(line["origin"], line["ref"], line["title"], _moment(line["created_at"]))
                talk.leaf = None if line["leaf"] is None else str(line["leaf"])
            elif kind == "message" and talk is not None:
                talk.turns.append(_turn(line))
            elif kind == "fact":
                self._fact(line)
                if line["superseded_by"] is not None:
                    superseded.append((line["id"], line["superseded_by"]))
            elif kind == "profile":
                self._profile_line(line)
            elif kind == "tombstone":
                self._tombstone(line)
            elif kind == "end":
                ended = line["lines"] == lines
                break
            else:
                raise TransferError(f"{self._path} has an entry {kind!r} out of place.", hint="Export again.")
            lines += 1
        if not ended:
            raise TransferError(f"{self._path} is cut off in the middle.", hint="Copy it again.")
        for old, new in superseded:
            if self._facts.get(old) in self._new_facts:
                self._store.execute(
                    "UPDATE facts SET superseded_by = ? WHERE id = ?", (self._facts.get(new), self._facts[old])
                )
        self._rename_recalled()

    def _save(self, talk: Talk, known: dict[str, int]) -> None:
        ids = self._saver.save(talk, known.get(talk.ref) if talk.origin == "mnemon" else None)
        self._messages.update({int(key): id for key, id in ids.items()})
        self._fresh += [(id, turn.recalled) for turn in talk.turns if turn.recalled and (id := ids[turn.key])]

    def _rename_recalled(self) -> None:
        """An answer names the memories it was given by number; the numbers are others here."""
        for id, names in self._fresh:
            new = []
            for name in names:
                there = (self._messages if name[:1] == "m" else self._facts).get(int(name[1:]))
                if there is not None:
                    new.append(f"{name[0]}{there}")
            self._store.execute("UPDATE messages SET recalled = ? WHERE id = ?", (json.dumps(new), id))

    def _fact(self, line: dict[str, Any]) -> None:
        source = line["source"]
        source_id = None if source is None else self._messages[source]
        said_at = _moment(line["created_at"])
        if (source is not None and source_id is None) or self._memory.is_forgotten(line["text"], said_at=said_at):
            self._done.forgotten += 1
            self._facts[line["id"]] = None
            return
        same = self._store.tuples(
            "SELECT id FROM facts WHERE text = ? AND source_id IS ? AND valid_from = ?",
            (line["text"], source_id, to_ms(_moment(line["valid_from"]))),
        )
        if same:
            self._done.already_there += 1
            self._facts[line["id"]] = same[0][0]
        else:
            fact_id = self._add_fact(line, source_id)
            self._facts[line["id"]] = fact_id
            self._new_facts.append(fact_id)
            self._done.facts += 1
        for mention in line["mentions"]:
            if (message_id := self._messages.get(mention)) is not None:
                self._memory.facts.mention(int(self._facts[line["id"]] or 0), message_id)

    def _add_fact(self, line: dict[str, Any], source_id: int | None) -> int:
        origin: FactOrigin = line["origin"]
        fact = self._memory.facts.add(
            line["text"],
            subject=line["subject"],
            attribute=line["attribute"],
            value=line["value"],
            source_id=source_id,
            origin=origin,
            valid_from=_moment(line["valid_from"]),
        )
        self._store.execute(
            "UPDATE facts SET valid_to = ?, reason = ?, created_at = ? WHERE id = ?",
            (
                None if line["valid_to"] is None else to_ms(_moment(line["valid_to"])),
                line["reason"],
                to_ms(_moment(line["created_at"])),
                fact.id,
            ),
        )
        return fact.id

    def _profile_line(self, line: dict[str, Any]) -> None:
        facts = [self._facts.get(id) for id in line["facts"]]
        if None in facts or self._memory.is_forgotten(line["text"]):
            return
        if self._store.tuples("SELECT 1 FROM profile_lines WHERE text = ?", (line["text"],)):
            return
        cursor = self._store.execute(
            "INSERT INTO profile_lines (text, position, by_hand, updated_at) VALUES (?, ?, ?, ?)",
            (line["text"], line["position"], int(line["by_hand"]), to_ms(_moment(line["updated_at"]))),
        )
        self._store.execute_many(
            "INSERT INTO profile_sources (line_id, fact_id) VALUES (?, ?)",
            [(int(cursor.lastrowid), fact_id) for fact_id in dict.fromkeys(facts)],
        )
        self._done.profile_lines += 1

    def _tombstone_key(self, header: dict[str, Any]) -> None:
        """Digests mean something under their own key only; a memory that has forgotten nothing yet takes it over."""
        self._same_key = False
        if "tombstone_key" not in header:
            return
        key = bytes.fromhex(header["tombstone_key"])
        mine = self._store.secret("tombstones")
        if key != mine and not self._store.tuples("SELECT 1 FROM tombstones LIMIT 1"):
            self._memory.adopt_tombstone_key(key)
            mine = key
        self._same_key = key == mine

    def _tombstone(self, line: dict[str, Any]) -> None:
        if self._same_key:
            self._store.execute(
                "INSERT INTO tombstones (digest, forgotten_at) VALUES (?, ?) ON CONFLICT (digest) DO UPDATE"
                " SET forgotten_at = max(forgotten_at, excluded.forgotten_at)",
                (bytes.fromhex(line["digest"]), to_ms(_moment(line["forgotten_at"]))),
            )


def _write(memory: Memory, file: BinaryIO, passphrase: str | None) -> dict[str, int]:
    counts = {"conversations": 0, "messages": 0, "facts": 0}
    plural = {"conversation": "conversations", "message": "messages", "fact": "facts"}
    writer = sealing.SealingWriter(file, passphrase) if passphrase is not None else file
    header: dict[str, Any] = {"mnemon": "export", "version": VERSION, "exported_at": _iso(datetime.now(UTC))}
    if passphrase is not None:
        header["tombstone_key"] = memory.store.secret("tombstones").hex()
    writer.write(_line(header))
    lines = 0
    with memory.store.transaction():  # one moment of the memory, whoever else writes
        for entry in _entries(memory, tombstones=passphrase is not None):
            writer.write(_line(entry))
            lines += 1
            if entry["kind"] in plural:
                counts[plural[entry["kind"]]] += 1
    writer.write(_line({"kind": "end", "lines": lines}))
    if writer is not file:
        writer.close()
    return counts


def _entries(memory: Memory, *, tombstones: bool) -> Iterator[dict[str, Any]]:
    """Tombstones first, so that they guard what follows; then each conversation with its messages, facts, profile."""
    store = memory.store
    if tombstones:
        for digest, at in store.tuples("SELECT digest, forgotten_at FROM tombstones ORDER BY digest"):
            yield {"kind": "tombstone", "digest": bytes(digest).hex(), "forgotten_at": _iso(from_ms(at))}
    for row in store.rows("SELECT * FROM conversations ORDER BY id"):
        own = row["origin"] == "mnemon" and row["origin_ref"] is None
        yield {
            "kind": "conversation",
            "ref": _export_name(store, row["id"]) if own else row["origin_ref"] or _export_name(store, row["id"]),
            "origin": row["origin"],
            "title": row["title"],
            "created_at": _iso(from_ms(row["created_at"])),
            "leaf": row["leaf_id"],
        }
        for message in store.rows("SELECT * FROM messages WHERE conversation_id = ? ORDER BY id", (row["id"],)):
            yield {
                "kind": "message",
                "id": message["id"],
                "parent": message["parent_id"],
                "said_at": _iso(from_ms(message["said_at"])),
                "recalled": json.loads(message["recalled"]),
                "extracted": message["extracted_at"] is not None,
                **{
                    name: message[name]
                    for name in ("role", "speaker", "text", "status", "model", "route", "ref", "context")
                },
            }
    mentions: dict[int, list[int]] = {}
    for fact_id, message_id in store.tuples("SELECT fact_id, message_id FROM fact_mentions ORDER BY message_id"):
        mentions.setdefault(fact_id, []).append(message_id)
    for row in store.rows("SELECT * FROM facts ORDER BY id"):
        yield {
            "kind": "fact",
            **{
                name: row[name]
                for name in ("id", "text", "subject", "attribute", "value", "origin", "reason", "superseded_by")
            },
            "source": row["source_id"],
            "mentions": mentions.get(row["id"], []),
            **{
                name: None if row[name] is None else _iso(from_ms(row[name]))
                for name in ("valid_from", "valid_to", "created_at")
            },
        }
    links: dict[int, list[int]] = {}
    for line_id, fact_id in store.tuples("SELECT line_id, fact_id FROM profile_sources ORDER BY fact_id"):
        links.setdefault(line_id, []).append(fact_id)
    for row in store.rows("SELECT * FROM profile_lines ORDER BY id"):
        yield {
            "kind": "profile",
            "text": row["text"],
            "position": row["position"],
            "by_hand": bool(row["by_hand"]),
            "facts": links.get(row["id"], []),
            "updated_at": _iso(from_ms(row["updated_at"])),
        }


def _export_name(store: Any, conversation: int) -> str:
    """A name for one of the owner's conversations that stays the same from export to export."""
    return hashlib.sha256(store.secret("exports") + str(conversation).encode()).hexdigest()[:24]


def _turn(line: dict[str, Any]) -> Turn:
    role: MessageRole = line["role"]
    status: MessageStatus = line["status"]
    if role not in get_args(MessageRole) or status not in get_args(MessageStatus):
        raise TransferError(f"A message of the role {role!r} cannot be read.", hint="Export again.")
    return Turn(
        key=str(line["id"]),
        parent=None if line["parent"] is None else str(line["parent"]),
        role=role,
        status="stopped" if status == "generating" else status,
        text=line["text"],
        said_at=_moment(line["said_at"]),
        speaker=line["speaker"],
        ref=line["ref"],
        model=line["model"],
        route=line["route"],
        context=line["context"],
        recalled=tuple(line["recalled"]),
        extracted=bool(line["extracted"]),
    )


def _fingerprint(role: str, said_at: int, text: str) -> bytes:
    return hashlib.sha256(f"{role}\0{said_at}\0{text}".encode()).digest()


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} names no time zone")
    return moment


def _index(memory: Memory, ids: list[int]) -> None:
    """After the words are safe: their meaning, in batches."""
    for start in range(0, len(ids), _INDEX_BATCH):
        found = memory.messages.many(ids[start : start + _INDEX_BATCH])
        memory.index(*found.values())
