"""Mnemon's own export: JSON Lines, a header first and a last line that says how many there must be.

Every line after the header has a ``kind``: ``tombstone``, ``conversation`` (its ``message`` lines follow it),
``fact``, ``profile`` and ``end``. Times are ISO 8601 in UTC with milliseconds. What ties messages and facts to each
other is in :mod:`mnemon.memory.links`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, MutableSequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

from mnemon.errors import InputError, TransferError
from mnemon.memory import links, sealing
from mnemon.memory.doubts import SETTLED
from mnemon.memory.facts import EDITED
from mnemon.memory.importers import Talk, Turn
from mnemon.memory.links import iso, moment
from mnemon.memory.numbers import MessageNumbers
from mnemon.memory.reading import Broken, Source
from mnemon.memory.records import FactOrigin, MessageRole, MessageStatus, from_ms, to_ms
from mnemon.memory.saving import Imported, Saver, Saving
from mnemon.memory.sqlcipher import KEY_BYTES
from mnemon.terminal.text import one_line

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

VERSION = 1
ODD = (KeyError, TypeError, ValueError, AttributeError, OverflowError, InputError)
"""What an entry raises that is not what it should be."""


def write(memory: Memory, file: BinaryIO, passphrase: str | None) -> dict[str, int]:
    """Write one moment of the memory to ``file``, sealed if there is a passphrase.

    Returns:
        How many conversations, messages and facts were written.
    """
    counts = {"conversations": 0, "messages": 0, "facts": 0}
    plural = {"conversation": "conversations", "message": "messages", "fact": "facts"}
    writer = sealing.SealingWriter(file, passphrase) if passphrase is not None else file
    header: dict[str, Any] = {"mnemon": "export", "version": VERSION, "exported_at": iso(datetime.now(UTC))}
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
            yield {"kind": "tombstone", "digest": bytes(digest).hex(), "forgotten_at": iso(from_ms(at))}
    ties = links.of_messages(store)
    for row in store.rows("SELECT * FROM conversations ORDER BY id"):
        own = row["origin"] == "mnemon" and row["origin_ref"] is None
        yield {
            "kind": "conversation",
            "ref": _export_name(store, row["id"]) if own else row["origin_ref"] or _export_name(store, row["id"]),
            "origin": row["origin"],
            "title": row["title"],
            "created_at": iso(from_ms(row["created_at"])),
            "leaf": row["leaf_id"],
        }
        for message in store.rows("SELECT * FROM messages WHERE conversation_id = ? ORDER BY id", (row["id"],)):
            yield {
                "kind": "message",
                "id": message["id"],
                "parent": message["parent_id"],
                "said_at": iso(from_ms(message["said_at"])),
                "recalled": json.loads(message["recalled"]),
                "extracted": message["extracted_at"] is not None,
                **{
                    name: message[name]
                    for name in ("role", "speaker", "text", "status", "model", "route", "ref", "context")
                },
                **ties.get(message["id"], {}),
            }
    mentions: dict[int, list[int]] = {}
    for fact_id, message_id in store.tuples("SELECT fact_id, message_id FROM fact_mentions ORDER BY message_id"):
        mentions.setdefault(fact_id, []).append(message_id)
    ties = links.of_facts(store)
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
                name: None if row[name] is None else iso(from_ms(row[name]))
                for name in ("valid_from", "valid_to", "created_at")
            },
            **ties.get(row["id"], {}),
        }
    resting: dict[int, list[int]] = {}
    for line_id, fact_id in store.tuples("SELECT line_id, fact_id FROM profile_sources ORDER BY fact_id"):
        resting.setdefault(line_id, []).append(fact_id)
    for row in store.rows("SELECT * FROM profile_lines ORDER BY id"):
        yield {
            "kind": "profile",
            "text": row["text"],
            "position": row["position"],
            "by_hand": bool(row["by_hand"]),
            "facts": resting.get(row["id"], []),
            "updated_at": iso(from_ms(row["updated_at"])),
        }


def _export_name(store: Any, conversation: int) -> str:
    """A name for one of the owner's conversations that stays the same from export to export."""
    return hashlib.sha256(store.secret("exports") + str(conversation).encode()).hexdigest()[:24]


def _turn(line: dict[str, Any]) -> Turn:
    role: MessageRole = line["role"]
    status: MessageStatus = line["status"]
    if role not in get_args(MessageRole) or status not in get_args(MessageStatus):
        raise TransferError(f"has the role {str(role)[:40]!r} and the status {str(status)[:40]!r}")
    recalled = line["recalled"]
    if not isinstance(line["id"], int) or not isinstance(recalled, list):
        raise TransferError("has no number, or a list that is none")
    if not all(isinstance(name, str) and re.fullmatch(r"[a-z]\d{1,18}", name) for name in recalled):
        raise TransferError("was given memories that have no names")
    return Turn(
        key=str(line["id"]),
        parent=None if line["parent"] is None else str(line["parent"]),
        role=role,
        status="stopped" if status == "generating" else status,
        text=_words(line, "text"),
        said_at=moment(line["said_at"]),
        speaker=_words(line, "speaker"),
        ref=None if line["ref"] is None else _words(line, "ref"),
        model=_words(line, "model"),
        route=_words(line, "route"),
        context=_words(line, "context"),
        recalled=tuple(recalled),
        extracted=bool(line["extracted"]),
    )


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _words(line: dict[str, Any], name: str) -> str:
    """The text under that name; nothing that SQLite or a terminal would take for its end."""
    text = line[name]
    if not isinstance(text, str):
        raise TypeError(f"{name} is no text")
    if "\0" in text:
        raise ValueError(f"{name} has a null byte in it")
    return text


def _reason_of(fact: dict[str, Any]) -> str:
    """Why a fact ended. An earlier Mnemon wrote the later message's words there, which may be forgotten by now; they
    are read from what took the fact's place."""
    why: str = fact["reason"]
    return why if fact["superseded_by"] is None or why in (EDITED, SETTLED) else ""


def reason(error: Exception) -> str:
    """Why an entry cannot be used, to follow its place."""
    if isinstance(error, TransferError):
        return str(error).removesuffix(".")
    missing = " is missing" if isinstance(error, KeyError) else ""
    return f"cannot be understood ({one_line(str(error), 100)}{missing})"


class Reader:
    """Reads Mnemon's own export."""

    def __init__(
        self,
        memory: Memory,
        done: Imported,
        touched: MutableSequence[int],
        facts: list[int],
        path: Path,
        source: Source,
    ) -> None:
        self._memory, self._store, self._done, self._path = memory, memory.store, done, path
        self._source = source
        self._saver = Saver(memory, done, touched)
        self._messages = MessageNumbers(memory.store)
        self._facts: dict[int, int | None] = {}
        self._new_facts = facts
        self._fresh: list[tuple[int, tuple[str, ...]]] = []
        self._fresh_facts: set[int | None] = set()
        self._saving: Saving | None = None
        self._known: dict[str, int] = {}
        self._superseded: dict[int, int] = {}
        self._links = links.Links()

    def read(self, header: dict[str, Any]) -> None:
        """Read all that follows the header; the last line says how many there must be."""
        if header.get("mnemon") != "export" or header.get("version") != VERSION:
            raise TransferError(
                f"{self._path} is an export of version {header.get('version')}; this Mnemon reads version {VERSION}.",
                hint="Update Mnemon: pip install --upgrade mnemon.",
            )
        try:
            self._tombstone_key(header)
        except ODD as error:
            raise TransferError(f"{self._path} has a damaged header.", hint="Export again.") from error
        self._known = {
            _export_name(self._store, row[0]): row[0] for row in self._store.tuples("SELECT id FROM conversations")
        }
        ended = False
        for lines, line in enumerate(self._source.values):
            try:
                if isinstance(line, Broken):
                    raise TransferError(line.why)
                if line["kind"] == "end":
                    ended = line["lines"] == lines
                    break
                self._entry(line)
            except (*ODD, TransferError) as error:
                self._done.problem(f"{self._path}: line {self._source.at}", reason(error))
        self._finish()
        if not ended:
            self._done.problem(str(self._path), "is cut off in the middle")
        self._supersede()
        self._links.save(self._store, self._messages.here, self._facts.get)
        self._rename_recalled()
        self._messages.drop()

    def _entry(self, line: dict[str, Any]) -> None:
        kind = line["kind"]
        if kind == "message" and self._saving is not None:
            turn = _turn(line)
            if line["id"] in self._messages:
                raise TransferError(f"has the number {turn.key} of another message")
            self._links.note_message(line)
            here = self._saving.take(turn)
            if here is not None and turn.recalled:
                self._fresh.append((here, turn.recalled))
            return
        self._finish()
        if kind == "conversation":
            origin, ref, title = (_words(line, name) for name in ("origin", "ref", "title"))
            leaf = None if line["leaf"] is None else str(line["leaf"])
            talk = Talk(origin, ref, title, moment(line["created_at"]), leaf=leaf)
            self._messages.next_talk()
            known = self._known.get(talk.ref) if talk.origin == "mnemon" else None
            self._saving = self._saver.begin(talk, self._messages, known)
        elif kind == "fact":
            self._fact(line)
            if line["superseded_by"] is not None:
                self._superseded[line["id"]] = line["superseded_by"]
        elif kind == "profile":
            self._profile_line(line)
        elif kind == "tombstone":
            self._tombstone(line)
        else:
            raise TransferError(f"has a kind out of place: {str(kind)[:40]!r}")

    def _supersede(self) -> None:
        for old, new in self._superseded.items():
            seen, last = {old}, new
            while last in self._superseded and last not in seen:
                seen.add(last)
                last = self._superseded[last]
            if last in seen:
                self._done.problem(f"{self._path}: fact {old}", "takes its own place in the end")
            elif self._facts.get(old) in self._fresh_facts:
                self._store.execute(
                    "UPDATE facts SET superseded_by = ? WHERE id = ?", (self._facts.get(new), self._facts[old])
                )

    def _finish(self) -> None:
        if self._saving is not None:
            self._saving.finish()
        self._saving = None

    def _rename_recalled(self) -> None:
        """An answer names the memories it was given by number; the numbers are others here."""
        for id, names in self._fresh:
            new = []
            for name in names:
                there = (self._messages.here if name[:1] == "m" else self._facts.get)(int(name[1:]))
                if there is not None:
                    new.append(f"{name[0]}{there}")
            self._store.execute("UPDATE messages SET recalled = ? WHERE id = ?", (json.dumps(new), id))
            if len(new) < len(names):  # the notes before its question hold the words of what was forgotten
                self._store.execute(
                    "UPDATE messages SET context = '' WHERE id = (SELECT parent_id FROM messages WHERE id = ?)", (id,)
                )

    def _fact(self, line: dict[str, Any]) -> None:
        for name in ("text", "subject", "attribute", "value", "reason"):
            _words(line, name)
        if not isinstance(line["id"], int) or line["id"] in self._facts:
            raise TransferError(f"has the number {str(line['id'])[:40]} of another fact, or none")
        self._links.note_fact(line)
        if line["origin"] not in get_args(FactOrigin):
            raise TransferError(f"has an unknown origin {str(line['origin'])[:40]!r}")
        source = line["source"]
        source_id = None if source is None else self._messages[source]
        said_at = moment(line["created_at"])
        if (source is not None and source_id is None) or self._memory.is_forgotten(line["text"], said_at=said_at):
            self._done.forgotten += 1
            self._facts[line["id"]] = None
            return
        same = self._store.tuples(
            "SELECT id FROM facts WHERE text = ? AND source_id IS ? AND valid_from = ?",
            (line["text"], source_id, to_ms(moment(line["valid_from"]))),
        )
        if same:
            self._done.already_there += 1
            self._facts[line["id"]] = same[0][0]
        else:
            fact_id = self._add_fact(line, source_id)
            self._facts[line["id"]] = fact_id
            self._new_facts.append(fact_id)
            self._fresh_facts.add(fact_id)
            self._done.facts += 1
        for mention in line["mentions"]:
            if (message_id := self._messages.here(mention)) is not None:
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
            valid_from=moment(line["valid_from"]),
        )
        self._store.execute(
            "UPDATE facts SET valid_to = ?, reason = ?, created_at = ? WHERE id = ?",
            (
                None if line["valid_to"] is None else to_ms(moment(line["valid_to"])),
                _reason_of(line),
                to_ms(moment(line["created_at"])),
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
            (line["text"], line["position"], int(line["by_hand"]), to_ms(moment(line["updated_at"]))),
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
        if len(key) != KEY_BYTES:
            raise ValueError("a key of the wrong length")
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
                (bytes.fromhex(line["digest"]), to_ms(moment(line["forgotten_at"]))),
            )
