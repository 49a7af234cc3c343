"""The yardstick of learning without gradients: the same numbers, the same examples, with gradients (PyTorch, Adam).

    python scripts/bench/first_order.py [--owner NAME] [--space vector|lora] [--steps N] [--json]

The model's file is read as it is (its weights made single precision) and run in PyTorch; adapters act on the
answer's part only, as on the device. That both compute the same is checked first: their base losses must agree to one
part in a hundred. The examples learned from are two thirds of the owner's conversations, as in a lesson; what is
printed is the loss on the owner's held-out answers, as ``mnemon eval learning`` does. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from gguf import GGUFReader, dequantize

from mnemon.evaluation import owners
from mnemon.learning import gate
from mnemon.learning.examples import Example
from mnemon.learning.spaces.lora import LoraB
from mnemon.learning.spaces.space import Shape
from mnemon.paths import Home
from mnemon.runtime import templates
from mnemon.runtime.catalog import resolve
from mnemon.runtime.layout import Layout
from mnemon.runtime.worker import LocalModel
from mnemon.settings import ModelSettings

BATCH = 16
AGREE = 0.01
RATES = {"vector": 0.3, "lora": 0.05}
"""Adam's step sizes. No search stands behind them: a better one would raise the yardstick."""

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Loras = dict[str, tuple[torch.Tensor, torch.Tensor]]


class Llama:
    """A GGUF file of the llama architecture as plain tensors."""

    def __init__(self, path: Path) -> None:
        reader = GGUFReader(str(path))
        self.weights = {}
        for tensor in reader.tensors:
            shape = tuple(reversed(tensor.shape.tolist()))
            values = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
            self.weights[tensor.name] = torch.tensor(values, dtype=torch.float32)
        self.weights.setdefault("output.weight", self.weights["token_embd.weight"])

        def known(key: str) -> Any:
            return reader.fields[f"llama.{key}"].contents()

        self.layers, self.width = int(known("block_count")), int(known("embedding_length"))
        self.heads, self.kv_heads = int(known("attention.head_count")), int(known("attention.head_count_kv"))
        self.rotated, self.base = int(known("rope.dimension_count")), float(known("rope.freq_base"))
        self.epsilon = float(known("attention.layer_norm_rms_epsilon"))

    def hidden(
        self, tokens: torch.Tensor, on: torch.Tensor, steering: torch.Tensor | None, loras: Loras
    ) -> torch.Tensor:
        """Last hidden states (rows, length, width); adapters act where ``on`` (rows, length, 1) is 1."""
        rows, length = tokens.shape
        angles = torch.outer(torch.arange(length), self.base ** (-torch.arange(0, self.rotated, 2) / self.rotated))
        turns = angles.cos()[:, None, :], angles.sin()[:, None, :]

        def multiplied(name: str, x: torch.Tensor) -> torch.Tensor:
            y = F.linear(x, self.weights[name])
            if name in loras:
                a, b = loras[name]
                y = y + on * F.linear(F.linear(x, a), b)
            return y

        x = self.weights["token_embd.weight"][tokens]
        for number in range(self.layers):
            block = f"blk.{number}."
            h = self._norm(x, block + "attn_norm.weight")
            q = _turned(multiplied(block + "attn_q.weight", h).view(rows, length, self.heads, -1), turns)
            k = _turned(multiplied(block + "attn_k.weight", h).view(rows, length, self.kv_heads, -1), turns)
            v = multiplied(block + "attn_v.weight", h).view(rows, length, self.kv_heads, -1)
            mixed = F.scaled_dot_product_attention(
                *(part.transpose(1, 2) for part in (q, k, v)), is_causal=True, enable_gqa=self.heads != self.kv_heads
            )
            x = x + multiplied(block + "attn_output.weight", mixed.transpose(1, 2).reshape(rows, length, -1))
            h = self._norm(x, block + "ffn_norm.weight")
            gated = F.silu(multiplied(block + "ffn_gate.weight", h)) * multiplied(block + "ffn_up.weight", h)
            x = x + multiplied(block + "ffn_down.weight", gated)
            if steering is not None and number:
                x = x + on * steering[number - 1]
        return self._norm(x, "output_norm.weight")

    def loss(self, batch: Batch, steering: torch.Tensor | None = None, loras: Loras | None = None) -> torch.Tensor:
        """Nats a token of the answers."""
        tokens, on, targets = batch
        wanted = targets >= 0
        logits = F.linear(self.hidden(tokens, on, steering, loras or {})[wanted], self.weights["output.weight"])
        return F.cross_entropy(logits, targets[wanted])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weights[name]


def _turned(x: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotary positions; in GGUF files of this architecture the two halves of a pair are neighbours."""
    cosine, sine = turns
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)


def batched(pairs: Sequence[tuple[list[int], list[int]]]) -> Batch:
    """Prompts and answers as one batch: tokens, where adapters act, what follows each position (-1: no matter)."""
    length = max(len(prompt) + len(answer) for prompt, answer in pairs)
    tokens = torch.zeros(len(pairs), length, dtype=torch.long)
    on, targets = torch.zeros(len(pairs), length, 1), torch.full((len(pairs), length), -1)
    for row, (prompt, answer) in enumerate(pairs):
        first, end = len(prompt) - 1, len(prompt) + len(answer) - 1
        tokens[row, : end + 1] = torch.tensor([*prompt, *answer])
        on[row, first:end] = 1
        targets[row, first:end] = torch.tensor(answer)
    return tokens, on, targets


def main() -> None:
    """Learn, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--owner", choices=owners.NAMES, default="formal")
    parser.add_argument("--space", choices=RATES, default="vector")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--examples", type=int, default=192)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    spec = resolve("built-in", Home(Path("nowhere")))
    owner = owners.build(wanted.owner, train=wanted.examples)
    learn = [owner.train[i] for i in gate.split(owner.train, b"yardstick")[0]]
    if spec.path is None:
        raise SystemExit("The built-in model is not there.")
    with LocalModel.load(spec, ModelSettings(threads=1)) as model:
        layout = Layout(model.model, templates.load(model.model, chatml_fallback=False)[0], model.info.context_tokens)

        def pairs(examples: Sequence[Example]) -> list[tuple[list[int], list[int]]]:
            laid_out = [layout.plan_given(example.prompt, example.chosen) for example in examples]
            return [(plan.tokens, answer) for plan, answer in laid_out]

        train, held_out, general = (
            batched(pairs(learn)),
            batched(pairs(owner.held_out)),
            batched(pairs(owner.general)),
        )
        shape = Shape.of(model)
        with model.scorer([(example.prompt, example.chosen) for example in owner.held_out]) as scorer:
            scores = scorer.scores(())
        there = -sum(float(s.sum()) for s in scores) / sum(map(len, scores))
    llama = Llama(spec.path)
    tuned: list[torch.Tensor]
    if wanted.space == "vector":
        steering: torch.Tensor | None = torch.zeros(shape.layers, shape.width, requires_grad=True)
        loras: Loras = {}
        tuned = [steering]  # type: ignore[list-item]
    else:
        steering, loras, tuned = None, {}, []
        space = LoraB.chosen(shape)
        for name, (a, b) in space.export(np.zeros(space.size)).tensors.items():
            tuned.append(torch.tensor(b, requires_grad=True))
            loras[name] = torch.tensor(a), tuned[-1]

    def losses() -> tuple[float, float]:
        with torch.no_grad():
            return llama.loss(held_out, steering, loras).item(), llama.loss(general, steering, loras).item()

    before = losses()
    if abs(before[0] / there - 1) > AGREE:
        raise SystemExit(f"PyTorch finds {before[0]:.4f} where llama.cpp finds {there:.4f}: not the same model.")
    optimizer = torch.optim.Adam(tuned, RATES[wanted.space])
    began = time.process_time()
    for _ in range(wanted.steps):
        some = torch.randperm(len(learn))[:BATCH]
        loss = llama.loss((train[0][some], train[1][some], train[2][some]), steering, loras)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = losses()
    row = {
        "owner": wanted.owner,
        "space": wanted.space,
        "size": sum(math.prod(values.shape) for values in tuned),
        "steps": wanted.steps,
        "before": round(before[0], 4),
        "after": round(after[0], 4),
        "improvement": round(1 - after[0] / before[0], 4),
        "general": round(after[1] / before[1] - 1, 4),
        "processor_seconds": round(time.process_time() - began, 1),
    }
    if wanted.json:
        print(json.dumps(row))
        return
    print(f"{row['owner']}, {row['space']} ({row['size']:,} numbers), {row['steps']} steps with gradients:")
    print(f"held-out loss {row['before']} to {row['after']}, {row['improvement']:.1%} better")
    print(f"general set {row['general']:+.1%}")
    print(f"{row['processor_seconds']} s of one processor; llama.cpp finds {there:.4f} for the base")


if __name__ == "__main__":
    main()
