"""From messages to the tokens of one prompt, within the window: what a conversation keeps when it gets too long.

The prompt of a turn begins with the tokens of the turn before, answers exactly as they were generated, so that only
new words are decoded. When the window is full the oldest turns leave it, a quarter of the window at a time: leaving
out one turn each time would move the whole cache at every answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mnemon.errors import PromptTooLongError
from mnemon.runtime import templates
from mnemon.runtime.chat_model import ChatMessage
from mnemon.runtime.sampling import CharacterStream, ThoughtFilter

if TYPE_CHECKING:
    from mnemon.runtime.sequences import Conversation
    from mnemon.runtime.vocabulary import Model

_LEAST_ANSWER = 16
"""Tokens of the window that are always left for an answer."""
_LONGEST_TOKEN = 64
"""Characters; a text longer than this times the window is too long without counting."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A prompt that fits.

    Attributes:
        tokens: The whole prompt.
        dropped: Oldest messages left out of it.
        limit: The most tokens the answer may have.
        shift: Messages were left out just now: the rest of the cache can be moved down.
    """

    tokens: list[int]
    limit: int
    dropped: int = 0
    shift: bool = False


@dataclass(slots=True)
class Layout:
    """How one model's prompts are laid out. Used from any thread."""

    model: Model
    template: templates.ChatTemplate
    window: int
    _closing: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        # some files mark no token, or another one, as the end of a turn: what the template writes there is one too
        written = self.model.control(self.template.closing)
        self._closing = frozenset(token for token in written if self.model.is_special(token))

    def ends(self, token: int) -> bool:
        """Whether the token ends an answer."""
        return token in self._closing or self.model.ends(token)

    def plan(self, messages: Sequence[ChatMessage], kept: Conversation, max_tokens: int) -> Plan:
        """The prompt for an answer to ``messages`` of at most ``max_tokens`` tokens.

        Raises:
            PromptTooLongError: The system text and the last message alone do not fit.
        """
        turns = templates.normalised(messages)
        system = turns[:1] if turns[0].role == "system" else []
        rest = turns[len(system) :]
        for message in (*system, rest[-1]):
            if len(message.content) > _LONGEST_TOKEN * self.window:
                raise self._too_long(len(message.content) // 4)
        reserve = max(_LEAST_ANSWER, min(max_tokens, self.window // 4))
        room = self.window - reserve
        # every message takes some tokens of template: more of them than this cannot fit
        first = max(0, len(rest) - self.window // 4)
        starts = [i for i, message in enumerate(rest) if message.role == "user" and i >= first]
        tokens = self._encode([*system, *rest[starts[0] :]], kept)
        if len(tokens) > room:
            starts = [i for i in starts if i >= kept.dropped] or starts[-1:]
            tokens = self._encode([*system, *rest[starts[0] :]], kept)
            if len(tokens) > room:
                starts = self._enough_left_out(system, rest, starts, room - self.window // 4, kept)
                tokens = self._encode([*system, *rest[starts[0] :]], kept)
        if len(tokens) + _LEAST_ANSWER > self.window:
            raise self._too_long(len(tokens))
        dropped = starts[0]
        return Plan(tokens, min(max_tokens, self.window - len(tokens)), dropped, shift=dropped > kept.dropped)

    def plan_given(self, messages: Sequence[ChatMessage], answer: str) -> tuple[Plan, list[int]]:
        """The prompt before a given answer, and the answer's tokens.

        Without messages the answer is running text: nothing of the template stands before it, only the token that
        begins a text, or the text's own first one where the model knows no such token.

        Raises:
            PromptTooLongError: They do not fit together.
        """
        if messages:
            tokens = self._encode(templates.normalised(messages), None)
            following = self.model.plain(answer, after=tokens[-1])
        elif self.model.adds_bos:
            tokens, following = [self.model.bos], self.model.plain(answer)
        else:
            text = self.model.plain(answer)
            tokens, following = text[:1], text[1:]
        if len(tokens) + len(following) > self.window:
            raise self._too_long(len(tokens) + len(following))
        return Plan(tokens, 0), following

    def as_generated(self, out: Sequence[int]) -> tuple[str, list[int]] | None:
        """An answer's text with the tokens that stand for it in later prompts; None when it must be tokenised anew.

        A thought is left out of later prompts, as its template would, and so is what stood around it.
        """
        text = CharacterStream().add(b"".join(map(self.model.piece, out)))
        thoughts = ThoughtFilter(inside=self.template.opens_thought)
        shown = thoughts.add(text) + thoughts.finish()
        if shown != text or not self.template.appends or not shown.strip():
            return None
        return shown.strip(), [*self.model.control(self.template.answer_opening), *out]

    def _enough_left_out(
        self, system: list[ChatMessage], rest: list[ChatMessage], starts: list[int], room: int, kept: Conversation
    ) -> list[int]:
        """The fewest turns to leave out so that what remains takes at most ``room`` tokens."""
        low, high = 0, len(starts) - 1
        while low < high:
            middle = (low + high) // 2
            if len(self._encode([*system, *rest[starts[middle] :]], kept)) <= room:
                high = middle
            else:
                low = middle + 1
        return starts[low:]

    def _encode(self, turns: list[ChatMessage], kept: Conversation | None) -> list[int]:
        return templates.encode(self.model, self.template.layout(turns), kept.answers if kept else {})

    def _too_long(self, tokens: int) -> PromptTooLongError:
        return PromptTooLongError(
            f"That message is too long: about {tokens} tokens, and the model reads {self.window} at a time.",
            hint="Send it in parts, or use a model with a larger window.",
        )
