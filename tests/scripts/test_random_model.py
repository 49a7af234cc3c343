"""Models with random weights in four bits: of the size they should have, and llama.cpp computes numbers with them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "device"))
import real_models

TOKENS = 151_936


@pytest.mark.slow
def test_four_bits_are_of_their_size_and_make_numbers(tmp_path):
    eight_bits = real_models.tiny_model()
    import make_random_model

    from mnemon.runtime.engine import Engine
    from mnemon.runtime.vocabulary import Model

    path, shape = tmp_path / "q4_0.gguf", make_random_model.SHAPES["tiny"]
    make_random_model.write(shape, path, kind="q4_0")
    layer = shape.width * (3 * shape.width + 3 * shape.feed_forward)  # two of the heads' matrices are half as wide
    numbers = TOKENS * shape.width + shape.layers * layer
    assert eight_bits.stat().st_size - path.stat().st_size == numbers // 32 * (34 - 18)
    model = Model(path)
    try:
        with Engine(model, cells=256, threads=1) as engine:
            engine.decode(0, [1, 2, 3, 4])
            logits = engine.logits()
            assert np.isfinite(logits).all()
            assert 0.01 < logits.std() < 10
    finally:
        model.close()
