"""The loop: read a batch, take a step, write down the loss; stop at any time and go on from the checkpoint."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from train_builtin import checkpoint, circuit, meaning, parallel
from train_builtin.checkpoint import Progress
from train_builtin.feed import Feed
from train_builtin.model import Decoder, loss
from train_builtin.optimizer import Muon, adam
from train_builtin.packing import Rows
from train_builtin.parallel import Group
from train_builtin.prepare import CONVERSATIONS, held_out_path
from train_builtin.settings import Settings, Training

_LOG_STEPS = 20
_EVALUATE_S = 480.0
_HELD_OUT_ROWS = 16
_LONGEST_STEP_S = 30.0
"""A process that was stopped for a while does not lose its time."""
_FLOOR = 0.02
Say = Callable[[str], None]


def train(settings: Settings, work: Path, say: Say, *, minutes: float | None = None, device: str = "auto") -> None:
    """Train, or go on training, until the time is up; the checkpoint holds the result.

    Args:
        settings: Of the run.
        work: The run's folder, prepared.
        say: Told how it goes.
        minutes: Instead of the configured time.
        device: ``auto``, ``cpu`` or ``cuda``.
    """
    where = "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
    if not checkpoint.checkpoint_path(work).exists():
        say("writing the weights to start from")
        checkpoint.save(work, begin(settings, work), Progress())
    budget = 60 * (minutes or settings.training.minutes)
    processes = settings.training.processes if where == "cpu" else 1
    parallel.start(partial(_train, settings, work, budget, where), processes)


def begin(settings: Settings, work: Path) -> Decoder:
    """The model a run starts from: tokens' company, and a circuit that copies."""
    torch.manual_seed(settings.training.seed)
    rows = [Rows.load(path) for path in sorted(work.glob("*.npz")) if not path.name.startswith("heldout-")]
    sample = [r.tokens[: 8_000_000 // r.tokens.shape[1] // len(rows)].reshape(-1) for r in rows]
    width = settings.shape.width - circuit.RESERVED
    found = meaning.embeddings(sample, settings.shape.vocabulary, width, seed=settings.training.seed)
    model = Decoder(settings.shape)
    circuit.write(model, found, seed=settings.training.seed)
    return model


def rate(plan: Training, step: int, done: float) -> float:
    """The share (0..1) of the learning rates at a step: up, level, then down in a line."""
    rising = min(1.0, (step + 1) / plan.warmup_steps)
    falling = 1.0 if done < plan.decay_from else max(_FLOOR, (1 - done) / (1 - plan.decay_from))
    return rising * falling


@torch.no_grad()
def held_out_loss(model: Decoder, path: Path, device: torch.device) -> float:
    """Nats a learned token on the first rows of a held-out file."""
    rows = Rows.load(path)
    total, count = 0.0, 0
    for i in range(0, min(len(rows), _HELD_OUT_ROWS), 4):
        arrays = (a[i : i + 4] for a in (rows.tokens, rows.learned, rows.documents))
        tokens, learned, documents = (torch.from_numpy(a).to(device) for a in arrays)
        with _half(device):
            summed, n = loss(model, model, tokens.long(), learned, documents)
        total, count = total + float(summed), count + n
    return total / max(count, 1)


def _train(settings: Settings, work: Path, budget: float, device: str, group: Group) -> None:
    """One process's part of :func:`train`; ``budget`` in seconds.

    The processes agree on everything that is decided by the clock: the first one's time travels with the gradients.
    """
    plan, where = settings.training, torch.device(device)
    model, progress, states = checkpoint.load(settings, work)
    model.to(where)
    muon, adamw = Muon(model, plan.muon_rate, group), adam(model, plan.adam_rate)
    if states:
        muon.restore(states["muon"])
        adamw.load_state_dict(states["adam"])
    forward = torch.compile(model) if plan.compile else model
    feed = Feed(work, plan, where, (progress.step, group.rank))
    log = _Log(work, budget, enabled=group.leads)
    saved_at = evaluated_at = progress.seconds
    last = time.monotonic()
    with _interruptible() as stop:
        over = progress.seconds >= budget
        while not over:
            done = progress.seconds / budget
            summed, count = _gradients(model, forward, feed, plan, group, done)
            passed, last = time.monotonic() - last, time.monotonic()
            mine = min(passed, _LONGEST_STEP_S) if group.leads else 0.0
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            summed, count, seconds, stopped = group.sum(gradients, [summed, count, mine, float(stop.is_set())])
            for gradient in gradients:
                gradient /= count
            scale = rate(plan, progress.step, done)
            muon.step(scale)
            _adam_step(adamw, plan.adam_rate * scale)
            progress.step += 1
            progress.seconds += seconds
            progress.tokens += plan.batch_rows * settings.data.row
            log.step(summed / count, progress, scale)
            over = stopped > 0 or progress.seconds >= budget
            if over or progress.seconds - saved_at > 60 * plan.checkpoint_minutes:
                momenta = muon.state()
                if group.leads:
                    checkpoint.save(work, model, progress, muon=momenta, adam=adamw.state_dict())
                saved_at = progress.seconds
            if over or progress.seconds - evaluated_at > _EVALUATE_S:
                if group.leads:
                    log.held_out(progress, held_out_loss(model, held_out_path(work, CONVERSATIONS), where))
                evaluated_at = progress.seconds
                last = time.monotonic()


def _gradients(
    model: Decoder, forward: Any, feed: Feed, plan: Training, group: Group, done: float
) -> tuple[float, float]:
    """Sum up the gradients of this process's rows; returns the summed loss and the number of learned tokens."""
    total, count = 0.0, 0.0
    for _ in range(plan.batch_rows // plan.micro_rows // group.size):
        tokens, learned, documents = feed.take(plan.micro_rows, done)
        with _half(tokens.device):
            summed, n = loss(forward, model, tokens, learned, documents)
        summed.backward()  # type: ignore[no-untyped-call]
        total, count = total + float(summed.detach()), count + n
    return total, count


def _adam_step(adamw: torch.optim.AdamW, rate: float) -> None:
    for settings in adamw.param_groups:
        settings["lr"] = rate * settings["factor"]
    torch.nn.utils.clip_grad_norm_([p for group in adamw.param_groups for p in group["params"]], 1.0)
    adamw.step()
    adamw.zero_grad(set_to_none=True)


def _half(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(device.type, torch.bfloat16)


class _Log:
    """Losses as lines of ``losses.jsonl`` and on standard output."""

    def __init__(self, work: Path, budget: float, *, enabled: bool) -> None:
        self._path, self._budget, self._enabled = work / "losses.jsonl", budget, enabled
        self._recent: list[float] = []

    def step(self, loss: float, progress: Progress, scale: float) -> None:
        self._recent.append(loss)
        if progress.step % _LOG_STEPS:
            return
        mean = float(np.mean(self._recent))
        self._recent.clear()
        self._write({**asdict(progress), "loss": round(mean, 4), "rate": round(scale, 4)})
        self._say(
            f"step {progress.step:5}  {progress.seconds / 60:6.1f} of {self._budget / 60:.0f} min  loss {mean:.3f}  "
            f"{progress.tokens / 1e6:.1f} M tokens, {progress.tokens / progress.seconds:.0f} a second"
        )

    def held_out(self, progress: Progress, loss: float) -> None:
        self._write({**asdict(progress), "held_out": {CONVERSATIONS: round(loss, 4)}})
        self._say(f"held-out conversations: {loss:.4f} nats a token")

    def _write(self, row: dict[str, Any]) -> None:
        if self._enabled:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def _say(self, line: str) -> None:
        if self._enabled:
            print(line, flush=True)


class _interruptible:
    """Ctrl-C and SIGTERM set an event while the block runs: the step is finished and saved."""

    def __enter__(self) -> threading.Event:
        event = threading.Event()
        self._before = {
            number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return event

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
