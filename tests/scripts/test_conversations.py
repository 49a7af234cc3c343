"""The conversations the built-in model learns from say only what is in view, and never use a held-out value."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

import pytest
from train_builtin.conversations import KINDS, Conversation, cases, generate
from train_builtin.conversations.attributes import Attribute, attributes, draw
from train_builtin.conversations.cases import COUNTS, PATH
from train_builtin.conversations.chatter import CLOUD
from train_builtin.conversations.duties import NOTHING
from train_builtin.conversations.scene import Scene, World
from train_builtin.conversations.values import MONTHS, SHARED, WEEKDAYS, Split, Values, inventory, split_of

from mnemon import words
from mnemon.answering.gate import says_unknown
from mnemon.memory import clauses, extraction
from mnemon.memory.dates import spell
from mnemon.memory.records import Fact
from mnemon.profile import composition
from mnemon.runtime import prompt

MANY = 1500


@pytest.fixture(scope="module")
def conversations() -> list[Conversation]:
    return list(islice(generate(7, split="train"), MANY))


def scenes(kind: str, count: int, split: Split = "train") -> Iterator[Scene]:
    world = World(random.Random(kind), split)
    for _ in range(count):
        yield KINDS[kind][0](world)


def test_the_same_seed_gives_the_same_conversations(conversations: list[Conversation]) -> None:
    assert list(islice(generate(7, split="train"), 300)) == conversations[:300]
    assert list(islice(generate(8, split="train"), 300)) != conversations[:300]


def test_every_kind_occurs_and_ends_with_an_answer(conversations: list[Conversation]) -> None:
    assert {c.kind for c in conversations} == set(KINDS)
    for conversation in conversations:
        roles = [m.role for m in conversation.messages]
        assert roles[0] == "system"
        assert roles[1:] == ["user", "assistant"] * (len(roles) // 2)
        for message in conversation.messages:
            assert message.content.strip()
            assert not re.search(r"[{}]|  |\bNone\b", message.content.replace("\n\n", "\n")), message.content


def test_prompts_are_those_of_the_product(conversations: list[Conversation]) -> None:
    beginnings = (
        prompt.IDENTITY,
        f"{prompt.IDENTITY}\n{prompt.FACTS_HEADING}\n- ",
        f"{prompt.IDENTITY}\n{prompt.EPISODES_HEADING}\n- [",
    )
    for conversation in conversations:
        system, first = conversation.messages[0].content, conversation.messages[1].content
        if conversation.kind == "extraction":
            assert system == extraction.SYSTEM
        elif conversation.kind == "profile":
            assert system == composition.SYSTEM
        elif system == prompt.system_with_profile(""):
            assert first.startswith("(Today is ")
        else:
            assert system.startswith(beginnings)
            assert sum(line.startswith("- ") for line in system.splitlines()) <= 6


def test_answers_say_no_value_that_is_not_in_view(conversations: list[Conversation]) -> None:
    for conversation in conversations:
        before = ""
        said = ""
        for message in conversation.messages:
            if message.role == "assistant":
                said += message.content
            else:
                before += message.content + "\n"
        days = "\n".join(spell(date.fromisoformat(day)) for day in re.findall(r"\d{4}-\d\d-\d\d", before))
        view = f"{before}\n{days}".casefold()
        for value in conversation.values:
            assert value.casefold() in view, (value, conversation)


def test_answers_hold_no_name_or_number_from_nowhere(conversations: list[Conversation]) -> None:
    for conversation in conversations:
        view = ""
        for message in conversation.messages:
            if message.role == "assistant" and conversation.kind != "meta":
                known = {words.stem(word) for word in words.words(view)}
                found = [*words.names(message.content), *re.findall(r"\d+", message.content)]
                alien = [
                    name for name in found if words.stem(name) not in known and name.casefold() not in view.casefold()
                ]
                assert not [name for name in alien if name not in _OPENINGS], (alien, conversation)
            view += message.content + "\n"
            for day in re.findall(r"\d{4}-\d\d-\d\d", message.content):
                view += spell(date.fromisoformat(day)) + "\n"


_OPENINGS = frozenset("Mnemon Great Thanks Sure Wonderful Good Certainly Happy".split())


def test_no_held_out_value_is_trained_on(conversations: list[Conversation]) -> None:
    trained = {value for conversation in conversations for value in conversation.values}
    closed = set(WEEKDAYS) | set(MONTHS) | {value for kind in SHARED for value in inventory(kind, "train")}
    closed |= {str(number) for number in range(100)} | set("two three four five six".split())
    closed |= set("spring summer autumn winter".split())
    for kind in ("recall", "in_conversation", "extraction"):
        for scene in scenes(kind, 400, "heldout"):
            for fact in scene.facts:
                assert not (set(fact.open_values) - closed) & trained


def test_both_splits_have_values_of_every_kind() -> None:
    for split in ("train", "heldout"):
        values = Values(random.Random(1), split)
        for attribute in attributes():
            for kind in (*attribute.slots.values(), *attribute.values.values()):
                assert len({values.draw(kind) for _ in range(60)}) >= 3, kind  # a change needs another value
    assert split_of("Biscuit") == split_of("biscuit")


def test_pieces_make_values_that_no_list_has() -> None:
    pieces = ["zu", "ception", "walk"]
    values = Values(random.Random(1), "train", pieces)
    drawn = {values.draw("job").split(" ", 1)[1] for _ in range(300)}
    strange = drawn - set(inventory("job", "train"))
    assert strange
    assert strange < drawn, "lists are drawn from as well"
    made = {word for value in strange for word in value.split()}
    assert all(re.fullmatch("(zu|ception|walk){1,3}", word.lower()) for word in made)
    assert {split_of(word) for word in made} == {"train"}
    listed = inventory("relative", "train")
    assert all(values.draw("relative") in listed for _ in range(100)), "whom a fact is about is never strange"
    titles = [values.draw("title") for _ in range(300)]
    assert any(re.search("(Zu|Ception|Walk)", title) for title in titles), "a name keeps its capitals"


def test_strange_words_are_said_back() -> None:
    made = generate(3, split="train", pieces=["zu", "ception", "walk"])
    copies = [c for c in islice(made, 3000) if c.kind == "copy"]
    assert any("ception" in value for conversation in copies for value in conversation.values)


def test_an_unknown_is_admitted_so_that_the_gate_sees_it() -> None:
    for scene in scenes("unknown", 500):
        admitted = [turn for turn in scene.turns if "don't know" in turn.any_of]
        assert admitted
        for turn in admitted:
            assert says_unknown(turn.answer), turn.answer
            assert not any(value in turn.answer for value in turn.must_not)


def test_what_is_asked_as_unknown_is_not_in_view() -> None:
    world = World(random.Random(4), "train")
    for _ in range(500):
        known = world.facts(5)
        assert len({fact.identity for fact in known}) == len(known)
        assert world.fact(known).identity not in {fact.identity for fact in known}


def test_extraction_gives_lines_the_product_takes() -> None:
    empty = 0
    for scene in scenes("extraction", 400):
        (turn,) = scene.turns
        lines = extraction.answer_lines(turn.answer)
        if turn.answer == NOTHING:
            empty += 1
            continue
        assert lines == turn.answer.splitlines()
        assert len(lines) == len(scene.facts)
        stated = clauses.sentences(turn.user)
        for line in lines:
            assert re.fullmatch(r"The user(?:'s)? [^\n<>|{}]{3,120}\.", line)
            assert extraction.is_stated(line, stated), (line, turn.user)
    assert 40 < empty < 160


def test_profiles_say_their_facts_and_nothing_else() -> None:
    for scene in scenes("profile", 300):
        (turn,) = scene.turns
        facts = [
            Fact(i, fact.text, "user", "", fact.values[0], None, "owner", datetime(2026, 1, 1, tzinfo=UTC))
            for i, fact in enumerate(scene.facts)
        ]
        assert turn.user == "\n".join(f"- {fact.text}" for fact in scene.facts)
        assert composition.says_only(turn.answer, facts), turn
        assert len(turn.answer) <= composition.MAX_CHARACTERS
        assert all(value in turn.answer for fact in scene.facts for value in fact.values)


def test_no_food_is_named_to_somebody_with_an_allergy() -> None:
    foods = {food for kind in ("food", "cheese", "fruit", "spice", "drink") for food in inventory(kind, "train")}
    warned = 0
    for scene in scenes("advice", 600):
        if not any("is allergic to" in note for note in scene.notes):
            continue
        first = scene.turns[0]
        about_food = "safe" in first.answer
        warned += about_food
        if about_food:
            allergens = {value for fact in scene.facts for value in fact.values if "allergic" in fact.text}
            assert not any(food in first.answer for food in foods - allergens), first.answer
        eaten = [v for fact in scene.facts if fact.attribute.group == "food" for v in fact.values]
        assert "how about" not in first.answer or not any(value in first.answer for value in eaten)
    assert warned > 50


def test_a_change_is_said_and_the_old_value_belongs_to_before() -> None:
    for scene in scenes("update", 400):
        for turn in scene.turns:
            assert not any(value in turn.answer for value in turn.must_not if value not in " ".join(turn.must)), turn


def test_hard_questions_go_to_the_cloud() -> None:
    for scene in scenes("hard", 200):
        assert all(turn.answer in CLOUD for turn in scene.turns)


@pytest.mark.parametrize("attribute", attributes(), ids=lambda attribute: attribute.key)
def test_every_wording_of_an_attribute_can_be_filled(attribute: Attribute) -> None:
    fact = draw(attribute, Values(random.Random(attribute.key), "train"))
    sayings = [*attribute.say, *attribute.update]
    texts = [*attribute.fact, *attribute.told, attribute.mine, attribute.check, *attribute.before, attribute.was]
    texts += [text for saying in sayings for text in (saying.text, saying.yours)]
    for question in attribute.questions:
        texts += [*question.ask, *question.terse, *question.answers, question.short, question.your_topic]
        named = set(re.findall(r"\{\w+\}", question.topic))
        for ask in (*question.ask, *question.terse):  # what an "I don't know" repeats, the owner has to have said
            assert named <= set(re.findall(r"\{\w+\}", ask)), (ask, question.topic)
    for text in texts:
        assert "{" not in fact.say(text)
    for saying in attribute.say:
        assert all(value in fact.say(saying.text) for value in fact.values), saying
        assert not re.search(r"\b(?:I|my|me|we|our)\b", saying.yours), saying
    for text in (*attribute.told, *(question.your_topic for question in attribute.questions)):
        assert not re.search(r"\b(?:I|my|me|we|our)\b", text), text
        assert "the user" not in text.lower(), text


def test_the_cases_in_the_package_are_those_the_generator_makes() -> None:
    made = list(cases.cases())
    same = PATH.read_text("utf-8") == cases.as_lines(made)  # by itself: showing how 240 kB differ takes minutes
    assert same, "run python -m train_builtin.conversations.cases"
    assert {task: sum(case["task"] == task for case in made) for task in COUNTS} == COUNTS
    for case in made:
        assert _is_answerable(case), case


def _is_answerable(case: dict[str, Any]) -> bool:
    view = " ".join(
        [
            *case["notes"],
            *(text for _, text in case["episodes"]),
            *(spell(date.fromisoformat(day)) for day, _ in case["episodes"]),
            *(text for _, text in case["turns"]),
            case["question"],
        ]
    )
    return all(value.casefold() in view.casefold() for value in case["must_all"])
