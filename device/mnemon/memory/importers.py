"""Other programs' conversations, read into one plain form: ChatGPT's and Claude's exports and LoCoMo's samples.

Each reader takes one element of the file's top-level array, so that a large export never has to fit into memory.
What is odd is passed over as long as the words are there: exports hold nulls, empty parts, hidden messages and
branches whose beginning was deleted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from mnemon.errors import TransferError
from mnemon.memory.records import MessageRole, MessageStatus

Format = Literal["mnemon", "chatgpt", "claude", "locomo"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message on its way into memory.

    Attributes:
        key: Its name within the conversation.
        parent: The key of the message it follows; None: it begins a branch.
        ref: The name to keep, by which it is known again at the next import.
        extracted: Facts were taken from it already.
    """

    key: str
    parent: str | None
    role: MessageRole
    text: str
    said_at: datetime
    speaker: str = ""
    ref: str | None = None
    model: str = ""
    route: str = ""
    status: MessageStatus = "complete"
    context: str = ""
    recalled: tuple[str, ...] = ()
    extracted: bool = False


@dataclass(slots=True)
class Talk:
    """One conversation on its way into memory; ``turns`` name parents before children."""

    origin: str
    ref: str
    title: str
    created_at: datetime
    turns: list[Turn] = field(default_factory=list)
    leaf: str | None = None


def recognise(element: Any) -> Format | None:
    """Whose export an element of the top-level array (or the first line) comes from."""
    if not isinstance(element, dict):
        return None
    if "mnemon" in element:
        return "mnemon"
    if isinstance(element.get("mapping"), dict):
        return "chatgpt"
    if isinstance(element.get("chat_messages"), list):
        return "claude"
    conversation = element.get("conversation")
    if isinstance(conversation, dict) and any(re.fullmatch(r"session_\d+", key) for key in conversation):
        return "locomo"
    return None


def chatgpt(element: dict[str, Any]) -> Iterator[Talk]:
    """One conversation of ChatGPT's ``conversations.json``: a tree; branches are kept, system and tools left out."""
    mapping = {str(key): node for key, node in element["mapping"].items() if isinstance(node, dict)}
    began = _seconds(element.get("create_time")) or _seconds(element.get("update_time")) or _EPOCH
    ref = str(
        element.get("conversation_id")
        or element.get("id")
        or f"{_text(element.get('title'))}@{began.timestamp():.0f}"
    )
    talk = Talk("chatgpt", ref, _text(element.get("title")), began)
    kept_above: dict[str, str | None] = {}
    times: dict[str, datetime] = {}
    for key, parent in _down_the_tree(mapping):
        above = kept_above.get(parent) if parent is not None else None
        before = times.get(parent, began) if parent is not None else began
        message = mapping[key].get("message")
        said_at = _seconds(message.get("create_time")) if isinstance(message, dict) else None
        times[key] = said_at or before
        turn = _chatgpt_turn(key, above, message, said_at or before)
        kept_above[key] = key if turn else above
        if turn:
            talk.turns.append(turn)
    talk.leaf = kept_above.get(str(element.get("current_node")))
    if talk.turns:
        yield talk


def claude(element: dict[str, Any]) -> Iterator[Talk]:
    """One conversation of Claude's ``conversations.json``."""
    began = _iso(element.get("created_at")) or _EPOCH
    ref = str(element.get("uuid") or f"{_text(element.get('name'))}@{began.timestamp():.0f}")
    talk = Talk("claude", ref, _text(element.get("name")), began)
    above: dict[str, str | None] = {}
    previous: str | None = None
    for number, message in enumerate(element["chat_messages"]):
        if not isinstance(message, dict):
            continue
        key = str(message.get("uuid") or number)
        named = message.get("parent_message_uuid")
        parent = above.get(named) if isinstance(named, str) and named in above else previous
        if isinstance(named, str) and named not in above and re.fullmatch(r"0{8}-.*", named):
            parent = None
        role: MessageRole | None = {"human": "owner", "assistant": "assistant"}.get(str(message.get("sender")))  # type: ignore[assignment]
        text = _claude_text(message)
        if role is None or not text or key in above:
            above.setdefault(key, parent)
            continue
        last = talk.turns[-1].said_at if talk.turns else began
        talk.turns.append(Turn(key, parent, role, text, _iso(message.get("created_at")) or last, ref=key))
        above[key] = previous = key
    if talk.turns:
        yield talk


def locomo(element: dict[str, Any]) -> Iterator[Talk]:
    """One LoCoMo sample: a conversation for each of its sessions, since a session is one sitting on one day.

    Nobody in it is the owner: all turns have the role ``other``. A photograph becomes its caption in brackets.
    """
    sample = str(element.get("sample_id") or "locomo")
    conversation = element["conversation"]
    names = " and ".join(filter(None, (_text(conversation.get("speaker_a")), _text(conversation.get("speaker_b")))))
    sessions = sorted(int(key[8:]) for key in conversation if re.fullmatch(r"session_\d+", key))
    for number in sessions:
        turns = conversation[f"session_{number}"]
        if not isinstance(turns, list) or not turns:
            continue
        began = _locomo_date(_text(conversation.get(f"session_{number}_date_time")))
        if began is None:
            raise TransferError(
                f"{sample}: session {number} has no date that can be read.", hint="Expected: 1:56 pm on 8 May, 2023."
            )
        talk = Talk("locomo", f"{sample}/session_{number}", f"{names or sample}, session {number}", began)
        previous: str | None = None
        for second, turn in enumerate(turn for turn in turns if isinstance(turn, dict)):
            text = _text(turn.get("text"))
            caption = _text(turn.get("blip_caption"))
            if caption:
                text = f"{text} [shares a photo: {caption}]".strip()
            if not text:
                continue
            key = str(turn.get("dia_id") or f"D{number}:{second + 1}")
            said_at = began + timedelta(seconds=second)
            talk.turns.append(Turn(key, previous, "other", text, said_at, _text(turn.get("speaker")), ref=key))
            previous = key
        if talk.turns:
            yield talk


READERS: dict[str, Callable[[dict[str, Any]], Iterator[Talk]]] = {
    "chatgpt": chatgpt,
    "claude": claude,
    "locomo": locomo,
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 1000, 9000  # within what every time zone and every part of Mnemon can show


def _down_the_tree(mapping: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str | None]]:
    """Every node once, parents before children; a node whose parent is missing begins a tree of its own."""
    children: dict[str | None, list[str]] = {}
    for key, node in mapping.items():
        parent = node.get("parent")
        children.setdefault(parent if isinstance(parent, str) and parent in mapping else None, []).append(key)
    seen: set[str] = set()
    starts = children.get(None, []) or list(mapping)[:1]
    stack: list[tuple[str, str | None]] = [(key, None) for key in reversed(starts)]
    while stack:
        key, parent = stack.pop()
        if key in seen:
            continue
        seen.add(key)
        yield key, parent
        stack.extend((child, key) for child in reversed(children.get(key, [])))


def _chatgpt_turn(key: str, parent: str | None, message: Any, said_at: datetime) -> Turn | None:
    if not isinstance(message, dict):
        return None
    author = message.get("author")
    role: MessageRole | None = {"user": "owner", "assistant": "assistant"}.get(  # type: ignore[assignment]
        str(author.get("role")) if isinstance(author, dict) else ""
    )
    metadata = message.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    if role is None or metadata.get("is_visually_hidden_from_conversation"):
        return None
    if message.get("recipient") not in (None, "all"):  # the model talking to its tools
        return None
    text = _chatgpt_text(message.get("content"))
    model = _text(metadata.get("model_slug")) if role == "assistant" else ""
    return Turn(key, parent, role, text, said_at, ref=key, model=model) if text else None


def _chatgpt_text(content: Any) -> str:
    if not isinstance(content, dict):
        return ""
    if content.get("content_type") not in (None, "text", "multimodal_text"):
        return ""
    parts = content.get("parts")
    pieces = parts if isinstance(parts, list) else [content.get("text")]
    said = []
    for piece in pieces:
        if isinstance(piece, dict):
            kind = str(piece.get("content_type") or "")
            said.append(_text(piece.get("text")) or ("[a picture]" if "image" in kind else ""))
        else:
            said.append(_text(piece))
    return "\n".join(part for part in said if part)


def _claude_text(message: dict[str, Any]) -> str:
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    said = [
        _text(block.get("text"))
        for block in blocks
        if isinstance(block, dict) and block.get("type", "text") == "text"
    ]
    text = "\n\n".join(part for part in said if part) or _text(message.get("text"))
    for named in ("attachments", "files"):
        attached = message.get(named)
        for file in attached if isinstance(attached, list) else []:
            if isinstance(file, dict) and _text(file.get("file_name")):
                text = f"{text}\n[attached: {_text(file['file_name'])}]".strip()
    return text


def _text(value: Any) -> str:
    """Words only: whatever else stands where words should be is nothing; lone surrogates cannot be stored."""
    if not isinstance(value, str):
        return ""
    return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "").strip()


def _seconds(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        return None
    try:
        moment = datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return moment if moment.year <= _LAST_YEAR else None


def _iso(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _locomo_date(text: str) -> datetime | None:
    for form in ("%I:%M %p on %d %B, %Y", "%I:%M %p on %d %B %Y"):
        try:
            return datetime.strptime(text.strip(), form).astimezone()
        except ValueError:
            continue
    return None
