"""What is asked, how strong the evidence is, and what a model may say."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemon.answering.acknowledgement import acknowledge
from mnemon.answering.evidence import UNKNOWN, day, excerpt, quote, weigh
from mnemon.answering.fallback import LOST, TOO_HARD, in_other_words
from mnemon.answering.gate import ABOUT_MNEMON, Gate, Sources, is_broken, says_unknown
from mnemon.answering.questions import understand
from mnemon.answering.summary import asks_for_summary
from mnemon.memory.records import Recalled, Source
from mnemon.runtime.chat_model import Piece

if TYPE_CHECKING:
    from mnemon.answering.draft import Draft

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def memory(text: str, *, cosine: float = 0.6, overlap: float = 0.6, valid: bool = True, id: str = "m1") -> Recalled:
    source = Source(id, 1, "", "owner", datetime(2026, 3, 2, 12, tzinfo=UTC), text)
    return Recalled(id, "message", text, 1.0, cosine, overlap, source, valid)


def let_through(
    answer: str, *sources: str, told: bool = True, strict: bool = True, logprob: float = -0.1, message: str = "what?"
) -> Gate:
    gate = Gate(understand(message), told=told, strict=strict)
    gate.rest_on(Sources(sources))
    shown = ""
    for word in answer.split(" "):
        shown += "".join(gate.push(Piece(word + " ", (logprob,))))
    shown += "".join(gate.close())
    assert shown == gate.said
    return gate


@pytest.mark.parametrize(
    ("text", "asks", "of_owner"),
    [
        ("What is my dog called?", True, True),
        ("what's my shoe size", True, True),
        ("hey, where do we keep the spare key", True, True),
        ("Remind me who fixes our boiler", True, True),
        ("morning! just got in from a night shift", False, False),
        ("My dog is called Biscuit.", False, True),
        ("what's the capital of France?", True, False),
        ("Biscuit chewed my slippers again. what should I do?", True, True),
        ("I've walked the Camino twice", False, True),
        ("tell me a joke", True, False),
        ("whats my shoe size", True, True),
        ("explain the whole of thermodynamics", True, False),
        ("could you write me a poem about rain?", True, False),
    ],
)
def test_a_question_is_known_by_its_form(text: str, asks: bool, of_owner: bool) -> None:
    asked = understand(text)
    assert (asked.asks, asked.of_owner) == (asks, of_owner)


def test_advice_and_questions_to_mnemon_are_told_apart_from_what_was_told() -> None:
    assert understand("should I repaint the shed?").advice
    assert understand("would a curry be ok for my mother?").advice
    assert not understand("where is my shed key?").advice
    assert understand("can you write a poem?").of_mnemon
    assert not understand("do you remember my dog's name?").of_mnemon
    assert understand("where did I live before?").past


@pytest.mark.parametrize(
    ("text", "reply"), [("can you write me a plan for six beds?", TOO_HARD), ("can you sing?", LOST)]
)
def test_work_that_a_small_model_cannot_do_is_called_too_hard(text: str, reply: str) -> None:
    draft = cast("Draft", None)  # not read for what nothing told bears on
    asked = understand(text)
    evidence = weigh(asked, [])
    assert in_other_words(asked, evidence, draft, NOW, told=False, small=True, attempt=0) == reply


def test_a_small_model_does_not_thank_for_what_nobody_told() -> None:
    asked = "tell me a long story about the sea"
    assert let_through("Thanks for telling me. I'll remember it.", asked, told=False, message=asked).refusal
    assert not let_through("Thanks for telling me!", told=False, message="we moved to Bristol").refusal


def test_a_small_model_that_goes_round_in_circles_is_stopped() -> None:
    told = "The bat sat on the top of the shed, and the bat of the house too."
    assert let_through("You put the top of the bat of the bat of the bat.", told, told=False).refusal


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [
        ("I've updated that: you live in Leeds now.", False),
        ("I've updated that: you live in Bristol now.", True),
        ("Noted: your dog is called Biscuit.", False),
        ("How lovely! I'll remember that.", True),
        ("I don't know where you live yet.", False),
    ],
)
def test_a_small_model_answers_news_with_the_news_itself(answer: str, allowed: bool) -> None:
    news = "we moved to Bristol last week"
    known = ("We live in Leeds.", "My dog is called Biscuit.", "We live in Bristol.")
    assert bool(let_through(answer, news, *known, told=False, message=news).refusal) is not allowed


@given(st.text(max_size=300))
def test_any_text_can_be_understood_weighed_and_quoted(text: str) -> None:
    asked = understand(text)
    weighed = weigh(asked, [memory(text or "x")])
    assert quote(asked, weighed, NOW)


def test_an_unsure_answer_quotes_the_owner_with_the_day() -> None:
    asked = understand("what chewed my slippers?")
    weighed = weigh(asked, [memory("Biscuit chewed my slippers again.", cosine=0.8, overlap=0.9)])
    assert weighed.strength == "strong"
    assert quote(asked, weighed, NOW) == "You told me on 2 March: “Biscuit chewed my slippers again”."


def test_weak_evidence_is_quoted_with_a_hedge_and_none_is_admitted() -> None:
    asked = understand("what's my shoe size?")
    weak = weigh(asked, [memory("new shoes hurt like anything", cosine=0.4, overlap=0.4)])
    assert weak.strength == "weak"
    assert says_unknown(quote(asked, weak, NOW))
    assert "new shoes hurt" in quote(asked, weak, NOW)
    none = weigh(asked, [memory("tea with lemon please", cosine=0.1, overlap=0.0)])
    assert quote(asked, none, NOW) == UNKNOWN


@pytest.mark.parametrize(
    ("told", "question"),
    [
        ("I'm a nurse", "What's my job?"),
        ("I'm not married", "Am I married?"),
        ("We have a cat", "Do we have a cat?"),
        ("i smoke", "do I smoke?"),
    ],
)
def test_what_is_told_in_three_words_is_told(told: str, question: str) -> None:
    assert told in quote(understand(question), weigh(understand(question), [memory(told)]), NOW)


@pytest.mark.parametrize("said", ["ok", "Yes.", "hello there", "thanks a lot"])
def test_what_tells_nothing_is_never_quoted(said: str) -> None:
    asked = understand("What's my job?")
    assert quote(asked, weigh(asked, [memory(said, cosine=0.9)]), NOW) == UNKNOWN


def test_what_was_told_of_one_relative_is_no_sure_answer_about_another() -> None:
    told = memory("My sister Ines has her birthday on 4 May.", cosine=0.7)
    for question in ("What is my wife called?", "When is my dad's birthday?"):
        asked = understand(question)
        assert says_unknown(quote(asked, weigh(asked, [told]), NOW))
    for question in ("When is my sister's birthday?", "When is my sis's birthday?", "Whose birthday is in May?"):
        asked = understand(question)
        assert quote(asked, weigh(asked, [told]), NOW).startswith("You told me")


def test_what_no_longer_holds_is_said_to_have_changed() -> None:
    asked = understand("where do I live?")
    weighed = weigh(asked, [memory("I live in Leeds", cosine=0.9, overlap=1.0, valid=False)])
    assert quote(asked, weighed, NOW).endswith("That has changed since.")


def test_days_are_said_as_people_say_them() -> None:
    assert day(datetime(2026, 3, 4, 11, tzinfo=UTC), NOW) == "today"
    assert day(datetime(2026, 3, 3, 11, tzinfo=UTC), NOW) == "yesterday"
    assert day(datetime(2025, 3, 2, 11, tzinfo=UTC), NOW) == "on 2 March 2025"


def test_a_long_message_is_quoted_where_it_answers() -> None:
    text = "We had soup. " * 30 + "The spare key is under the flowerpot. " + "Then it rained. " * 30
    assert "flowerpot" in excerpt("where is the spare key?", text)
    assert len(excerpt("where is the spare key?", text)) < 260


def test_an_answer_from_its_sources_goes_through() -> None:
    gate = let_through("Your dog is called Biscuit.", "My dog is called Biscuit.")
    assert gate.said.strip() == "Your dog is called Biscuit."
    assert not gate.refusal


@pytest.mark.parametrize(
    "answer",
    [
        "Your dog is called Rex.",
        "You moved in 2019.",
        "You live in Leeds.",
        "Your dog was born in March.",
        "It is 4471.",
    ],
)
def test_a_name_number_or_date_without_a_source_is_never_said(answer: str) -> None:
    for strict in (True, False):
        gate = let_through(answer, "My dog is called Biscuit.", strict=strict)
        assert gate.said == ""
        assert "none of its sources" in gate.refusal


def test_a_strict_gate_wants_a_source_for_every_word_of_a_claim() -> None:
    assert let_through("Your dog eats slippers.", "My dog is called Biscuit.", strict=True).refusal
    assert not let_through("Your dog eats slippers.", "My dog is called Biscuit.", strict=False).refusal


def test_a_verb_is_not_taken_for_a_month() -> None:
    assert let_through("You may march to Oslo.", "We march to Oslo").said == "You may march to Oslo."
    assert not let_through("You go to Oslo in May.", "We go to Oslo").said


def test_a_name_is_said_whole_or_not_at_all() -> None:
    told = "I work as a glazier for Prendergast and Sons."
    assert let_through("You work as a glazier and Sons.", told, told=False).refusal
    assert not let_through("You work as a glazier for Prendergast and Sons.", told, told=False).refusal


def test_what_was_said_of_somebody_else_is_not_said_of_the_owner() -> None:
    told = "My dog is called Biscuit and he is afraid of the hoover."
    assert let_through(
        "Noted. Your dog is called Biscuit, and you are afraid of the hoover.", told, told=False
    ).refusal
    assert not let_through("Your dog is called Biscuit.", told, told=False).refusal
    assert not let_through("You are afraid of the hoover.", "I'm afraid of the hoover.", told=False).refusal


@pytest.mark.parametrize(
    ("told", "answer", "allowed"),
    [
        ("I'm not allergic to peanuts, only to walnuts", "You are allergic to peanuts.", False),
        ("I'm not allergic to peanuts, only to walnuts", "You are not allergic to peanuts.", True),
        ("I used to live in Leeds", "I'll remember that you live in Leeds.", False),
        ("I used to live in Leeds", "I'll remember that you used to live in Leeds.", True),
        ("i dont work at Aldi any more, i'm at Lidl now", "You work at Aldi.", False),
        ("My dog isn't called Biscuit, he's called Rex", "Got it, your dog is called Biscuit.", False),
        ("I quit smoking in March", "You smoke.", False),
        ("I drive a Volvo", "You don't drive a Volvo.", False),
        ("I no longer smoke", "I'll remember that you don't like smoke.", False),
        ("I don't like smoke", "I'll remember that you don't like smoke.", True),
    ],
)
def test_what_was_denied_is_not_said_to_be_so_nor_the_other_way_round(told: str, answer: str, allowed: bool) -> None:
    assert bool(let_through(answer, told, message=told, told=False).refusal) is not allowed
    question = "Is it so?"
    assert bool(let_through(answer.split("that ")[-1].capitalize(), told, message=question).refusal) is not allowed


def test_the_words_of_a_question_are_no_source_for_its_answer() -> None:
    told, question = "I'm afraid of flying", "Am I a pilot afraid of flying?"
    assert let_through("Yes, you are a pilot.", question, told, message=question).refusal
    assert not let_through("Yes, you are afraid of flying.", question, told, message=question).refusal


def test_what_is_told_is_not_refused() -> None:
    refusal = "I can't do that, I can only talk and remember."
    assert let_through(refusal, ABOUT_MNEMON, told=False, message="I have a car").refusal
    assert not let_through(refusal, ABOUT_MNEMON, told=False, message="order me a pizza").refusal


def test_a_small_model_does_not_take_the_owners_life_for_its_own() -> None:
    assert let_through("I'm a nurse. What is on your mind?", "I'm a nurse", told=False, message="I'm a nurse").refusal
    assert not let_through("I'm a computer program.", ABOUT_MNEMON, told=False, message="what are you?").refusal


def test_an_unsure_wording_is_not_said() -> None:
    gate = let_through("Your dog is called Biscuit.", "My dog is called Biscuit.", logprob=-3.0)
    assert gate.refusal == "the model was not sure of its wording"


def test_what_went_out_stays_and_the_false_sentence_after_it_does_not() -> None:
    gate = let_through("Your dog is called Biscuit. You live in Leeds.", "My dog is called Biscuit.")
    assert gate.said == "Your dog is called Biscuit."  # without the space before what was held back
    assert "Leeds" in gate.refusal


def test_a_larger_model_talks_freely_about_the_world() -> None:
    answer = "Paris is the capital of France. You could visit in May.\n\n- Bring a coat."
    assert let_through(answer, "what's the capital of France?", told=False, strict=False).said == answer


def test_words_about_the_world_are_shown_as_they_come() -> None:
    gate = Gate(understand("tell me about bees"), told=False, strict=False)
    assert "".join(gate.push(Piece("Bees dance to show the others", (0.0,)))) == "Bees dance to show the others"
    assert "".join(gate.push(Piece(" where", (0.0,)))) == " where"


@pytest.mark.parametrize(
    "text", ["<|im_end|>", "ok <|im_start|>user", "User: hello", "What you know about the user:"]
)
def test_the_machinery_never_shows(text: str) -> None:
    assert is_broken(text)
    assert let_through(text, text, told=False, strict=False).said.strip() in ("", "ok")


def test_a_repeated_sentence_ends_the_answer() -> None:
    gate = let_through("I like music. I like music. I like music.", "music", told=False)
    assert gate.said.strip() == "I like music."


@given(st.lists(st.text(max_size=30), max_size=12), st.booleans(), st.booleans())
def test_no_text_breaks_the_gate_and_nothing_out_is_taken_back(parts: list[str], told: bool, strict: bool) -> None:
    gate = Gate(understand("what is my dog called?"), told=told, strict=strict)
    shown = ""
    for part in parts:
        shown += "".join(gate.push(Piece(part, (-0.5,))))
        assert gate.said == shown
    shown += "".join(gate.close())
    assert gate.said == shown


@pytest.mark.parametrize("text", ["What do you know about me?", "so who am I", "what have I told you?"])
def test_asking_for_everything_is_recognised(text: str) -> None:
    assert asks_for_summary(text)
    assert not asks_for_summary("what have I told you about Leeds?")


@pytest.mark.parametrize(
    ("told", "tone"),
    [
        ("My grandmother died last night.", "sorry|hard"),
        ("I got the job!!", "good|nice"),
        ("The spare key is under the blue flowerpot by the shed.", "remember|mind"),
        ("lol ok", "see|listening|enough|hear"),
    ],
)
def test_an_acknowledgement_fits_what_was_told_and_claims_nothing(told: str, tone: str) -> None:
    assert re.search(tone, acknowledge(told), re.IGNORECASE)
    assert acknowledge(told) == acknowledge(told)
