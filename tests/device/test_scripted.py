"""The scripted model keeps the same promises as the real one."""

from __future__ import annotations

import threading

import pytest

from mnemon.errors import ModelError, PromptTooLongError
from mnemon.runtime.chat_model import ChatMessage, ChatModel, Priority, Sampling, instructed
from mnemon.runtime.scripted import Scripted, ScriptedModel

HELLO = [ChatMessage("system", "You are Mnemon."), ChatMessage("user", "Hello there")]


def said(generation) -> str:
    return "".join(piece.text for piece in generation)


def test_answers_come_in_the_order_of_the_script_and_the_last_repeats():
    model: ChatModel = ScriptedModel(["one", lambda call: f"you said {call.last}", "three\n\n  four "])
    assert [said(model.generate(HELLO)) for _ in range(4)] == [
        "one",
        "you said Hello there",
        "three\n\n  four ",
        "three\n\n  four ",
    ]


def test_calls_are_recorded():
    model = ScriptedModel()
    model.generate(HELLO, sampling=Sampling(temperature=1.0), session="c1")
    assert model.calls[0].messages == tuple(HELLO)
    assert model.calls[0].session == "c1"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("They met.", "They met."),
        ("<think>They\nmet?</think>They met.", "They met."),
        ("They met?</think>They met.", "They met."),
        ("<think>They met.", ""),
    ],
)
def test_an_instruction_is_followed_in_the_background_and_without_a_thought(answer: str, shown: str):
    model = ScriptedModel(answer)
    assert instructed(model, "Summarise.", "We met.", max_tokens=9) == shown
    (call,) = model.calls
    assert [message.content for message in call.messages] == ["Summarise.", "We met."]
    assert (call.max_tokens, call.priority, call.sampling) == (9, Priority.BACKGROUND, Sampling(temperature=0.0))


def test_an_error_comes_after_what_was_said():
    generation = ScriptedModel(Scripted("half an", fail=ModelError("it broke"))).generate(HELLO)
    pieces = iter(generation)
    assert next(pieces).text + next(pieces).text == "half an"
    with pytest.raises(ModelError, match="it broke"):
        next(pieces)
    with pytest.raises(ModelError, match="at once"):
        list(ScriptedModel(ModelError("at once")).generate(HELLO))


def test_stop_from_another_thread_ends_it():
    generation = ScriptedModel("word " * 1000, delay=0.01).generate(HELLO)
    threading.Timer(0.05, generation.stop).start()
    assert 0 < len(said(generation).split()) < 100
    assert generation.report.stop_reason == "stopped"


def test_length_and_report():
    generation = ScriptedModel("a b c d").generate(HELLO, max_tokens=2)
    assert said(generation) == "a b"
    assert generation.report.stop_reason == "length"
    assert generation.report.answer_tokens == 2
    assert generation.report.prompt_tokens == 5


def test_too_long_and_closed():
    model = ScriptedModel(context=10)
    with pytest.raises(PromptTooLongError):
        model.generate([ChatMessage("user", "word " * 20)])
    model.close()
    model.close()
    with pytest.raises(ModelError):
        model.generate(HELLO)
