"""Real vocabularies, templates and models for the tests of the runtime; without them those tests are skipped."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mnemon.paths import Home
from mnemon.runtime.catalog import ModelSpec, resolve
from mnemon.settings import ModelSettings

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@functools.cache
def source() -> Any:
    """The module ``scripts/llama_cpp_source.py``, with the source distribution fetched."""
    if str(SCRIPTS) not in sys.path:
        sys.path.insert(0, str(SCRIPTS))
    import llama_cpp_source

    try:
        llama_cpp_source.llama_cpp()
    except OSError as error:
        pytest.skip(f"{error} The tests on real templates and vocabularies need it once.")
    return llama_cpp_source


@functools.cache
def tiny_model() -> Path:
    """Random weights of a tiny size with Qwen2's vocabulary and template; made once, kept in the cache."""
    files = source()
    import make_random_model

    path: Path = files.cache_folder() / "tiny-random.gguf"
    if not path.exists():
        make_random_model.write(make_random_model.SHAPES["tiny"], path)
    return path


def built_in() -> ModelSpec:
    """The model that comes with Mnemon."""
    return resolve("built-in", Home(Path("nowhere")))


def spec_of(path: Path, **changes: Any) -> ModelSpec:
    """Any file as a model."""
    return replace(built_in(), name=path.stem, path=path, **changes)


ONE_THREAD = ModelSettings(threads=1)  # two would wait for each other on a busy machine
