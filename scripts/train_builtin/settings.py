"""A training run in one TOML file: the model's shape, what it reads, how long it learns, what is written."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shape:
    """A llama-architecture decoder with tied embeddings; ``heads`` of 64 numbers each make up ``width``."""

    vocabulary: int
    width: int
    layers: int
    feed_forward: int
    window: int
    rope_base: float = 500_000.0
    head: int = 64
    epsilon: float = 1e-5

    @property
    def heads(self) -> int:
        """Attention heads in a layer."""
        return self.width // self.head

    @property
    def parameters(self) -> int:
        """Numbers in all."""
        layer = 4 * self.width**2 + 3 * self.width * self.feed_forward + 2 * self.width
        return self.vocabulary * self.width + self.layers * layer + self.width


@dataclass(frozen=True, slots=True)
class Data:
    """What is prepared for reading.

    Attributes:
        row: Tokens in a row; several documents are packed into one, and none sees another.
        conversations: How many of the project's own conversations are generated.
        sources: For each file of the training text, the most megabytes of it that are used.
        seed: Of the generated conversations and of every shuffle.
    """

    row: int
    conversations: int
    sources: Mapping[str, float]
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run, up to ``until`` (0..1) of it, and the share of rows each family has in it."""

    until: float
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Training:
    """How the weights are learned.

    Attributes:
        minutes: Time spent on steps; it survives a restart.
        batch_rows: Rows in an optimiser step.
        micro_rows: Rows in one pass; gradients are summed up to ``batch_rows``.
        muon_rate: Learning rate of the matrices (Muon).
        adam_rate: Learning rate of embeddings and norms (AdamW).
        warmup_steps: Steps over which both rates rise.
        decay_from: Share of the run (0..1) after which both rates fall to a fiftieth, in a line.
        checkpoint_minutes: Time between checkpoints.
        compile: Use ``torch.compile``.
        processes: Processes that share a step, on the CPU with one thread each; ``batch_rows`` is shared out evenly.
    """

    minutes: float
    batch_rows: int
    micro_rows: int
    phases: tuple[Phase, ...]
    muon_rate: float = 0.02
    adam_rate: float = 3e-3
    warmup_steps: int = 40
    decay_from: float = 0.55
    checkpoint_minutes: float = 5.0
    compile: bool = True
    processes: int = 1
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Export:
    """What is written at the end: ``types`` are llama.cpp's names, such as ``q8_0``."""

    name: str
    licence: str
    types: tuple[str, ...] = ("q8_0", "q5_0")


@dataclass(frozen=True, slots=True)
class Settings:
    """All of one configuration file."""

    shape: Shape
    data: Data
    training: Training
    export: Export


def load(path: Path) -> Settings:
    """Read a configuration.

    Raises:
        ValueError: A key is unknown or missing, or the shares of a phase name nothing.
    """
    tables = tomllib.loads(path.read_text("utf-8"))
    training = dict(tables["training"])
    training["phases"] = tuple(_make(Phase, phase) for phase in training.pop("phases"))
    export = dict(tables["export"])
    if "types" in export:
        export["types"] = tuple(export["types"])
    settings = Settings(
        _make(Shape, tables["shape"]), _make(Data, tables["data"]), _make(Training, training), _make(Export, export)
    )
    if settings.shape.width % settings.shape.head:
        raise ValueError(f"{path}: width must be a multiple of {settings.shape.head}.")
    if settings.training.batch_rows % (settings.training.micro_rows * settings.training.processes):
        raise ValueError(f"{path}: batch_rows must be a multiple of micro_rows times processes.")
    return settings


def _make(kind: type[T], table: Mapping[str, Any]) -> T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(table) - known):
        raise ValueError(f"Unknown keys for {kind.__name__}: {', '.join(unknown)}.")
    return kind(**table)
