"""The vocabulary: byte-level BPE with single digits, which llama.cpp knows as the pre-tokenizer ``smollm``.

A conversation is tokenised as the product does it: the template's text and each message apart, so that no merge
crosses the border between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mnemon.runtime.chat_model import ChatMessage

END_OF_TEXT, START, END = SPECIAL = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
Encoded = tuple[NDArray[np.uint16], NDArray[np.bool_]]
"""A document's tokens, and which of them are learned."""


def learn(texts: Iterable[str], size: int, path: Path) -> Tokenizer:
    """Learn ``size`` tokens from ``texts`` and save them as ``path``."""
    tokenizer = cutting(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))
    return tokenizer


def cutting(model: models.BPE) -> Tokenizer:
    """A tokenizer that cuts text as llama.cpp's ``smollm`` does before ``model`` merges it."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def pieces(tokenizer: Tokenizer) -> list[str]:
    """Its tokens of two letters and more, in order of their number, without capitals and the spaces before them."""
    texts = (tokenizer.decode([number]).strip().lower() for number in range(tokenizer.get_vocab_size()))
    return list(dict.fromkeys(text for text in texts if len(text) > 1 and text.isascii() and text.isalpha()))


def encode(
    tokenizer: Tokenizer, conversations: Sequence[Sequence[ChatMessage]], *, both_sides: bool
) -> Iterator[Encoded]:
    """ChatML conversations; learned are the assistant's words and where they end (``both_sides``: the user's too)."""
    parts = [m.content for conversation in conversations for m in conversation]
    words = iter(tokenizer.encode_batch_fast(parts, add_special_tokens=False))
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    opening = {role: [start, *tokenizer.encode(f"{role}\n").ids] for role in ("system", "user", "assistant")}
    newline = tokenizer.encode("\n").ids
    for conversation in conversations:
        ids: list[int] = []
        learned: list[bool] = []
        for message in conversation:
            content = next(words).ids
            taught = message.role == "assistant" or (both_sides and message.role == "user")
            piece = [*opening[message.role], *content, end, *newline]
            lead = len(opening[message.role])
            ids += piece
            learned += [False] * lead + [taught] * (len(content) + 1) + [False] * len(newline)
        yield np.array(ids, np.uint16), np.array(learned)


def encode_prose(tokenizer: Tokenizer, texts: Sequence[str], *, row: int) -> Iterator[Encoded]:
    """Running text, cut into pieces of at most ``row`` tokens; every token is learned."""
    close = tokenizer.token_to_id(END_OF_TEXT)
    for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
        ids = np.array([*encoding.ids, close], np.uint16)
        for i in range(0, len(ids), row):
            piece = ids[i : i + row]
            if len(piece) > 16:
                yield piece, np.ones(len(piece), np.bool_)
