"""From text to packed rows of tokens, one file a family, and a few held-out rows a source to measure on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from mnemon.runtime.chat_model import ChatMessage
from train_builtin import corpus
from train_builtin import tokenizer as vocabulary
from train_builtin.conversations import generate
from train_builtin.packing import Rows, pack
from train_builtin.settings import Data, Settings

CONVERSATIONS = "conversations"
_TO_LEARN_TOKENS = 12_000
_SAMPLE_MEGABYTES = 2.0
"""Of each source; with the conversations enough to learn 8,192 tokens from."""
_HELD_OUT = 200
_BATCH = 2_000
Say = Callable[[str], None]


def tokenizer_path(work: Path) -> Path:
    """Where a run keeps its vocabulary."""
    return work / "tokenizer.json"


def rows_path(work: Path, family: str) -> Path:
    """Where a run keeps the packed rows of a family."""
    return work / f"{family}.npz"


def held_out_path(work: Path, name: str) -> Path:
    """Where a run keeps the held-out rows of a source."""
    return work / f"heldout-{name}.npz"


def prepare(settings: Settings, work: Path, folder: Path | None, say: Say) -> None:
    """Everything a run reads.

    Args:
        settings: Of the run.
        work: The run's folder.
        folder: The training text; None when only the project's own conversations are read.
        say: Told what is being done.
    """
    work.mkdir(parents=True, exist_ok=True)
    path = tokenizer_path(work)
    if not path.exists():
        say(f"learning {settings.shape.vocabulary} tokens")
        vocabulary.learn(_texts(settings.data, folder), settings.shape.vocabulary, path)
    tokenizer = Tokenizer.from_file(str(path))
    families: dict[str, list[vocabulary.Encoded]] = {}
    for name, megabytes in settings.data.sources.items() if folder else ():
        source = corpus.SOURCES[name]
        documents = list(corpus.read(folder, name, megabytes=megabytes, seed=settings.data.seed))
        encoded = list(_encode(tokenizer, documents, settings.data.row, both_sides=source.both_sides))
        say(f"{name}: {len(documents)} documents, {sum(len(ids) for ids, _ in encoded)} tokens")
        families.setdefault(source.family, []).extend(encoded)
        unseen = list(itertools.islice(corpus.held_out(folder, name), _HELD_OUT))
        _save(held_out_path(work, name), _encode(tokenizer, unseen, settings.data.row, both_sides=False), settings)
    for family, everything in families.items():
        order = np.random.default_rng(settings.data.seed).permutation(len(everything))
        _save(rows_path(work, family), (everything[i] for i in order), settings)
    prepare_conversations(settings, work, say)


def prepare_conversations(settings: Settings, work: Path, say: Say, *, seed: int | None = None) -> None:
    """The project's own conversations; another ``seed`` makes fresh ones for the next stretch of a run."""
    tokenizer = Tokenizer.from_file(str(tokenizer_path(work)))
    start = settings.data.seed if seed is None else seed
    pieces = vocabulary.pieces(tokenizer)
    made = itertools.islice(generate(start, split="train", pieces=pieces), settings.data.conversations)
    encoded = list(_encode_conversations(tokenizer, (c.messages for c in made)))
    tokens, learned = sum(len(ids) for ids, _ in encoded), sum(int(taught.sum()) for _, taught in encoded)
    say(f"{CONVERSATIONS}: {len(encoded)}, {tokens} tokens, {learned} of them learned")
    _save(rows_path(work, CONVERSATIONS), encoded, settings)
    unseen = itertools.islice(generate(start, split="heldout"), _HELD_OUT)
    held_out = _encode_conversations(tokenizer, (c.messages for c in unseen))
    _save(held_out_path(work, CONVERSATIONS), held_out, settings)


def _texts(data: Data, folder: Path | None) -> Iterator[str]:
    made = itertools.islice(generate(data.seed, split="train"), _TO_LEARN_TOKENS)
    yield from ("\n".join(m.content for m in c.messages) for c in made)
    for name, megabytes in data.sources.items() if folder else ():
        for document in corpus.read(folder, name, megabytes=min(_SAMPLE_MEGABYTES, megabytes), seed=data.seed):
            yield document.text or "\n".join(m.content for m in document.messages)


def _encode(
    tokenizer: Tokenizer, documents: Sequence[corpus.Document], row: int, *, both_sides: bool
) -> Iterator[vocabulary.Encoded]:
    yield from vocabulary.encode_prose(tokenizer, [d.text for d in documents if d.text], row=row)
    talks = [d.messages for d in documents if d.messages]
    yield from vocabulary.encode(tokenizer, talks, both_sides=both_sides)


def _encode_conversations(
    tokenizer: Tokenizer, conversations: Iterable[Sequence[ChatMessage]]
) -> Iterator[vocabulary.Encoded]:
    remaining = iter(conversations)
    while batch := list(itertools.islice(remaining, _BATCH)):
        yield from vocabulary.encode(tokenizer, batch, both_sides=False)


def _save(path: Path, documents: Iterable[vocabulary.Encoded], settings: Settings) -> None:
    rows: Rows = pack(documents, settings.data.row, np.random.default_rng(settings.data.seed))
    part = path.with_suffix(".part.npz")
    rows.save(part)
    part.replace(path)
