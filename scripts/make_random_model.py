"""Write a GGUF model with random weights of a real shape, a real vocabulary and a real chat template.

    python scripts/make_random_model.py qwen2-0.5b model.gguf [--type q4_0]

It talks nonsense, but loads, tokenises, streams and costs time and memory exactly like the real one: enough to
measure the runtime on any machine, offline once llama-cpp-python's source distribution has been fetched.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import llama_cpp_source

_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers that make an architecture a model."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    feed_forward: int
    context: int


KINDS = {"q8_0": (32, 73), "q4_0": (16, 4.6)}
"""Bytes of the numbers in a block, and their standard deviation when they are random."""
SHAPES = {
    "qwen2-0.5b": Shape(layers=24, width=896, heads=14, kv_heads=2, feed_forward=4864, context=32768),
    "tiny": Shape(layers=2, width=64, heads=4, kv_heads=2, feed_forward=128, context=2048),
}


def write(shape: Shape, path: Path, *, seed: int = 0, kind: str = "q8_0") -> None:
    """Write a Qwen2 model of ``shape``, tied embeddings; the same seed gives the same bytes."""
    random = np.random.default_rng(seed)
    vocabulary = gguf.GGUFReader(llama_cpp_source.vocabulary("qwen2"))
    template = (llama_cpp_source.llama_cpp() / "models/templates/Qwen-Qwen2.5-7B-Instruct.jinja").read_text("utf-8")
    part = path.with_name(path.name + ".part")
    writer = gguf.GGUFWriter(part, "qwen2")
    writer.add_name("Mnemon random weights")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind.upper()}"])
    tokens = _copy_vocabulary(vocabulary, writer)
    writer.add_chat_template(template)

    def matrix(name: str, rows: int, columns: int) -> None:
        raw_type = gguf.GGMLQuantizationType[kind.upper()]
        writer.add_tensor(name, _blocks(random, rows, columns, *KINDS[kind]), raw_dtype=raw_type)

    def vector(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, np.float32))

    kv_width = shape.width // shape.heads * shape.kv_heads
    matrix("token_embd.weight", tokens, shape.width)
    vector("output_norm.weight", shape.width, 1.0)
    for i in range(shape.layers):
        layer = f"blk.{i}"
        vector(f"{layer}.attn_norm.weight", shape.width, 1.0)
        vector(f"{layer}.ffn_norm.weight", shape.width, 1.0)
        for name, rows in (("attn_q", shape.width), ("attn_k", kv_width), ("attn_v", kv_width)):
            matrix(f"{layer}.{name}.weight", rows, shape.width)
            vector(f"{layer}.{name}.bias", rows, 0.0)
        matrix(f"{layer}.attn_output.weight", shape.width, shape.width)
        matrix(f"{layer}.ffn_gate.weight", shape.feed_forward, shape.width)
        matrix(f"{layer}.ffn_up.weight", shape.feed_forward, shape.width)
        matrix(f"{layer}.ffn_down.weight", shape.width, shape.feed_forward)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(path)


def _copy_vocabulary(source: gguf.GGUFReader, writer: gguf.GGUFWriter) -> int:
    """Copy everything about tokens; the number of tokens."""
    for field in source.fields.values():
        if field.name.startswith("tokenizer.") and field.name != gguf.Keys.Tokenizer.CHAT_TEMPLATE:
            inner = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    return len(source.fields[gguf.Keys.Tokenizer.LIST].data)


def _blocks(random: np.random.Generator, rows: int, columns: int, size: int, spread: float) -> np.ndarray:
    """Random blocks (a half-precision scale, then 32 whole numbers), standard deviation about 0.02."""
    blocks = rows * columns // _BLOCK
    data = np.empty((blocks, 2 + size), np.uint8)
    data[:, :2] = np.frombuffer(np.float16(0.02 / spread).tobytes(), np.uint8)
    data[:, 2:] = random.integers(0, 256, (blocks, size), np.uint8)
    return data.reshape(rows, -1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--type", choices=sorted(KINDS), default="q8_0")
    arguments = parser.parse_args()
    write(SHAPES[arguments.shape], arguments.path, seed=arguments.seed, kind=arguments.type)
    print(f"{arguments.path}: {arguments.path.stat().st_size / 1e6:.0f} MB")
