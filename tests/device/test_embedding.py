"""Sentences as vectors: the same alone and in a batch, near when they mean the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnemon.errors import ModelCorruptError, ModelMissingError
from mnemon.memory.embedding import DIMENSIONS, Embedder


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"model\.onnx"):
        Embedder(tmp_path).embed_one("hello")
    (tmp_path / "model.onnx").write_bytes(b"not a network")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelCorruptError):
        Embedder(tmp_path).embed_one("hello")


def test_rows_are_normalised_and_empty_ones_are_zero(embedder: Embedder) -> None:
    vectors = embedder.embed(["a dog", "", "  \n", "日本語 🙂", "word " * 3000])
    assert vectors.shape == (5, DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 1, 1], atol=1e-3)
    assert embedder.embed([]).shape == (0, DIMENSIONS)


def test_alone_or_in_a_batch(embedder: Embedder) -> None:
    texts = [f"My sister {name} has {i} cats." + " And more." * i for i, name in enumerate(["Anna", "Bea", "Cleo"])]
    together = embedder.embed(texts * 30)
    for i, text in enumerate(texts):
        assert float(together[i + 60] @ embedder.embed_one(text)) > 0.98  # eight bits: not equal, but near


def test_batches_side_by_side_come_back_in_their_places(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["I live in Leeds.", "My dog barks.", "", "We sail on Sundays in any weather."] * 4
    together = embedder.embed(texts)
    monkeypatch.setattr("mnemon.memory.embedding._BATCH_TOKENS", 16)
    apart = embedder.embed(texts)
    assert ((together * apart).sum(axis=1)[[bool(text) for text in texts]] > 0.98).all()
    assert not apart[2::4].any()


def test_meaning_is_nearer_than_words(embedder: Embedder) -> None:
    question, right, wrong = embedder.embed(
        ["Where do I live?", "Our flat is on Hollin Street in Leeds.", "Do I like jazz?"]
    )
    assert question @ right > question @ wrong


def test_nothing_is_loaded_before_it_is_needed() -> None:
    Embedder()
    import subprocess

    script = (
        "import sys, mnemon.memory.embedding; assert not {'onnxruntime', 'tokenizers', 'numpy'} & set(sys.modules)"
    )
    source = Path(__file__).parents[2] / "device"
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(source)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_runs_it_keeps_no_identifier_and_nothing_to_send(tmp_path: Path) -> None:
    """onnxruntime's packages for Linux and macOS note each session, under an id of this device, for their maker."""
    program = "from mnemon.memory.embedding import Embedder; Embedder().embed_one('hello')"
    suppressed = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
    plain = {name: value for name, value in os.environ.items() if name not in suppressed}
    person = tmp_path / "somebody"
    person.mkdir()
    subprocess.run([sys.executable, "-c", program], env=plain | {"HOME": str(person)}, check=True)
    assert list(person.rglob("*")) == []
