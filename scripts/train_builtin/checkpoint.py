"""What a run leaves behind at any moment: enough to go on as if nothing had happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from train_builtin.model import Decoder
from train_builtin.settings import Settings


@dataclass(slots=True)
class Progress:
    """How far a run is: optimiser steps, seconds spent on them, tokens read."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0


def checkpoint_path(work: Path) -> Path:
    """Where a run keeps its latest weights."""
    return work / "checkpoint.pt"


def save(work: Path, model: Decoder, progress: Progress, **optimizers: Any) -> None:
    """Write a checkpoint, whole or not at all. Without ``optimizers`` a run begins anew from the weights."""
    part = checkpoint_path(work).with_suffix(".part")
    torch.save({"model": model.state_dict(), "progress": asdict(progress), **optimizers}, part)
    part.replace(checkpoint_path(work))


def load(settings: Settings, work: Path) -> tuple[Decoder, Progress, dict[str, Any]]:
    """The model, how far it was, and the optimizers' states if they were saved.

    Raises:
        FileNotFoundError: There is no checkpoint.
    """
    saved = torch.load(checkpoint_path(work), map_location="cpu", weights_only=True)
    model = Decoder(settings.shape)
    model.load_state_dict(saved.pop("model"))
    return model, Progress(**saved.pop("progress")), saved
