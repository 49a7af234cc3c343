"""Drafts looked up in the prompt: what is found, when it pays, and that nothing said changes for it."""

from __future__ import annotations

import json
import threading
from importlib import resources

import pytest
import real_models
from hypothesis import given
from hypothesis import strategies as st

from mnemon.runtime.adapters import Steering
from mnemon.runtime.chat_model import ChatMessage, Priority, Sampling
from mnemon.runtime.engine import CacheFull, Engine
from mnemon.runtime.lookup import LONGEST_MATCH, Drafter, Pace, find
from mnemon.runtime.worker import LocalModel

SYSTEM = ChatMessage("system", "You are Mnemon, a personal assistant that runs on the user's own device.")
LONG = "My dog is called Biscuit and my sister Imogen lives in Ludlow above the bakery."
SIZES = (4, 8, 16)
few = st.lists(st.integers(0, 3), max_size=40)  # few words: much repeats


class Eager(Pace):
    """Drafts wherever something is found, of all lengths in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def took(self, size: int, seconds: float) -> None:
        pass

    def size(self, match: int) -> int:
        self.asked += 1
        return (2, 3, 4, 8, 16)[self.asked % 5]


class Never(Pace):
    def __init__(self) -> None:
        super().__init__()
        self.pays = False

    def answered(self, tokens: int) -> None:
        pass


# -- what is found ------------------------------------------------------------------------------------------------


@given(few)
def test_the_longest_latest_match_is_found(tokens):
    found = (0, 0)
    for length in range(1, LONGEST_MATCH + 1):
        for start in range(len(tokens) - length):
            if tokens[start : start + length] == tokens[-length:]:
                found = (length, start + length)
    assert find("".join(map(chr, tokens))) == found


@given(few, st.lists(few.filter(bool), min_size=1, max_size=5), st.integers(0, 20))
def test_a_draft_is_what_followed_the_same_words_before(prompt, parts, most):
    drafter, out = Drafter(Eager(), prompt), []
    for part in parts:
        out += part
        draft = drafter.draft(out, most)
        drafter.drop()
        everything = prompt + out
        assert len(draft) <= min(most, max(SIZES) - 1)
        if draft:
            length, _ = find("".join(map(chr, everything)))
            occurrence = [*everything[len(everything) - length :], *draft]
            assert any(everything[i : i + len(occurrence)] == occurrence for i in range(len(everything)))


@given(few.filter(bool), few.filter(bool), few)
def test_what_is_confirmed_is_what_was_chosen(prompt, out, chosen):
    drafter = Drafter(Eager(), prompt)
    draft, said = list(drafter.draft(out, 15)), []
    for token in chosen:
        said.append(token)
        if not drafter.confirms(token):
            break
    right = len([1 for a, b in zip(said, draft, strict=False) if a == b]) if draft else 0
    if said and said[: len(draft)] != draft[: len(said)]:
        right = len(said) - 1
    assert drafter.unused == len(draft) - min(right, len(draft))
    drafter.judged()
    assert (drafter.unused, drafter.row) == (0, -1)


def test_tokens_of_a_large_vocabulary_and_of_no_character():
    drafter = Drafter(Eager(), [0xD800, 0xDFFF, 262_143, 0, 7])
    assert drafter.draft([0xD800, 0xDFFF], 2) == [262_143, 0]


# -- when it pays -------------------------------------------------------------------------------------------------


def decode(pace: Pace, size: int, costs: dict[int, float]) -> None:
    pace.took(size, 0.01 * costs[size])
    pace.took(1, 0.01)


def paced(costs: dict[int, float], right: bool = True) -> Pace:
    """After an answer in which every match was drafted and its drafts were all right, or all wrong."""
    pace = Pace()
    for _ in range(4):
        pace.took(1, 0.01)
    for _ in range(40):
        size = pace.size(3) if pace.pays else 1
        if size > 1:
            decode(pace, size, costs)
        pace.guessed(3, *((15, 0) if right else (0, 1)))
    return pace


def test_nothing_is_drafted_before_a_decode_was_timed():
    pace = Pace()
    assert pace.size(3) == 1
    pace.took(1, 0.5)  # the first after a prompt makes its graph
    assert pace.size(3) == 1
    pace.took(1, 0.01)
    assert pace.size(3) > 1


def test_drafts_as_long_as_they_pay():
    assert paced({4: 1.1, 8: 1.2, 16: 1.4}).size(3) == 16
    assert paced({4: 1.6, 8: 6.0, 16: 12.0}).size(3) == 4
    assert paced({4: 3.6, 8: 4.1, 16: 5.5}).size(3) == 16


def test_where_several_tokens_cost_as_much_as_one_by_one_nothing_is_drafted():
    pace = paced({4: 4.0, 8: 8.0, 16: 16.0})
    assert not pace.pays
    pace.answered(1000)
    assert not pace.pays
    pace.answered(100)
    assert pace.pays, "never tried again"


def test_wrong_drafts_end_and_right_guesses_bring_them_back():
    cheap = {4: 1.5, 8: 2.0, 16: 3.0}
    pace = paced(cheap, right=False)
    assert pace.size(3) == 1
    for _ in range(40):
        pace.guessed(3, 1, 0)
    assert pace.size(3) > 1
    assert pace.size(1) == paced(cheap).size(1), "another length of match has its own record"


def test_what_switching_to_one_token_costs_is_the_drafts_cost():
    pace = Pace()
    for _ in range(4):
        pace.took(1, 0.01)
    for _ in range(10):
        for size in SIZES:
            pace.took(size, 0.01 * size / 2)
            pace.took(1, 0.01 + 0.01 * size)
    assert not pace.pays


def test_a_moments_noise_does_not_end_drafts():
    pace = paced({4: 1.5, 8: 2.0, 16: 3.0})
    size = pace.size(3)
    pace.took(size, 10.0)
    pace.took(1, 0.01)
    assert pace.size(3) > 1


# -- with real models ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built_in():
    with LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as model:
        yield model


@pytest.fixture(scope="module")
def told():
    text = resources.files("mnemon.evaluation").joinpath("told_facts.jsonl").read_text("utf-8")
    return [row for row in map(json.loads, text.splitlines()) if row["tell"]]


def user(text: str) -> ChatMessage:
    return ChatMessage("user", text)


def about(rows: list[dict], question: str) -> list[ChatMessage]:
    notes = [f"- [2026-03-02] The user said: {row['tell']}" for row in rows]
    system = "\n".join([SYSTEM.content, "From earlier conversations:", *notes])
    return [ChatMessage("system", system), user(question)]


def answers(model: LocalModel, pace: Pace, prompts: list[list[ChatMessage]], **how) -> tuple[list, list, int]:
    """Texts, log-probabilities, and how many decodes they took."""
    model._pace = pace
    before, texts, logprobs = model._engine.decodes, [], []
    for prompt in prompts:
        pieces = list(model.generate(prompt, max_tokens=60, **how))
        texts.append("".join(piece.text for piece in pieces))
        logprobs += [p for piece in pieces for p in piece.logprobs]
    return texts, logprobs, model._engine.decodes - before


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0),
        Sampling(temperature=0.8, seed=3),
        Sampling(temperature=1.2, top_k=0, top_p=1.0, min_p=0.0, seed=5),
        Sampling(temperature=0.7, repeat_penalty=1.1, seed=9),
        Sampling(temperature=0.0, repeat_penalty=1.2),
    ],
    ids=["likeliest", "drawn", "drawn from all", "penalty", "likeliest with penalty"],
)
def test_the_same_is_said_in_fewer_decodes(built_in, told, sampling):
    prompts = [about(told[i : i + 4], told[i + 1]["ask"]) for i in range(0, 36, 6)]
    plain, logprobs, decodes = answers(built_in, Never(), prompts, sampling=sampling)
    drafted, again, fewer = answers(built_in, Eager(), prompts, sampling=sampling)
    assert drafted == plain
    assert again == pytest.approx(logprobs, abs=0.02), "one for each token, the same but for rounding"
    assert fewer < 0.8 * decodes
    assert answers(built_in, Eager(), prompts, sampling=sampling)[0] == drafted


def test_a_grammar_holds_for_drafts_too(built_in, told):
    grammar = 'root ::= "Your " [a-zA-Z ,\']+ "."'
    prompts = [about(told[i : i + 2], told[i]["ask"]) for i in range(12)]
    plain, _, decodes = answers(built_in, Never(), prompts, grammar=grammar)
    drafted, _, fewer = answers(built_in, Eager(), prompts, grammar=grammar)
    assert drafted == plain
    assert fewer < decodes


def held(model: LocalModel, session: str) -> list[int]:
    return list(model._engine.tokens(model._sequences.conversation(session).sequence))


def overheard(generation) -> list[int]:
    """The tokens of an answer, as they come."""
    tokens: list[int] = []
    put = generation.put

    def heard(batch):
        tokens.extend(token for token, _ in batch)
        put(batch)

    generation.put = heard
    return tokens


def test_the_sequence_holds_what_was_said_and_nothing_else(built_in, told):
    """After every answer of a conversation, and what follows is what a fresh decode of it says."""
    built_in._pace = Eager()
    messages = about(told[:4], told[0]["ask"])
    for row in told[1:8]:
        generation = built_in.generate(messages, session="~said", max_tokens=60)
        tokens = overheard(generation)
        text = "".join(piece.text for piece in generation)
        assert held(built_in, "~said")[-len(tokens) :] == tokens
        assert len(held(built_in, "~said")) == generation.report.prompt_tokens + len(tokens)
        built_in._pace = Never()
        fresh = built_in.generate(messages, max_tokens=60)
        assert "".join(piece.text for piece in fresh) == text
        built_in._pace = Eager()
        messages += [ChatMessage("assistant", text), user(row["ask"])]


@pytest.mark.parametrize("most", range(1, 14, 3))
def test_an_answer_cut_off_anywhere(built_in, told, most):
    """Its length is kept to the token, and the next turn finds exactly what was decoded."""
    messages = about(told[3:7], told[5]["ask"])
    _, _, _ = answers(built_in, Never(), [messages])
    plain = "".join(p.text for p in built_in.generate(messages, max_tokens=most))
    built_in._pace = Eager()
    generation = built_in.generate(messages, session=f"~cut{most}", max_tokens=most)
    assert "".join(p.text for p in generation) == plain
    report = generation.report
    decoded = report.answer_tokens - (report.stop_reason == "length")
    assert len(held(built_in, f"~cut{most}")) == report.prompt_tokens + decoded
    following = built_in.generate(
        [*messages, ChatMessage("assistant", plain), user("Thanks!")], session=f"~cut{most}"
    )
    list(following)
    assert following.report.cached_tokens == report.prompt_tokens + decoded


class Interrupted:
    """Calls back in the middle of an answer's draft, the how manieth is told."""

    def __init__(self, engine: Engine, monkeypatch, at: int, then) -> None:
        self._decode, self._at, self._then = engine.decode, at, then
        self.drafts = 0
        monkeypatch.setattr(engine, "decode", self)

    def __call__(self, sequence, tokens, *, every=False):
        if every:
            self.drafts += 1
            if self.drafts == self._at:
                self._then()
        self._decode(sequence, tokens, every=every)


def test_stopped_in_the_middle_of_a_draft(built_in, told, monkeypatch):
    messages = [SYSTEM, user(LONG)]
    whole, _, _ = answers(built_in, Eager(), [messages])
    interrupted = Interrupted(built_in._engine, monkeypatch, 2, lambda: generation.stop())
    built_in._pace = Eager()
    generation = built_in.generate(messages, session="~stopped", max_tokens=60)
    text = "".join(p.text for p in generation)
    assert interrupted.drafts == 2, "it went on"
    assert whole[0].startswith(text)
    assert text != whole[0]
    assert generation.report.stop_reason == "stopped"
    prompt, said = generation.report.prompt_tokens, generation.report.answer_tokens
    assert prompt <= len(held(built_in, "~stopped")) <= prompt + said
    again = "".join(p.text for p in built_in.generate(messages, session="~stopped", max_tokens=60))
    assert again == whole[0]


def test_a_person_comes_in_the_middle_of_a_draft(built_in, told, monkeypatch):
    messages, question = [SYSTEM, user(LONG)], about(told[4:8], told[6]["ask"])
    alone, _, _ = answers(built_in, Eager(), [messages, question])
    answer, came = [], threading.Event()

    def person():
        answer.append(built_in.generate(question, max_tokens=60))
        came.set()

    def come():
        threading.Thread(target=person).start()
        came.wait(30)

    built_in._pace = Eager()
    interrupted = Interrupted(built_in._engine, monkeypatch, 2, come)
    background = built_in.generate(messages, max_tokens=60, priority=Priority.BACKGROUND)
    assert "".join(p.text for p in background) == alone[0]
    assert "".join(p.text for p in answer[0]) == alone[1]
    assert interrupted.drafts > 2


def test_no_room_for_a_draft(built_in, told, monkeypatch):
    """It goes on without: what a draft would need is no reason to push another conversation out."""
    messages = about(told[:4], told[2]["ask"])
    alone, _, _ = answers(built_in, Eager(), [messages])

    def full():
        raise CacheFull

    interrupted = Interrupted(built_in._engine, monkeypatch, 1, full)
    assert answers(built_in, Eager(), [messages])[0] == alone
    assert interrupted.drafts == 1


def test_a_full_window(told):
    """Turns that leave the window, and answers that end where it does."""
    spec = real_models.spec_of(real_models.built_in().path, context=320)
    with (
        LocalModel.load(spec, real_models.ONE_THREAD) as one,
        LocalModel.load(spec, real_models.ONE_THREAD) as other,
    ):
        one._pace, other._pace, messages = Never(), Eager(), [SYSTEM]
        for row in told:
            messages.append(user(row["tell"]))
            generations = [model.generate(messages, session="~full", max_tokens=40) for model in (one, other)]
            text, drafted_text = ["".join(p.text for p in generation) for generation in generations]
            assert drafted_text == text
            plain, drafted = [generation.report for generation in generations]
            assert drafted.cached_tokens == plain.cached_tokens
            assert drafted.context_used <= 320
            messages.append(ChatMessage("assistant", text))
        assert drafted.dropped_messages > 10
        assert other._engine.decodes < 0.8 * one._engine.decodes
        generation = other.generate([SYSTEM, user("bread and oranges and " * 42)], max_tokens=500)
        list(generation)
        assert generation.report.context_used <= 320


def test_drafts_are_decoded_under_the_adapters_of_the_answer(built_in, told):
    import numpy as np

    layers, width = built_in.model.steering_shape
    steering = Steering(np.random.default_rng(1).normal(0, 0.05, (layers, width)).astype(np.float32))
    prompts = [about(told[i : i + 4], told[i + 1]["ask"]) for i in range(0, 24, 3)]
    active = ((steering, 1.0),)
    plain, logprobs, decodes = answers(built_in, Never(), prompts, adapters=active)
    drafted, again, fewer = answers(built_in, Eager(), prompts, adapters=active)
    assert drafted == plain
    assert again == pytest.approx(logprobs, abs=0.02)
    assert fewer < decodes
    base, _, _ = answers(built_in, Never(), prompts)
    assert plain != base or logprobs != answers(built_in, Never(), prompts)[1]


def test_a_model_whose_state_cannot_be_cut_back_gets_no_drafts(built_in, told, monkeypatch):
    monkeypatch.setattr(built_in._engine, "can_cut", False)
    interrupted = Interrupted(built_in._engine, monkeypatch, 0, lambda: None)
    answers(built_in, Eager(), [about(told[:4], told[2]["ask"])])
    assert interrupted.drafts == 0


def test_characters_arrive_whole_from_drafts(monkeypatch):
    """The words of a model of random weights are put into its mouth: those of the question."""
    spec = real_models.spec_of(real_models.tiny_model(), context=1024)
    text = "東京のカフェ ☕ で Zoë に会った。"
    with LocalModel.load(spec, real_models.ONE_THREAD) as tiny:
        words = tiny.model.plain(text)
        script = iter(words)
        monkeypatch.setattr("mnemon.runtime.sampling.Sampler.choose", lambda *_: (next(script), -1.0))
        tiny._pace = Eager()
        before = tiny._engine.decodes
        pieces = list(tiny.generate([user(text)], max_tokens=len(words)))
        assert "".join(piece.text for piece in pieces) == text
        assert [p for piece in pieces for p in piece.logprobs] == [-1.0] * len(words)
        assert tiny._engine.decodes - before < len(words) / 2
