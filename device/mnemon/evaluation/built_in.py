"""A chat model by itself: every case asked at temperature 0 with the product's own prompts, judged by rules.

Nothing around the model helps it here: no quoting, no gate, no patterns. What it says is what counts.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemon.evaluation.built_in_cases import Case, Request, Task, request
from mnemon.evaluation.judging import CHAT, Answer, Judge, Verdict
from mnemon.runtime.chat_model import ChatModel, GenerationReport, Sampling

if TYPE_CHECKING:
    from mnemon.runtime.catalog import ModelSpec, Placement
    from mnemon.runtime.worker import LocalModel
    from mnemon.settings import ModelSettings

GREEDY = Sampling(temperature=0.0)
FEW_NOTES = 4
MANY_NOTES = 6

Progress = Callable[[int, int], None]
"""Called with (done, total)."""
Keep = Callable[[dict[str, Any]], None]
"""Called with each case, what was said to it, and the verdict."""


@dataclass(slots=True)
class Speed:
    """Tokens and seconds of all answers that no grammar slowed down."""

    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    answer_tokens: int = 0
    answer_seconds: float = 0.0

    def add(self, report: GenerationReport) -> None:
        """Count one answer; the first token belongs to the reading of the prompt."""
        if not report.answer_tokens:
            return
        self.prompt_tokens += report.prompt_tokens - report.cached_tokens
        self.prompt_seconds += report.first_token_ms / 1000
        self.answer_tokens += report.answer_tokens - 1
        self.answer_seconds += max(0.0, report.total_ms - report.first_token_ms) / 1000

    def as_dict(self) -> dict[str, float]:
        """Tokens a second; 0 where nothing was measured."""
        return {
            "prompt_tokens_per_s": _rate(self.prompt_tokens, self.prompt_seconds),
            "generation_tokens_per_s": _rate(self.answer_tokens, self.answer_seconds),
        }


def opened(spec: ModelSpec, settings: ModelSettings, memories: Placement | None = None) -> LocalModel:
    """The model of ``spec``, loaded; ``memories`` says where they go in its prompt, if not where the catalog says.

    Raises:
        ModelError: It is missing, damaged, or not supported.
    """
    from mnemon.runtime.worker import LocalModel

    return LocalModel.load(replace(spec, memory_placement=memories or spec.memory_placement), settings)


def described(model: ChatModel) -> dict[str, Any]:
    """Which model it is, its file's SHA-256 included."""
    with Path(model.info.path).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "model": model.info.name,
        "sha256": sha256,
        "parameters": model.info.parameters,
        "file_bytes": model.info.file_bytes,
        "memories": model.info.memory_placement,
    }


def run(
    model: ChatModel, cases: Sequence[Case], *, progress: Progress | None = None, keep: Keep | None = None
) -> dict[str, Any]:
    """Ask every case.

    Args:
        model: Whom.
        cases: At least one.
        progress: Told how many are done.
        keep: Given each case with its prompt, answer and verdict, as soon as it is there.

    Returns:
        ``cases`` (how many), ``figures`` (shares in [0, 1]; those without a case are left out), ``by_task``
        (``right`` of ``of``), ``speed`` in tokens a second, ``seconds``.

    Raises:
        ModelError: The model fails, or a case does not fit into its window.
    """
    started = time.perf_counter()
    judge, speed = Judge(cases), Speed()
    verdicts: list[tuple[Case, Verdict]] = []
    ended = 0
    for case in cases:
        asked = request(case, model.info)
        answer, report = _answer(model, asked)
        if asked.grammar is None:
            speed.add(report)
        verdict = judge.judge(case, answer)
        verdicts.append((case, verdict))
        ended += answer.stop_reason == "end"
        if keep:
            keep(_transcript(len(verdicts), case, asked, answer, verdict))
        if progress:
            progress(len(verdicts), len(cases))
    return {
        "cases": len(cases),
        "figures": {**_figures(verdicts), "ended": share(ended, len(cases))},
        "by_task": _by_task(verdicts),
        "speed": speed.as_dict(),
        "seconds": round(time.perf_counter() - started, 1),
    }


def share(part: float, whole: float) -> float:
    """``part`` of ``whole`` to four places; 0 of nothing."""
    return round(part / whole, 4) if whole else 0.0


def _answer(model: ChatModel, asked: Request) -> tuple[Answer, GenerationReport]:
    generation = model.generate(asked.messages, max_tokens=asked.max_tokens, sampling=GREEDY, grammar=asked.grammar)
    text = "".join(piece.text for piece in generation)
    return Answer(text.strip(), generation.report.stop_reason), generation.report


def _figures(verdicts: Sequence[tuple[Case, Verdict]]) -> dict[str, float]:
    def of(task: Task) -> list[Verdict]:
        return [verdict for case, verdict in verdicts if case.task == task]

    def right(these: Sequence[Verdict]) -> float:
        return share(sum(verdict.right for verdict in these), len(these))

    figures: dict[str, float] = {}
    simple: tuple[Task, ...] = (
        "recall",
        "unknown",
        "update",
        "in_conversation",
        "acknowledge",
        "dated",
        "hard",
        "smalltalk",
        "meta",
    )
    for task in simple:
        if these := of(task):
            figures[task] = right(these)
    recalled = [(len(case.notes), verdict) for case, verdict in verdicts if case.task == "recall"]
    if few := [verdict for notes, verdict in recalled if notes <= FEW_NOTES]:
        figures["recall_few_notes"] = right(few)
    if many := [verdict for notes, verdict in recalled if notes >= MANY_NOTES]:
        figures["recall_many_notes"] = right(many)
    if these := of("extraction"):
        found, said, wanted = _sum(these, "found"), _sum(these, "said"), _sum(these, "wanted")
        figures["extraction_f1"] = share(2 * found, said + wanted)
        figures["extraction_precision"] = share(found, said)
        figures["extraction_recall"] = share(found, wanted)
        figures["extraction_exact"] = right(these)
    if these := of("list"):
        figures["list_found"] = share(_sum(these, "found"), _sum(these, "wanted"))
        figures["list_repeats"] = share(_sum(these, "repeats"), len(these))
    if these := of("profile"):
        figures["profile_faithful"] = share(sum(not verdict.invented for verdict in these), len(these))
        figures["profile_kept"] = right(these)
        figures["profile_covered"] = share(_sum(these, "found"), _sum(these, "wanted"))
    if these := [verdict for case, verdict in verdicts if case.task in CHAT]:
        figures["chat_whole"] = share(_sum(these, "whole"), len(these))
    everything = [verdict for _, verdict in verdicts]
    figures["no_invention"] = share(sum(not verdict.invented for verdict in everything), len(everything))
    figures["broken"] = share(_sum(everything, "broken"), len(everything))
    return figures


def _sum(verdicts: Sequence[Verdict], what: str) -> int:
    return sum(int(getattr(verdict, what)) for verdict in verdicts)


def _by_task(verdicts: Sequence[tuple[Case, Verdict]]) -> dict[str, dict[str, int]]:
    asked = Counter(case.task for case, _ in verdicts)
    right = Counter(case.task for case, verdict in verdicts if verdict.right)
    return {task: {"right": right[task], "of": number} for task, number in sorted(asked.items())}


def _transcript(number: int, case: Case, asked: Request, answer: Answer, verdict: Verdict) -> dict[str, Any]:
    return {
        "case": number,
        "task": case.task,
        "messages": [{"role": m.role, "content": m.content} for m in asked.messages],
        "answer": answer.text,
        "stop_reason": answer.stop_reason,
        "right": verdict.right,
        "invented": list(verdict.invented),
        "broken": verdict.broken,
        "must_all": list(case.must_all),
        "must_any": list(case.must_any),
        "must_not": list(case.must_not),
        "lines": list(case.lines),
    }


def _rate(tokens: int, seconds: float) -> float:
    return round(tokens / seconds, 1) if seconds else 0.0
