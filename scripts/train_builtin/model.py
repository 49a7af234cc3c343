"""The decoder: llama's architecture, so that every llama.cpp runs it, with embeddings used at both ends."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train_builtin.settings import Shape

_POSITIONS = 512
_NOTHING = -100


class Layer(nn.Module):
    """Attention, then SwiGLU, each on the normalised residual and added to it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads, self.head = shape.heads, shape.head
        self.attention_norm = nn.RMSNorm(width, eps=shape.epsilon)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.ffn_norm = nn.RMSNorm(width, eps=shape.epsilon)
        self.gate_up = nn.Linear(width, 2 * shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, width, bias=False)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor) -> Tensor:
        """The residual after this layer; ``x`` and the result have shape (rows, length, width)."""
        rows, length, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(rows, length, 3 * self.heads, self.head)
        rotated, values = qkv.split([2 * self.heads, self.heads], dim=2)
        first, second = rotated.float().chunk(2, dim=-1)
        rotated = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
        queries, keys = rotated.to(values.dtype).transpose(1, 2).chunk(2, dim=1)
        mixed = F.scaled_dot_product_attention(queries, keys, values.transpose(1, 2), attn_mask=mask)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(rows, length, width))
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    """Token ids (rows, length) to hidden states (rows, length, width); :meth:`logits` turns those into scores.

    The residual stream stays in 32 bits under autocast: in bfloat16 the identity of a token was rounded away beside
    the output of the first layers, and no copying could be learned (the first version's mistake).
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        frequencies = shape.rope_base ** -(torch.arange(0, shape.head, 2).float() / shape.head)
        angles = torch.outer(torch.arange(shape.window).float(), frequencies)[None, :, None, :]
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """The last hidden states of ``tokens`` under an attention ``mask`` (see :func:`causal`)."""
        length = tokens.shape[1]
        x = self.embedding(tokens)
        cosine, sine = self.cosine[:, :length], self.sine[:, :length]
        for layer in self.layers:
            x = layer(x, cosine, sine, mask)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of every token to come next."""
        return F.linear(hidden, self.embedding.weight)


def causal(documents: Tensor) -> Tensor:
    """The attention mask (rows, 1, length, length): earlier tokens of the same document, and the token itself."""
    length = documents.shape[1]
    same = documents[:, None, :, None] == documents[:, None, None, :]
    return same & torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()


def loss(
    forward: Callable[[Tensor, Tensor], Tensor], model: Decoder, tokens: Tensor, learned: Tensor, documents: Tensor
) -> tuple[Tensor, int]:
    """Summed negative log-likelihood (nats) of the learned tokens given what came before, and how many they are.

    Scores are computed for those positions only: with a fifth of the tokens learned that leaves out a fifth of all
    multiplications. Their number is rounded up, so that batches need memory of few sizes: with any number
    of them the heap fell to pieces and grew by a gigabyte in eight minutes.
    """
    follows = torch.zeros_like(learned)
    follows[:, :-1] = learned[:, 1:] & (documents[:, 1:] == documents[:, :-1])
    (where,) = follows.flatten().nonzero(as_tuple=True)
    count = len(where)
    spare = -count % _POSITIONS
    hidden = forward(tokens, causal(documents)).flatten(0, 1)
    target = F.pad(tokens.roll(-1, dims=1).flatten()[where], (0, spare), value=_NOTHING)
    scores = model.logits(hidden[F.pad(where, (0, spare))]).float()
    return F.cross_entropy(scores, target, ignore_index=_NOTHING, reduction="sum"), count
