"""How fast the runtime is, as ratios within one run (DESIGN 12): against ``llama-bench``, and against itself.

    python scripts/bench/runtime.py [--json] [--threads N]

``llama-bench`` is built once, in ``~/.cache/mnemon-bench`` or ``$MNEMON_BENCH_DIR``, from the source distribution of
the installed llama-cpp-python:

    cmake -S SOURCE -B BUILD -DCMAKE_BUILD_TYPE=Release && cmake --build BUILD --target llama-bench

What is compared is measured in turns and the best of the rounds counts: other programs only ever slow a round down.
Our side is ``LocalModel.generate`` read to its end, with laying out, log-probabilities, the guard against repetition
and text, and without drafts (``mnemon.runtime.lookup``), which ``answers.py`` measures. ``llama-bench`` gets the same
file, threads, number of prompt tokens, tokens before an answer and batch of 512; flash attention (on), 16-bit keys
and values and memory mapping are the defaults of both. Its context has just the cells it needs, ours a whole window
for six conversations; attention reads the same of both, the cells in use rounded up to 256.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import llama_cpp_source
import make_random_model

from mnemon.paths import Home
from mnemon.runtime.catalog import ModelSpec, resolve
from mnemon.runtime.chat_model import ChatMessage, GenerationReport, Sampling
from mnemon.runtime.crowding import usable_cores
from mnemon.runtime.layout import Layout
from mnemon.runtime.lookup import Pace
from mnemon.runtime.sampling import RepetitionGuard
from mnemon.runtime.worker import LocalModel
from mnemon.settings import ModelSettings

SPEED, TURN_20, REOPEN = 0.97, 1.3, 0.1
PROMPT, ANSWER = 512, 128
SYSTEM = ChatMessage("system", "You are Mnemon, a personal assistant that runs on the user's own device.")
SENTENCE = "I walked the dog along the river and bought bread and oranges on the way home. "
QUESTIONS = [
    "Who are you?",
    "My dog is called Biscuit.",
    "How are you today?",
    "Tell me a story.",
    "What can you do?",
]


class EndlessLayout(Layout):
    """An answer does not end before its length: ``llama-bench`` does not stop at the end of a sentence either."""

    def ends(self, token: int) -> bool:
        """Never."""
        return super().ends(token) and False


class DeafGuard(RepetitionGuard):
    """Works as hard as ever but lets an answer go on."""

    def add(self, text: str) -> bool:
        """Never enough."""
        return super().add(text) and False


class PlainPace(Pace):
    """What has been said before is looked for, and never drafted."""

    def size(self, match: int) -> int:
        """One token at a time."""
        return min(1, super().size(match))


def llama_bench() -> Path:
    """The yardstick, built when it is not there yet (some minutes)."""
    build = llama_cpp_source.cache_folder() / "build-llama"
    program = build / "bin" / "llama-bench"
    if not program.exists():
        print("building llama-bench, once …", file=sys.stderr)
        configure = ["cmake", "-S", str(llama_cpp_source.llama_cpp()), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"]
        subprocess.run([*configure, "-DLLAMA_BUILD_TESTS=OFF"], check=True, stdout=subprocess.DEVNULL)
        command = ["cmake", "--build", str(build), "--target", "llama-bench", "-j", str(usable_cores())]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return program


def real_shape(kind: str = "q8_0") -> ModelSpec:
    """Random weights of Qwen2-0.5B's shape, made once."""
    suffix = "" if kind == "q8_0" else f"-{kind}"
    path = llama_cpp_source.cache_folder() / f"qwen2-0.5b-random{suffix}.gguf"
    if not path.exists():
        make_random_model.write(make_random_model.SHAPES["qwen2-0.5b"], path, kind=kind)
    return replace(
        built_in(),
        name=f"0.5B shape{suffix.replace('-', ' ')}",
        path=path,
        context=4096,
        sampling=Sampling(temperature=0.8),
    )


def built_in() -> ModelSpec:
    """The model that comes with Mnemon."""
    return resolve("built-in", Home(Path("nowhere")))


def llama_bench_speed(spec: ModelSpec, threads: int, *test: str, repeat: int = 1) -> float:
    """Tokens a second of one of its tests, the mean of as many times."""
    same = ["-t", str(threads), "-b", "512", "-ub", "512", "-fa", "auto", "-r", str(repeat), "-o", "json"]
    command = [str(llama_bench()), "-m", str(spec.path), *same, *test]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)[0]["avg_ts"])


def against_llama_bench(spec: ModelSpec, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Prompt and generation speed, tokens a second, as ratios."""

    def theirs(prompt: int, depth: int) -> tuple[float, float]:
        """A prompt of as many tokens, and an answer behind as many."""
        tests = ["-p", str(prompt), "-n", "0"], ["-p", "0", "-n", str(ANSWER), "-d", str(depth)]
        reading, saying = (llama_bench_speed(spec, threads, *test) for test in tests)
        return reading, saying

    with (
        mock.patch("mnemon.runtime.worker.Pace", PlainPace),
        mock.patch("mnemon.runtime.worker.Layout", EndlessLayout),
        mock.patch("mnemon.runtime.worker.RepetitionGuard", DeafGuard),
        LocalModel.load(spec, ModelSettings(threads=threads)) as model,
    ):

        def ours() -> tuple[float, float]:
            read = say(model, long, 1)
            return read.prompt_tokens / read.first_token_ms * 1000, say(model, story, ANSWER).tokens_per_second

        long = [SYSTEM, ChatMessage("user", words(model, PROMPT - 60))]
        story = [SYSTEM, ChatMessage("user", "Tell me a story.")]
        prompt, depth = (say(model, told, 1).prompt_tokens for told in (long, story))
        pairs = [(ours(), theirs(prompt, depth)) for _ in range(rounds)]
    rows = []
    for i, what in enumerate(("prompt", "generation")):
        mine, yardstick = (max(pair[side][i] for pair in pairs) for side in (0, 1))
        told = f"{spec.name}: {what}, {mine:.0f} tokens/s against llama-bench's {yardstick:.0f}"
        rows.append(row(told, mine / yardstick, f"≥ {SPEED}", mine / yardstick >= SPEED))
    return rows


def turn_20(spec: ModelSpec, threads: int, rounds: int) -> dict[str, Any]:
    """First token of turn 20 against turn 2, with the same new text."""
    second, twentieth = [], []
    with LocalModel.load(spec, ModelSettings(threads=threads)) as model:
        for i in range(rounds):
            messages = [SYSTEM]
            for turn in range(1, 21):
                messages.append(ChatMessage("user", "And what else do you know about that?"))
                report = say(model, messages, 12, session=f"~{i}", keep=messages.append)
                if turn == 2:
                    second.append(report.first_token_ms)
            twentieth.append(report.first_token_ms)
    a, b = min(twentieth), min(second)
    told = f"{spec.name}: first token of turn 20, {a:.1f} ms, against turn 2, {b:.1f} ms"
    return row(told, a / b, f"≤ {TURN_20}", a / b <= TURN_20)


def reopening(spec: ModelSpec, threads: int, rounds: int) -> dict[str, Any]:
    """First token after reopening a conversation of 2,000 tokens against decoding it again."""
    settings = ModelSettings(threads=threads, context=4096)
    reopened, decoded = [], []
    with tempfile.TemporaryDirectory() as name:
        folder, key = Path(name), bytes(32)
        with LocalModel.load(spec, settings, session_dir=folder, session_key=key) as model:
            messages = [SYSTEM, ChatMessage("user", words(model, 2000))]
            say(model, messages, 8, session="kept", keep=messages.append)
        messages.append(ChatMessage("user", "And now?"))
        for _ in range(rounds):
            with LocalModel.load(spec, settings, session_dir=folder, session_key=key) as model:
                say(model, [SYSTEM, ChatMessage("user", "Hi")], 2)
                reopened.append(say(model, messages, 2, session="kept").first_token_ms)
                decoded.append(say(model, messages, 2).first_token_ms)
    a, b = min(reopened), min(decoded)
    told = f"{spec.name}: reopening 2,000 tokens, {a:.0f} ms to the first, against decoding them, {b:.0f} ms"
    return row(told, a / b, f"≤ {REOPEN}", a / b <= REOPEN)


def say(
    model: LocalModel,
    messages: list[ChatMessage],
    count: int,
    *,
    sampling: Sampling | None = None,
    session: str | None = None,
    keep: Callable[[ChatMessage], None] | None = None,
) -> GenerationReport:
    """One answer of at most ``count`` tokens, read to its end."""
    generation = model.generate(messages, max_tokens=count, sampling=sampling, session=session)
    text = "".join(piece.text for piece in generation)
    if keep is not None:
        keep(ChatMessage("assistant", text))
    return generation.report


def words(model: LocalModel, tokens: int) -> str:
    """Text of about so many tokens."""
    return SENTENCE * (tokens // model.count_tokens(SENTENCE))


def show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print the rows: as JSON for ``scripts/bench/all.py``, else a line each."""
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for one in rows:
        print(f"{one['what']}: {one['value']} {one['unit']} (bar {one['bar']}){'' if one['ok'] else '  MISSED'}")


def row(what: str, value: float, bar: str, ok: bool) -> dict[str, Any]:
    """As ``scripts/bench/all.py`` prints it."""
    return {"what": what, "value": round(value, 3), "unit": "×", "bar": bar, "ok": ok}


def print_rows(description: str, rows: Callable[[int], list[dict[str, Any]]]) -> None:
    """Print what ``rows`` measures with so many threads, as text or with ``--json`` as one document."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    show(rows(arguments.threads), as_json=arguments.json)


def measured(threads: int) -> list[dict[str, Any]]:
    """All rows of this bench."""
    small, real = built_in(), real_shape()
    return [
        *against_llama_bench(small, threads, rounds=15),
        *against_llama_bench(real, threads, rounds=3),
        turn_20(small, threads, rounds=5),
        turn_20(real, threads, rounds=2),
        reopening(real, threads, rounds=2),
    ]


if __name__ == "__main__":
    print_rows(__doc__, measured)
