"""The next words of an answer, guessed from what stands before them, and whether guessing pays here.

Answers about what was told repeat words of their prompt. Where the last tokens stood before, what followed them there
is a draft of what follows now (prompt lookup decoding, A. Saxena 2023,
github.com/apoorvumang/prompt-lookup-decoding). It is decoded together with the token before it, and each of its
tokens is chosen as ever, from the logits before it: one that equals the draft is decoded already, the first that does
not ends the draft. A draft is one certain text, so that this is the rejection rule of speculative decoding (Leviathan
et al. 2023, arXiv 2211.17192) at its simplest, and what is said has the distribution it has without drafts.

A decode of several tokens takes longer than one of a single token, how much longer depends on processor, format of
the weights and threads: four tokens of a 0.5B model take 1.6 times as long with four bits, and 3.6 times with eight.
So both is watched while answering: how often drafts are right, and what they cost.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_MATCH = 3
"""Tokens of the end that have to stand somewhere before; four find nothing better."""
_EXPECTED = {4: 1.7, 8: 2.6, 16: 4.5}
"""Tokens decoded at once, and what that is taken to cost, in decodes of one, until it has been seen here. Weights of
four bits are multiplied for four tokens at a time, so two or three would cost as much."""
_GAIN = 1.1
"""Drafts have to promise so many times the speed: what they promise is estimated."""
_AGAIN = 1024
"""Tokens after which a size given up is half forgiven: other programs may have been in the way."""
_RIGHT = ((0.0, 0.0), (1.6, 2.4), (2.4, 1.6), (3.2, 0.8))
"""Right and wrong guesses that a match of 1, 2 and 3 tokens is taken to have made: what Mnemon's own answers show."""
_SUREST = 0.92
"""No guess is taken to be likelier than this, however long all were right: looking takes time, too."""
_MEMORY = 0.95
"""What a guess counts after each further one: some twenty of them decide."""


class Pace:
    """What decodes of several tokens cost on one model, and how often drafts are right; of one thread.

    Attributes:
        pays: Whether any draft could, were it right as often as any is. Where not, there is nothing to look up or
            time: on the built-in model every microsecond of that is 0.3 % of a token.
    """

    def __init__(self) -> None:
        self.pays = True
        self._one = 0.0
        self._fresh = True
        self._costs = dict(_EXPECTED)
        self._seen: set[int] = set()
        self._held: tuple[int, float] | None = None
        self._guesses = [list(pair) for pair in _RIGHT]
        self._since = 0

    def size(self, match: int) -> int:
        """Tokens to decode at once, the one before the draft included, behind a match of so many; 1: no draft."""
        if not self._one:
            return 1
        right, wrong = self._guesses[match]
        likely = min(right / (right + wrong), _SUREST)
        best, found = _GAIN, 1
        for size, cost in self._costs.items():
            speed = _tokens(size, likely) / cost
            if speed > best:
                best, found = speed, size
        return found

    def answered(self, tokens: int) -> None:
        """An answer of so many tokens is over."""
        if not self.pays:
            self._since += tokens
            if self._since >= _AGAIN:
                for size, cost in _EXPECTED.items():
                    self._costs[size] = (self._costs[size] + cost) / 2
                self._weigh()

    def guessed(self, match: int, right: int, wrong: int) -> None:
        """So many tokens of a draft, or of one that was not tried, were right, and the next one wrong or unknown."""
        pair = self._guesses[match]
        pair[0] = _MEMORY * pair[0] + right
        pair[1] = _MEMORY * pair[1] + wrong

    def took(self, size: int, seconds: float) -> None:
        """A decode of so many tokens took so long."""
        if size == 1:
            if self._held is not None:  # llama.cpp makes its graph anew, also on the way back to one token
                self._note(*self._held, max(0.0, seconds - self._one))
                self._held = None
            elif self._fresh:
                self._fresh = False
            else:
                self._one += (seconds - self._one) / (8 if self._one else 1)
        else:
            if self._held is not None:
                self._note(*self._held, 0.0)
            self._held = size, seconds

    def interrupted(self) -> None:
        """Something else was decoded in between: the next decode is not like others."""
        self._held, self._fresh = None, True

    def _note(self, size: int, seconds: float, back: float) -> None:
        if size not in self._costs or not self._one:
            return
        cost = self._costs[size]
        seen = (seconds + back) / self._one
        self._costs[size] = (cost + min(seen, 2 * cost)) / 2  # a moment's noise does not decide
        self._seen.add(size)
        cheaper = min(1.0, max(0.0, self._costs[size] - 1) / (_EXPECTED[size] - 1))
        for other in _EXPECTED.keys() - self._seen:
            self._costs[other] = 1 + (_EXPECTED[other] - 1) * cheaper
        self._weigh()

    def _weigh(self) -> None:
        self._since = 0
        self.pays = any(_tokens(size, _SUREST) > _GAIN * cost for size, cost in self._costs.items())


def _tokens(size: int, likely: float) -> float:
    """Of as many decoded at once: the first counts in any case, each further one if all before it were right."""
    return (1 - likely**size) / (1 - likely)


class Drafter:
    """The drafts of one answer.

    Args:
        pace: Of the model.
        prompt: The tokens before the answer.

    Attributes:
        row: Of the last decode's logits, those after the answer so far: -1 for the last ones.
    """

    def __init__(self, pace: Pace, prompt: Sequence[int]) -> None:
        self._pace = pace
        self._prompt = prompt
        self._text = ""  # tokens as characters: found at the speed of C
        self._taken = 0
        self._draft: list[int] = []
        self._match = 0
        self._guess = -1
        self.row = -1

    def confirms(self, token: int) -> bool:
        """Whether the token chosen from :attr:`row` is decoded already; then the next one comes from the next row."""
        right = 0 <= self.row < len(self._draft) and self._draft[self.row] == token
        if right:
            self.row += 1
        return right

    @property
    def unused(self) -> int:
        """Tokens at the end of the sequence that were decoded and not confirmed."""
        return len(self._draft) - self.row if self._draft else 0

    def judged(self) -> None:
        """The token chosen last is another than the draft's, or follows its end."""
        if self._draft:
            self._pace.guessed(self._match, self.row, int(self.row < len(self._draft)))
            self.drop()

    def drop(self) -> None:
        """There is no draft in the sequence, or not any more."""
        self._draft, self.row = [], -1

    def draft(self, out: Sequence[int], most: int) -> list[int]:
        """What may follow the answer so far, to be decoded with its last token; mostly empty.

        Args:
            out: The answer so far, not empty; it has grown since the last call.
            most: The longest there is room for.
        """
        pace = self._pace
        if self._guess >= 0 and self._taken < len(out):
            pace.guessed(self._match, *((1, 0) if out[self._taken] == self._guess else (0, 1)))
        self._grow(out)
        self._match, start = find(self._text)
        self._guess = ord(self._text[start]) if self._match else -1
        size = pace.size(self._match) if self._match and most > 0 else 1
        if size == 1:
            return []
        self._draft = list(map(ord, self._text[start : start + min(size - 1, most)]))
        self._guess, self.row = -1, 0
        return self._draft

    def _grow(self, out: Sequence[int]) -> None:
        if not self._text:
            self._text = "".join(map(chr, self._prompt))
        self._text += "".join(map(chr, out[self._taken :]))
        self._taken = len(out)


def find(text: str) -> tuple[int, int]:
    """Where the end of ``text`` stood before: how many of its characters, at most three, and where it went on there.

    The longest match wins, of several the latest. (0, 0) when there is none.
    """
    before = len(text) - 1
    for length in range(min(LONGEST_MATCH, before), 0, -1):
        at = text.rfind(text[-length:], 0, before)
        if at >= 0:
            return length, at + length
    return 0, 0
