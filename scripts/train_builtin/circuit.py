"""Weights to start from that can already copy: an assistant with a memory is, before all else, a copying machine.

Induction (Olsson and others, "In-context Learning and Induction Heads", arXiv 2209.11895) needs two heads in
sequence, and a small model finds them late or never: of the first version, eight million tokens of training without
this start recalled 0 of 22 held-out names, two million with it 10 of 22. Here the heads are written by hand:

- layer 0, heads 0-2: look 1, 2 and 3 tokens back, and write a fingerprint of what stood there into the residual;
- layers 1 and 3, several heads each: find where the last tokens stood before (one, two or three of them at once: the
  longer the match, the likelier "dog is called" beats "sister is called") and copy the token that followed.

Everything else starts silent: matrices that write into the residual are zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from train_builtin.model import Decoder, Layer

_LOOK_BACK = 3
_PRINT = 32
"""Numbers in a fingerprint: a head can match on about 34, the rotary pairs too slow to notice 300 tokens."""
RESERVED = 1 + _LOOK_BACK * _PRINT
"""Coordinates that no token's identity uses."""
_FAST_PAIRS = 12
_SHARPNESS = 65.0
"""Scale of a look-back head's scores; neighbours of the wanted token get e^-6 of its weight."""
_BIAS = 5.0
"""Embeddings' common component, which the look-back heads use as a constant 1."""


@torch.no_grad()
def write(model: Decoder, embeddings: Tensor, *, seed: int, match: float = 2.0, copy: float = 3.0) -> None:
    """Initialise ``model``.

    Args:
        model: At least four layers.
        embeddings: Directions to start from, shape (vocabulary, width - 96 - 1); a token's length does not matter.
        seed: Of everything random.
        match: Scale of the matching heads' scores.
        copy: How strongly a found token is written.
    """
    shape = model.shape
    width, head = shape.width, shape.head
    random = torch.Generator().manual_seed(seed)
    for layer in model.layers:
        _silence(layer, random)  # type: ignore[arg-type]
    # One coordinate is constant, 3 x 32 hold what stood before, the rest a token's identity; then all are mixed.
    mixing = _orthogonal(width, random)
    constant, rest = mixing[0], mixing[1:]
    before = [rest[i * _PRINT : (i + 1) * _PRINT] for i in range(_LOOK_BACK)]
    identity = rest[_LOOK_BACK * _PRINT :]
    unit = embeddings / embeddings.norm(dim=1, keepdim=True) * math.sqrt(width)
    model.embedding.weight.copy_(unit @ identity + _BIAS * constant)
    model.norm.weight.fill_(0.05)
    fingerprint = _orthogonal(len(identity), random)[:_PRINT] @ identity
    # after the norm, the constant is this large
    size = _BIAS * math.sqrt(width) / math.sqrt(width + _BIAS**2)

    first: Layer = model.layers[0]  # type: ignore[assignment]
    frequencies = shape.rope_base ** -(torch.arange(0, head, 2).float() / head)
    half = head // 2
    strength = math.sqrt(_SHARPNESS) / size
    for distance in range(1, _LOOK_BACK + 1):
        query, key, value, out = _parts(first, distance - 1)
        query.zero_()
        key.zero_()
        for i in range(_FAST_PAIRS):  # scores peak where the key is `distance` tokens back
            key[i] = strength * constant
            query[i] = strength * torch.cos(distance * frequencies[i]) * constant
            query[i + half] = -strength * torch.sin(distance * frequencies[i]) * constant
        value.zero_()
        value[:_PRINT] = fingerprint
        out.zero_()
        out[:, :_PRINT] = before[distance - 1].T

    slow = list(range(15, half))
    dims = [*slow, *(i + half for i in slow)]
    blocks = _orthogonal(width, random)
    last = shape.layers - 1
    for index, (number, lengths) in enumerate(((1, (1, 2, 3)), (min(3, last), (2, 3, 3)))):
        layer = model.layers[number]
        for n, length in enumerate(lengths):
            at = shape.heads - len(lengths) + n if number else n
            query, key, value, out = _parts(layer, at)  # type: ignore[arg-type]
            query.zero_()
            key.zero_()
            shown = [fingerprint, *before]
            for k in range(length):  # what I am and saw before, against what stood before you
                turn = _orthogonal(len(dims), random)[:, :_PRINT]
                weight = match / math.sqrt(length) * 1.25**length
                query[dims] += weight * turn @ shown[k]
                key[dims] += weight * turn @ shown[k + 1]
            block = (index * len(lengths) + n) * head % width
            taken = torch.cat([blocks, blocks])[block : block + head]
            value.copy_(taken)
            out.copy_(copy * taken.T)


def _silence(layer: Layer, random: torch.Generator) -> None:
    """Random readers, silent writers."""
    for matrix in (layer.qkv.weight, layer.gate_up.weight):
        matrix.copy_(torch.randn(matrix.shape, generator=random) / math.sqrt(matrix.shape[1]))
    layer.attention_out.weight.zero_()
    layer.down.weight.zero_()


def _parts(layer: Layer, head: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One head's query, key and value rows, and its columns of the output matrix (views)."""
    size, heads = layer.head, layer.heads
    rows = [layer.qkv.weight.data[(part * heads + head) * size :][:size] for part in range(3)]
    return rows[0], rows[1], rows[2], layer.attention_out.weight.data[:, head * size : (head + 1) * size]


def _orthogonal(size: int, random: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(size, size, generator=random))[0]
