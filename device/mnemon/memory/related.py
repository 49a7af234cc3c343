"""Words that mean nearly the same, from a table that comes with Mnemon (``scripts/related_words.py`` makes it)."""

from __future__ import annotations

from functools import cache
from importlib import resources


class RelatedWords:
    """Looks up a word's nearest others; 30 ms and 2 MB once it is used."""

    def __init__(self) -> None:
        import numpy as np

        with (
            resources.files("mnemon.memory").joinpath("related_words.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as table,
        ):
            self._words = str(table["words"]).split("\n")
            self._near, self._share = table["near"], table["share"]
        self._row = {word: row for row, word in enumerate(self._words)}

    def of(self, word: str, *, most: int = 8) -> list[tuple[str, float]]:
        """The words nearest to ``word`` (lower-case), each with how much of a match it is, in (0, 1); best first."""
        row = self._row.get(word)
        if row is None:
            return []
        return [
            (self._words[near], share / 255)
            for near, share in zip(self._near[row, :most].tolist(), self._share[row, :most].tolist(), strict=True)
            if near >= 0
        ]


@cache
def related_words() -> RelatedWords:
    """The table, read at first use."""
    return RelatedWords()
