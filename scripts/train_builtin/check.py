"""Does the file say what the model said? Logits and tokens of PyTorch against llama.cpp."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mnemon.runtime.chat_model import ChatMessage
from mnemon.runtime.prompt import FACTS_HEADING, IDENTITY
from train_builtin import tokenizer as vocabulary
from train_builtin.export import logits
from train_builtin.model import Decoder

PROBE = (
    ChatMessage("system", f"{IDENTITY}\n{FACTS_HEADING}\n- The user's dog is called Biscuit.\n- Locker: 4471."),
    ChatMessage("user", "What's my dog called? naïve café, 2026-11-21"),
    ChatMessage("assistant", "Your dog is called Biscuit."),
)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a file is from the model it was made of, on one conversation.

    Attributes:
        largest: Largest difference of two scores.
        agreeing: Share of positions where both find the same token likeliest.
        same_tokens: llama.cpp cuts the text into the tokens the model was trained on.
    """

    largest: float
    agreeing: float
    same_tokens: bool

    def __str__(self) -> str:
        cut = "same tokens" if self.same_tokens else "DIFFERENT TOKENS"
        return f"{cut}, scores differ by {self.largest:.3f} at most, same first choice in {self.agreeing:.0%}"


def parity(model: Decoder, tokenizer: Tokenizer, path: Path) -> Parity:
    """Compare ``path`` with ``model``."""
    (ids, _), *_ = vocabulary.encode(tokenizer, [PROBE], both_sides=False)
    tokens = [int(i) for i in ids]
    text = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in PROBE)
    ours, (theirs, cut) = logits(model, tokens), _llama_cpp(path, tokens, text)
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    return Parity(float(np.abs(ours - theirs).max()), same, cut == tokens)


def _llama_cpp(path: Path, tokens: list[int], text: str) -> tuple[NDArray[np.float32], list[int]]:
    """llama.cpp's scores (tokens, vocabulary), and how it cuts ``text``."""
    llm = llama_cpp.Llama(str(path), n_ctx=max(64, len(tokens)), logits_all=True, verbose=False, n_threads=2)
    try:
        llm.eval(tokens)
        scores = np.array(llm.scores[: len(tokens)], np.float32)
        return scores, llm.tokenize(text.encode(), add_bos=False, special=True)
    finally:
        llm.close()
