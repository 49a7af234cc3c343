"""The things memory holds, as plain values. They know nothing of SQL, of prompts, or of how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

MessageRole = Literal["owner", "assistant", "other"]
"""Who spoke: the owner, Mnemon, or somebody else in an imported conversation."""
MessageStatus = Literal["received", "generating", "complete", "stopped", "failed"]
FactOrigin = Literal["pattern", "model", "owner", "import"]


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 UTC, as stored; a naive time is taken as local."""
    return round(moment.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """The moment stored as ``ms``, aware, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation; ``leaf_id`` is the last message of the branch that is shown."""

    id: int
    title: str
    created_at: datetime
    updated_at: datetime
    leaf_id: int | None = None
    origin: str = "mnemon"
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """Words somebody said. The text of an owner's message never changes after it is saved.

    Attributes:
        parent_id: The message it follows; messages with the same parent are siblings (regenerated or edited).
        context: What was put before it in the prompt (recalled memories), so that the prompt can be laid out
            again exactly as it was.
        recalled: For an answer, the ids of the memories it was given (``"m12"``, ``"f3"``).
        ref: The name it had where it was imported from, such as ``"D1:3"``.
    """

    id: int
    conversation_id: int
    parent_id: int | None
    role: MessageRole
    speaker: str
    text: str
    said_at: datetime
    status: MessageStatus = "complete"
    model: str = ""
    route: str = ""
    ref: str | None = None
    context: str = ""
    recalled: tuple[str, ...] = ()

    @property
    def memory_id(self) -> str:
        """The id people and programs use: ``m12``."""
        return f"m{self.id}"


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence that was true from ``valid_from`` until ``valid_to`` (None: still), and the words it rests on.

    Attributes:
        text: As the model reads it: "The user's dog is called Biscuit."
        subject: Whom it is about: "user", "dog", "sister anna".
        attribute: What is said of the subject: "name", "home", "employer". Two facts with the same subject and
            a single-valued attribute cannot both hold at one time.
        value: "Biscuit".
        source_id: The message it was taken from; None only when the owner wrote the fact by hand.
        reason: Why it ended, when it did.
    """

    id: int
    text: str
    subject: str
    attribute: str
    value: str
    source_id: int | None
    origin: FactOrigin
    valid_from: datetime
    valid_to: datetime | None = None
    superseded_by: int | None = None
    reason: str = ""

    @property
    def memory_id(self) -> str:
        """The id people and programs use: ``f3``."""
        return f"f{self.id}"


@dataclass(frozen=True, slots=True)
class Source:
    """The words something rests on: which message, of whom, of which day."""

    message_id: str
    conversation_id: int
    speaker: str
    role: MessageRole
    said_at: datetime
    text: str
    ref: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As printed by ``--json``."""
        return {
            "id": self.message_id,
            "conversation": self.conversation_id,
            "speaker": self.speaker,
            "said_at": self.said_at.astimezone().isoformat(timespec="seconds"),
            "text": self.text,
            "ref": self.ref,
        }


@dataclass(frozen=True, slots=True)
class Recalled:
    """Something found in memory for a question.

    Attributes:
        id: ``m12`` (message) or ``f3`` (fact).
        score: Higher is better; comparable within one search only.
        cosine: Similarity of the embeddings in [-1, 1]; comparable between searches.
        overlap: Share in [0, 1] of the question's content words (by rarity) that occur in it.
        source: The message it rests on; None only for a fact written by hand.
        valid: False when what it says no longer holds: of its facts, the one closest to the question has ended.
        facts: For a message, the facts taken from it, newest first, ended ones included.
        corrects: The owner said it to an answer to a question like this one.
    """

    id: str
    kind: Literal["message", "fact"]
    text: str
    score: float
    cosine: float
    overlap: float
    source: Source | None
    valid: bool = True
    facts: tuple[Fact, ...] = ()
    corrects: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As printed by ``--json``; keys are a contract (docs/command-line.md)."""
        return {
            "id": self.id,
            "kind": self.kind,
            "text": self.text,
            "score": round(self.score, 4),
            "source": self.source.as_dict() if self.source else None,
        }
