"""Small talk, questions about Mnemon itself, and questions that are too hard for it (chatter.toml)."""

from __future__ import annotations

import functools
import random
import re
import tomllib
from pathlib import Path
from typing import Any

from train_builtin.conversations.scene import Scene, Turn, World
from train_builtin.conversations.values import WEEKDAYS
from train_builtin.conversations.wording import casually

CLOUD = (
    "That is a hard one for my small on-device model. I can ask the cloud model if you allow it.",
    "That is a hard one for my small on-device model. I can ask the larger cloud model if you allow it.",
    "That is too hard for my small on-device model. I can ask the cloud model if you allow it.",
)


_COMMON = frozenset("what would like that that's have your with about tell".split())


@functools.cache
def _texts() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("chatter.toml").read_text("utf-8"))


def small_talk(world: World) -> Turn:
    """One exchange of small talk."""
    return _exchange("small", world.rng)


def _exchange(kind: str, rng: random.Random) -> Turn:
    entry = rng.choice(_texts()[kind])
    return Turn(
        casually(rng.choice(entry["user"]), rng), rng.choice(entry["reply"]), any_of=_words(entry), measures=True
    )


def _words(entry: dict[str, Any]) -> tuple[str, ...]:
    """Words of which a fitting reply has at least one."""
    words = {word for reply in entry["reply"] for word in re.findall(r"[a-z']{4,}", reply.lower())}
    return tuple(entry.get("needs", ())) or tuple(sorted(words - _COMMON))


def hard_turn(rng: random.Random) -> Turn:
    """A question for a larger model."""
    entry = rng.choice(_texts()["hard"])
    filled = {name: rng.choice(choices) for name, choices in _texts()["fill"].items()}
    filled |= {"n": str(rng.randint(100, 9999)), "m": str(rng.randint(11, 99)), "k": str(rng.randint(3, 19))}
    filled["year"] = str(rng.randint(1850, 2024))
    user = casually(rng.choice(entry["user"]), rng).format_map(filled)
    said = CLOUD[0] if rng.random() < 0.7 else rng.choice(CLOUD[1:])
    return Turn(user, said, any_of=("cloud model",), measures=True)


def small(world: World) -> Scene:
    """A little talk about nothing, with facts in view that it leaves alone."""
    rng = world.rng
    turns = [small_talk(world) for _ in range(rng.choice((1, 2, 2, 3)))]
    facts = world.facts(rng.choice((1, 2, 3))) if rng.random() < 0.4 else []
    return Scene("smalltalk", turns, facts, [fact.text for fact in facts])


def meta(world: World) -> Scene:
    """What Mnemon is, where it keeps things, what day it is."""
    rng = world.rng
    today = world.day()
    if rng.random() < 0.15:
        asks = ("What's the date?", "what day is it today", "What is today's date?", "which day of the week is it?")
        said = f"Today is {WEEKDAYS[today.weekday()]}, {today.day} {today:%B} {today.year}."
        turn = Turn(casually(rng.choice(asks), rng), said, any_of=(f"{today.day} {today:%B} {today.year}",))
        return Scene("meta", [turn], today=today, dated=True)
    turns = [_exchange("meta", rng) for _ in range(rng.choice((1, 1, 2)))]
    facts = world.facts(rng.choice((1, 2))) if rng.random() < 0.3 else []
    return Scene("meta", turns, facts, [fact.text for fact in facts], today=today)


def hard(world: World) -> Scene:
    """Questions for a larger model, with facts in view that do not help."""
    rng = world.rng
    turns = [hard_turn(rng) for _ in range(rng.choice((1, 1, 2)))]
    facts = world.facts(rng.choice((1, 2))) if rng.random() < 0.3 else []
    return Scene("hard", turns, facts, [fact.text for fact in facts])
