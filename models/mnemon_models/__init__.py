"""The models that come with Mnemon, and the catalog of those that can be pulled.

The built-in chat model and the embedder lie here as files, each with a card beside it that says where it comes from
and under which licence. Nothing is read or loaded on import.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["built_in_model", "catalog_text", "embedder", "history_text", "towards_answers"]

BUILT_IN = "mnemon-builtin-q8_0.gguf"


def built_in_model() -> Path:
    """The built-in chat model, a GGUF file of 14.9 MB; its card is ``built-in.md`` beside it."""
    return _folder() / BUILT_IN


def embedder() -> Path:
    """The folder of the embedder: ``model.onnx``, ``tokenizer.json`` and its ``card.md``."""
    return _folder() / "embedder"


def towards_answers() -> Path:
    """The map of a question's vector towards those of what answers it; its card is the embedder's."""
    return embedder() / "towards-answers.npy"


def catalog_text() -> str:
    """The catalog as TOML; :mod:`mnemon.runtime.catalog` understands it."""
    return (_folder() / "catalog.toml").read_text("utf-8")


def history_text() -> str:
    """Every built-in model so far, oldest first, as TOML: ``[[model]]`` tables with its file and its ``figures``."""
    return (_folder() / "history.toml").read_text("utf-8")


def _folder() -> Path:
    # Weights are mapped into memory by path, so the package has to lie on disk as plain files; wheels always do.
    return Path(str(files(__name__)))
