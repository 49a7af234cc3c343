"""The held-out cases that measure the built-in model: ``python -m train_builtin.conversations.cases``.

They are conversations of the split that is never trained on, cut off before an answer whose values are known.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mnemon.memory.extraction import answer_lines
from train_builtin.conversations import KINDS
from train_builtin.conversations.scene import Scene, Turn, World

SEED = 2026
COUNTS = {
    "recall": 115,
    "unknown": 60,
    "update": 60,
    "extraction": 55,
    "acknowledge": 30,
    "in_conversation": 60,
    "list": 20,
    "dated": 20,
    "profile": 20,
    "hard": 20,
    "smalltalk": 20,
    "meta": 20,
}
EARLIER_TURNS = 3
"""The product shows the built-in model so many exchanges before the question: what was told must not fall out."""
_DETERMINER = re.compile(r"^(?:in the|on the|an|a|the) (?=\w)")
PATH = Path(__file__).resolve().parents[3] / "device" / "mnemon" / "evaluation" / "built_in_cases.jsonl"


def cases() -> Iterator[dict[str, Any]]:
    """All cases, always the same ones."""
    for task, count in COUNTS.items():
        rng = random.Random(f"{task} {SEED}")
        world = World(rng, "heldout")
        maker = KINDS[task][0]
        seen: set[str] = set()
        while len(seen) < count:
            case = _cut(maker(world), rng)
            key = json.dumps(case and [case["notes"], case["turns"], case["question"]])
            if case and key not in seen:
                seen.add(key)
                yield case


def _cut(scene: Scene, rng: random.Random) -> dict[str, Any] | None:
    """The conversation up to one of its telling questions, or None when it has none that a case can be made of."""
    places = [i for i, turn in enumerate(scene.turns[: EARLIER_TURNS + 1]) if _telling(scene.kind, turn)]
    if not places or scene.dated:
        return None
    place = places[-1] if scene.kind in ("update", "in_conversation") else rng.choice(places)
    turn = scene.turns[place]
    needed = _bare(turn.must)
    said = turn.answer.casefold()
    return {
        "task": scene.kind,
        "notes": [fact.text for fact in scene.facts] if scene.kind == "profile" else scene.notes,
        "episodes": [
            [e.day.isoformat(), f"The user said: {e.said}{'' if e.valid else ' (no longer so)'}"]
            for e in scene.episodes
        ],
        "turns": [pair for turn in scene.turns[:place] for pair in (["user", turn.user], ["assistant", turn.answer])],
        "question": turn.user,
        "must_all": needed,
        "must_any": [] if scene.kind == "unknown" else list(turn.any_of),
        "must_not": [value for value in _bare(turn.must_not) if value.casefold() not in said],
        "lines": answer_lines(turn.answer) if scene.kind == "extraction" else [],
        "values": _bare([value for fact in scene.facts for value in fact.open_values]),
    }


def _telling(kind: str, turn: Turn) -> bool:
    if not turn.measures:
        return False
    admits = "don't know" in turn.any_of
    return admits if kind == "unknown" else not admits


def _bare(values: Sequence[str]) -> list[str]:
    """Values without "a" and "the", each once: what matters of "an electrician" is "electrician"."""
    return list(dict.fromkeys(_DETERMINER.sub("", value) for value in values))


def as_lines(made: Iterable[dict[str, Any]]) -> str:
    """Cases as the file holds them."""
    return "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in made)


def main() -> None:
    """Write the cases to where ``mnemon eval built-in`` reads them."""
    made = list(cases())
    PATH.write_text(as_lines(made), encoding="utf-8")
    print(f"{len(made)} cases in {PATH.name}")


if __name__ == "__main__":
    main()
