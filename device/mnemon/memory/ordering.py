"""What was found, put in its last order by the words themselves: only a few dozen texts are read by then."""

from __future__ import annotations

import heapq
import re
from dataclasses import replace

from mnemon.memory.clauses import wants_done
from mnemon.memory.records import Recalled

_NOT_WORDS = re.compile(r"\W+")


def tellings_first(found: list[Recalled], penalty: float, limit: int) -> list[Recalled]:
    """The first ``limit`` when what only wants something done is put back by ``penalty``.

    Which messages those are takes 60 µs each to see, so that only those that come to the front are looked at.
    """
    if not penalty:
        return found[:limit]
    waiting = [(-one.score, place, False) for place, one in enumerate(found)]
    settled: list[Recalled] = []
    while waiting and len(settled) < limit:
        score, place, seen = heapq.heappop(waiting)
        one = found[place]
        if not seen and one.kind == "message" and not one.facts and wants_done(one.text):
            heapq.heappush(waiting, (score - penalty, place, True))
        else:
            settled.append(replace(one, score=-score))
    return settled


def without_repeats(found: list[Recalled]) -> list[Recalled]:
    """What was said twice in the same words is recalled once: the better placed, then the newer."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for memory in found:
        speaker = memory.source.speaker if memory.source else ""
        key = (speaker, _NOT_WORDS.sub(" ", memory.text).strip().casefold())
        if key not in seen:
            seen.add(key)
            kept.append(memory)
    return kept
