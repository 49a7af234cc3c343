"""What Mnemon says when the model said nothing that it may say."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mnemon.answering.acknowledgement import acknowledge
from mnemon.answering.evidence import UNKNOWN, Evidence, quote

if TYPE_CHECKING:
    from mnemon.answering.draft import Draft
    from mnemon.answering.questions import Asked

LOST = "I'm not sure what to say to that. You can put it another way, or tell me more."
TOO_HARD = (
    "I don't know that: it is more than my small model can answer. `mnemon models list` shows larger ones,"
    " and `mnemon cloud --help` how I can ask one elsewhere."
)


def in_other_words(
    asked: Asked, evidence: Evidence, draft: Draft, now: datetime, *, told: bool, small: bool, attempt: int
) -> str:
    """The owner's own words where they answer, else that nothing is known; the draft is told which of the two.

    Args:
        told: The answer lies in what the owner told.
        small: The model is one that knows little of the world.
        attempt: How many answers there are already; so many memories are passed over.
    """
    if not asked.asks:
        return acknowledge(draft.question.text)
    if not told:
        return TOO_HARD if small and (asked.advice or not asked.of_mnemon) else LOST
    text = quote(asked, evidence, now, skip=attempt)
    if text == UNKNOWN:
        draft.route, draft.reason = "unknown", "nothing told comes near enough"
        return text
    draft.route = "quoted"
    if draft.report is None:
        draft.reason = "the owner's own words are surer"
    return text
