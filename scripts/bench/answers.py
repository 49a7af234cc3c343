"""What a person gets of the runtime's speed: answers about what was told, and the first words of a long conversation.

    python scripts/bench/answers.py [--json] [--threads N]

Answers about what was told repeat words of their prompts, which are looked up there and decoded together where that
pays (``mnemon.runtime.lookup``). The prompts are the product's own: forty facts (``mnemon eval told``) are told to an
``Assistant`` and asked for, and what it gave its model is given to the model again, with drafts and without in turn.
``llama-bench`` generates as many tokens as an answer has in the mean, behind as many as a prompt has. Random weights
repeat nothing: there it is measured what looking costs, and what is gained where an answer's words are put into their
mouth. The best of the rounds counts on each side, as in ``runtime.py``.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
from runtime import SPEED, SYSTEM, TURN_20, built_in, llama_bench_speed, print_rows, real_shape, row

from mnemon.assistant import Assistant
from mnemon.runtime.catalog import ModelSpec
from mnemon.runtime.chat_model import ChatMessage, Sampling
from mnemon.runtime.lookup import Pace
from mnemon.runtime.sampling import Sampler
from mnemon.runtime.worker import LocalModel
from mnemon.settings import ModelSettings, Settings
from mnemon.turns import Delta

COST = 0.99
ANSWER = 64
LOUD = Sampling(temperature=1.2, top_k=40, top_p=1.0, min_p=0.0, seed=7)
NEW = "Good morning! How are you today?"
TOLD = (
    "My sister Noor moved to Porto last spring.",
    "I had soup for lunch today.",
    "The train was late again this morning.",
    "I am reading a book about bees.",
    "My knee hurts a bit after running.",
    "We painted the kitchen light green.",
    "My colleague Femi has a new puppy.",
    "It rained the whole weekend here.",
    "I slept badly because of the heat.",
    "The neighbours planted an apple tree.",
    "I have to call the dentist on Friday.",
    "My bicycle has a flat tyre.",
    "We are having pasta with mushrooms tonight.",
    "The library opens at nine now.",
    "I found my old camera in a drawer.",
    "My nephew Tobias started school.",
    "The bus takes forty minutes to the office.",
    "I bought a blue scarf.",
)
NOTES = "\n".join(f"- [2026-03-02] The user said: {told}" for told in TOLD[:5])


class Undrafted(Pace):
    """Drafts nothing, and looks for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.pays = False

    def answered(self, tokens: int) -> None:
        """Nor later."""


HEARD: list[list[ChatMessage]] = []


class Listening(LocalModel):
    """Keeps what it is given to answer a person."""

    def generate(self, messages: Any, **how: Any) -> Any:
        """As ever."""
        if how.get("session") is not None:
            HEARD.append(list(messages))
        return super().generate(messages, **how)


def prompts(spec: ModelSpec, threads: int) -> list[list[ChatMessage]]:
    """What the product gives its model where facts are told and asked for, each in a conversation of its own."""
    text = resources.files("mnemon.evaluation").joinpath("told_facts.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    with (
        tempfile.TemporaryDirectory() as home,
        Listening.load(spec, ModelSettings(threads=threads)) as model,
        Assistant(home, chat_model=model) as assistant,
    ):
        for said in [*(one["tell"] for one in rows if one["tell"]), *(one["ask"] for one in rows)]:
            assistant.ask(said)
            assistant.wait()
    return HEARD


def speed(model: LocalModel, pace: Pace, given: list[list[ChatMessage]], sampling: Sampling | None = None) -> Any:
    """Tokens a second after the first of each answer, and the means of prompt and answer in tokens."""
    model._pace = pace
    tokens, seconds, reports = 0, 0.0, []
    for messages in given:
        generation = model.generate(messages, max_tokens=ANSWER, sampling=sampling)
        for _ in generation:
            pass
        report = generation.report
        reports.append(report)
        tokens += report.answer_tokens - 1
        seconds += (report.total_ms - report.first_token_ms) / 1000
    prompt = sum(r.prompt_tokens for r in reports) // len(reports)
    return tokens / seconds, prompt, sum(r.answer_tokens for r in reports) // len(reports)


def about_what_was_told(spec: ModelSpec, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Answers with drafts and without, against ``llama-bench``."""
    given = prompts(spec, threads)
    with LocalModel.load(spec, ModelSettings(threads=threads)) as model:
        drafting, plain, bench = [], [], []
        pace = Pace()
        for _ in range(rounds):
            with_drafts, prompt, answer = speed(model, pace, given)
            drafting.append(with_drafts)
            plain.append(speed(model, Undrafted(), given)[0])
            test = ["-p", "0", "-n", str(answer), "-d", str(prompt)]
            bench.append(llama_bench_speed(spec, threads, *test, repeat=10))
    a, b, c = max(drafting), max(plain), max(bench)
    what = f"{spec.name}: {len(given)} answers about what was told"
    return [
        row(f"{what}, {a:.0f} tokens/s against llama-bench's {c:.0f}", a / c, f"≥ {SPEED}", a / c >= SPEED),
        row(f"{what}, nothing drafted, {b:.0f} tokens/s against llama-bench's {c:.0f}", b / c, "—", True),
    ]


@contextmanager
def saying(words: list[int]) -> Iterator[None]:
    """Whatever a model would say, it says these words; choosing takes as long as ever."""
    choose = Sampler.choose
    script: Iterator[int] = iter(())

    def chosen(self: Sampler, at: int = -1) -> tuple[int, float]:
        nonlocal script
        if at == -1 and not getattr(self, "begun", False):
            self.begun, script = True, itertools.cycle(words)  # type: ignore[attr-defined]
        return next(script), choose(self, at)[1]

    with mock.patch.object(Sampler, "choose", chosen):
        yield


def of_random_weights(spec: ModelSpec, threads: int, rounds: int) -> list[dict[str, Any]]:
    """What looking costs where nothing is found, and what drafts gain where all words stand in the prompt."""
    rows = []
    story = [[SYSTEM, ChatMessage("user", "Tell me a story.")]]
    notes = [[SYSTEM, ChatMessage("user", f"{NOTES}\n\nWhat did I tell you?")]]
    with LocalModel.load(spec, ModelSettings(threads=threads)) as model:
        pace = Pace()
        pairs = [
            (speed(model, pace, story, LOUD)[0], speed(model, Undrafted(), story, LOUD)[0]) for _ in range(rounds)
        ]
        a, b = (max(pair[side] for pair in pairs) for side in (0, 1))
        told = f"{spec.name}: nonsense, with words looked up, {a:.1f} tokens/s, against without, {b:.1f}"
        rows.append(row(told, a / b, f"≥ {COST}", a / b >= COST))
        with saying(model.model.plain(NOTES)[:ANSWER]):
            pace = Pace()
            pairs = [(speed(model, pace, notes)[0], speed(model, Undrafted(), notes)[0]) for _ in range(rounds + 1)]
        a, b = (max(pair[side] for pair in pairs) for side in (0, 1))
        told = f"{spec.name}: {ANSWER} words of the prompt again, {a:.1f} tokens/s, against without drafts, {b:.1f}"
        rows.append(row(told, a / b, "—", True))
    return rows


def turn_20(spec: ModelSpec, threads: int, rounds: int) -> dict[str, Any]:
    """The first words of turn 20 against those of turn 2, as a person waits for them.

    The message is saved, memory searched, the prompt laid out and read, the words said and checked. What is learned
    from a turn is done before the next one begins.
    """
    second, twentieth = [], []
    settings = Settings(model=ModelSettings(threads=threads, max_answer_tokens=24))
    for _ in range(rounds):
        with (
            tempfile.TemporaryDirectory() as home,
            LocalModel.load(spec, settings.model) as model,
            Assistant(home, settings=settings, chat_model=model) as assistant,
        ):
            assistant.memory.warm()
            chat = assistant.chat()
            for turn, text in enumerate((TOLD[0], NEW, *TOLD[1:], NEW), 1):
                began, first = time.perf_counter(), 0.0
                for event in chat.send(text):
                    if isinstance(event, Delta) and not first:
                        first = 1000 * (time.perf_counter() - began)
                assistant.wait()
                if turn in (2, 20):
                    (second if turn == 2 else twentieth).append(first)
    a, b = min(twentieth), min(second)
    told = f"{spec.name}, the whole product: first words of turn 20, {a:.0f} ms, against turn 2, {b:.0f} ms"
    return row(told, a / b, f"≤ {TURN_20}", a / b <= TURN_20)


def measured(threads: int) -> list[dict[str, Any]]:
    """All rows of this bench."""
    small = built_in()
    pulled = [replace(real_shape(kind), memory_placement="message", memory_limit=8) for kind in ("q8_0", "q4_0")]
    return [
        *about_what_was_told(small, threads, rounds=10),
        *(one for spec in pulled for one in of_random_weights(spec, threads, rounds=3)),
        turn_20(small, threads, rounds=4),
        turn_20(pulled[0], threads, rounds=1),
    ]


if __name__ == "__main__":
    print_rows(__doc__, measured)
