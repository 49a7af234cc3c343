"""mem0 as a peer of :mod:`peers`: runs in mem0's own environment and answers one JSON line with another.

Its default installation and its default local store (Qdrant's local mode in a folder), ``infer=False``, no telemetry.
Sentences are embedded by Mnemon's own embedder, so that what differs is the memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import tempfile
import time
import uuid
from typing import Any

FOLDER = tempfile.TemporaryDirectory(prefix="mnemon-peers-")
os.environ.update(  # read by mem0 when it is imported
    MEM0_TELEMETRY="False",
    MEM0_DIR=FOLDER.name,
    OPENAI_API_KEY="unused",  # its default language model is made at once and, with infer=False, never asked
)


def _refuse(*_: Any, **__: Any) -> None:
    raise OSError("nothing leaves this machine")


socket.socket.connect = _refuse  # type: ignore[method-assign]

from mem0 import Memory  # noqa: E402
from mem0.embeddings.base import EmbeddingBase  # noqa: E402
from mem0.utils.factory import EmbedderFactory  # noqa: E402

from mnemon.evaluation import sizes  # noqa: E402
from mnemon.memory.embedding import DIMENSIONS, Embedder  # noqa: E402

OWNER = {"user_id": "owner"}


class SameEmbedder(EmbeddingBase):
    """Mnemon's embedder in mem0's form; ``seconds`` is what it took since it was last asked for."""

    embedder = Embedder()
    seconds = 0.0

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        """One text as 384 numbers."""
        started = time.perf_counter()
        vector: list[float] = self.embedder.embed([text])[0].tolist()
        SameEmbedder.seconds += time.perf_counter() - started
        return vector


# Under the name of a provider that mem0 knows, since it refuses others.
EmbedderFactory.provider_to_class["huggingface"] = f"{__name__}.SameEmbedder"


class Peer:
    """One memory of mem0's at a time."""

    def __init__(self) -> None:
        self.memory: Any = None
        self.names: dict[str, str] = {}

    def new(self, name: str) -> dict[str, Any]:
        """An empty memory."""
        store = {
            "provider": "qdrant",
            "config": {"path": f"{FOLDER.name}/{name}", "embedding_model_dims": DIMENSIONS},
        }
        self.memory = Memory.from_config(
            {
                "vector_store": store,
                "embedder": {"provider": "huggingface", "config": {}},
                "history_db_path": f"{FOLDER.name}/{name}.db",
            }
        )
        self.names = {}
        return {}

    def save(self, turns: list[dict[str, str]]) -> dict[str, Any]:
        """Each turn a memory, by ``add``, with who said it before the words, as mem0's own evaluation does."""
        for turn in turns:
            text = f"{turn['speaker']}: {turn['text']}" if turn["speaker"] else turn["text"]
            added = self.memory.add([{"role": "user", "content": text}], infer=False, **OWNER)
            self.names[added["results"][0]["id"]] = turn["ref"]
        return {}

    def fill(self, size: int) -> dict[str, Any]:
        """Made-up memories through the store's own ``insert``, with the fields that ``add`` gives them."""
        for batch in sizes.made_up(size):
            fields = [
                {
                    **OWNER,
                    "role": "user",
                    "data": text,
                    "hash": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
                    "created_at": "2026-01-01T00:00:00+00:00",
                    "updated_at": "2026-01-01T00:00:00+00:00",
                    "text_lemmatized": text,
                }
                for text in batch.texts
            ]
            ids = [str(uuid.UUID(int=id)) for id in batch.ids]
            self.memory.vector_store.insert(vectors=batch.vectors.tolist(), ids=ids, payloads=fields)
        return {}

    def ask(self, question: str, limit: int) -> dict[str, Any]:
        """What is found, best first, and the milliseconds of embedding and of the rest."""
        SameEmbedder.seconds = 0.0
        started = time.perf_counter()
        found = self.memory.search(question, top_k=limit, filters=OWNER)["results"]
        total = time.perf_counter() - started
        embedding = SameEmbedder.seconds
        return {
            "found": [self.names.get(memory["id"], memory["id"]) for memory in found],
            "embed_ms": embedding * 1000,
            "search_ms": (total - embedding) * 1000,
        }


def main() -> None:
    """Answer until there is no more to read."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed goes to standard error
    peer = Peer()
    for line in sys.stdin:
        wanted = json.loads(line)
        print(json.dumps(getattr(peer, wanted.pop("do"))(**wanted)), file=answers, flush=True)
    FOLDER.cleanup()


if __name__ == "__main__":
    main()
