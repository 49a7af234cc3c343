"""What every data set of conversations and questions is read into, so that one run measures them all.

A data set is a function that takes a path and yields :class:`Sample`: conversations in the form an import saves, and
questions, each with the memories its answer rests on. Nothing else of a file's format is known outside its module.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mnemon.errors import TransferError
from mnemon.memory import reading
from mnemon.memory.importers import Talk


@dataclass(frozen=True, slots=True)
class Question:
    """One question and where its answer is.

    Attributes:
        category: The data's own name for the kind of question; LoCoMo's are numbers.
        evidence: For each level, the names of the units the answer rests on; none of them is empty.
        asked_at: When it is asked, where the data says so.
    """

    text: str
    category: str
    evidence: Mapping[str, frozenset[str]]
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What goes into one memory of its own, and what is asked of it.

    Attributes:
        units: For a level whose units are not single turns, the unit each turn (by its ``ref``) belongs to.
    """

    name: str
    talks: list[Talk]
    questions: list[Question]
    units: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


Dataset = Callable[[Path], Iterator[Sample]]
"""Reads a file or a folder, one sample at a time; raises TransferError when it is not what it should be."""

NAMES = ("locomo", "longmemeval", "perltqa")


def samples(name: str, path: Path) -> Iterator[Sample]:
    """The samples of a data set in its published format.

    Args:
        name: One of ``NAMES``.

    Raises:
        TransferError: The file cannot be read, or is not of that data set; also while iterating.
    """
    read: Dataset = importlib.import_module(f"mnemon.evaluation.{name}").samples
    try:
        yield from read(path)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise TransferError(
            f"{path} is not a file of {name}: {type(error).__name__}, {error}.", hint="Give it as it was published."
        ) from error


def values(path: Path) -> Iterator[Any]:
    """The elements of a JSON array one at a time, so that gigabytes need not fit into memory; or a single object."""
    with reading.opened(path, passphrase=None, progress=None) as source:
        yield from source.values
