"""Why a question goes where it goes, in one sentence for its owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from mnemon.routing.signals import Signals

KINDS: Final = {
    "hard arithmetic": "It needs sums, which the small model gets wrong",
    "hard code": "It is about programming",
    "hard comparing": "It asks to weigh things up",
    "hard doing": "It asks how to do something that has to be right",
    "hard explaining": "It asks for an explanation the small model knows too little for",
    "hard knowledge": "It asks about the world, of which the small model knows little",
    "hard law": "It is about law",
    "hard medicine": "It is about medicine",
    "hard money": "It is about money or tax",
    "hard planning": "It asks for a plan with several parts",
    "hard reading": "It asks to work through a longer text",
    "hard reasoning": "It takes several steps of reasoning",
    "hard translation": "It is about another language",
    "hard writing": "It asks for a piece of writing",
    "easy commonplace": "It is short and simple",
    "easy definition": "It asks for one word or one plain thing",
    "easy mnemon": "It is about Mnemon itself",
    "easy preference": "It is a small choice",
    "easy recall": "It asks for something you told",
    "easy reminder": "It is something to keep for you",
    "easy restating": "It is about what was just said",
    "easy smalltalk": "It is small talk",
    "easy telling": "You are telling something",
    "easy thanks": "It only answers what was said",
}
"""What is said of each kind of question."""
_MOVED: Final = 0.5  # log-odds that are worth a mention
_UNDECIDED: Final = 0.15
_NEAR: Final = 0.5  # a memory this near plainly holds what was asked for (mnemon.answering.evidence.STRONG)


def reason(
    route: Literal["local", "cloud"],
    kinds: Sequence[tuple[float, str]],
    signals: Signals,
    *,
    hard: float,
    draft: float,
    verdicts: float,
) -> str:
    """One sentence, with what weighed most for ``route``.

    Args:
        kinds: The likeliest kinds with their shares, best first.
        hard: The figure compared with the threshold.
        draft: What the draft added, in log-odds.
        verdicts: What the owner's verdicts added, in log-odds.
    """
    towards = 1 if route == "cloud" else -1
    if verdicts * towards > _MOVED:
        chose = "asked the cloud" if route == "cloud" else "were content with the answer from here"
        return f"For questions like this you {chose}."
    if route == "cloud" and draft > _MOVED:
        unsure = "found nothing to say" if signals.draft is not None and signals.draft.refused else "was not sure"
        return f"The small model {unsure} when it tried."
    if route == "local" and signals.about_owner and signals.recall_best >= _NEAR:
        return "You told me something that answers it."
    side = "hard " if route == "cloud" else "easy "
    fitting = next((kind for _, kind in kinds if kind.startswith(side)), "")
    said = KINDS.get(fitting, "It is more than the small model can do" if route == "cloud" else "It can stay here")
    close = abs(hard - 0.5) < _UNDECIDED
    return f"{said}, as far as can be told." if close else f"{said}."
