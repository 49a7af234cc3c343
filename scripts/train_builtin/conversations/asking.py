"""How owners ask for a fact and how Mnemon answers: a question with its answer is one turn."""

from __future__ import annotations

import random

from train_builtin.conversations.attributes import Fact, Question, Saying
from train_builtin.conversations.scene import Turn, World
from train_builtin.conversations.wording import capital, casually, varied

_OF_A_THING = (
    "Do you remember {}?",
    "Do you know {}?",
    "Tell me {}.",
    "Remind me of {}.",
    "I've forgotten {}.",
    "Can you tell me {}?",
    "I need {}, please.",
    "{}?",
    "{} please",
    "Have I told you {}?",
    "Say {} again?",
    "What's {}?",
    "What was {} again?",
    "Give me {}.",
    "{}, what was it?",
    "{} again?",
    "Any idea what {} is?",
    "Could you look up {}?",
    "I'm looking for {}.",
    "Did I ever mention {}?",
    "You know {}, don't you?",
    "Do you still know {}?",
    "Do you have {}?",
    "Did I tell you {}?",
    "I've told you {}, haven't I?",
    "Have I ever told you {}?",
    "Let me have {}.",
    "Look up {} for me.",
    "{}? I forgot.",
    "What did I say about {}?",
    "Could I have {}, please?",
    "I can't think of {}.",
    "Please tell me {}.",
    "Is {} in your notes?",
    "Find {} for me, please.",
)
_OF_A_CLAUSE = (
    "Do you remember {}?",
    "Do you know {}?",
    "Tell me {}.",
    "Remind me {}.",
    "I forgot {}.",
    "Can you tell me {}?",
    "Could you say {}?",
    "Have I told you {}?",
    "I can't remember {}.",
    "Any idea {}?",
    "I want to know {}.",
    "Did I ever mention {}?",
    "You know {}, don't you?",
    "I was wondering {}.",
    "Somebody asked me {}.",
    "Do you still know {}?",
    "Did I tell you {}?",
    "Have I ever told you {}?",
    "I've told you {}, haven't I?",
    "Please tell me {}.",
    "Could you look up {}?",
    "Is it in your notes {}?",
    "Do you happen to know {}?",
    "Help me remember {}.",
    "I'd like to know {}.",
)
_OPENERS = (
    "Hey, ",
    "Quick question: ",
    "Mnemon, ",
    "Sorry, ",
    "Ok, ",
    "One more thing: ",
    "So, ",
    "By the way, ",
    "Remind me: ",
    "Remind me, ",
    "Tell me, ",
    "Just to be sure: ",
    "Just checking: ",
    "I forgot: ",
    "I forget, ",
    "Please tell me: ",
    "Help me out, ",
    "Do tell: ",
    "Hm, ",
    "Wait, ",
    "Good morning, ",
    "Listen, ",
    "While I think of it, ",
    "Now, ",
)
_REASONS = (
    "I'm filling in a form. ",
    "Sorry to ask again. ",
    "My head is empty today. ",
    "I need this for a friend. ",
    "I have a bad memory. ",
    "It's on the tip of my tongue. ",
    "Let me test you. ",
    "I keep forgetting things. ",
    "A quick one. ",
    "I'm on the phone. ",
)
_NEXT = ("And {}", "and {}", "Ok and {}", "Thanks! And {}", "Also, {}", "Great. {}")


def asked(fact: Fact, question: Question, rng: random.Random, *, follows: bool = False) -> str:
    """A wording of ``question``.

    Args:
        follows: Another question came just before, so "And my sister's name?" will do.
    """
    roll = rng.random()
    clause = question.topic.split()[0] in _CLAUSE_WORDS
    if follows and roll < 0.22 and not clause:
        return casually(
            rng.choice(("And {}?", "and {}?", "What about {}?")).replace("{}", question.topic), rng
        ).format_map(fact.filled)
    if roll < 0.10 and question.terse:
        template = rng.choice(question.terse)
    elif roll < 0.38:
        template = capital(rng.choice(_OF_A_CLAUSE if clause else _OF_A_THING).replace("{}", question.topic))
        if rng.random() < 0.25:
            template = _opened(template, rng)
    else:
        template = rng.choice(question.ask)
        if follows and rng.random() < 0.2:
            template = rng.choice(_NEXT).replace("{}", _uncapitalised(template))
        elif rng.random() < 0.14:
            template = _opened(template, rng)
        elif rng.random() < 0.06:
            template = rng.choice(_REASONS) + template
        elif rng.random() < 0.25:
            template = varied(template, rng)
    return casually(template, rng).format_map(fact.filled)


def _opened(template: str, rng: random.Random) -> str:
    return rng.choice(_OPENERS) + _uncapitalised(template)


def _uncapitalised(template: str) -> str:
    return template if template.startswith(("I ", "I'", "{")) else template[0].lower() + template[1:]


_CLAUSE_WORDS = frozenset("what where when who which how whether whose".split())


def answer(fact: Fact, question: Question) -> str:
    """What Mnemon says: the fact in memory's own words."""
    choices = question.answers
    return capital(fact.say(choices[fact.wording] if len(choices) > fact.wording else choices[0]))


def recalled(
    world: World,
    fact: Fact,
    known: list[Fact],
    *,
    follows: bool = False,
    question: Question | None = None,
    saying: Saying | None = None,
) -> Turn:
    """A question about ``fact`` with its answer; sometimes one for yes or no.

    Args:
        known: All facts in view, whose values must not be mixed in.
        question: What to ask; any of the fact's questions when left out.
        saying: How the owner told it, where memory has only their words: the answer is mostly in the same.
    """
    rng = world.rng
    if question is None and fact.attribute.check and rng.random() < 0.1:
        return checked(world, fact, known)
    if question is None:
        choices = fact.attribute.questions
        question = choices[0] if rng.random() < 0.7 else rng.choice(choices)
    said = answer(fact, question)
    if saying and saying.yours and question.answers is fact.attribute.questions[0].answers and rng.random() < 0.75:
        said = capital(fact.say(saying.yours)) + "."
    return Turn(
        asked(fact, question, rng, follows=follows),
        said,
        must=fact.needed(question),
        must_not=others(fact, known, said),
        measures=True,
    )


def checked(world: World, fact: Fact, known: list[Fact]) -> Turn:
    """Asked whether it is so: "No, your dog is called Biscuit."."""
    rng = world.rng
    template = casually(fact.attribute.check, rng)
    if rng.random() < 0.5:
        return Turn(fact.say(template), f"Yes, {fact.told}.", must=fact.values[:1], any_of=("yes",), measures=True)
    alike = [other for other in known if other is not fact and other.attribute is fact.attribute]
    wrong = dict(fact.filled)
    wrong["v"] = alike[0].filled["v"] if alike and rng.random() < 0.5 else world.changed(fact).filled["v"]
    return Turn(
        template.format_map(wrong),
        f"No, {fact.told}.",
        must=fact.values[:1],
        must_not=(wrong["v"],),
        any_of=("no",),
        measures=True,
    )


def others(fact: Fact, known: list[Fact], said: str) -> tuple[str, ...]:
    """The values of the other facts that ``said`` does not happen to contain."""
    return tuple(value for other in known if other is not fact for value in other.values if value not in said)


UNKNOWN_PHRASES = ("don't know", "haven't told me")
"""One of them is in every answer that admits not knowing."""
_UNKNOWN = (
    "I don't know {} yet. Tell me and I'll remember it.",
    "I don't know {} yet.",
    "You haven't told me {} yet, so I don't know it.",
    "I don't know {}. You can tell me and I'll remember it.",
    "Sorry, I don't know {} yet.",
)


def unknown(world: World, missing: Fact, known: list[Fact], *, follows: bool = False) -> Turn:
    """A question nothing in view answers, and the honest reply."""
    rng = world.rng
    choices = missing.attribute.questions
    question = choices[0] if rng.random() < 0.85 else rng.choice(choices)
    user = asked(missing, question, rng, follows=follows)
    if missing.attribute.check and rng.random() < 0.08:  # what is asked for yes or no is not known either
        question = choices[0]
        user = casually(missing.attribute.check, rng).format_map(missing.filled)
    topic = missing.say(question.your_topic)
    template = _UNKNOWN[0] if rng.random() < 0.4 else rng.choice(_UNKNOWN)
    return Turn(
        user,
        template.replace("{}", topic),
        must_not=tuple(value for fact in known for value in fact.values if value not in topic),
        any_of=UNKNOWN_PHRASES,
        measures=True,
    )
