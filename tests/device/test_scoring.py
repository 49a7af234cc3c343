"""Scores of given answers under adapters: as exact as the slow way, prompts decoded once, a person first."""

from __future__ import annotations

import dataclasses
import logging
import random
import threading

import numpy as np
import pytest
import real_models

from mnemon.errors import AdapterError, InputError, ModelError, PromptTooLongError
from mnemon.runtime import scoring
from mnemon.runtime.adapters import Lora, SoftPrompt, Steering
from mnemon.runtime.chat_model import ChatMessage
from mnemon.runtime.engine import DecodeAborted
from mnemon.runtime.worker import LocalModel

SYSTEM = ChatMessage("system", "You are Mnemon, a personal assistant that runs on the user's own device.")
CLOSE = 0.25  # Q8_0 weights: batches of other sizes take other kernels
EXAMPLES = [
    ([SYSTEM, ChatMessage("user", question)], answer)
    for question, answer in [
        ("What is tea?", "Tea is hot."),
        ("What is tea?", "A drink that is made of leaves and of water."),
        ("Where do rivers end?", "In the sea, " * 40),
        ("Who are you?", "Mnemon"),
        ("Say nothing.", ""),
        ("What is tea made of?", "Leaves."),
    ]
]


@pytest.fixture(scope="module")
def model():
    with LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def scorer(model):
    with model.scorer(EXAMPLES) as made:
        yield made


@pytest.fixture(scope="module")
def base(scorer):
    return scorer.scores(())


def steering(model: LocalModel, seed: int = 0) -> Steering:
    return Steering(np.random.default_rng(seed).normal(size=model.model.steering_shape).astype(np.float32) / 10)


def lora(model: LocalModel, seed: int = 0) -> Lora:
    random = np.random.default_rng(seed)
    inputs, outputs = model.model.matrices["blk.2.attn_q.weight"]
    a, b = random.normal(size=(4, inputs)), random.normal(size=(outputs, 4))
    return Lora({"blk.2.attn_q.weight": (a.astype(np.float32) / 10, b.astype(np.float32) / 10)}, 4.0)


def soft_prompt(model: LocalModel) -> SoftPrompt:
    return SoftPrompt(np.random.default_rng(0).normal(size=(5, model.model.width)).astype(np.float32) / 10)


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(map(np.array_equal, a, b))


def test_they_are_those_of_the_slow_way(model, scorer, base):
    apart = []
    for (messages, answer), size, found in zip(EXAMPLES, scorer.tokens, base, strict=True):
        slow = model.loglikelihood(messages, answer)
        assert len(slow.logprobs) == len(found) == size
        assert found.dtype == np.float32
        assert np.allclose(found, slow.logprobs, atol=CLOSE)
        apart += list(found - slow.logprobs)
    assert abs(np.mean(apart)) < 0.01, "other batches round otherwise, but to neither side"


def test_again_is_the_same_and_some_are_those_of_all(scorer, base):
    assert same(scorer.scores(()), base)
    some = scorer.scores((), which=[3, 0])
    assert np.allclose(some[0], base[3], atol=CLOSE)
    assert np.allclose(some[1], base[0], atol=CLOSE)
    assert scorer.scores((), which=[]) == []


@pytest.mark.parametrize("kind", [steering, lora, soft_prompt])
def test_an_adapter_counts_while_it_is_there(model, scorer, base, kind):
    adapter = kind(model)
    adapted = scorer.scores([(adapter, 1.0)])
    assert all((a != b).any() for a, b in zip(adapted, base, strict=True) if len(a))
    assert same(scorer.scores([(adapter, 1.0)]), adapted)
    assert same(scorer.scores([(adapter, 0.0)]), base)
    assert same(scorer.scores(()), base)


@pytest.mark.parametrize("kind", [steering, lora, soft_prompt])
def test_scores_are_those_an_answer_is_generated_with(model, kind):
    active = [(kind(model), 0.5)]
    messages = EXAMPLES[0][0]
    pieces = list(model.generate(messages, max_tokens=12, adapters=active))
    text = "".join(p.text for p in pieces)
    with model.scorer([(messages, text)]) as made:
        generated = [x for p in pieces for x in p.logprobs]
        assert np.allclose(made.scores(active)[0], generated, atol=CLOSE)


def test_one_vector_after_another_makes_no_graphs_anew(model, scorer, base, caplog):
    """llama.cpp says when it does: what a step of learning would cost beyond its decodes."""
    short = [0, 1, 3]
    with caplog.at_level(logging.INFO, "mnemon.llama_cpp"):
        for seed in range(2):
            scorer.scores([(steering(model, seed), 1.0)], short)
        assert "reserving" in caplog.text
        caplog.clear()
        found = [scorer.scores([(steering(model, seed), 1.0)], short) for seed in (2, 3, 2)]
        assert "reserving" not in caplog.text
    assert same(found[0], found[2])
    assert not same(found[0], found[1])
    list(model.generate(EXAMPLES[0][0], max_tokens=1))
    assert not model._activation._active, "a conversation is the base model's"
    assert same(scorer.scores([(steering(model, 2), 1.0)], short), found[0])
    assert same(scorer.scores(()), base)


def test_what_does_not_fit_is_told_and_leaves_the_base(model, scorer, base):
    for bad in (
        Steering(np.zeros((1, 1), np.float32)),
        SoftPrompt(np.full((1, model.model.width), np.nan, np.float32)),
    ):
        with pytest.raises(AdapterError):
            scorer.scores([(steering(model), 1.0), (lora(model), 1.0), (bad, 1.0)])
    with pytest.raises(InputError):
        scorer.scores((), which=[0, 0])
    with pytest.raises(InputError):
        scorer.scores((), which=[len(EXAMPLES)])
    with pytest.raises(PromptTooLongError):
        model.scorer([([SYSTEM, ChatMessage("user", "word " * 2000)], "Yes.")])
    assert same(scorer.scores(()), base)


def test_prompts_that_do_not_fit_all_wait_on_disk(model, base):
    others = [([ChatMessage("user", f"{i} " * 200)], "Yes.") for i in range(6)]
    with model.scorer([*EXAMPLES, *others]) as small:
        decodes = [model._engine.decodes]
        first = small.scores(())
        assert model._engine.cells < sum(len(prompt.tokens) for prompt in small._prompts)
        for a, b in zip(first, base, strict=False):
            assert np.allclose(a, b, atol=CLOSE)
        decodes.append(model._engine.decodes)
        for a, b in zip(small.scores(()), first, strict=True):
            assert np.allclose(a, b, atol=CLOSE)
        decodes.append(model._engine.decodes)
        once, again = np.diff(decodes)
        assert once - again >= len(others), "a prompt was decoded twice"


def test_infinite_logits_are_no_accident(scorer):
    rows = np.zeros((3, scorer._ones.size), np.float32)
    rows[0, 5], rows[1, 7], rows[2] = 500.0, -500.0, -400.0
    wanted = [500.0, np.log(rows.shape[1] - 1), np.log(rows.shape[1]) - 400]
    assert np.allclose(scorer._log_totals(rows), wanted, rtol=1e-6)


def test_hidden_states_lie_where_steering_vectors_are_added(model, scorer):
    before = scorer.hidden_states()
    layers, width = model.model.steering_shape
    assert before.shape == (len(EXAMPLES), layers, width)
    assert not before[4].any(), "an empty answer has none"
    vector = np.zeros((layers, width), np.float32)
    vector[2] = np.random.default_rng(0).normal(size=width)
    change = scorer.hidden_states(active=[(Steering(vector), 1.0)], which=[0, 2]) - before[[0, 2]]
    assert not change[:, :2].any()
    assert np.allclose(change[:, 2], vector[2], atol=1e-4)
    assert change[:, 3].any()


def test_hidden_states_of_an_answer_longer_than_a_decode(model, scorer):
    at_once = scorer.hidden_states([2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_MOST", 32)
        with model.scorer([EXAMPLES[2]]) as small:
            assert np.allclose(small.hidden_states(), at_once, atol=0.5)


def test_a_person_comes_first_and_the_scores_are_the_same(model, monkeypatch):
    examples = [([SYSTEM, ChatMessage("user", f"Tell me about {i}.")], f"I know {i} well. " * 10) for i in range(8)]
    active = [(steering(model), 1.0), (lora(model), 1.0), (soft_prompt(model), 1.0)]

    def turn() -> str:
        return "".join(p.text for p in model.generate(examples[0][0], max_tokens=8))

    alone = turn()
    with model.scorer(examples) as made:
        wanted = made.scores(active)
        together = made._kept.together
        begun, decode = threading.Event(), together.decode
        others: list[int] = []  # decodes of conversations, seen before each of the scorer's

        def interrupted(parts) -> None:
            others.append(model._engine.decodes)
            if len(others) == 2:
                begun.set()
                while not model._engine.flag:  # until the turn waits for its chance
                    pass
                with pytest.raises(DecodeAborted):
                    decode(parts)
                raise DecodeAborted
            decode(parts)

        monkeypatch.setattr(together, "decode", interrupted)
        found: list[list[np.ndarray]] = []
        thread = threading.Thread(target=lambda: found.append(made.scores(active)))
        thread.start()
        begun.wait()
        assert turn() == alone
        thread.join()
    assert same(found[0], wanted)
    assert others[2] > others[1], "the turn had to wait for more than one decode"


def test_closing_the_model_in_the_middle():
    model = LocalModel.load(real_models.built_in(), real_models.ONE_THREAD)
    made = model.scorer(EXAMPLES)
    errors: list[BaseException] = []

    def score() -> None:
        try:
            while True:
                made.scores([(lora(model), 1.0)])
        except ModelError as error:
            errors.append(error)

    thread = threading.Thread(target=score)
    thread.start()
    made.scores(())
    model.close()
    thread.join()
    assert "closed" in str(errors[0])
    made.close()
    with pytest.raises(ModelError, match="closed"):
        made.scores(())


def test_a_closed_scorer(model):
    with model.scorer(EXAMPLES) as made:
        pass
    made.close()
    with pytest.raises(ModelError, match="closed"):
        made.scores(())


def test_no_examples(model):
    with model.scorer([]) as made:
        assert made.scores(()) == []
        assert made.hidden_states().shape == (0, *model.model.steering_shape)


def test_a_long_turn_takes_the_cells_and_the_scores_come_all_the_same(model, base):
    with model.scorer(EXAMPLES) as made:
        made.scores(())
        told = [SYSTEM, ChatMessage("user", "tea " * 800)]
        for session in ("~one", "~two"):
            assert list(model.generate(told, max_tokens=2, session=session))
        assert not model._prompts._held, "a conversation had to go without"
        for a, b in zip(made.scores((), which=[0, 1]), base, strict=False):
            assert np.allclose(a, b, atol=CLOSE)
        report = model.generate(told, max_tokens=2, session="~two")
        assert list(report)
        assert report.report.cached_tokens > 700, "the conversation used last has given way"
    model.forget_all_sessions()


def test_a_turn_that_takes_the_cells_in_the_middle(model, monkeypatch):
    examples = [([SYSTEM, ChatMessage("user", f"Tell me about {i}.")], f"I know {i} well. " * 10) for i in range(8)]
    active = [(steering(model), 1.0), (lora(model), 1.0), (soft_prompt(model), 1.0)]
    with model.scorer(examples) as made:
        wanted = made.scores(active)
        decode, count = model._prompts.together.decode, 0

        def interrupted(parts) -> None:
            nonlocal count
            count += 1
            if count == 2:
                assert model._prompts.give_way(), "as a conversation does"
                raise DecodeAborted
            decode(parts)

        monkeypatch.setattr(model._prompts.together, "decode", interrupted)
        for a, b in zip(made.scores(active), wanted, strict=True):
            assert np.allclose(a, b, atol=CLOSE)
    assert model._prompts.cells == 0
    assert len(model._prompts._for_prompts) + len(model._prompts._for_branches) == len(model._prompts._lent)


def test_cells_are_counted_as_they_are_taken(monkeypatch):
    """Prompts that begin alike come, wait on disk, come back and go: which share their cells is known."""
    begins = ChatMessage("system", "You are Mnemon, a small assistant on the owner's own device. " * 3)
    dice = random.Random(4)
    examples = [
        ([begins, ChatMessage("user", f"{name} " * dice.randrange(1, 30))], f"I like {name}.")
        for name in map(str, range(40))
    ]
    cells: dict[int, list[object]] = {}
    with (
        LocalModel.load(real_models.built_in(), dataclasses.replace(real_models.ONE_THREAD, context=512)) as model,
        model.scorer(examples) as made,
        model.scorer(examples) as another,
    ):
        engine = model._engine

        def after(name, note):
            whole = getattr(engine, name)

            def call(sequence, *rest, **named):
                result = whole(sequence, *rest, **named)
                note(sequence, *rest)
                return result

            monkeypatch.setattr(engine, name, call)

        def more(sequence, tokens):
            cells.setdefault(sequence, []).extend(object() for _ in tokens)

        after("enter", more)
        after("_decode", more)
        after("drop", lambda sequence: cells.pop(sequence, None))
        after("copy", lambda source, target, length: cells.update({target: cells[source][:length]}))
        after("restore", lambda sequence, _, tokens: more(sequence, tokens))
        for known in range(6, 40):
            dice.choice((made, another)).scores((), which=dice.sample(range(known), 6))
            assert len({id(cell) for several in cells.values() for cell in several}) <= model._prompts.cells


def test_saved_conversations_make_room_but_not_the_last(tmp_path):
    with LocalModel.load(
        real_models.built_in(), real_models.ONE_THREAD, session_dir=tmp_path, session_key=bytes(32)
    ) as model:
        for name in ("older", "newer"):
            list(model.generate([SYSTEM, ChatMessage("user", f"{name} " * 300)], max_tokens=2, session=name))
        others = [([ChatMessage("user", f"{i} " * 200)], "Yes.") for i in range(3)]
        with model.scorer(others) as made:
            assert all(np.isfinite(scores).all() for scores in made.scores(()))
        held = [kept.name for kept in model._sequences._holders if kept]
        assert held == ["newer"]
        again = model.generate([SYSTEM, ChatMessage("user", "older " * 300)], max_tokens=2, session="older")
        list(again)
        assert again.report.cached_tokens > 300, "it was not on disk"


@pytest.mark.slow
def test_two_hundred_evaluations_need_no_more_memory_than_ten(model):
    def resident() -> int:
        with open("/proc/self/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * 4096

    with model.scorer(EXAMPLES) as made:
        for seed in range(200):
            made.scores([(steering(model, seed), 1.0), (lora(model, seed), 0.01)], which=[3])
            if seed == 9:
                before = resident()
        assert resident() - before < 4 << 20
        assert len(made._loras._loaded) <= 5
