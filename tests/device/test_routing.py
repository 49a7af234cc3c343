"""Here or the cloud: what is decided, why, and what the owner's word changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import run
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_pages import plain_pages

from mnemon.errors import InputError, SettingsError
from mnemon.evaluation import routing
from mnemon.memory.memory import Memory
from mnemon.memory.records import Message
from mnemon.routing import features, reasons
from mnemon.routing.classifier import shipped
from mnemon.routing.router import Decision, Router
from mnemon.routing.signals import DraftSignals, Signals, observe


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    """With the real embedder."""
    with Memory.temporary() as opened:
        yield opened


@pytest.fixture
def router(memory: Memory) -> Iterator[Router]:
    yield Router(memory.store, memory.embedder)
    memory.forget_everything()


def decided(router: Router, memory: Memory, question: str) -> Decision:
    return router.decide(observe(question, embedder=memory.embedder))


def asked(memory: Memory, text: str) -> Message:
    talk = memory.messages.start().id
    return memory.messages.add(talk, "owner", text)


@pytest.mark.parametrize(
    ("question", "route", "why"),
    [
        ("Write a cover letter for a job as a nurse.", "cloud", "writing"),
        ("Write a Python function that merges two sorted lists", "cloud", "programming"),
        ("Translate 'see you on Monday' into Polish", "cloud", "language"),
        ("Can my landlord keep the deposit?", "cloud", "law"),
        ("Hello there!", "local", "small talk"),
        ("What's my sister's name?", "local", "you told"),
        ("remind me to water the plants tonight", "local", "keep"),
        ("My exam on quantum physics is on Friday.", "local", "telling"),
    ],
)
def test_where_a_question_goes_and_why(router: Router, memory: Memory, question: str, route: str, why: str) -> None:
    decision = decided(router, memory, question)
    assert decision.route == route
    assert why in decision.reason


def test_the_threshold_is_the_owners(memory: Memory) -> None:
    greeting, essay = "Hello there!", "Write an essay on free trade."
    assert decided(Router(memory.store, memory.embedder, threshold=0), memory, greeting).route == "cloud"
    assert decided(Router(memory.store, memory.embedder, threshold=1), memory, essay).route == "local"
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(SettingsError):
            Router(memory.store, memory.embedder, threshold=wrong)


def test_an_unsure_draft_makes_the_cloud_likelier(router: Router, memory: Memory) -> None:
    signals = observe("What should I wear?", embedder=memory.embedder)
    sure = router.decide(replace(signals, draft=DraftSignals.of([-0.01, -0.02])))
    unsure = router.decide(replace(signals, draft=DraftSignals.of([-3.0, -5.0])))
    silent = router.decide(replace(signals, draft=DraftSignals.of([])))
    assert sure.hard < unsure.hard
    assert sure.hard < silent.hard
    assert silent.features["draft"] > 0


def test_the_owners_word_moves_like_questions_and_hardly_others(router: Router, memory: Memory) -> None:
    question = "What wine goes with trout?"
    before = {q: decided(router, memory, q).hard for q in (question, "Which wine fits trout?", "Hello there!")}
    wanted = "local" if before[question] >= 0.5 else "cloud"
    for _ in range(2):
        router.learn(asked(memory, question).id, observe(question, embedder=memory.embedder), wanted)
    after = {q: decided(router, memory, q) for q in before}
    assert after[question].route == wanted
    assert "questions like this" in after[question].reason
    moved = {q: abs(after[q].hard - before[q]) for q in before}
    assert moved[question] >= moved["Which wine fits trout?"] > moved["Hello there!"]


def test_the_last_word_on_a_question_counts(router: Router, memory: Memory) -> None:
    message = asked(memory, "What should I cook?")
    signals = observe(message.text, embedder=memory.embedder)
    router.learn(message.id, signals, "cloud")
    up = router.decide(signals).features["verdicts"]
    router.learn(message.id, signals, "local")
    assert router.verdicts.count() == 1
    assert router.decide(signals).features["verdicts"] < 0 < up


def test_forgetting_a_question_unlearns_it_exactly(router: Router, memory: Memory) -> None:
    kept, gone = asked(memory, "What should I cook with leeks?"), asked(memory, "Which tyres fit my bicycle?")
    signals = observe(gone.text, embedder=memory.embedder)
    router.learn(kept.id, observe(kept.text, embedder=memory.embedder), "cloud")
    before = router.decide(signals)
    router.learn(gone.id, signals, "cloud")
    assert router.decide(signals).hard > before.hard
    memory.forget(gone.memory_id)
    assert router.decide(signals) == before
    assert Router(memory.store, memory.embedder).decide(signals) == before
    memory.forget_everything()
    assert router.verdicts.count() == 0
    assert router.decide(signals).features["verdicts"] == 0


def test_what_is_learned_is_only_in_the_encrypted_file(tmp_path: Path) -> None:
    from mnemon import Assistant

    with Assistant(tmp_path) as assistant:
        memory = assistant.memory
        router = Router(memory.store, memory.embedder)
        router.learn(
            asked(memory, "Is zibarro edible?").id, observe("Is zibarro edible?", embedder=memory.embedder), "cloud"
        )
        blob = memory.store.tuples("SELECT embedding FROM routing_verdicts")[0][0]
        key = memory.store.key
    assert blob in plain_pages(tmp_path / "memory.db", key)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and blob in file.read_bytes()]


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_any_text_is_decided(memory: Memory, text: str) -> None:
    embedding = shipped().weights[0, :384]
    decision = Router(memory.store, memory.embedder).decide(Signals(text, embedding))
    assert 0 <= decision.hard <= 1
    assert decision.reason.endswith(".")


def test_weights_fit_the_features_and_every_kind_has_its_reason() -> None:
    weights = shipped()
    assert weights.weights.shape == (len(weights.kinds), features.LENGTH)
    assert set(weights.kinds) == set(reasons.KINDS)
    assert len(features.form(Signals("x"))) == len(features.FORM)


def test_figures_of_a_perfect_and_of_a_useless_order() -> None:
    should = [True, True, False, False]
    assert routing.auc([4, 3, 2, 1], should) == 1
    assert routing.auc([1, 1, 1, 1], should) == 0.5
    assert routing.auc([1, 2, 3, 4], should) == 0
    assert routing.calls_at([4, 3, 2, 1], should, 0.5) == 0.25
    assert routing.calls_at([1, 2, 3, 4], should, 0.5) == 0.75
    assert routing.quality_at([4, 3, 2, 1], should, 0.25) == 0.5
    assert routing.quality_at([4, 3, 2, 1], should, 1) == 1
    with pytest.raises(ValueError, match="negatives"):
        routing.auc([1.0], [True])


def test_the_command_measures_and_draws(tmp_path: Path) -> None:
    rows = [("Hello there!", "local"), ("Write a sonnet on rain and translate it into Dutch.", "cloud")]
    path = tmp_path / "routing.jsonl"
    path.write_text("".join(json.dumps({"q": q, "label": label}) + "\n" for q, label in rows))
    done = run("", "eval", "routing", "--path", str(path), "--json", "--plot", str(tmp_path / "curve.svg"))
    figures = json.loads(done.output)
    assert figures["auc"] == 1
    assert figures["calls_at_quality"]["1"] == 0.5
    assert "<svg" in (tmp_path / "curve.svg").read_text()


def test_questions_of_one_label_cannot_be_measured(tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"q": "Hello", "label": "local"}))
    with pytest.raises(InputError):
        routing.run(path)
