"""Mnemon beside mem0, its best known open-source peer: what is found, and how long a search takes.

    .venv/bin/python scripts/bench/peers.py --path locomo10.json --sizes 1000 10000 100000

mem0 (``mem0ai`` from PyPI, https://github.com/mem0ai/mem0) is installed into an environment of its own in the
user's cache folder, never into Mnemon's; this is the only use of a network. It runs as ``pip install mem0ai`` leaves
it, with its default store (Qdrant's local mode, in files), ``infer=False`` and telemetry off: its keyword search and
entities need further packages and models that have to be downloaded. Both embed with Mnemon's own embedder, both get
the same words, and every question goes to one and then the other, so that whatever else the machine does bears on
both. Times are of the search alone; the question's embedding, which is the same for both, is reported apart.

Recall is the share of a question's evidence turns among the first k, over all questions of LoCoMo's conversations.
Times at sizes are among made-up memories (:mod:`mnemon.evaluation.sizes`), put straight into the stores of both, as
they are not sentences that could be embedded.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from mnemon.evaluation import datasets, retrieval, sizes
from mnemon.evaluation.metrics import mean, percentile, recall_at
from mnemon.evaluation.report import table
from mnemon.memory.embedding import Embedder
from mnemon.memory.memory import Memory
from mnemon.memory.store import Store

HERE = Path(__file__).resolve().parent
DEPTHS = (5, 10, 25, 50)
LIMIT = 10  # memories asked for at sizes
POINTS_AHEAD, OF_ITS_TIME = 0.20, 0.2
_SHARED = ("numpy", "onnxruntime", "tokenizers")
_KEY = b"k" * 32


class Timed(Embedder):
    """The embedder with the seconds it took."""

    seconds = 0.0

    def embed(self, texts: Any) -> Any:
        """See :meth:`Embedder.embed`."""
        started = time.perf_counter()
        vectors = super().embed(texts)
        self.seconds += time.perf_counter() - started
        return vectors


class Peer:
    """mem0 in its own process: one JSON line there, one back."""

    def __init__(self, python: Path) -> None:
        repository = HERE.parents[1]
        paths = os.pathsep.join(str(repository / folder) for folder in ("device", "models"))
        self._process = subprocess.Popen(
            [str(python), str(HERE / "peer_mem0.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("mem0's process has no pipes")
        self._questions, self._answers = self._process.stdin, self._process.stdout

    def __call__(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Have something done and wait for it."""
        print(json.dumps({"do": do, **arguments}), file=self._questions, flush=True)
        line = self._answers.readline()
        if not line:
            raise SystemExit("mem0's process ended: see above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._questions.close()
        self._process.wait(60)


def installed() -> Path:
    """The Python that has mem0; made the first time, with the versions of what embeds that Mnemon has."""
    folder = Path(platformdirs.user_cache_dir("mnemon-bench")) / "mem0"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = ["mem0ai", *(f"{name}=={importlib.metadata.version(name)}" for name in _SHARED)]
    if not python.is_file():
        venv.create(folder, with_pip=True)
    check = f"import importlib.metadata as m; print(*(m.version(n) for n in {['mem0ai', *_SHARED]!r}))"
    there = subprocess.run([python, "-c", check], capture_output=True, text=True, check=False)
    if there.returncode or there.stdout.split()[1:] != [importlib.metadata.version(name) for name in _SHARED]:
        print(f"installing mem0ai into {folder} …", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


@contextmanager
def opened(path: Path, embedder: Embedder) -> Iterator[Memory]:
    """Mnemon's memory in that file."""
    memory = Memory(Store.open(path, _KEY), embedder=embedder)
    try:
        yield memory
    finally:
        memory.close()


def compare_recall(peer: Peer, path: Path, names: list[str]) -> dict[str, Any]:
    """Recall of both at ``DEPTHS`` over all questions, and what a question took each, in milliseconds."""
    found: dict[str, dict[int, list[float]]] = {who: defaultdict(list) for who in ("mnemon", "mem0")}
    of_category: dict[str, dict[str, list[float]]] = {who: defaultdict(list) for who in found}
    took: list[dict[str, dict[str, float]]] = []
    embedder = Timed()
    embedder.embed_one("ready")
    for sample in datasets.samples("locomo", path):
        if names and sample.name not in names:
            continue
        print(f"{sample.name}, {len(sample.questions)} questions …", file=sys.stderr)
        turns = [
            {"ref": turn.ref, "speaker": turn.speaker, "text": turn.text}
            for talk in sample.talks
            for turn in talk.turns
        ]
        peer("new", name=sample.name)
        peer("save", turns=turns)
        with (
            tempfile.TemporaryDirectory(prefix="mnemon-peers-") as folder,
            opened(Path(folder) / "memory.db", embedder) as memory,
        ):
            retrieval.save(memory, sample.talks)
            memory.warm()
            for question in sample.questions:
                both = _ask(peer, memory, embedder, question.text, max(DEPTHS))
                took.append(both)
                for who, answer in both.items():
                    for k in DEPTHS:
                        share = recall_at(answer["found"], question.evidence["turn"], k)
                        found[who][k].append(share)
                        if k == LIMIT:
                            of_category[who][question.category].append(share)
    return {
        "questions": len(took),
        **{
            who: {
                "recall": {str(k): round(mean(found[who][k]), 4) for k in DEPTHS},
                "by_category": {name: round(mean(v), 4) for name, v in sorted(of_category[who].items())},
                **_times(took, who),
            }
            for who in found
        },
    }


def compare_times(peer: Peer, size: int, count: int) -> dict[str, Any]:
    """What a search among ``size`` memories takes each, in milliseconds."""
    print(f"{size:,} memories …", file=sys.stderr)
    embedder = Timed()
    embedder.embed_one("ready")
    peer("new", name=f"size-{size}")
    started = time.perf_counter()
    peer("fill", size=size)
    filled = time.perf_counter() - started
    with tempfile.TemporaryDirectory(prefix="mnemon-peers-") as folder:
        path = Path(folder) / "memory.db"
        sizes.fill(path, size)
        with opened(path, embedder) as memory:
            memory.warm()
            first, *rest = sizes.questions(count + 1)
            _ask(peer, memory, embedder, first, LIMIT)  # whatever loads at first use
            took = [_ask(peer, memory, embedder, question, LIMIT) for question in rest]
    return {
        "memories": size,
        "questions": count,
        "mem0_filled_s": round(filled, 1),
        **{who: _times(took, who) for who in ("mnemon", "mem0")},
    }


def _ask(peer: Peer, memory: Memory, embedder: Timed, question: str, limit: int) -> dict[str, Any]:
    """One question to mem0 and then to Mnemon."""
    theirs = peer("ask", question=question, limit=limit)
    embedder.seconds = 0.0
    started = time.perf_counter()
    recalled = memory.recall(question, limit=limit)
    total = time.perf_counter() - started
    ours = {
        "found": [found.source.ref or "" for found in recalled if found.source],
        "embed_ms": embedder.seconds * 1000,
        "search_ms": (total - embedder.seconds) * 1000,
    }
    return {"mnemon": ours, "mem0": theirs}


def _times(took: list[dict[str, Any]], who: str) -> dict[str, float]:
    figures = {}
    for what in ("embed", "search"):
        values = [one[who][f"{what}_ms"] for one in took]
        for name, share in (("p50", 0.5), ("p95", 0.95)):
            figures[f"{what}_{name}_ms"] = round(percentile(values, share), 2)
    return figures


def tables(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    parts = [f"mem0ai {report['mem0ai']}.\n"]
    if found := report.get("recall"):
        rows = [
            [who, *(f"{share:.3f}" for share in found[who]["recall"].values())]
            + [f"{share:.3f}" for share in found[who]["by_category"].values()]
            for who in ("mnemon", "mem0")
        ]
        numbers = [f"{number}: @{LIMIT}" for number in found["mnemon"]["by_category"]]
        parts.append(table([f"{found['questions']} questions", *(f"@{k}" for k in DEPTHS), *numbers], rows))
    if report["sizes"]:
        names = ("search_p50_ms", "search_p95_ms", "embed_p50_ms", "embed_p95_ms")
        rows = [
            [f"{row['memories']:,}", who, *(f"{row[who][name]:.2f}" for name in names)]
            for row in report["sizes"]
            for who in ("mnemon", "mem0")
        ]
        parts.append(table(["memories", "", "search p50, ms", "p95", "embedding p50, ms", "p95"], rows))
    return "\n".join(parts)


def verdicts(report: dict[str, Any]) -> dict[str, bool]:
    """The bars: recall@10 at least 20 points higher, search p95 at the largest size at most a fifth."""
    passed = {}
    if found := report.get("recall"):
        ahead = found["mnemon"]["recall"][str(LIMIT)] - found["mem0"]["recall"][str(LIMIT)]
        passed[f"recall@{LIMIT} {ahead * 100:+.1f} points (bar: {POINTS_AHEAD * 100:+.0f})"] = ahead >= POINTS_AHEAD
    for row in report["sizes"][-1:]:
        ratio = row["mnemon"]["search_p95_ms"] / row["mem0"]["search_p95_ms"]
        passed[f"search p95 at {row['memories']:,}: {ratio:.3f} of mem0's (bar: {OF_ITS_TIME})"] = (
            ratio <= OF_ITS_TIME
        )
    return passed


def main() -> None:
    """Compare and print; exit code 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, help="a LoCoMo file; without it recall is not compared")
    parser.add_argument("--sample", action="append", default=[], help="only this conversation, such as conv-26")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--questions", type=int, default=100, help="how many at each size")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    python = installed()
    version = [python, "-c", "import importlib.metadata as m; print(m.version('mem0ai'))"]
    peer = Peer(python)
    report: dict[str, Any] = {
        "mem0ai": subprocess.run(version, capture_output=True, text=True, check=True).stdout.strip()
    }
    try:
        if arguments.path:
            report["recall"] = compare_recall(peer, arguments.path, arguments.sample)
        report["sizes"] = [compare_times(peer, size, arguments.questions) for size in sorted(arguments.sizes)]
    finally:
        peer.close()
    passed = verdicts(report)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print(tables(report))
    for what, ok in passed.items():
        print(f"{'ok    ' if ok else 'MISSED'} {what}", file=sys.stderr)
    sys.exit(0 if all(passed.values()) else 1)


if __name__ == "__main__":
    main()
