"""What a step of learning costs (DESIGN 12): against the decodes it needs, the usual way, and the memory of a chat.

    python scripts/bench/learning.py [--json] [--model built-in|q8_0|q4_0] [--rounds N] [--only steps|memory|turns]

A step is two evaluations of four answers of 32 tokens behind prompts of 192, which have nothing in common, with a
steering vector and with its opposite. It is held against two bare ``llama_decode`` calls, each of all 128 tokens with
all logits, nothing read, by the base model; and against the usual way: prompts and answers decoded whole, under the
adapter, for each of the two. The bare decodes are in the same context, for one and the same decode takes up to a
tenth longer in one context than in another made alike, as its memory happens to lie. All with one thread and in
turns; what counts is the processor's time, into which other programs hardly come, and of each the best of the rounds.
A step comes after one of its kind, as in a lesson, and bare decodes after others: the first one after something else
has llama.cpp make its graphs anew. Memory is the peak of two processes, one of which has only chatted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from runtime import SYSTEM, built_in, real_shape, row, say, show, words

from mnemon.runtime.adapters import Activation, Lora, Loras, Steering
from mnemon.runtime.catalog import ModelSpec
from mnemon.runtime.chat_model import ChatMessage
from mnemon.runtime.engine import Engine
from mnemon.runtime.scoring import Scorer
from mnemon.runtime.vocabulary import Model
from mnemon.runtime.worker import LocalModel
from mnemon.settings import ModelSettings

STEP, USUAL, MEMORY, TURN = 1.05, 0.25, 1.10, 1.2
EXAMPLES, PROMPT, ANSWER = 4, 192, 32
EPS = 0.05


def examples() -> list[tuple[list[int], list[int]]]:
    """Tokens of prompts and answers."""
    random = np.random.default_rng(0)

    def tokens(count: int) -> list[int]:
        return [int(t) for t in random.integers(300, 8000, count)]

    return [(tokens(PROMPT), tokens(ANSWER)) for _ in range(EXAMPLES)]


def steering(model: Model, seed: int) -> Steering:
    """A random direction."""
    return Steering(np.random.default_rng(seed).normal(size=model.steering_shape).astype(np.float32))


def lora(model: Model, seed: int) -> Lora:
    """Random numbers for the queries of every block, rank 8."""
    random = np.random.default_rng(seed)

    def numbers(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32) / 10

    sizes = {name: size for name, size in model.matrices.items() if "attn_q.weight" in name}
    return Lora({name: (numbers(8, a), numbers(b, 8)) for name, (a, b) in sizes.items()}, 8.0)


def scorer_of(model: LocalModel, given: list[tuple[list[int], list[int]]]) -> Scorer:
    """As ``LocalModel.scorer``, for tokens."""
    return Scorer(model._owner, model._engine, model._prompts, model._activation, model._loras, given)


def spent(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    started = time.process_time()
    work()
    return time.process_time() - started


def steps(spec: ModelSpec, rounds: int) -> list[dict[str, Any]]:
    """A step against the bare decodes, and against the usual way."""
    given = examples()
    with LocalModel.load(spec, ModelSettings(threads=1)) as local:
        model = local.model
        with (
            Engine(model, cells=EXAMPLES * (PROMPT + ANSWER), sequences=EXAMPLES, threads=1, batch=512) as usual,
            scorer_of(local, given) as scorer,
        ):
            activation = Activation(usual, Loras(model))

            def usual_way(adapter: Steering) -> None:
                for sign in (1.0, -1.0):
                    activation.use(((adapter, sign * EPS),))
                    for i, (prompt, answer) in enumerate(given):
                        usual.drop(i)
                        usual.decode(i, prompt[:-1])
                        usual._decode(i, [prompt[-1], *answer[:-1]], all_logits=True, last=True)

            def step(adapter: Steering | Lora) -> None:
                for sign in (1.0, -1.0):
                    scorer.scores([(adapter, sign * EPS)])

            scorer.scores(())
            times: list[list[float]] = [[], [], [], []]
            for seed in range(rounds):
                vector, matrices = steering(model, seed), lora(model, seed)
                bare_decodes(local, scorer)
                times[0].append(bare_decodes(local, scorer))
                step(steering(model, rounds + seed))
                for times_of, adapter in zip(times[1:3], (vector, matrices), strict=True):
                    times_of.append(spent(partial(step, adapter)))
                if seed < max(1, rounds // 3):
                    times[3].append(spent(partial(usual_way, vector)))
    decodes, steered, changed, whole = map(min, times)
    name = f"{spec.name}: a step of learning, {steered:.3f} s of one core"
    over, share = steered / decodes, steered / whole
    return [
        row(f"{name}, against its two decodes, {decodes:.3f} s", over, f"≤ {STEP}", over <= STEP),
        row(
            f"{spec.name}: the same with a LoRA of rank 8, loaded in the step, {changed:.3f} s",
            changed / decodes,
            "—",
            True,
        ),
        row(f"{name}, against the usual way, {whole:.3f} s", share, f"≤ {USUAL}", share <= USUAL),
    ]


def bare_decodes(local: LocalModel, scorer: Scorer) -> float:
    """Seconds of the processor for two bare decodes of all answers behind their prompts, by the base model."""
    kept, times = local._prompts, []

    def decode() -> None:
        for _ in range(2):
            branches = [kept.branch(prompt) for prompt in scorer._prompts]
            parts = [
                (branch, [prompt.last, *answer[:-1]])
                for branch, prompt, answer in zip(branches, scorer._prompts, scorer._answers, strict=True)
            ]
            times.append(spent(partial(kept.together.decode, parts)))
            for branch in branches:
                kept.end(branch)

    local._owner.call(decode)
    return sum(times)


def chat(spec: ModelSpec, *, learn: bool) -> float:
    """Peak resident memory in MB of this process, which has chatted, and perhaps learned."""
    with LocalModel.load(spec, ModelSettings(threads=1)) as model:
        say(model, [SYSTEM, ChatMessage("user", words(model, 600))], 8)
        if learn:
            with scorer_of(model, examples()) as scorer:
                for seed in range(2):
                    scorer.scores([(steering(model.model, seed), EPS)])
    status = Path("/proc/self/status").read_text("ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def memory(which: str, name: str) -> dict[str, Any]:
    """The peak of a process that has learned against that of one that has only chatted."""
    peaks = []
    for what in ("chat", "learn"):
        command = [sys.executable, __file__, "--model", which, "--peak", what]
        peaks.append(float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    a, b = peaks
    return row(
        f"{name}: peak memory of learning, {b:.0f} MB, against chatting, {a:.0f} MB",
        b / a,
        f"≤ {MEMORY}",
        b / a <= MEMORY,
    )


def turns(spec: ModelSpec, rounds: int) -> dict[str, Any]:
    """First token of a turn while answers are scored all the time against one without, medians.

    The processor's time of the whole process from asking to the first token, so that it holds what is left of the
    scorer's decode when the turn comes, and not what other programs take.
    """
    with LocalModel.load(spec, ModelSettings(threads=1)) as model:
        messages = [SYSTEM, ChatMessage("user", words(model, 100))]
        with scorer_of(model, examples()) as scorer:
            learning, over = threading.Event(), threading.Event()

            def learn() -> None:
                vector = steering(model.model, 0)
                while not over.is_set():
                    if learning.wait(0.05):
                        scorer.scores([(vector, EPS)])

            thread = threading.Thread(target=learn)
            thread.start()
            times: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(rounds):
                for busy in (False, True):
                    (learning.set if busy else learning.clear)()
                    model.loglikelihood([SYSTEM], "Yes.")  # what was begun before is over; or the scorer is at work
                    time.sleep(0.1)
                    times[busy].append(1000 * spent(lambda: say(model, messages, 1)))
            learning.clear()
            over.set()
            thread.join()
    a, b = statistics.median(times[True]), statistics.median(times[False])
    told = f"{spec.name}: first token of a turn during learning, {a:.0f} ms, against one without, {b:.0f} ms"
    return row(told, a / b, f"≤ {TURN}", a / b <= TURN)


def main() -> None:
    """Print the rows, as text or with ``--json`` as one document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", choices=("built-in", "q8_0", "q4_0"))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--only", choices=("steps", "memory", "turns"), help="one part, the slow models need minutes")
    parser.add_argument("--peak", choices=("chat", "learn"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    rows = []
    for which in (arguments.model,) if arguments.model else ("built-in", "q8_0", "q4_0"):
        spec = built_in() if which == "built-in" else real_shape(which)
        if arguments.peak:
            print(chat(spec, learn=arguments.peak == "learn"))
            return
        rounds = arguments.rounds * (3 if which == "built-in" else 1)
        if arguments.only in (None, "steps"):
            rows += steps(spec, rounds)
        if arguments.only in (None, "memory"):
            rows.append(memory(which, spec.name))
        if arguments.only in (None, "turns"):
            rows.append(turns(spec, rounds))
    show(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
