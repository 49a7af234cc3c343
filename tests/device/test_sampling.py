"""Choosing tokens, whole characters, thoughts, and the guard against going round in circles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import real_models
from hypothesis import given
from hypothesis import strategies as st

from mnemon.errors import ModelError
from mnemon.runtime.chat_model import Sampling
from mnemon.runtime.engine import Engine
from mnemon.runtime.sampling import CharacterStream, RepetitionGuard, Sampler, ThoughtFilter, contenders
from mnemon.runtime.vocabulary import Model


@pytest.fixture(scope="module")
def engine():
    with Model(real_models.built_in().path) as model, Engine(model, cells=512, threads=1) as made:
        yield made


def draw(engine: Engine, sampling: Sampling, count: int = 20, grammar: str | None = None) -> list[int]:
    engine.prefill(0, engine.model.control("<|im_start|>user\nTell me a story.<|im_end|>\n<|im_start|>assistant\n"))
    tokens: list[int] = []
    with Sampler(engine, sampling, grammar) as sampler:
        for _ in range(count):
            token, logprob = sampler.choose()
            assert logprob <= 1e-6
            if engine.model.ends(token):
                break
            tokens.append(token)
            engine.step(0, token)
    return tokens


def test_greedy_takes_the_likeliest_and_tells_its_probability(engine):
    draw(engine, Sampling(), 1)
    with Sampler(engine, Sampling()) as sampler:
        token, logprob = sampler.choose()
    logits = engine.logits()
    assert token == int(logits.argmax())
    assert math.isclose(logprob, engine.logprob(token), abs_tol=1e-4)


def test_the_same_seed_says_the_same(engine):
    hot = [Sampling(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, seed=seed) for seed in (1, 1, 2)]
    first, again, other = (draw(engine, sampling) for sampling in hot)
    assert first == again
    assert first != other


@pytest.mark.parametrize("top_k", [1, 20, 40])
def test_choosing_from_few_candidates_chooses_the_same(engine, monkeypatch, top_k):
    hot = [Sampling(temperature=1.3, top_k=top_k, top_p=0.99, min_p=0.01, seed=seed) for seed in range(5)]
    few = [draw(engine, one) for one in hot]
    asked = []
    monkeypatch.setattr("mnemon.runtime.sampling.contenders", lambda *_: asked.append(1))
    assert [draw(engine, one) for one in hot] == few
    assert asked


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(10_300, 12_000))
def test_contenders_hold_the_likeliest(seed, count, size):
    logits = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    few = contenders(logits, count)
    assert set(np.argsort(logits)[-count:]) <= set(few.tolist())
    assert few.tolist() == sorted(few.tolist())
    assert len(few) <= 4 * count


def test_contenders_are_not_looked_for_where_that_saves_nothing():
    logits = np.zeros(8192, np.float32)
    assert contenders(logits, 0) is None
    assert contenders(logits, 8000) is None
    assert contenders(logits, 5) is None, "all the same: nobody is left out"


def test_a_repeat_penalty_leaves_what_was_said(engine):
    draw(engine, Sampling(), 1)
    chosen = {}
    for penalty in (1.0, 100.0):
        with Sampler(engine, Sampling(repeat_penalty=penalty)) as sampler:
            chosen[penalty] = [sampler.choose()[0] for _ in range(3)]  # three times from the same logits
    likeliest = int(engine.logits().argmax())
    assert chosen[1.0] == [likeliest] * 3
    assert chosen[100.0][0] == likeliest
    assert len(set(chosen[100.0])) == 3


@pytest.mark.parametrize("temperature", [0.0, 1.2])
def test_a_grammar_is_kept(engine, temperature):
    grammar = 'root ::= "[" item ("," item)? "]"\nitem ::= [0-9] [0-9]'
    text = engine.model.text(draw(engine, Sampling(temperature=temperature, seed=3), grammar=grammar))
    assert text.startswith("[")
    assert text.endswith("]")
    assert set(text[1:-1]) <= set("0123456789,")


def test_a_grammar_that_cannot_be_read(engine):
    with pytest.raises(ModelError, match="grammar"):
        Sampler(engine, Sampling(), "root ::= (")


@given(st.text(), st.integers(1, 5))
def test_characters_are_never_cut(text, size):
    data, stream = text.encode("utf-8", "replace"), CharacterStream()
    pieces = [stream.add(data[i : i + size]) for i in range(0, len(data), size)]
    assert "".join(pieces) == data.decode()
    assert "�" not in "".join(pieces) or "�" in text


def test_bytes_that_are_no_character_are_replaced_and_the_rest_waits():
    stream = CharacterStream()
    assert stream.add(b"\xe2\x82") == ""
    assert stream.add(b"\xac!") == "€!"
    assert stream.add(b"\xff") == "�"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("<think>hm, 2 < 3</think>\n\nYes.", "Yes."),
        ("\n<think>\n\n</think>\n\nYes.", "Yes."),
        ("Yes, <think> is a tag.", "Yes, <think> is a tag."),
        ("<thi", "<thi"),
        ("< 3 is a heart", "< 3 is a heart"),
        ("<think>never ends", ""),
        ("  indented", "  indented"),
    ],
)
def test_thoughts_are_left_out_however_the_text_is_cut(said, shown):
    for size in (1, 3, 100):
        thoughts = ThoughtFilter()
        pieces = [thoughts.add(said[i : i + size]) for i in range(0, len(said), size)]
        assert "".join(pieces) + thoughts.finish() == shown


def test_a_thought_the_prompt_opened():
    thoughts = ThoughtFilter(inside=True)
    assert thoughts.add("let me see</think> 42") + thoughts.finish() == "42"


def caught(text: str, size: int = 4) -> bool:
    guard = RepetitionGuard()
    return any(guard.add(text[i : i + size]) for i in range(0, len(text), size))


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "The The The The ",
        "I put a lock lock lock lock ",
        "It is red and blue and red and blue and red and blue and red and blue and",
        "I like tea. I like tea. I like tea. I like",
        "- buy some milk\n- call your sister\n- buy some milk\n- read\n- buy some milk\n",
        "You told me that you live in Leeds. Fine. You told me that you live in Leeds. Good. "
        "You told me that you live in Leeds. Well",
        "no no no no no no no ",
        "lalalalalalalalalalalalalalalalalalalalalalalalalalalalalalala",
        "我喜欢喝茶。" * 20,
        "her name is Anna, her name is Anna, her name is Anna, her",
    ],
)
def test_answers_that_go_round_in_circles(text, size):
    assert caught(text, size)


@pytest.mark.parametrize(
    "text",
    [
        "No, no, no! That is very, very, very kind of you. Ha ha ha! ",
        "1. Walk the dog.\n2. Walk to work.\n3. Walk home.\n4. Walk the dog again.\n",
        "| a | b |\n|---|---|\n| 1 | 1 |\n| 1 | 1 |\n| 1 | 1 |\n",
        "```python\nx = 1\nif x:\n    return x\nelse:\n    return x\nfor y in z:\n    return x\n    return x\n```\n",
        "-" * 80 + "\n" + "=" * 80 + "\n",
        "The number is 100000000000000000000000000000000000000000000000000000000000. ",
        "Yes. Yes. Go on. Tell me more. Tell me more about it. I had that that was fine. ",
        "0 0 0 0 0 0 1 1 1 1 1 0 0 0 0 ",
    ],
)
def test_answers_that_do_not(text):
    assert not caught(text)
