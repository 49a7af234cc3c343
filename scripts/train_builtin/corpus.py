"""The openly licensed text the model reads besides its own conversations: what is used, and under which licence.

A source is one file ``NAME.jsonl.xz`` with ``{"source", "license", "text"}`` or ``{"source", "license", "system",
"messages"}`` on each line, and ``NAME.heldout.jsonl.xz`` beside it for measuring.

Left out on purpose: medquad (a small model must not play doctor), share-alike text (dolly, dstc8-sgd, opentriviaqa
and parts of guides: the weights shall carry no more than the duty to name their sources) and the small-talk voices
that are rude by design.
"""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mnemon.runtime.chat_model import ChatMessage

Family = Literal["talk", "smalltalk", "prose", "instructions"]


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the corpus.

    Attributes:
        family: Which share of a phase it belongs to.
        title: What it is called by those who made it.
        by: Who made it.
        licence: Of the text as it was gathered.
        both_sides: People talking to each other: both sides are learned from, not the second alone.
    """

    family: Family
    title: str
    by: str
    licence: str
    both_sides: bool = False


SOURCES: dict[str, Source] = {
    "synthetic-persona-chat": Source("talk", "Synthetic-Persona-Chat", "Google Research", "CC BY 4.0", True),
    "self-dialogue": Source(
        "talk", "Self-Dialogue Corpus", "J. Fainberg and others, University of Edinburgh", "BSD 3-Clause", True
    ),
    "topical-chat": Source("talk", "Topical-Chat", "Amazon Alexa", "CDLA-Sharing 1.0", True),
    "taskmaster3": Source("talk", "Taskmaster-3", "Google Research", "CC BY 4.0", True),
    "smalltalk": Source("smalltalk", "Personality Chat (friendly and professional voices)", "Microsoft", "MIT"),
    "smalltalk-kb": Source("smalltalk", "Bot Framework small talk", "alyssaong1/botframework-smalltalk", "ISC"),
    "chatterbot": Source("smalltalk", "ChatterBot corpus", "Gunther Cox", "BSD 3-Clause"),
    "african-storybook": Source("prose", "African Storybook", "African Storybook Initiative", "CC BY"),
    "pratham-storyweaver": Source("prose", "StoryWeaver", "Pratham Books", "CC BY"),
    "openstax-college-success": Source("prose", "College Success", "OpenStax", "CC BY 4.0"),
    "openstax-llph": Source("prose", "Life, Liberty, and the Pursuit of Happiness", "OpenStax", "CC BY 4.0"),
    "openstax": Source("prose", "OpenStax textbooks", "OpenStax", "CC BY 4.0"),
    "standardebooks": Source("prose", "Novels and stories", "Standard Ebooks", "CC0 1.0, public domain in the US"),
    "commonsense_qa": Source("instructions", "CREAK and StrategyQA", "their authors", "MIT"),
    "instructions": Source("instructions", "Open Assistant and Self-Instruct seeds", "their authors", "Apache-2.0"),
    "gsm8k": Source("instructions", "GSM8K", "OpenAI, from gururise/AlpacaDataCleaned", "MIT"),
    "openstax_glossary": Source("instructions", "OpenStax glossaries", "OpenStax", "CC BY 4.0"),
    "factbook": Source("prose", "The World Factbook", "US government", "CC0 1.0"),
}
_VOICES = ("smalltalk/", "the_friend", "the_professional")
_PERSONALITY = "BotBuilder-PersonalityChat/"


@dataclass(frozen=True, slots=True)
class Document:
    """Prose (``text``) or a dialogue (``messages``)."""

    source: str
    text: str = ""
    messages: tuple[ChatMessage, ...] = ()


def read(folder: Path, name: str, *, megabytes: float, seed: int) -> Iterator[Document]:
    """Documents of one source in random order, up to about ``megabytes`` of text.

    Raises:
        FileNotFoundError: The source is not in ``folder``.
    """
    documents = [document for document in _lines(folder / f"{name}.jsonl.xz", name) if _is_wanted(document)]
    random.Random(f"{seed}/{name}").shuffle(documents)
    left = megabytes * 1e6
    for document in documents:
        yield document
        left -= len(document.text) + sum(len(m.content) for m in document.messages)
        if left <= 0:
            return


def held_out(folder: Path, name: str) -> Iterator[Document]:
    """The documents of one source that are never trained on."""
    return _lines(folder / f"{name}.heldout.jsonl.xz", name)


def _lines(path: Path, name: str) -> Iterator[Document]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if "text" in row:
                yield Document(row["source"], text=row["text"])
                continue
            said = [ChatMessage(m["role"], m["content"]) for m in row["messages"] if m["content"].strip()]
            if row.get("system"):
                said.insert(0, ChatMessage("system", row["system"]))
            if len(said) > 1:
                yield Document(row["source"], messages=tuple(said))


def _is_wanted(document: Document) -> bool:
    if document.source.startswith(_PERSONALITY):
        return document.source.endswith(_VOICES)
    return True
