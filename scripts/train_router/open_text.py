"""Questions out of openly licensed text, read at training time only: none of it is shipped.

Every file is JSON Lines, xz-compressed, ``{"source", "license", "messages": [{"role", "content"}]}``.
"""

from __future__ import annotations

import json
import lzma
import random
from dataclasses import dataclass
from pathlib import Path

from train_router.questions import Question

MOST = 500
LONGEST = 600


@dataclass(frozen=True, slots=True)
class Source:
    """A file and what its owner turns are.

    Attributes:
        file: Its name without the endings.
        licence: What every row used must say.
        kinds: The kinds its questions may be of, all hard or all easy.
        first: Only the first turn of each dialogue: later ones lean on it.
    """

    file: str
    licence: str
    kinds: tuple[str, ...]
    first: bool = True


_CHAT = ("easy smalltalk", "easy thanks", "easy mnemon", "easy preference")
SOURCES = (
    Source("gsm8k", "MIT", ("hard arithmetic",)),
    Source(
        "instructions",
        "Apache-2.0",
        ("hard writing", "hard explaining", "hard planning", "hard comparing", "hard knowledge", "hard code",
         "hard reasoning", "hard doing", "hard translation", "hard arithmetic", "hard reading"),
    ),
    Source("medquad", "CC-BY-4.0", ("hard medicine",)),
    Source("commonsense_qa", "MIT", ("hard knowledge", "hard reasoning")),
    Source("openstax_glossary", "CC-BY-4.0", ("hard knowledge", "hard explaining")),
    Source("tldr-pages", "CC-BY-4.0", ("hard code",)),
    Source("smalltalk", "MIT", _CHAT),
    Source("smalltalk-kb", "ISC", _CHAT),
    Source("synthetic-persona-chat", "CC-BY-4.0", ("easy telling", *_CHAT), first=False),
)  # fmt: skip


def read(folder: Path, *, seed: int = 7) -> list[Question]:
    """At most :data:`MOST` questions of each source that lies in ``folder``.

    Raises:
        ValueError: A row has another licence than its source should.
    """
    found = list[Question]()
    for source in SOURCES:
        texts = set[str]()
        with lzma.open(folder / f"{source.file}.jsonl.xz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row["license"] != source.licence:
                    raise ValueError(f"{source.file}: {row['license']} instead of {source.licence}")
                asked = [one["content"] for one in row.get("messages", ()) if one["role"] == "user"]
                texts.update(text for text in asked[: 1 if source.first else None] if 2 <= len(text) <= LONGEST)
        taken = random.Random(f"{seed} {source.file}").sample(sorted(texts), min(MOST, len(texts)))
        found += [Question(text, source.kinds) for text in taken]
    return found
