"""Lasting facts out of everyday sentences; questions, suppositions and small talk give none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mnemon import words
from mnemon.errors import ModelError, PromptTooLongError
from mnemon.memory.extraction import GRAMMAR, SYSTEM, answer_lines, extract, understand
from mnemon.memory.records import Message
from mnemon.runtime.chat_model import Priority
from mnemon.runtime.scripted import ScriptedModel

SAID = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday


def said(text: str, **more: Any) -> Message:
    return Message(1, 1, None, "owner", "", text, SAID, **more)


def facts(text: str, model: Any = None) -> list[str]:
    return [draft.text for draft in extract(said(text), model)]


TOLD: list[tuple[str, list[str]]] = [
    ("My name is Oluwaseun Adeyemi.", ["The user's name is Oluwaseun Adeyemi."]),
    ("my name's Ines, nice to meet you", ["The user's name is Ines."]),
    ("Call me Teddy.", ["The user is called Teddy."]),
    ("Everyone calls me Midge", ["The user is called Midge."]),
    ("I'm 42.", ["The user is 42 years old."]),
    ("I just turned 30 last week", ["The user is 30 years old."]),
    ("my birthday is on 14 August", ["The user's birthday is on 14 August."]),
    ("I was born in Gdansk", ["The user was born in Gdansk."]),
    ("I grew up in Ballina.", ["The user grew up in Ballina."]),
    ("I'm originally from Chile", ["The user is from Chile."]),
    ("I speak Portuguese", ["The user speaks Portuguese."]),
    ("I live in Leith", ["The user lives in Leith."]),
    ("i live in leith", ["The user lives in leith."]),
    ("We've been living in Utrecht for three years.", ["The user lives in Utrecht."]),
    ("We moved to Bristol last month.", ["The user lives in Bristol."]),
    ("Moved to Cork in 2019, best thing I ever did", ["The user lives in Cork."]),
    ("Just got the keys to the flat in Deptford!", ["The user lives in Deptford."]),
    (
        "I work as a midwife at the Royal Infirmary.",
        ["The user works as a midwife at the Royal Infirmary.", "The user works at the Royal Infirmary."],
    ),
    ("I'm a plumber", ["The user is a plumber."]),
    ("I work for Harrow Foods", ["The user works for Harrow Foods."]),
    ("I've been promoted to head gardener", ["The user is now head gardener."]),
    ("I'm retired.", ["The user is retired."]),
    ("I'm studying marine biology", ["The user studies marine biology."]),
    ("My dog is called Biscuit", ["The user's dog is called Biscuit."]),
    ("By the way, my cat's called Miso.", ["The user's cat is called Miso."]),
    ("We have a rabbit named Clover", ["The user's rabbit is called Clover."]),
    ("We got a new puppy called Juno!", ["The user's puppy is called Juno."]),
    ("my wife's name is Adaeze", ["The user's wife is called Adaeze."]),
    ("Tomasz is my brother", ["The user's brother is called Tomasz."]),
    (
        "My sister Anna lives in Porto.",
        ["The user's sister is called Anna.", "The user's sister Anna lives in Porto."],
    ),
    ("My son is 7", ["The user's son is 7 years old."]),
    ("My mum is a teacher", ["The user's mum is a teacher."]),
    ("my dad's allergic to penicillin", ["The user's dad is allergic to penicillin."]),
    ("My sister's birthday is 4 June", ["The user's sister's birthday is on 4 June."]),
    ("I have three kids", ["The user has three kids."]),
    ("I'm married to Farid", ["The user is married to Farid."]),
    ("My boss is Petra", ["The user's boss is called Petra."]),
    ("My cat Tuna died in January", ["The user's cat is called Tuna.", "The user's cat Tuna died."]),
    ("I'm allergic to peanuts", ["The user is allergic to peanuts."]),
    ("im allergic to shellfish btw", ["The user is allergic to shellfish."]),
    ("I've been vegan for six years", ["The user is vegan."]),
    ("I have asthma", ["The user has asthma."]),
    ("I don't eat pork", ["The user does not eat pork."]),
    ("I can't eat gluten", ["The user cannot eat gluten."]),
    ("I prefer tea over coffee", ["The user prefers tea over coffee."]),
    ("I love bouldering, but I hate running", ["The user likes bouldering.", "The user does not like running."]),
    ("my favourite film is Paddington 2", ["The user's favourite film is Paddington 2."]),
    ("Ramen is my favourite food", ["The user's favourite food is Ramen."]),
    ("I'm a big fan of Björk", ["The user likes Björk."]),
    ("I can't stand coriander", ["The user does not like coriander."]),
    ("I play the cello", ["The user plays the cello."]),
    ("I support Partick Thistle", ["The user supports Partick Thistle."]),
    ("I take my coffee black with one sugar", ["The user takes their coffee black with one sugar."]),
    ("I'm learning Welsh", ["The user is learning Welsh."]),
    ("I'm reading Middlemarch at the moment", ["The user is reading Middlemarch."]),
    ("I'm scared of moths", ["The user is afraid of moths."]),
    ("The wifi code is 8841", ["The user's wifi code is 8841."]),
    ("Can you remember that my locker pin is 4432?", ["The user's locker pin is 4432."]),
    ("I keep the spare key under my doormat", ["The user keeps the spare key under their doormat."]),
    ("I drive a green Saab", ["The user drives a green Saab."]),
    ("We bank with Northmoor Union", ["The user banks with Northmoor Union."]),
    ("I wake up at 5:30", ["The user wakes up at 5:30."]),
    ("My flight is on 3 May at 7:40", ["The user's flight is on 3 May 2026 at 7:40."]),
    ("I have a dentist appointment tomorrow at 9", ["The user has a dentist appointment on 5 March 2026 at 9."]),
    ("My interview is next Tuesday", ["The user's interview is on 10 March 2026."]),
    ("the boiler inspection meeting is on the 9th", ["The user's boiler inspection meeting is on 9 March 2026."]),
    ("I have choir every Thursday at 8", ["The user has choir every Thursday at 8."]),
    ("We're flying to Lisbon next month", ["The user is flying to Lisbon in April 2026."]),
    ("Our anniversary is 12 September", ["The user's wedding anniversary is on 12 September."]),
    ("I want to learn to sail", ["The user wants to learn to sail."]),
    ("My best friend is called Ruth", ["The user's best friend is called Ruth."]),
    (
        "We have a parrot called Gus. He's 12.",
        ["The user's parrot is called Gus.", "The user's parrot is 12 years old."],
    ),
    ("I'm left-handed", ["The user is left-handed."]),
    ("I no longer work at Harrow Foods.", ["The user no longer works at Harrow Foods."]),
    ("I don't live in Leeds any more.", ["The user no longer lives in Leeds."]),
    ("I have choir practice on Thursdays", ["The user has choir practice every Thursday."]),
    ("I play the cello every Thursday", ["The user plays the cello every Thursday."]),
    ("I celebrate my birthday on 4 May", ["The user's birthday is on 4 May."]),
    ("I'm not allergic to nuts", ["The user is not allergic to nuts."]),
    ("I'm not vegan any more", ["The user is no longer vegan."]),
    ("I'm no longer allergic to nuts", ["The user is no longer allergic to nuts."]),
]

NOTHING = [
    "What's my dog called?",
    "do you know where I live",
    "Should I get a cat?",
    "If I moved to Rome I'd learn Italian.",
    "Imagine I'm a pirate called Ned.",
    "Let's say my budget is 300 pounds.",
    "I might move to Bristol.",
    "Maybe I'll get a dog called Rex",
    "I wish I lived in Rome",
    "I was almost allergic to it",
    'He said "I live in Paris" and laughed.',
    "She told me I live in a dream",
    "In the novel, my name is Ahab and I hunt whales.",
    "Write a poem about my dog",
    "Translate: my name is Ana",
    "Tell me a joke",
    "I love it!",
    "I like that idea",
    "I'm fine thanks",
    "I'm so tired today",
    "I'm a bit cold",
    "My feet are killing me",
    "my day was awful",
    "My question is about pensions",
    "Good morning!",
    "I want to know the time",
    "I'd like to ask you something",
    "ok thanks",
    "It's raining again",
    "Could you be a bit more formal?",
    "```\nmy name is root\n```",
    "> my name is Quoted",
    "Is my sister called Anna?",
    "How old is my cat",
    "I'm going to bed",
    "I'm on the phone",
    "forget that I live in Leeds",
    "",
    "?!",
]


@pytest.mark.parametrize("text", NOTHING)
def test_no_facts_in(text: str) -> None:
    assert facts(text) == []


def test_what_is_told_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole table at once, for its figure; every sentence of it must be read right."""
    wrong = [(text, wanted, facts(text)) for text, wanted in TOLD if facts(text) != wanted]
    with capsys.disabled():
        print(f"\nextraction by pattern: {len(TOLD) - len(wrong)}/{len(TOLD)} told, {len(NOTHING)} that hold nothing")
    assert wrong == []


def test_every_value_is_in_the_owners_words() -> None:
    for text, _ in TOLD:
        for draft in extract(said(text)):
            digits = [word for word in words.plain_words(draft.value) if word not in words.stems(text)]
            assert all(word.isdigit() or word in DATE_WORDS for word in digits) or words.supported(draft.value, text)


DATE_WORDS = {"march", "april", "may", "on", "in", "their"}


@pytest.mark.parametrize("role", ["assistant", "other"])
def test_only_the_owner_tells_of_the_owner(role: Any) -> None:
    message = Message(1, 1, None, role, "Ada", "My dog is called Biscuit.", SAID)
    assert extract(message) == []


def test_a_very_long_or_binary_message_is_read_in_time() -> None:
    facts("my " * 300_000)
    facts("a" * 1_000_000)
    facts("\x00\ud800 I live in Leith. \x07")
    facts("My " + "very " * 5000 + "old dog is called Rex")
    assert "The user lives in Leith." in facts("I live in Leith. " + "word " * 100_000)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "NONE",
        "I cannot do that.",
        "The user's dog is called Rex.",
        "The user has a cat called Biscuit.",
        "The user lives in Biscuit.",
        "The user is allergic to slippers.",
        "<think>The user's hound is called Biscuit.",
        "The user's hound is not called Biscuit.",
        "Biscuit " * 100,
        "The user's " + "x" * 500 + ".",
        ModelError("broken"),
        PromptTooLongError("too long"),
    ],
)
def test_what_the_model_makes_up_is_thrown_away(answer: Any) -> None:
    assert facts("Biscuit chewed my slippers again, that hound.", ScriptedModel(answer)) == []


@pytest.mark.parametrize(
    ("told", "known", "stammered"),
    [
        (
            "I work as a nurse at St Mary hospital.",
            "The user works at St Mary hospital.",
            "The user works as a nurse at St Mary Mary Mary Mary.",
        ),
        (
            "My cat is called [bold]Zed[/bold]",
            "The user's cat is called Zed.",
            "The user's cat is called Zed[.",
        ),
    ],
)
def test_a_model_that_stammers_does_not_spoil_what_the_patterns_read(told: str, known: str, stammered: str) -> None:
    found = facts(told, ScriptedModel(stammered))
    assert stammered not in found
    assert known in found


def test_a_name_told_twice_may_be_said_twice() -> None:
    model = ScriptedModel("The user's friend is called Baden Baden.")
    assert "The user's friend is called Baden Baden." in facts("Baden Baden is what our friend is called.", model)


def test_what_the_model_reads_right_is_kept_and_dated() -> None:
    model = ScriptedModel(
        "<think>hm</think>- The user's hound is called Biscuit.\nThe user's hound is called Biscuit."
    )
    drafts = extract(said("Biscuit is what our hound is called, silly name."), model)
    assert [(d.text, d.subject, d.attribute, d.value, d.origin) for d in drafts] == [
        ("The user's hound is called Biscuit.", "hound", "name", "Biscuit", "model")
    ]
    call = model.calls[0]
    assert call.messages[0].content == SYSTEM
    assert call.grammar == GRAMMAR
    assert call.priority is Priority.BACKGROUND


def test_the_model_does_not_repeat_the_patterns_nor_read_questions() -> None:
    model = ScriptedModel("The user is allergic to peanuts.\nThe user lives in Rome.")
    assert facts("I'm allergic to peanuts. Should I live in Rome?", model) == ["The user is allergic to peanuts."]
    assert facts("Should I live in Rome?", model) == []
    assert len(model.calls) == 1


def test_negation_is_not_lost() -> None:
    model = ScriptedModel("The user is allergic to cats.")
    assert "The user is allergic to cats." not in facts("I am definitely not allergic to cats, promise.", model)


def test_since_when() -> None:
    moved = extract(said("We moved to Bristol in 2019"))[0]
    assert moved.valid_from is not None
    assert moved.valid_from.year == 2019
    assert extract(said("I live in Bristol"))[0].valid_from is None


@pytest.mark.parametrize(
    ("sentence", "read"),
    [
        ("The user's dog is called Rex.", ("dog", "name", "Rex")),
        ("The user lives in Leith.", ("user", "home", "Leith")),
        ("I'm allergic to nuts", ("user", "allergy", "nuts")),
        ("The user's shed leans.", ("shed", "", "")),
        ("Nobody knows.", ("user", "", "")),
    ],
)
def test_understanding_a_sentence_written_by_hand(sentence: str, read: tuple[str, str, str]) -> None:
    draft = understand(sentence)
    assert (draft.subject, draft.attribute, draft.value) == read


def test_answer_lines() -> None:
    assert answer_lines("</think>\n1. The user likes tea\n* The user's cat is old.\nSure! Here.") == [
        "The user likes tea.",
        "The user's cat is old.",
    ]


def test_the_built_in_model() -> None:
    """The real thing: whatever it says, nothing comes out that was not told."""
    worker = pytest.importorskip("mnemon.runtime.worker")
    catalog = pytest.importorskip("mnemon.runtime.catalog")
    from mnemon.paths import home
    from mnemon.settings import ModelSettings

    model = worker.LocalModel.load(catalog.resolve("built-in", home()), ModelSettings(threads=1))
    try:
        for text in (
            "My dog is called Biscuit.",
            "I enjoy pottery and my neighbour Idris is from Cardiff.",
            "What a day.",
        ):
            for draft in extract(said(text), model):
                assert words.supported(draft.value or draft.text, text, frame="user called name likes".split())
    finally:
        model.close()


def test_what_is_said_of_somebody_else_is_not_taken_for_the_owners() -> None:
    model = ScriptedModel(["The user is afraid of the hoover."])
    told = "My dog is called Biscuit and he is afraid of the hoover."
    assert facts(told, model) == ["The user's dog is called Biscuit."]


@pytest.mark.parametrize(
    ("told", "fact"),
    [
        ("My name is [bold]Rosalind[/bold].", "The user's name is Rosalind."),
        ("I live in <b>Leeds</b>.", "The user lives in Leeds."),
        ("My dog is called **Biscuit**.", "The user's dog is called Biscuit."),
    ],
)
def test_markup_is_no_part_of_a_fact(told: str, fact: str) -> None:
    message = Message(1, 1, None, "owner", "", told, datetime(2026, 3, 3, tzinfo=UTC))
    assert [draft.text for draft in extract(message)] == [fact]
