# ruff: noqa: E501 - word lists
"""A question as numbers: its embedding, and what its form says beside that."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from mnemon import words
from mnemon.answering.questions import understand
from mnemon.memory.embedding import DIMENSIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.routing.signals import Signals

READ_CHARACTERS: Final = 4_000
"""So much of a question is looked at for its form: what kind of work it is shows at its beginning."""


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(' '.join(a.split()) for a in alternatives)})\b", re.IGNORECASE)


_MAKE = _any(
    "write|draft|compose|design|create|generate|build|draw up|put together|come up with|outline|turn (?:this|these|it)",
    "implement|refactor|plan|organi[sz]e|rewrite|improve|proofread|translate|convert|render|conjugate|pros? and cons?",
)
_THINK = _any(
    "explain|compare|analy[sz]e|evaluate|critique|prove|derive|calculate|compute|work out|solve|estimate|assess|argue",
    "difference between|summari[sz]e|interpret|describe|step by step|in detail|why (?:do|does|is|are|did)|how (?:do|does)",
    "what causes|advantages|which is better|walk me through|recommend",
)
_TOLD = _any(
    "(?:did|have|do) i|i (?:said|told|mentioned|asked)|remember|remind me|again|my \\w+(?:'s)? (?:name|birthday)",
    "what(?:'s| is| was) my|where(?:'s| is| was) my|when(?:'s| is| was) my|who(?:'s| is| was) my",
)
_KEEP = _any("remind me|remember (?:that|to)|note|don't (?:let me )?forget|keep in mind|to my list|jot|write down")
_TALK = _any(
    "hi|hey|hello|thanks|thank you|good (?:morning|night|evening)|bye|how are you|lol|haha|ok|okay|yes|no|sorry|cheers",
    "feel(?:ing)?|bored|lonely|tired|joke|love you",
)
_ABOUT_MNEMON = _any("you|your|yours|yourself|mnemon")
_SMALL_MODEL_FIELDS = _any(
    "legal|law|court|sue|contract|tenant|visa|tax(?:es)?|mortgage|pension|invest(?:ing|ment)?|loan|interest rate|insurance",
    "symptoms?|dose|side effects?|treatment|diagnos\\w+|mg|vaccines?|medication|allergic reaction",
)
_CODE = re.compile(
    r"[{};]\s*$|\w\([\w, \"']{0,80}\)|=>|::|</?\w{1,20}>|\b(?:def|SELECT|import|function|class|const|regex|python|javascript|java"
    r"|sql|rust|bash|git|docker|api|html|css|json|code|script|bug|compile[rd]?|stack trace|exception|query|server)\b",
    re.IGNORECASE | re.MULTILINE,
)
_SUM = re.compile(r"\d\s*[-+*/×x^%]\s*\d|\d%|\bpercent|\bhow (?:many|much)\b|\bsquare root\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\"“:].{40,}", re.DOTALL)

FORM: Final = (
    "words", "sentences", "numbers", "names", "content", "asks", "of_owner", "of_mnemon", "advice", "refers",
    "yes_no", "wants_value", "question_mark", "make", "think", "told", "keep", "talk", "you", "expert", "code", "sum",
    "quoted", "long_number", "recall", "recalled", "about_owner",
)  # fmt: skip
"""What stands beside the embedding, each about 0 to 1."""
LENGTH: Final = DIMENSIONS + len(FORM)


def form(signals: Signals) -> list[float]:
    """The values of :data:`FORM`."""
    text = signals.question[:READ_CHARACTERS].replace("’", "'")
    asked = understand(text)
    count = len(words.words(text))
    content = len(words.content_words(text))
    numbers = words.numbers(text)
    return [
        math.log1p(count) / 5,
        min(len(words.sentences(text)), 6) / 6,
        min(len(numbers), 4) / 4,
        min(len(words.names(text)), 4) / 4,
        math.log1p(content) / 4,
        float(asked.asks),
        float(asked.of_owner),
        float(asked.of_mnemon),
        float(asked.advice),
        float(asked.refers),
        float(asked.yes_no),
        float(asked.wanted != "anything"),
        float("?" in text),
        min(len(_MAKE.findall(text)), 2) / 2,
        min(len(_THINK.findall(text)), 2) / 2,
        float(bool(_TOLD.search(text))),
        float(bool(_KEEP.search(text))),
        float(bool(_TALK.search(text))),
        float(bool(_ABOUT_MNEMON.search(text))),
        float(bool(_SMALL_MODEL_FIELDS.search(text))),
        min(len(_CODE.findall(text)), 3) / 3,
        float(bool(_SUM.search(text))),
        float(bool(_QUOTED.search(text))),
        float(any(len(number) >= 2 for number in numbers)),
        min(max(signals.recall_best, 0.0), 1.0),
        min(signals.recalled, 5) / 5,
        float(signals.about_owner),
    ]


def vector(signals: Signals, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Embedding and form as one row of :data:`LENGTH` float32 numbers."""
    import numpy as np

    return np.concatenate([np.asarray(embedding, np.float32), np.asarray(form(signals), np.float32)])
