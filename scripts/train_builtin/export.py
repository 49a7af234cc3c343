"""From a checkpoint to GGUF files, and back from a GGUF file to a checkpoint."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import models

from mnemon.runtime import native
from mnemon.runtime.templates import CHATML
from train_builtin.model import Decoder, causal
from train_builtin.settings import Export, Shape
from train_builtin.tokenizer import END, END_OF_TEXT, START, cutting

_TYPES = {"q8_0": 7, "q5_0": 8, "q4_0": 2, "q5_1": 9, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}
"""llama.cpp's file types (llama_ftype)."""
_PRE_TOKENIZER = "smollm"
_NAMES = {"attention_out": "attn_output", "down": "ffn_down"}


def write_f16(model: Decoder, tokenizer: Path, export: Export, path: Path) -> None:
    """Write ``model`` in half precision, with its vocabulary and chat template."""
    shape = model.shape
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(export.name)
    writer.add_license(export.licence)
    writer.add_author("Mnemon")
    writer.add_context_length(shape.window)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _write_vocabulary(writer, tokenizer)
    for name, array in _tensors(model):
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize(source: Path, target: Path, kind: str) -> None:
    """Write ``source`` as ``kind`` (such as ``q8_0``) with llama.cpp's quantizer.

    Raises:
        RuntimeError: llama.cpp refused.
    """
    native.library()  # quiet
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = _TYPES[kind]
    options.nthread = 2
    refused = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(options))
    if refused:
        raise RuntimeError(f"llama.cpp could not write {target.name} (code {refused}).")


def read(path: Path, tokenizer: Path) -> Decoder:
    """A model from a GGUF file of this module; its vocabulary goes to ``tokenizer``.

    For going on where a checkpoint was lost: from Q8_0 every weight comes back within 2 % of the largest.
    """
    file = gguf.GGUFReader(path)

    def number(key: str) -> Any:
        return file.fields[key].contents()

    stored = {tensor.name: tensor for tensor in file.tensors}
    shape = Shape(
        vocabulary=len(file.fields["tokenizer.ggml.tokens"].data),
        width=number("llama.embedding_length"),
        layers=number("llama.block_count"),
        feed_forward=number("llama.feed_forward_length"),
        window=number("llama.context_length"),
        rope_base=number("llama.rope.freq_base"),
        head=number("llama.attention.key_length"),
        epsilon=float(f"{number('llama.attention.layer_norm_rms_epsilon'):.6g}"),  # stored in 32 bits
    )

    def tensor(name: str) -> torch.Tensor:
        found = stored[name]
        return torch.from_numpy(gguf.quants.dequantize(found.data, found.tensor_type).astype(np.float32))

    model = Decoder(shape)
    with torch.no_grad():
        model.embedding.weight.copy_(tensor("token_embd.weight"))
        model.norm.weight.copy_(tensor("output_norm.weight"))
        for i, layer in enumerate(model.layers):
            part = {n: tensor(f"blk.{i}.{n}.weight") for n in _LAYER}
            query, key = (_halved(part[n], shape) for n in ("attn_q", "attn_k"))
            layer.qkv.weight.copy_(torch.cat([query, key, part["attn_v"]]))
            layer.attention_out.weight.copy_(part["attn_output"])
            layer.gate_up.weight.copy_(torch.cat([part["ffn_gate"], part["ffn_up"]]))
            layer.down.weight.copy_(part["ffn_down"])
            layer.attention_norm.weight.copy_(part["attn_norm"])
            layer.ffn_norm.weight.copy_(part["ffn_norm"])
    _read_vocabulary(file, tokenizer)
    return model


_LAYER = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
    *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
)


@torch.no_grad()
def logits(model: Decoder, tokens: list[int]) -> NDArray[np.float32]:
    """PyTorch's scores for every position of one text, shape (tokens, vocabulary)."""
    ids = torch.tensor([tokens])
    hidden = model(ids, causal(torch.ones_like(ids)))
    scores: NDArray[np.float32] = model.logits(hidden)[0].numpy()
    return scores


def _tensors(model: Decoder) -> list[tuple[str, NDArray[Any]]]:
    shape = model.shape

    def half(tensor: torch.Tensor) -> NDArray[np.float16]:
        return np.ascontiguousarray(tensor.detach().float().cpu().numpy().astype(np.float16))

    def full(tensor: torch.Tensor) -> NDArray[np.float32]:
        return tensor.detach().float().cpu().numpy()

    found: list[tuple[str, NDArray[Any]]] = [
        ("token_embd.weight", half(model.embedding.weight)),
        ("output_norm.weight", full(model.norm.weight)),
    ]
    for i, layer in enumerate(model.layers):
        query, key, value = layer.qkv.weight.chunk(3)
        gate, up = layer.gate_up.weight.chunk(2)
        parts = {
            "attn_norm": full(layer.attention_norm.weight),
            "attn_q": half(_interleaved(query, shape)),
            "attn_k": half(_interleaved(key, shape)),
            "attn_v": half(value),
            "attn_output": half(layer.attention_out.weight),
            "ffn_norm": full(layer.ffn_norm.weight),
            "ffn_gate": half(gate),
            "ffn_up": half(up),
            "ffn_down": half(layer.down.weight),
        }
        found += [(f"blk.{i}.{name}.weight", array) for name, array in parts.items()]
    return found


def _interleaved(weight: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Rotary pairs as llama.cpp has them for this architecture, side by side; here the halves of a head pair up."""
    return weight.reshape(shape.heads, 2, shape.head // 2, -1).transpose(1, 2).reshape(weight.shape)


def _halved(weight: torch.Tensor, shape: Shape) -> torch.Tensor:
    return weight.reshape(shape.heads, shape.head // 2, 2, -1).transpose(1, 2).reshape(weight.shape)


def _write_vocabulary(writer: gguf.GGUFWriter, path: Path) -> None:
    described = json.loads(path.read_text("utf-8"))
    ids = described["model"]["vocab"]
    special = {token["id"] for token in described["added_tokens"]}
    tokens = sorted(ids, key=lambda token: ids[token])
    kinds = [gguf.TokenType.CONTROL if ids[t] in special else gguf.TokenType.NORMAL for t in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_PRE_TOKENIZER)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in described["model"]["merges"]])
    writer.add_bos_token_id(ids[START])
    writer.add_eos_token_id(ids[END])
    writer.add_pad_token_id(ids[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def _read_vocabulary(file: gguf.GGUFReader, path: Path) -> None:
    tokens = file.fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in file.fields["tokenizer.ggml.merges"].contents()]
    tokenizer = cutting(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.add_special_tokens([END_OF_TEXT, START, END])
    tokenizer.save(str(path))
