"""How well a chat model foretells text it was not trained on: nats a token, and nats a byte, by source.

Files are ``NAME.heldout.jsonl.xz``; their rows hold ``text``, or ``messages`` (``role`` and ``content``) with a
``system`` text that may be null. Of running text every token counts; of a dialogue what the assistant says, given
all before it, in the model's own chat template. A token is as long as the model's vocabulary makes it, so figures a
token compare models with one vocabulary and figures a byte compare any.
"""

from __future__ import annotations

import itertools
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mnemon.errors import InputError, PromptTooLongError
from mnemon.runtime.chat_model import ChatMessage, ChatModel, Role

ENDING = ".heldout.jsonl.xz"
ROWS = 40
STRETCH_CHARACTERS = 1_200
"""Running text is read in stretches of about this size, each by itself, so that they fit into any window."""
TEXT_CHARACTERS = 3_600
"""Of a text no more than this is read: forty beginnings say more than one whole book."""
DIALOGUE_ANSWERS = 4
"""Of a dialogue no more than its first answers."""

Progress = Callable[[int, int], None]
"""Called with (done, total), in files."""
Sum = tuple[float, int, int]
"""Loss in nats, tokens, bytes."""


def held_out_files(folder: Path) -> list[Path]:
    """The files of ``folder`` with held-out rows, by name.

    Raises:
        InputError: There is none.
    """
    files = sorted(folder.glob(f"*{ENDING}"))
    if not files:
        raise InputError(f"There is no *{ENDING} in {folder}.", hint="Check the path.")
    return files


def run(
    model: ChatModel, files: list[Path], *, rows: int = ROWS, progress: Progress | None = None
) -> dict[str, dict[str, float]]:
    """The losses on the first ``rows`` rows of each file.

    Returns:
        ``heldout`` (nats a token) and ``heldout_per_byte`` (nats a byte of UTF-8), by source: a file's name without
        its ending. Sources of which nothing could be read are left out.

    Raises:
        InputError: A file is damaged, or a row is neither text nor a dialogue.
    """
    per_token: dict[str, float] = {}
    per_byte: dict[str, float] = {}
    for done, path in enumerate(files, 1):
        loss, tokens, size = 0.0, 0, 0
        for row in itertools.islice(read_rows(path), rows):
            parts = _dialogue(model, row) if "messages" in row else _prose(model, row["text"])
            for nats, count, length in parts:
                loss, tokens, size = loss + nats, tokens + count, size + length
        if tokens:
            name = path.name.removesuffix(ENDING)
            per_token[name] = round(loss / tokens, 4)
            per_byte[name] = round(loss / size, 4)
        if progress:
            progress(done, len(files))
    return {"heldout": per_token, "heldout_per_byte": per_byte}


def stretches(text: str) -> Iterator[str]:
    """The beginning of a text in stretches, cut at white space where there is some."""
    text = text[:TEXT_CHARACTERS]
    while len(text) > STRETCH_CHARACTERS:
        cut = max(text.rfind(space, STRETCH_CHARACTERS // 2, STRETCH_CHARACTERS) for space in " \n")
        cut = cut if cut > 0 else STRETCH_CHARACTERS
        yield text[:cut]
        text = text[cut:]
    yield text


def _prose(model: ChatModel, text: str) -> Iterator[Sum]:
    for stretch in stretches(text):
        yield from _whole(model, stretch)


def _whole(model: ChatModel, text: str) -> Iterator[Sum]:
    try:
        yield _sum(model, [], text)
    except PromptTooLongError:  # a script the vocabulary spells out byte by byte
        middle = len(text) // 2
        if middle:
            yield from _whole(model, text[:middle])
            yield from _whole(model, text[middle:])


def _dialogue(model: ChatModel, row: dict[str, Any]) -> Iterator[Sum]:
    before = [ChatMessage("system", row["system"])] if row.get("system") else []
    answers = 0
    for message in row["messages"]:
        role, content = _role(message["role"]), message["content"]
        if role == "assistant" and any(m.role == "user" for m in before):
            try:
                yield _sum(model, before, content)
            except PromptTooLongError:
                return  # what follows is longer still
            answers += 1
            if answers == DIALOGUE_ANSWERS:
                return
        before.append(ChatMessage(role, content))


def _sum(model: ChatModel, before: list[ChatMessage], text: str) -> Sum:
    scores = model.loglikelihood(before, text)
    return -scores.total, len(scores.logprobs), len(text.encode()) if scores.logprobs else 0


def _role(role: str) -> Role:
    return "assistant" if role == "assistant" else "system" if role == "system" else "user"


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of one file as they come.

    Raises:
        InputError: The file is damaged, or a row is neither text nor a dialogue.
    """
    try:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                row = json.loads(line)
                if not _is_row(row):
                    raise ValueError(f"line {number} is neither text nor a dialogue")
                yield row
    except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}.", hint="Check the file.") from error


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    if "messages" not in row:
        return isinstance(row.get("text"), str)
    messages = row["messages"]
    return (
        isinstance(messages, list)
        and isinstance(row.get("system") or "", str)
        and all(isinstance(m, dict) and isinstance(m.get("role"), str) for m in messages)
        and all(isinstance(m.get("content"), str) for m in messages)
    )
