"""Facts that change how Mnemon answers: how the owner likes to be spoken to, and what a suggestion must heed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from train_builtin.conversations.asking import asked, recalled, unknown
from train_builtin.conversations.attributes import Attribute, Fact, attributes
from train_builtin.conversations.memories import missing
from train_builtin.conversations.scene import Scene, Turn, World
from train_builtin.conversations.wording import capital, casually

_STYLES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "short": (
        ("The user prefers short answers.", "The user likes short answers.", "The user wants brief answers."),
        ("Please keep your answers short.", "Short answers only, please.", "keep it short from now on"),
        ("All right.", "Sure, short."),
    ),
    "formal": (
        ("The user likes a formal tone.", "The user prefers formal answers."),
        ("Please be formal with me.", "I prefer a formal tone.", "Speak to me formally, please."),
        ("Of course. I'll remember that.", "Of course. I'll keep that in mind."),
    ),
    "named": (
        ("The user wants to be called {n}.", "The user likes to be called {n}."),
        ("Please call me {n} when you answer.", "Use my name when you answer, it's {n}.", "Call me {n}, will you?"),
        ("Of course, {n}.", "All right, {n}."),
    ),
}
"""A style's notes, how owners ask for it, and what Mnemon says to that."""


def style(world: World) -> Scene:
    """The owner likes short, formal or personal answers, and gets them."""
    rng = world.rng
    kind = rng.choice(tuple(_STYLES))
    notes, requests, replies = _STYLES[kind]
    name = world.values.draw("first_name")
    known = world.facts(rng.choice((1, 2, 3, 4)))
    lines = [fact.text for fact in known]
    turns: list[Turn] = []
    if rng.random() < 0.3:
        request = casually(rng.choice(requests), rng).replace("{n}", name)
        turns.append(Turn(request, rng.choice(replies).replace("{n}", name)))
    else:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(notes).replace("{n}", name))
    for fact in rng.sample(known, min(len(known), rng.choice((1, 2, 2, 3)))):
        turns.append(_styled(world, kind, name, fact, known, follows=bool(turns)))
    if rng.random() < 0.25:
        turn = unknown(world, missing(world, known), known)
        short = kind == "short"
        turns.append(replace(turn, answer="I don't know that yet.") if short else _in_style(kind, name, turn))
    return Scene("style", turns, known, lines)


def _styled(world: World, kind: str, name: str, fact: Fact, known: list[Fact], *, follows: bool) -> Turn:
    question = fact.attribute.questions[0]
    turn = recalled(world, fact, known, follows=follows, question=question)
    if kind == "short":
        said = capital(fact.say(question.short)) + "."
        return replace(turn, answer=said, must=tuple(v for v in turn.must if v.casefold() in said.casefold()))
    return _in_style(kind, name, turn)


def _in_style(kind: str, name: str, turn: Turn) -> Turn:
    if turn.any_of:  # an honest "I don't know" needs no manners
        return turn
    return replace(
        turn, answer=f"Of course. {turn.answer}" if kind == "formal" else f"Of course, {name}. {turn.answer}"
    )


def _attribute(key: str) -> Attribute:
    return next(attribute for attribute in attributes() if attribute.key == key)


_SUGGESTIONS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "hobby",
        (
            "What could I do this weekend?",
            "I have a free evening, any ideas?",
            "What should I do today?",
            "I'm bored.",
        ),
        ("{told}, so how about that?", "{told}. Would you like some time for that?"),
    ),
    (
        "instrument",
        ("How could I relax tonight?", "What could I do this evening?", "I need a break, any idea?"),
        ("{told}, so how about that?", "{told}. Would you like to play a bit?"),
    ),
    (
        "wants as present",
        ("What should I give my {r}?", "Any present ideas for my {r}?", "My {r}'s birthday is soon. Any idea?"),
        ("{told}, so that is a good idea.", "{told}. How about that?"),
    ),
    (
        "reading",
        ("What could I read tonight?", "Which book should I take along?", "I feel like reading, but what?"),
        ("{told}, so how about that?", "{told}. How about a bit of that?"),
    ),
    (
        "favourite band",
        ("What music should I listen to?", "Which band should I put on?", "Any ideas for music?"),
        ("{told}, so how about that?", "{told}. How about them?"),
    ),
    (
        "favourite film",
        ("What should I watch tonight?", "Which film could we watch?", "Any idea for a film night?"),
        ("{told}, so how about that?", "{told}. How about that one?"),
    ),
    (
        "favourite colour",
        ("What colour should I paint the room?", "Which colour shirt should I buy?", "What colour would suit me?"),
        ("{told}, so how about that?", "{told}. How about that?"),
    ),
    (
        "goal",
        ("What should I work on this year?", "How should I use my free time?", "What should I do with my summer?"),
        ("{told}, so how about that?", "{told}. How about that?"),
    ),
    (
        "fear",
        ("Anything I should avoid on the trip?", "What should I keep away from?", "What would upset me?"),
        ("{told}.",),
    ),
)
_FOOD_REQUESTS = (
    "What should I eat tonight?",
    "Can you suggest a snack?",
    "What could I cook for dinner?",
    "Any ideas for lunch?",
    "Recommend me a dessert.",
    "What should I order at the restaurant?",
    "I'm hungry, what could I have?",
    "suggest something to eat",
    "What cake should I bake?",
    "What could I bring to the picnic?",
    "Is this cake all right for me?",
    "Can I eat this soup?",
    "Can I try a bite of this?",
    "give me a recipe",
)
_ALLERGIC = (
    "{told}. Ask what is in it, for I can't say what is safe.",
    "{told}. I can't say what food is safe for you.",
    "{told}. Be careful, I can't say what is safe to eat.",
)
_FOODS = (
    ("favourite food", "{told}, so how about that?"),
    ("signature dish", "{told}, so how about that?"),
    ("favourite place to eat", "{told}, so how about that?"),
)
_NOTHING_LIKED = "I don't know what you like yet. Tell me and I'll remember it."


def advice(world: World) -> Scene:
    """Asked for a suggestion: it rests on a fact, and no food is named to somebody with an allergy."""
    rng = world.rng
    if rng.random() < 0.4:
        return _food(world)
    key, requests, replies = rng.choice(_SUGGESTIONS)
    fact = world.fact([], of=_attribute(key)).plain()
    others = _few(world, fact, lambda other: other.attribute.group not in ("likes", "plans", "schedule"))
    known = rng.sample([fact, *others], len(others) + 1)
    user = fact.say(casually(rng.choice(requests), rng))
    said = capital(rng.choice(replies).replace("{told}", fact.told))
    turns = [Turn(user, said, fact.values)]
    if others and rng.random() < 0.4:
        turns.append(recalled(world, rng.choice(others), known))
    return Scene("advice", turns, known, [each.text for each in known])


def _few(world: World, fact: Fact, wanted: Callable[[Fact], bool]) -> list[Fact]:
    """Up to three other facts that are ``wanted``."""
    others: list[Fact] = []
    for _ in range(world.rng.choice((0, 1, 2, 3))):
        other = world.fact([fact, *others])
        if wanted(other):
            others.append(other)
    return others


def _food(world: World) -> Scene:
    rng = world.rng
    request = casually(rng.choice(_FOOD_REQUESTS), rng)
    roll = rng.random()
    if roll < 0.6:
        fact = world.fact([], of=_attribute("allergy"))
        said = rng.choice(_ALLERGIC)
        others = _few(world, fact, lambda other: other.attribute.key != "relative allergy")
    elif roll < 0.8:
        key, said = rng.choice(_FOODS)
        fact = world.fact([], of=_attribute(key))
        request = casually(
            rng.choice(("What should I eat tonight?", "Any ideas for dinner?", "What could I have for lunch?")), rng
        )
        others = _few(world, fact, lambda other: other.attribute.group not in ("food", "health"))
    else:
        others = world.facts(rng.choice((0, 1, 2)))
        others = [each for each in others if each.attribute.group not in ("food", "health")]
        turn = Turn(request, _NOTHING_LIKED)
        return Scene("advice", [turn], others, [each.text for each in others])
    known = rng.sample([fact, *others], len(others) + 1)
    turns = [Turn(request, capital(said.replace("{told}", fact.told)), fact.values)]
    if rng.random() < 0.3:
        question = fact.attribute.questions[0]
        turns.append(Turn(asked(fact, question, rng), capital(fact.told) + ".", fact.values))
    return Scene("advice", turns, known, [each.text for each in known])
