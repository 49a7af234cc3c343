"""The built-in model's other work: facts out of a message, a profile out of facts, and exact copying as practice."""

from __future__ import annotations

import random

from mnemon.memory import clauses, extraction
from mnemon.profile import composition
from train_builtin.conversations.attributes import Fact, Saying
from train_builtin.conversations.chatter import hard_turn, small_talk
from train_builtin.conversations.memories import said_in, statement
from train_builtin.conversations.scene import Scene, Turn, World
from train_builtin.conversations.wording import capital, casually, listed

NOTHING = "NONE"

_UNREAL = (
    "If {}, that would be something.",
    "Imagine {}.",
    "I dreamt that {}.",
    "Suppose {}, what then?",
    "A man on the train said that {}, but about himself.",
)
_OF_OTHERS = (
    "{f} told me that {g}'s dog is called {n}.",
    "Did you know that {f} moved to {p}?",
    "{f} said: I live in {p}.",
    "In the film a man called {f} lives in {p}.",
    "The book is about a nurse called {f} who loves {n}.",
    "Somebody at the station asked for {f}.",
    "Write a letter to {f} in {p}, please.",
    "Remind me to ring {f} tomorrow.",
    "I saw a dog called {n} in the park.",
    "Could you find a hotel in {p}?",
    "What is {p} like in winter?",
    "I nearly called {f}, but I had no time.",
    "Maybe I'll go to {p} one day, who knows.",
    "I wish I lived in {p}.",
    "If I had a dog I'd call it {n}.",
    "Should I move to {p}?",
    "What would you call a cat, {n} perhaps?",
    "Tell me a story about {f} and {g}.",
    "Forget that I live in {p}.",
    "Who is {f}?",
    "Let's say I'm called {f}.",
    "My horoscope says I might meet a {f}.",
)
_AROUND = (
    "What a day.",
    "The weather is awful today.",
    "Anyway.",
    "It rained all morning.",
    "Sorry, I was away for a bit.",
    "How are you?",
    "I just got home.",
    "The bus was late again.",
    "Lunch was good.",
    "I'm so tired today.",
    "Thanks for asking.",
    "Long week, this one.",
    "Hope you are well.",
    "Traffic was terrible.",
    "Can you believe it?",
    "So there we are.",
    "That's all from me.",
    "Hello again!",
    "I had soup for lunch.",
    "Nothing new otherwise.",
    "It was a nice evening.",
    "What do you think?",
    "I'll tell you more later.",
    "Good to be back.",
    "I'm in a rush this morning.",
    "My phone is nearly empty.",
    "I'm waiting for the kettle.",
    "We're stuck in a queue.",
    "I spilled coffee on my shirt.",
    "I'm off to bed soon.",
    "I've got a headache today.",
    "I'm sitting in a cafe right now.",
    "I just had a long shower.",
    "The meeting went on for hours.",
    "It's been quite a week.",
    "I'm on my way home.",
    "I'm a little sleepy.",
    "My head is full today.",
    "I was at the shops all morning.",
    "Sundays are slow here.",
    "We can go on later.",
    "Talk to you in the evening.",
    "I'll be back in a minute.",
    "Hope all is fine with you.",
    "I'm glad it is nearly the weekend.",
    "I've been on the phone all day.",
    "Someone is drilling next door.",
    "The neighbours are loud again.",
    "I need a coffee.",
    "I have to run in a moment.",
    "It's freezing outside.",
    "The sun is out at last.",
    "I'm standing at the bus stop.",
    "I'm cooking while I write this.",
    "Excuse the typing, I'm walking.",
    "I had an early start.",
    "It's late already.",
    "I nearly fell asleep on the sofa.",
    "I overslept today.",
    "There is nothing on television.",
    "I'm bored at work.",
    "I forgot my umbrella this morning.",
    "I can't wait for the holidays.",
    "The wifi keeps dropping.",
    "Wow, what a game last night.",
    "My tea has gone cold.",
    "I hurt my toe this morning.",
    "I'm a bit nervous today.",
    "I'm in a good mood.",
    "We laughed a lot today.",
    "I'm out of breath.",
)


def extract(world: World) -> Scene:
    """A message and the facts in it, one a line; none in questions, suppositions and chat."""
    rng = world.rng
    count = rng.choices((0, 1, 2, 3, 4), (5, 6, 5, 3, 1))[0]
    if count == 0:
        return Scene("extraction", [Turn(_empty_message(world), NOTHING, measures=True)], system=extraction.SYSTEM)
    while True:
        facts = _about_the_owner(world, count)
        message, sayings = statement(world, facts)
        if rng.random() < 0.4:
            message = _with_chat(message, rng)
        stated = clauses.sentences(message)
        lines = [_line(fact, saying, stated) for fact, saying in zip(facts, sayings, strict=True)]
        if all(lines):
            turn = Turn(message, "\n".join(lines), said_in(*facts), measures=True)
            return Scene("extraction", [turn], facts, system=extraction.SYSTEM)


def _about_the_owner(world: World, count: int) -> list[Fact]:
    """Facts whose sentences begin with "The user", as the product wants them."""
    facts: list[Fact] = []
    while len(facts) < count:
        fact = world.fact(facts).plain()
        if fact.text.startswith("The user"):
            facts.append(fact)
    return facts


def _line(fact: Fact, saying: Saying, stated: list[str]) -> str:
    """The fact in memory's words if the product can see that it was said, else in the owner's; "" when in neither."""
    if extraction.is_stated(fact.text, stated):
        return fact.text
    if saying.text.startswith(("my ", "our ")):
        line = f"The user's {fact.say(saying.text.split(' ', 1)[1])}."
        if extraction.is_stated(line, stated) and " I" not in saying.text:
            return line
    return ""


def _empty_message(world: World) -> str:
    rng = world.rng
    roll = rng.random()
    fact = world.fact([])
    question = fact.attribute.questions[0]
    if roll < 0.3:
        values = world.values
        f, g = values.draw("first_name"), values.draw("first_name")
        sentence = rng.choice(_OF_OTHERS)
        return sentence.format(f=f, g=g, p=values.draw("place"), n=values.draw("pet_name"))
    if roll < 0.55:
        asked = fact.say(casually(rng.choice(question.ask), rng))
        return _with_chat(asked, rng) if rng.random() < 0.4 else asked
    if roll < 0.65:
        return rng.choice(_UNREAL).replace("{}", fact.say(fact.attribute.mine))
    if roll < 0.8:
        return small_talk(world).user
    if roll < 0.87:
        return hard_turn(rng).user
    return _with_chat(rng.choice(_AROUND), rng) if rng.random() < 0.6 else rng.choice(_AROUND)


def _with_chat(message: str, rng: random.Random) -> str:
    """``message`` before or behind a sentence that says nothing lasting."""
    around = rng.choice(_AROUND)
    if rng.random() < 0.5:
        return f"{around} {capital(message)}"
    return f"{message if message[-1] in '.?!' else f'{message}.'} {around}"


def profile(world: World) -> Scene:
    """Facts put into two or three sentences that add nothing."""
    facts = _about_the_owner(world, world.rng.choice((2, 2, 3, 3, 4)))
    if sum(len(fact.text) for fact in facts) > composition.MAX_CHARACTERS or any(map(_is_two_fold, facts)):
        return profile(world)
    sentences = [fact.text for fact in facts]
    verbs = [s.removeprefix("The user ").rstrip(".") for s in sentences if s.startswith("The user ")]
    owned = [s.removeprefix("The user's ").rstrip(".") for s in sentences if s.startswith("The user's ")]
    said = [f"The user {listed(verbs)}."] if verbs else []
    if owned:
        start = "Their " if verbs else "The user's "
        said.append(start + listed([owned[0], *(f"their {each}" for each in owned[1:])]) + ".")
    must = tuple(value for fact in facts for value in fact.values)
    user = "\n".join(f"- {sentence}" for sentence in sentences)
    return Scene("profile", [Turn(user, " ".join(said), must, measures=True)], facts, system=composition.SYSTEM)


def _is_two_fold(fact: Fact) -> bool:
    """Not "fish and chips": the product, which reads a profile part by part, would take the chips for liked."""
    return " not " in fact.text and " and " in fact.text


_COPIED = (
    "full_name",
    "address",
    "title",
    "code",
    "company",
    "venue",
    "phone",
    "band",
    "thing_name",
    "team",
    "place",
)


def copy(world: World) -> Scene:
    """Words said back exactly: what recall of long names rests on."""
    rng = world.rng
    turns = []
    for _ in range(rng.choice((1, 2, 2, 3))):
        roll = rng.random()
        if roll < 0.4:
            words = ", ".join(world.values.draw(rng.choice(_COPIED)) for _ in range(rng.choice((1, 2, 3))))
        elif roll < 0.5:
            words = " ".join(world.values.invented(rng.choice((1, 2, 3))) for _ in range(rng.choice((2, 3, 4))))
        elif roll < 0.8 and world.values.pieces:
            capitals = rng.random() < 0.5
            words = " ".join(world.values.strange(capital=capitals) for _ in range(rng.choice((2, 4, 6, 8))))
        else:
            words = " ".join(world.values.draw("code") for _ in range(rng.choice((1, 2, 3))))
        user = rng.choice(("Repeat exactly: {}", "Say this back: {}", "Copy this: {}", "Write this again: {}"))
        turns.append(Turn(user.replace("{}", words), capital(words), (words,)))
    return Scene("copy", turns)
