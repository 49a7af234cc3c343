"""What the owner corrected, found again for similar questions.

The key is the question that was answered wrongly, the value what the owner said to that, as in MemPrompt
(arXiv 2201.06009); what was corrected wins over what the model believes, as in TeachMe (arXiv 2204.13074).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mnemon import words
from mnemon.clock import Clock, utc_now
from mnemon.memory.embedding import Embedder
from mnemon.memory.messages import Messages
from mnemon.memory.phrasing import is_plain_question
from mnemon.memory.records import Message, to_ms

if TYPE_CHECKING:
    from mnemon.memory.store import Store

SIMILAR = 0.65
"""The least cosine of two questions that ask the same: of one asked in other words 0.7 and more, of another thing
about the same person 0.5 to 0.6."""

_SETS_RIGHT = re.compile(
    r"^(?:(?:oh|hm+|um|well|sorry|but|actually|wait)\b[\s,.!]*)*"
    r"(?:no\b|nope\b|wrong\b|incorrect\b|not (?:quite|true|right)\b"
    r"|(?:that|this|it)(?:'s| is| was) (?:wrong|not (?:right|true|correct|what i)|incorrect|a mistake|mistaken)"
    r"|you(?:'re| are) (?:wrong|mistaken)|you got (?:that|it) wrong|i (?:said|told you|meant)\b)"
    r"|^(?:it|he|she|they|that)(?:'s| is| are|'re) .+, not .+",
    re.IGNORECASE,
)
_EMPTY = frozenset(
    words.stem(w) for w in "no nope wrong incorrect true right quite mistake mistaken said told meant".split()
)


@dataclass(frozen=True, slots=True)
class Correction:
    """What the owner said to an answer.

    Attributes:
        message: The owner's words.
        question: What had been asked.
        similarity: Of that question and the one asked now, a cosine.
    """

    message: Message
    question: Message
    similarity: float


class Corrections:
    """The corrections of one memory.

    Args:
        store: The encrypted file.
        messages: Where the words are.
        embedder: Compares questions.
        now: The clock; tests set it.
    """

    def __init__(self, store: Store, messages: Messages, embedder: Embedder, now: Clock = utc_now) -> None:
        self._store = store
        self._messages = messages
        self._embedder = embedder
        self._now = now

    def note(self, message: Message) -> bool:
        """If ``message`` sets the answer before it right, remember that; says whether it does."""
        if message.role != "owner" or message.parent_id is None or not sets_right(message.text):
            return False
        answer = self._messages.get(message.parent_id)
        if answer.role != "assistant" or answer.parent_id is None:
            return False
        question = self._messages.get(answer.parent_id)
        if not is_plain_question(question.text):
            return False
        self.add(message, answer)
        return True

    def add(self, message: Message, answer: Message) -> None:
        """Remember that ``message`` puts ``answer`` right, whatever its words."""
        self._store.execute(
            "INSERT OR REPLACE INTO corrections (message_id, answer_id, question_id, created_at) VALUES (?, ?, ?, ?)",
            (message.id, answer.id, answer.parent_id, to_ms(self._now())),
        )

    def find(self, question: str, *, limit: int = 2) -> list[Correction]:
        """What was corrected when something like ``question`` was asked: the most alike, then the newest first."""
        rows = self._store.tuples(
            "SELECT message_id, question_id, vector FROM corrections JOIN vectors ON kind = 'message'"
            " AND ref = question_id ORDER BY message_id DESC"
        )
        if not rows:
            return []
        keys = np.stack([np.frombuffer(row[2], np.float16) for row in rows]).astype(np.float32)
        alike = np.round(keys @ self._embedder.embed_one(question), 2)
        best = [int(i) for i in np.argsort(-alike, kind="stable")[:limit] if alike[i] >= SIMILAR]
        said = self._messages.many([rows[i][column] for i in best for column in (0, 1)])
        return [Correction(said[rows[i][0]], said[rows[i][1]], float(alike[i])) for i in best]


def sets_right(text: str) -> bool:
    """Whether ``text`` says that what was just said is wrong, and says something instead."""
    plain = text.replace("’", "'").strip()
    said = {stem for stem in words.content_words(plain) if stem not in _EMPTY}
    return bool(_SETS_RIGHT.match(plain)) and bool(said or words.numbers(plain)) and not plain.endswith("?")
