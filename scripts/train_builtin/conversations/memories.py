"""Conversations about what memory holds: recalled, not known, told, changed, listed, dated."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date

from mnemon.memory.dates import spell
from train_builtin.conversations.asking import others, recalled, unknown
from train_builtin.conversations.attributes import Fact, Saying, attributes
from train_builtin.conversations.chatter import small_talk
from train_builtin.conversations.scene import Episode, Scene, Turn, World
from train_builtin.conversations.wording import capital, casually, listed


def recall(world: World) -> Scene:
    """Facts in view, some of them asked for; now and then one that is not there."""
    rng = world.rng
    known = world.facts(world.count())
    # Now and then memory has no fact for something said, only the owner's words.
    share = rng.choice((0, 0, 0, 0.3, 0.6))
    unread = {fact.identity: rng.choice(fact.attribute.say) for fact in known if rng.random() < share}
    turns: list[Turn] = []
    for fact in rng.sample(known, min(len(known), rng.choice((1, 2, 3, 4, 4, 5)))):
        if rng.random() < 0.1:
            turns.append(unknown(world, missing(world, known), known, follows=bool(turns)))
        turns.append(recalled(world, fact, known, follows=bool(turns), saying=unread.get(fact.identity)))
    notes = [fact.text for fact in known if fact.identity not in unread]
    episodes = [
        Episode(world.day(), capital(fact.say(unread[fact.identity].text)) + ".")
        for fact in known
        if fact.identity in unread
    ]
    return Scene("recall", turns, known, notes, episodes)


def missing(world: World, known: list[Fact]) -> Fact:
    """A fact that is not known; often close to one that is (another person, another thing about the same person)."""
    of = None
    if known and world.rng.random() < 0.45:
        near = world.rng.choice(known).attribute
        of = near if near.slots else None
    elif world.rng.random() < 0.5:  # each kind as often as any other: the rare ones are asked for, too
        of = world.rng.choice(attributes())
    return world.fact(known, of=of)


def not_known(world: World) -> Scene:
    """Asked for what was never told, among things that were."""
    rng = world.rng
    known = world.facts(rng.choice((0, 0, 0, 1, 2, 3, 4, 5, 6)))
    turns = [unknown(world, missing(world, known), known)]
    if known and rng.random() < 0.6:
        turns.insert(0, recalled(world, rng.choice(known), known))
    learned: list[Fact] = []
    if rng.random() < 0.3:
        fact = missing(world, known)
        learned.append(fact)
        turn, sayings = told(world, [fact])
        turns += [
            unknown(world, fact, known, follows=True),
            turn,
            recalled(world, fact, [*known, fact], question=fact.attribute.questions[0], saying=sayings[0]),
        ]
    return Scene("unknown", turns, [*known, *learned], [fact.text for fact in known])


_OPENERS = (
    "",
    "",
    "",
    "",
    "By the way, ",
    "Just so you know, ",
    "Hi! ",
    "Please remember: ",
    "Oh, ",
    "Note that ",
    "Hey, ",
    "Remember that ",
    "Please remember that ",
    "You should know that ",
    "I wanted to tell you that ",
    "For the record, ",
    "For your notes: ",
    "Something about me: ",
    "Also, ",
    "Oh, and ",
    "One thing: ",
    "Don't forget that ",
    "Well, ",
    "Good evening. ",
    "Hello there! ",
    "A small thing to remember: ",
    "So, ",
    "It may help to know that ",
    "I forgot to say: ",
)
_TAILS = (
    " Can you keep that in mind?",
    " Please remember that.",
    " Will you remember it?",
    " Remember that, please.",
    " Make a note of it.",
    " Could you note that down?",
    " Don't forget it!",
    " Keep it in mind, please.",
    " That's worth remembering.",
    " Thought you should know.",
    " You may need that one day.",
    " Got that?",
    " ok?",
)
OWN_WORDS_SHARE = 0.7
TAIL_SHARE = 0.12
"""Of what is told, with a request to remember it behind."""
_ACKNOWLEDGED = (
    "Got it, {}. I'll remember that.",
    "Thanks for telling me. I'll remember that {}.",
    "Got it: {}.",
    "I'll remember that {}.",
    "All right, {}. I'll keep that in mind.",
    "I'll keep in mind that {}.",
)


def statement(world: World, facts: list[Fact]) -> tuple[str, list[Saying]]:
    """The owner telling ``facts`` in a breath, and the wordings they chose."""
    rng = world.rng
    sayings = [rng.choice(_wordings(fact, rng)) for fact in facts]
    parts = [fact.say(casually(saying.text, rng)) for fact, saying in zip(facts, sayings, strict=True)]
    opener = rng.choice(_OPENERS)
    goes_on = opener.endswith((", ", ": ", "that "))
    if not goes_on and rng.random() < 0.75:
        parts[0] = capital(parts[0])
    together = listed(parts) if rng.random() < 0.7 else ". ".join([parts[0], *map(capital, parts[1:])])
    said = opener + together + rng.choice((".", ".", ".", "", "!"))
    if rng.random() < TAIL_SHARE:
        said = (said if said[-1] in ".!" else f"{said}.") + rng.choice(_TAILS)
    return said, sayings


def _wordings(fact: Fact, rng: random.Random) -> tuple[Saying, ...]:
    """How it is told; now and then as a change, though memory knows nothing else."""
    attribute = fact.attribute
    return attribute.update if attribute.update and rng.random() < 0.1 else attribute.say


def said_back(world: World, fact: Fact, saying: Saying) -> str:
    """A clause that tells the owner what they told: mostly in their own words, which cannot be wrong."""
    own = saying.yours and world.rng.random() < OWN_WORDS_SHARE
    return fact.say(saying.yours) if own else fact.plain().told


def told(world: World, facts: list[Fact]) -> tuple[Turn, list[Saying]]:
    """The owner tells ``facts`` in some wordings, and Mnemon says them back."""
    user, sayings = statement(world, facts)
    clauses = [said_back(world, fact, saying) for fact, saying in zip(facts, sayings, strict=True)]
    if len(clauses) < 3:
        said = capital(world.rng.choice(_ACKNOWLEDGED).replace("{}", " and ".join(clauses)))
    else:
        said = "Got it. " + " ".join(f"{capital(clause)}." for clause in clauses)
    return Turn(user, said, must=said_in(*facts)), sayings


def said_in(*facts: Fact) -> tuple[str, ...]:
    """The values that an acknowledgement of ``facts`` says."""
    return tuple(value for fact in facts for value in fact.values)


def telling(world: World) -> Scene:
    """Something is told, other things are talked about, then it is asked for."""
    rng = world.rng
    known = world.facts(rng.choice((0, 0, 0, 1, 2, 3)))
    learned: list[tuple[Fact, Saying]] = []
    turns: list[Turn] = []
    for size in rng.choice(((1,), (1,), (2,), (1, 1), (3,), (1, 2))):
        new: list[Fact] = []
        for _ in range(size):
            new.append(world.fact([*known, *(fact for fact, _ in learned), *new]).plain())
        turn, sayings = told(world, new)
        learned += zip(new, sayings, strict=True)
        turns.append(turn)
    if len(turns) < 3 and rng.random() < 0.3:
        turns.append(small_talk(world))
    everything = [*known, *(fact for fact, _ in learned)]
    for fact, saying in rng.sample(learned, min(len(learned), max(1, 4 - len(turns)))):
        follows = turns[-1].user.endswith("?")
        turns.append(recalled(world, fact, everything, follows=follows, saying=saying))
    if known and rng.random() < 0.3:
        turns.append(recalled(world, rng.choice(known), everything, follows=True))
    return Scene("in_conversation", turns, everything, [fact.text for fact in known])


def acknowledging(world: World) -> Scene:
    """Something is told, among facts in view, and said back."""
    rng = world.rng
    known = world.facts(rng.choice((0, 0, 1, 2, 3)))
    new = world.fact(known).plain()
    turn, _ = told(world, [new])
    return Scene("acknowledge", [replace(turn, measures=True)], [*known, new], [fact.text for fact in known])


_CHANGED = (
    "Got it, {} now.",
    "I've updated that: {} now.",
    "Thanks for telling me. I'll remember that {} now.",
    "All right, {} now.",
    "Thanks, {} now. I'll keep that in mind.",
)


def update(world: World) -> Scene:
    """A fact changes: the new value holds, the old one is what used to be."""
    rng = world.rng
    old = world.fact([], usable="update")
    known = [old, *(world.facts(rng.choice((0, 1, 2, 3))))]
    known = [fact for i, fact in enumerate(known) if i == 0 or fact.identity != old.identity]
    new = world.changed(old)
    now = [new, *known[1:]]
    rng.shuffle(known)
    notes = [fact.text for fact in known]
    question = old.attribute.questions[0]
    if old.attribute.was and rng.random() < 0.35:
        return _changed_before(world, old, new, now)
    turns: list[Turn] = []
    if rng.random() < 0.3:
        turns.append(recalled(world, old, known, question=question))
    saying = rng.choice(old.attribute.update)
    user = capital(new.say(casually(saying.text, rng))) + rng.choice(("", ".", ".", "!"))
    if saying.yours and rng.random() < OWN_WORDS_SHARE / 2:
        said = rng.choice(_ACKNOWLEDGED).replace("{}", new.say(saying.yours))
    else:
        said = rng.choice(_CHANGED).replace("{}", new.told)
    turns.append(Turn(user, capital(said), must=said_in(new), measures=True))
    if len(now) > 1 and rng.random() < 0.3:
        turns.append(recalled(world, now[-1], now))
    asks_now = recalled(world, new, [*now, old], question=question)
    turns.append(asks_now)
    if old.attribute.was and rng.random() < 0.4:
        turns.insert(rng.choice((len(turns), len(turns) - 1)), _before(world, old, new))
    return Scene("update", turns, [old, *now], notes)


def _before(world: World, old: Fact, new: Fact) -> Turn:
    template = casually(world.rng.choice(old.attribute.before), world.rng)
    said = capital(old.say(old.attribute.was))
    return Turn(
        old.say(template),
        said,
        must=tuple(value for value in old.values if value in said),
        must_not=tuple(value for value in new.values if value not in said),
        measures=True,
    )


def _changed_before(world: World, old: Fact, new: Fact, now: list[Fact]) -> Scene:
    """The change lies back: memory holds the new fact, and the old words marked as no longer so."""
    rng = world.rng
    said = capital(old.say(rng.choice(old.attribute.say).text)) + "."
    episode = Episode(world.day(), said, valid=False)
    turns = [recalled(world, new, [*now, old], question=old.attribute.questions[0]), _before(world, old, new)]
    rng.shuffle(turns)
    if rng.random() < 0.4:
        turns = turns[-1:]
    return Scene("update", turns, [old, *now], [fact.text for fact in rng.sample(now, len(now))], [episode])


_ALL = (
    "What do you know about me?",
    "Tell me what you know about me.",
    "What have I told you so far?",
    "What do you remember about me?",
    "List everything you know about me.",
    "Sum up what I told you.",
    "what do u know about me",
    "Who am I, as far as you know?",
)
_GROUPS = {
    "family": ("Tell me about my family.", "What do you know about my family?"),
    "pets": ("What do you know about my pets?", "Tell me about my pets."),
    "work": ("What do you know about my work?", "Tell me about my work."),
    "health": ("What do you know about my health?", "What should you know about my health?"),
    "plans": ("What are my plans?", "What do you know about my plans?"),
    "food": ("What do you know about my taste in food?", "What do I like to eat and drink?"),
    "numbers": ("Which numbers do you keep for me?", "What numbers and codes did I give you?"),
    "things": ("What do you know about my things?",),
}


def listing(world: World) -> Scene:
    """Everything in view, or everything of one group, each once."""
    rng = world.rng
    known = world.facts(rng.choice((1, 2, 2, 3, 3, 4, 5)))
    groups = [group for group in {fact.attribute.group: None for fact in known} if group in _GROUPS]
    wanted = known
    user = rng.choice(_ALL)
    if groups and len(known) > 1 and rng.random() < 0.4:
        group = rng.choice(groups)
        wanted = [fact for fact in known if fact.attribute.group == group]
        user = rng.choice(_GROUPS[group])
    said = " ".join(f"{capital(fact.told)}." for fact in wanted)
    must = said_in(*wanted)
    unwanted = tuple(value for fact in known if fact not in wanted for value in fact.values if value not in said)
    turn = Turn(casually(user, rng), said, must, unwanted, measures=True)
    return Scene("list", [turn], known, [fact.text for fact in known])


_WHEN = (
    "When did I say that {}?",
    "When did I tell you that {}?",
    "What day did I tell you that {}?",
    "When was it that I said {}?",
    "On which date did I mention that {}?",
)


_WHEN_TOPIC = (
    "When did I tell you {}?",
    "What day did I tell you {}?",
    "On which day did I mention {}?",
    "Since when do you know {}?",
    "When did you hear about {}?",
)
_SAID_ON = (
    "What did I tell you on {}?",
    "What did I say on {}?",
    "What was it I told you on {}?",
)


def _said_on(world: World, fact: Fact, saying: Saying, day: date, known: list[Fact]) -> Turn:
    user = casually(world.rng.choice(_SAID_ON), world.rng).replace("{}", spell(day))
    said = capital(fact.say(saying.yours)) + "."
    return Turn(user, said, fact.values, others(fact, known, said), measures=True)


def dated(world: World) -> Scene:
    """What was said on which day: the note's date is said in words."""
    rng = world.rng
    known = world.facts(rng.choice((1, 1, 2, 2, 3, 3, 4)))
    days: list[date] = []
    episodes: list[Episode] = []
    sayings: list[Saying] = []
    for fact in known:
        day = world.day()
        days.append(day)
        saying = rng.choice(fact.attribute.say)
        sayings.append(saying)
        episodes.append(Episode(day, capital(fact.say(saying.text)) + "."))
    turns = []
    for i in rng.sample(range(len(known)), min(len(known), rng.choice((1, 2, 3)))):
        fact, day = known[i], days[i]
        if rng.random() < 0.25:
            question = fact.attribute.questions[0]
            turns.append(recalled(world, fact, known, question=question, saying=sayings[i]))
            continue
        if rng.random() < 0.3:
            topic = fact.attribute.questions[0].topic
            user = casually(rng.choice(_WHEN_TOPIC).replace("{}", topic), rng).format_map(fact.filled)
        elif rng.random() < 0.2 and sayings[i].yours:
            turns.append(_said_on(world, fact, sayings[i], day, known))
            continue
        else:
            user = casually(rng.choice(_WHEN).replace("{}", fact.attribute.mine), rng).format_map(fact.filled)
        said = rng.choice(("That was on {}.", "That was on {}.", "It was on {}."))
        elsewhere = tuple(spell(other) for other in days if other != day)
        turns.append(Turn(user, said.replace("{}", spell(day)), (spell(day),), elsewhere, measures=True))
    rng.shuffle(episodes)
    return Scene("dated", turns, known, [], episodes)
