"""For tests that are not about meaning: every text means the same, and no model is loaded."""

from __future__ import annotations

from typing import Any


class NoEmbedder:
    def embed(self, texts: Any) -> Any:
        import numpy as np

        vectors = np.zeros((len(texts), 384), np.float32)
        vectors[:, 0] = 1
        return vectors

    def embed_one(self, text: str) -> Any:
        return self.embed([text])[0]
