"""From logits to words: choosing tokens, whole characters, thoughts left out, and the guard against repetition."""

from __future__ import annotations

import codecs
import ctypes
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from mnemon.errors import ModelError
from mnemon.runtime import native
from mnemon.runtime.chat_model import Sampling

if TYPE_CHECKING:
    from mnemon.runtime.engine import Engine

_PENALTY_WINDOW = 64
"""Tokens of the answer that a repeat penalty looks back on, llama.cpp's own default."""
_COLUMNS = 64
"""A vocabulary is looked at in so many rows to find its likeliest words."""


class Sampler:
    """Chooses the next token from the engine's logits; owns the native sampler chain. A context manager.

    Args:
        engine: Whose logits.
        sampling: Temperature 0 without a penalty takes the likeliest token and needs no chain.
        grammar: GBNF the answer must match, starting at its rule ``root``.

    Raises:
        ModelError: The grammar cannot be parsed.
    """

    def __init__(self, engine: Engine, sampling: Sampling, grammar: str | None = None) -> None:
        self._engine = engine
        self._lib = lib = native.library()
        self._chain: Any = None
        self._grammar: Any = None
        if grammar is not None:
            self._grammar = lib.llama_sampler_init_grammar(engine.model.vocab, grammar.encode(), b"root")
            if not self._grammar:
                raise ModelError("The grammar for the answer cannot be parsed.", hint="Check its GBNF.")
        if grammar is not None or sampling.temperature > 0 or sampling.repeat_penalty != 1:
            self._chain = self._build(sampling)
        few = grammar is None and sampling.temperature > 0 and sampling.repeat_penalty == 1
        self._top_k = sampling.top_k if few else 0
        self._few: Any = None
        self._few_at: Any = None

    def choose(self, row: int = -1) -> tuple[int, float]:
        """The next token, and its log-probability in nats under the model at temperature 1.

        Args:
            row: Which of the last decode's logits it is chosen from, in the order of the answer.
        """
        engine = self._engine
        logits = engine.logits(row)
        if self._chain is None:
            token = int(logits.argmax())
            top = float(logits[token])
            return token, top - engine.log_total(logits, top)
        if self._grammar is not None:
            token = self._matching(logits)
        elif (few := contenders(logits, self._top_k)) is not None:
            token = self._among(logits, few)
        else:
            token = int(self._lib.llama_sampler_sample(self._chain, engine.handle, row))
        return token, engine.logprob(token, row=row)

    def close(self) -> None:
        """Free the native chain; calling it again does nothing."""
        chain, self._chain = self._chain, None
        grammar, self._grammar = self._grammar, None
        for handle in (chain, grammar):
            if handle is not None:
                self._lib.llama_sampler_free(handle)

    def __enter__(self) -> Sampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _build(self, sampling: Sampling) -> Any:
        lib = self._lib
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        links, vocabulary = [], self._engine.model.size
        if sampling.repeat_penalty != 1:
            links.append(
                lib.llama_sampler_init_penalties(vocabulary, _PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0)
            )
        if sampling.temperature > 0:
            links += [
                lib.llama_sampler_init_top_k(sampling.top_k),
                lib.llama_sampler_init_top_p(sampling.top_p, 1),
                lib.llama_sampler_init_min_p(sampling.min_p, 1),
                lib.llama_sampler_init_temp(sampling.temperature),
                lib.llama_sampler_init_dist(sampling.seed & 0xFFFFFFFF),
            ]
        else:
            links.append(lib.llama_sampler_init_greedy())
        for link in links:
            lib.llama_sampler_chain_add(chain, link)
        return chain

    def _matching(self, logits: Any) -> int:
        """A token the grammar allows.

        The grammar is first asked about the token that would have been chosen: checking one costs microseconds,
        checking a vocabulary of 150,000 some 20 ms.
        """
        lib = self._lib
        token = self._pick(logits, constrained=False)
        one = (lib.llama_token_data * 1)(lib.llama_token_data(id=token, logit=1.0, p=0.0))
        array = lib.llama_token_data_array(data=one, size=1, selected=-1, sorted=False)
        lib.llama_sampler_apply(self._grammar, ctypes.byref(array))
        if one[0].logit == -math.inf:
            token = self._pick(logits, constrained=True)
        lib.llama_sampler_accept(self._grammar, token)  # aborts the process on a token it does not allow
        lib.llama_sampler_accept(self._chain, token)
        return token

    def _among(self, logits: Any, few: Any) -> int:
        """What the chain chooses from these tokens: 40 µs, and 120 where it has to copy and sort 150,000."""
        import numpy as np

        if self._few is None or len(self._few) < len(few):
            # made once: as objects of ctypes they took as long as the choosing itself
            self._few = np.zeros(2 * len(few), _candidate(np))
            self._few_at = self._few.ctypes.data_as(ctypes.POINTER(self._lib.llama_token_data))
        data, count = self._few, len(few)
        data["id"][:count], data["logit"][:count], data["p"][:count] = few, logits[few], 0
        array = self._lib.llama_token_data_array(data=self._few_at, size=count, selected=-1, sorted=False)
        self._lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def _pick(self, logits: Any, *, constrained: bool) -> int:
        import numpy as np

        lib = self._lib
        candidates = np.zeros(len(logits), _candidate(np))
        candidates["id"] = np.arange(len(logits), dtype=np.int32)
        candidates["logit"] = logits
        data = candidates.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))
        array = lib.llama_token_data_array(data=data, size=len(logits), selected=-1, sorted=False)
        if constrained:
            lib.llama_sampler_apply(self._grammar, ctypes.byref(array))
            if not np.isfinite(candidates["logit"]).any():
                raise ModelError("The grammar for the answer leaves no word to say.", hint="Check its GBNF.")
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(data[array.selected].id)


def contenders(logits: Any, count: int) -> Any:
    """The tokens that can be among the ``count`` likeliest, in order of their number, at little more than that many.

    The maxima of the columns of a table are so many values of it: the ``count``-th largest of them is a bound that
    at least ``count`` values reach. None when ``count`` is 0 or so large that looking at all is as good.
    """
    import numpy as np

    width = len(logits) // _COLUMNS
    if not 0 < count <= width // 4:
        return None
    table = logits[: width * _COLUMNS].reshape(_COLUMNS, width)
    best = table.max(axis=0)
    bound = np.partition(best, width - count)[width - count]
    columns = np.flatnonzero(best >= bound)  # nowhere else is a value that reaches it: some forty of thousands
    row, at = np.nonzero(table[:, columns] >= bound)
    rest = width * _COLUMNS + np.flatnonzero(logits[width * _COLUMNS :] >= bound)
    few = np.concatenate((row * width + columns[at], rest))  # rows one after the other are in order
    return few if count <= len(few) <= 4 * count else None


def _candidate(np: Any) -> list[tuple[str, type]]:
    """The fields of ``llama_token_data``."""
    return [("id", np.int32), ("logit", np.float32), ("p", np.float32)]


class CharacterStream:
    """Bytes in, whole characters out: the rest of a character waits for its missing bytes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, data: bytes) -> str:
        """The characters that are complete now; bytes that can never become one turn into U+FFFD."""
        return self._decoder.decode(data)


class ThoughtFilter:
    """Leaves out the ``<think> … </think>`` that a reasoning model puts before its answer.

    Only a thought at the very beginning counts: an answer may well speak about the tag.

    Args:
        inside: The prompt already opened the thought.
    """

    _OPEN, _CLOSE = "<think>", "</think>"

    def __init__(self, *, inside: bool = False) -> None:
        self._state = "thinking" if inside else "start"
        self._held = ""

    @property
    def thinking(self) -> bool:
        """Whether what comes is still part of the thought, as far as is known."""
        return self._state == "thinking"

    @property
    def over(self) -> bool:
        """Whether the answer has begun: from here on everything is shown as it comes."""
        return self._state == "answer"

    def add(self, text: str) -> str:
        """The part of ``text`` to show, with what had been held back until it was clear."""
        if self._state == "answer":
            return text
        self._held += text
        if self._state == "start":
            begun = self._held.lstrip()
            if begun.startswith(self._OPEN):
                self._state = "thinking"
                self._held = begun[len(self._OPEN) :]
            elif not self._OPEN.startswith(begun):
                return self._release()
        if self._state == "thinking" and self._CLOSE in self._held:
            self._held = self._held.split(self._CLOSE, 1)[1]
            self._state = "after"
        if self._state == "after":
            self._held = self._held.lstrip()
            if self._held:
                return self._release()
        return ""

    def finish(self) -> str:
        """What was held back in case a thought began, now that nothing follows."""
        return "" if self.thinking else self._release()

    def _release(self) -> str:
        self._state = "answer"
        held, self._held = self._held, ""
        return held


_SAID_THRICE = frozenset(
    (
        "bla blah bye cha chop come da do dum go ha haha he hey hi ho hot hush ja knock la lalala many more na nah "
        "never no now oh ok okay please really row run so sorry ta thank there very wait well woof wow yeah yes"
    ).split()
)


class RepetitionGuard:
    """Notices an answer that goes round in circles. Feed it the text as it comes.

    Four signs, each rare in what people would call an answer: a word three times running (``The The The``; six
    times for words people do say thrice), a group of two to 24 words three times running (four for pairs), a line
    of three words or more for the third time, a sentence of four words or more for the third time. In a fenced code
    block, where lines do repeat, only the first two count, twice as late.
    """

    _LONGEST_GROUP = 24
    _LONGEST_WORD = 48

    def __init__(self) -> None:
        self._words: list[str] = []
        self._word = ""
        self._last_bare = ""
        self._run = 0
        self._line = ""
        self._sentence: list[str] = []
        self._lines: Counter[str] = Counter()
        self._sentences: Counter[str] = Counter()
        self._code = False

    def add(self, text: str) -> bool:
        """Take the next piece of text; True when the answer repeats itself and should end."""
        if text.isalnum():  # the middle or the end of a word: nothing can be decided yet
            self._word += text
            self._line += text
            return len(self._word) >= self._LONGEST_WORD and self._stutters()
        for character in text:
            if character.isspace():
                if (self._word and self._word_ends()) or (character == "\n" and self._line_ends()):
                    return True
                self._line += "" if character == "\n" else " "
            else:
                self._word += character
                self._line += character
                if len(self._word) >= self._LONGEST_WORD and self._stutters():
                    return True
        return False

    def _word_ends(self) -> bool:
        word, self._word = self._word, ""
        self._words.append(word)
        if len(self._words) > 8 * self._LONGEST_GROUP:
            del self._words[: 4 * self._LONGEST_GROUP]
        return self._circles() or (not self._code and self._sentence_ends(word))

    def _circles(self) -> bool:
        words, factor = self._words, 2 if self._code else 1
        last = words[-1]
        bare = last.strip(".,;:!?…\"'*_").lower()
        self._run = self._run + 1 if bare == self._last_bare else 1
        self._last_bare = bare
        if (
            self._run >= 3
            and any(map(str.isalpha, bare))
            and self._run >= factor * (6 if bare in _SAID_THRICE else 3)
        ):
            return True
        if last not in words[-1 - self._LONGEST_GROUP : -1]:
            return False
        for size in range(2, self._LONGEST_GROUP + 1):
            if len(words) <= size:
                break
            if words[-1 - size] != last:
                continue
            needed = factor * (4 if size == 2 else 3)
            group = words[-size:]
            if any(any(map(str.isalpha, w)) for w in group) and words[-needed * size :] == group * needed:
                return True
        return False

    def _sentence_ends(self, word: str) -> bool:
        self._sentence.append(word)
        if word[-1] not in ".!?…。！？":
            return False
        sentence, self._sentence = " ".join(self._sentence), []
        if sentence.count(" ") < 3:
            return False
        self._sentences[sentence] += 1
        return self._sentences[sentence] == 3

    def _line_ends(self) -> bool:
        line, self._line, self._sentence = self._line.strip(), "", []
        if line.startswith("```"):
            self._code = not self._code
        if self._code or line.count(" ") < 2 or not any(map(str.isalpha, line)):
            return False
        self._lines[line] += 1
        return self._lines[line] == 3

    def _stutters(self) -> bool:
        """A long stretch without a space made of one part over and over, as in ``lalalala`` or a loop in Chinese."""
        tail = self._word[-self._LONGEST_WORD :]
        if not any(map(str.isalpha, tail)):
            return False  # rules and table borders
        return any(tail[size:] == tail[:-size] for size in range(1, self._LONGEST_WORD // 3 + 1))
