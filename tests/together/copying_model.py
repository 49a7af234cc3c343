"""A model that says its question again, word for word: weights written by hand, a real GGUF in every other way.

The built-in model is too small to use a placeholder just as it is. This one always does, so that a test can say
what has to come back. Two layers are enough (Olsson and others, "In-context Learning and Induction Heads", arXiv
2209.11895): in the first, each head looks one place further back and writes down what stood there; in the second,
one head finds where the same words stood before and says the word that followed.

A ChatML prompt ends with "assistant" and a line break. That word's two tokens are written as the two before a
question, ``<|im_start|>`` and "user", so that what stood there before is the question's beginning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np

from mnemon_cloud.answers.engines.llama_native import Vocabulary
from mnemon_models import built_in_model

_BACK: Final = 10
"""Places looked back: a repetition is told apart by the ten tokens before it; a placeholder has six or seven."""
_PRINT: Final = 26
"""Numbers in the note of what stood at one place."""
_WIDTH: Final = 640
_HEAD: Final = 320
_HALF: Final = _HEAD // 2
_ROPE_BASE: Final = 1e30
"""So large that the first pairs turn with the place and the last stand still: the first know where, the last what."""
_TURNING: Final = 12
_STILL: Final = 27
_BIAS: Final = 5.0
"""The one number all words share: what a head looks for by place alone."""


def write(path: Path) -> Path:
    """Write it, some 29 MB; the vocabulary is the built-in model's."""
    vocabulary = gguf.GGUFReader(built_in_model())
    tokens = vocabulary.fields["tokenizer.ggml.tokens"].contents()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Says it again")
    writer.add_context_length(2048)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(2)
    writer.add_feed_forward_length(32)
    writer.add_head_count(_BACK)
    writer.add_head_count_kv(1)
    writer.add_key_length(_HEAD)
    writer.add_value_length(_HEAD)
    writer.add_rope_dimension_count(_HEAD)
    writer.add_rope_freq_base(_ROPE_BASE)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    for field in vocabulary.fields.values():
        if field.name.startswith("tokenizer."):
            inner = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    for name, values in _weights(tokens).items():
        writer.add_tensor(name, values.astype(np.float16 if values.ndim > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _weights(tokens: list[str]) -> dict[str, Any]:
    random = np.random.default_rng(1)
    # One number all share, 10 x 26 for what stood before, the rest says which word it is.
    constant = np.eye(1, _WIDTH)[0]
    before = [np.eye(_PRINT, _WIDTH, 1 + place * _PRINT) for place in range(_BACK)]
    first = 1 + _BACK * _PRINT
    words = np.zeros((len(tokens), _WIDTH))
    words[:, first:] = random.standard_normal((len(tokens), _WIDTH - first))
    words *= np.sqrt(_WIDTH) / np.linalg.norm(words, axis=1, keepdims=True)
    words[:, 0] = _BIAS
    prompt = _prompt()
    for beginning, end in zip(prompt[:2], prompt[-3:-1], strict=True):
        words[end] = words[beginning]
    mixed = np.linalg.qr(random.standard_normal((_WIDTH - first, _WIDTH - first)))[0]
    identity = np.zeros((_WIDTH - first, _WIDTH))
    identity[:, first:] = mixed
    own = identity[:_PRINT]

    weights: dict[str, Any] = {"token_embd.weight": words, "output_norm.weight": np.ones(_WIDTH)}
    for layer in range(2):
        name = f"blk.{layer}"
        query = np.zeros((_BACK, _HEAD, _WIDTH))
        key, value = np.zeros((_HEAD, _WIDTH)), np.zeros((_HEAD, _WIDTH))
        out = np.zeros((_WIDTH, _BACK, _HEAD))
        if layer == 0:
            _look_back(query, key, constant)
            value[:_PRINT] = own
            for place in range(_BACK):
                out[:, place, :_PRINT] = before[place].T
        else:
            _find_again(query[0], key, [own, *before])
            value[:] = identity[:_HEAD]
            out[:, 0] = 8 * value.T
        weights |= {
            f"{name}.attn_norm.weight": np.ones(_WIDTH),
            f"{name}.ffn_norm.weight": np.ones(_WIDTH),
            f"{name}.attn_q.weight": _paired(query).reshape(-1, _WIDTH),
            f"{name}.attn_k.weight": _paired(key[None])[0],
            f"{name}.attn_v.weight": value,
            f"{name}.attn_output.weight": out.reshape(_WIDTH, -1),
            f"{name}.ffn_gate.weight": np.zeros((32, _WIDTH)),
            f"{name}.ffn_up.weight": np.zeros((32, _WIDTH)),
            f"{name}.ffn_down.weight": np.zeros((_WIDTH, 32)),
        }
    return weights


def _prompt() -> list[int]:
    """The tokens of a question without words."""
    vocabulary = Vocabulary(built_in_model(), gpu_layers=0)
    try:
        return vocabulary.encode([("user", "")])
    finally:
        vocabulary.close()


def _look_back(query: Any, key: Any, constant: Any) -> None:
    """Head ``n`` looks ``n + 1`` places back: its scores are highest where the turns of the two places differ so."""
    turns = _ROPE_BASE ** -(np.arange(_TURNING) / _HALF)
    strength = 30.0
    for pair, turn in enumerate(turns):
        key[pair] = strength * constant
        for head in range(_BACK):
            query[head, pair] = np.cos((head + 1) * turn) * constant * strength
            query[head, pair + _HALF] = -np.sin((head + 1) * turn) * constant * strength


def _find_again(query: Any, key: Any, notes: list[Any]) -> None:
    """What stands here and stood before, against what stood before there: the longest repetition wins."""
    still = [*range(_STILL, _HALF), *range(_STILL + _HALF, _HEAD)]
    for place in range(_BACK):
        at = still[place * _PRINT : (place + 1) * _PRINT]
        strength = 12.0 * 0.9**place
        query[at] += strength * notes[place]
        key[at] += strength * notes[place + 1]


def _paired(heads: Any) -> Any:
    """Rows as the file has them: llama.cpp turns neighbours together, and these were written with halves apart."""
    count, size, width = heads.shape
    return heads.reshape(count, 2, size // 2, width).swapaxes(1, 2).reshape(count, size, width)
