"""The model behind its thread: conversations, people before background work, stopping, closing, a full window."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import pairwise

import pytest
import real_models

from mnemon.errors import InputError, ModelError, ModelMissingError, PromptTooLongError, TemplateError
from mnemon.runtime.chat_model import ChatMessage, ChatModel, Priority, Sampling
from mnemon.runtime.worker import LocalModel

SYSTEM = ChatMessage("system", "You are Mnemon, a personal assistant that runs on the user's own device.")
LOUD = Sampling(temperature=1.2, top_k=0, top_p=1.0, min_p=0.0, seed=7)


@pytest.fixture(scope="module")
def built_in():
    with LocalModel.load(real_models.built_in(), real_models.ONE_THREAD) as model:
        yield model


@pytest.fixture(scope="module")
def tiny():
    spec = real_models.spec_of(real_models.tiny_model(), context=1024)
    with LocalModel.load(spec, real_models.ONE_THREAD) as model:
        yield model


def user(text: str) -> ChatMessage:
    return ChatMessage("user", text)


def talk(model: ChatModel, questions: list[str], session: str | None, **how) -> tuple[list[ChatMessage], list]:
    messages, reports = [SYSTEM], []
    for question in questions:
        messages.append(user(question))
        generation = model.generate(messages, session=session, **how)
        messages.append(ChatMessage("assistant", "".join(p.text for p in generation)))
        reports.append(generation.report)
    return messages, reports


def test_it_is_a_chat_model_and_knows_itself(built_in):
    model: ChatModel = built_in
    assert model.info.architecture == "llama"
    assert model.info.parameters > 12e6
    assert model.count_tokens("Hello there") > 1


def test_an_answer_and_what_it_cost(built_in):
    generation = built_in.generate([SYSTEM, user("Hello, who are you?")])
    pieces = list(generation)
    assert "Mnemon" in "".join(p.text for p in pieces)
    report = generation.report
    assert sum(len(p.logprobs) for p in pieces) == report.answer_tokens > 5
    assert all(p <= 1e-6 for piece in pieces for p in piece.logprobs)
    assert report.prompt_tokens > 20
    assert report.cached_tokens == 0
    assert report.stop_reason == "end"
    assert report.context_used == report.prompt_tokens + report.answer_tokens
    assert report.context_size == 1024
    assert 0 < report.first_token_ms <= report.total_ms


def test_each_turn_decodes_only_what_is_new(built_in):
    questions = ["My dog is called Biscuit.", "What is my dog called?", "Thanks!", "Who are you?"]
    messages, reports = talk(built_in, questions, "turns")
    assert "Biscuit" in messages[4].content
    for before, after in pairwise(reports):
        assert after.cached_tokens == before.prompt_tokens + before.answer_tokens
    regenerated = built_in.generate(messages[:-1], session="turns")
    list(regenerated)
    assert regenerated.report.cached_tokens == reports[-1].prompt_tokens - 1


def test_generated_tokens_are_kept_even_when_the_text_would_split_differently(tiny):
    """Random weights say what no tokenizer would split the same way again."""
    _, reports = talk(tiny, ["one", "two", "three"], "odd", max_tokens=40, sampling=LOUD)
    assert reports[2].cached_tokens == reports[1].prompt_tokens + reports[1].answer_tokens - 1


def test_conversations_do_not_disturb_each_other(built_in):
    questions = ["My dog is called Biscuit.", "What is my dog called?", "Thanks!"]
    alone, _ = talk(built_in, questions, "alone")
    messages = {name: [SYSTEM] for name in "abcdefgh"}  # more than there are sequences
    for question in questions:
        for name, said in messages.items():
            said.append(user(question))
            answer = "".join(p.text for p in built_in.generate(said, session=f"many-{name}"))
            said.append(ChatMessage("assistant", answer))
    assert all(said == alone for said in messages.values())


def test_without_a_session_nothing_is_kept(built_in):
    for _ in range(2):
        generation = built_in.generate([SYSTEM, user("A secret: 4711.")], max_tokens=3)
        list(generation)
        assert generation.report.cached_tokens == 0


def test_characters_arrive_whole(tiny):
    generation = tiny.generate([SYSTEM, user("Say something")], max_tokens=300, sampling=LOUD)
    text = "".join(p.text for p in generation)
    assert generation.report.answer_tokens > 100
    assert any(ord(c) > 0x2E80 for c in text), "the vocabulary is full of Chinese: some of it should come"
    assert text.encode("utf-8").decode("utf-8") == text


@pytest.fixture
def released(tiny, monkeypatch):
    """Set it, and answers go on past their fifth token: without it a busy machine could see one end by itself."""
    event, step, steps = threading.Event(), tiny._engine.step, []

    def held(sequence: int, token: int) -> None:
        steps.append(token)
        if len(steps) > 5:
            event.wait(30)
        step(sequence, token)

    monkeypatch.setattr(tiny._engine, "step", held)
    yield event
    event.set()


def test_stop_from_another_thread(tiny, released):
    generation = tiny.generate([SYSTEM, user("Go on")], max_tokens=100_000, sampling=LOUD)

    def stop():
        generation.stop()
        released.set()

    threading.Timer(0.05, stop).start()
    list(generation)
    assert generation.report.stop_reason == "stopped"
    generation.stop()


def test_leaving_the_loop_stops_it(tiny, released):
    generation = tiny.generate([SYSTEM, user("Go on")], max_tokens=100_000, sampling=LOUD)
    for _ in generation:
        break
    released.set()
    list(tiny.generate([SYSTEM, user("Hello")], max_tokens=2))
    assert generation.report.stop_reason == "stopped"


def test_a_long_prompt_is_stopped_within_a_decode(tiny):
    generation = tiny.generate([SYSTEM, user("word " * 700)], max_tokens=10)
    generation.stop()
    list(generation)
    assert generation.report.stop_reason == "stopped"
    assert generation.report.answer_tokens == 0


def test_a_person_goes_before_background_work_and_it_goes_on_afterwards(tiny):
    def background(session):
        return tiny.generate([SYSTEM, user("Extract")], max_tokens=400, session=session, priority=Priority.BACKGROUND)

    alone = "".join(p.text for p in background(None))
    generation = background("work")
    pieces = iter(generation)
    said = next(pieces).text
    done = []
    for i in range(5):
        answer = tiny.generate([SYSTEM, user(f"Question {i}")], max_tokens=5)
        list(answer)
        done.append(generation.report.answer_tokens)
    said += "".join(p.text for p in pieces)
    assert done[0] < 390, "the background answer was over before the first question was answered"
    assert said == alone


def test_a_person_interrupts_a_long_background_prompt(tiny):
    started = threading.Event()
    result = []

    def score():
        started.set()
        result.append(tiny.loglikelihood([SYSTEM, user("word " * 300)], "word " * 600))

    thread = threading.Thread(target=score)
    thread.start()
    started.wait()
    list(tiny.generate([SYSTEM, user("Hello")], max_tokens=3))
    thread.join()
    alone = tiny.loglikelihood([SYSTEM, user("word " * 300)], "word " * 600)
    assert result[0].tokens == alone.tokens
    assert result[0].total == pytest.approx(alone.total, rel=0.01)


def test_likelihood_of_given_answers(built_in):
    messages = [
        SYSTEM,
        user("My dog is called Biscuit."),
        ChatMessage("assistant", "Lovely."),
        user("What is my dog called?"),
    ]
    right = built_in.loglikelihood(messages, "Your dog is called Biscuit.")
    wrong = built_in.loglikelihood(messages, "Your dog is called Bartholomew.")
    assert "".join(right.tokens) == "Your dog is called Biscuit."
    assert right.total > wrong.total
    assert built_in.loglikelihood(messages, "").tokens == ()


def test_a_full_window_drops_the_oldest_turns_and_says_so(built_in):
    _, reports = talk(
        built_in, [f"Note number {i}: " + "tea and cake " * 15 for i in range(40)], "long", max_tokens=20
    )
    assert reports[3].dropped_messages == 0
    assert reports[-1].dropped_messages > 10
    assert all(r.context_used <= 1024 for r in reports)
    dropping = [b for a, b in pairwise(reports) if b.dropped_messages > a.dropped_messages]
    assert 2 <= len(dropping) < 20, "turns leave in groups"
    assert all(r.cached_tokens > 300 for r in dropping), "what stays is moved, not decoded again"
    kept = [b for a, b in pairwise(reports[20:]) if b.dropped_messages == a.dropped_messages]
    assert all(r.prompt_tokens - r.cached_tokens < 100 for r in kept)


def test_messages_that_can_not_fit(built_in):
    with pytest.raises(PromptTooLongError, match="1024"):
        built_in.generate([SYSTEM, user("word " * 2000)])
    with pytest.raises(PromptTooLongError):
        built_in.generate([SYSTEM, user("x" * 1_000_000)])
    with pytest.raises(PromptTooLongError):
        built_in.loglikelihood([SYSTEM, user("Hi")], "word " * 2000)
    with pytest.raises(InputError):
        built_in.generate([SYSTEM])


def test_a_repeating_answer_is_ended(built_in):
    endless = 'root ::= "The " root'  # whatever model ships, it cannot end this by itself
    generation = built_in.generate([SYSTEM, user("Hi")], grammar=endless, max_tokens=500)
    assert "".join(p.text for p in generation).count("The") < 10
    assert generation.report.stop_reason == "repeat"


def test_length_and_grammar(built_in):
    generation = built_in.generate([SYSTEM, user("Tell me a story.")], max_tokens=3)
    list(generation)
    assert (generation.report.stop_reason, generation.report.answer_tokens) == ("length", 3)
    answer = built_in.generate([SYSTEM, user("Is the sky blue?")], grammar='root ::= "yes" | "no"')
    assert "".join(p.text for p in answer) in ("yes", "no")


def test_an_error_reaches_the_reader_and_the_next_answer_works(built_in):
    generation = built_in.generate([SYSTEM, user("Hi")], grammar="root ::= (")
    with pytest.raises(ModelError, match="grammar"):
        list(generation)
    assert list(built_in.generate([SYSTEM, user("Hi")], max_tokens=2))


def test_a_conversation_that_cannot_be_saved_costs_nothing_but_time(tmp_path, monkeypatch):
    def refuse(_sequence):
        raise ModelError("The state of the conversation could not be read.")

    monkeypatch.setattr("mnemon.runtime.owner._PAUSE", 0.01)
    spec = real_models.spec_of(real_models.tiny_model(), context=1024)
    with LocalModel.load(
        spec, real_models.ONE_THREAD, session_dir=tmp_path / "sessions", session_key=b"k" * 32
    ) as model:
        monkeypatch.setattr(model._engine, "save", refuse)
        for _ in range(2):
            assert list(model.generate([user("Hello")], max_tokens=4, session="c1"))
            end = time.monotonic() + 10
            while model._sequences.unsaved and time.monotonic() < end:
                time.sleep(0.01)
            assert not model._sequences.unsaved
        assert model._owner._thread.is_alive()
    assert not (tmp_path / "sessions").exists()


def test_closing_ends_everything():
    model = LocalModel.load(real_models.built_in(), real_models.ONE_THREAD)
    running = iter(model.generate([SYSTEM, user("Tell me everything")], max_tokens=900, sampling=LOUD))
    next(running)
    owner, failed = model._owner, []

    def hold():  # what is queued behind it cannot begin before closing does, however busy the machine
        while not owner._closing:
            time.sleep(0.001)
            yield

    owner.submit(Priority.PERSON, hold(), lambda: None)
    waiting = model.generate([SYSTEM, user("And then?")], max_tokens=900, sampling=LOUD)

    def score():
        try:
            model.loglikelihood([SYSTEM, user("Hi")], "Hello")
        except ModelError as error:
            failed.append(error)

    thread = threading.Thread(target=score)
    thread.start()
    time.sleep(0.02)
    model.close()
    model.close()
    thread.join(5)
    assert not thread.is_alive()
    assert failed
    assert not list(waiting)
    assert waiting.report.stop_reason == "stopped"
    with pytest.raises(ModelError, match="closed"):
        model.generate([SYSTEM, user("Hi")])


def test_models_that_cannot_be_loaded(tmp_path):
    with pytest.raises(ModelMissingError, match="pulled"):
        LocalModel.load(replace(real_models.built_in(), path=None), real_models.ONE_THREAD)
    spec = real_models.spec_of(real_models.source().vocabulary("gpt-2"))
    with pytest.raises(ModelError, match="no weights"):
        LocalModel.load(spec, real_models.ONE_THREAD)


def test_a_template_that_cannot_work_needs_the_owners_word(tmp_path):
    data = real_models.built_in().path.read_bytes()
    path = tmp_path / "odd.gguf"
    path.write_bytes(data.replace(b"{% for message in messages %}", b"{{ nothing.like.this.here  }}", 1))
    spec = real_models.spec_of(path)
    with pytest.raises(TemplateError):
        LocalModel.load(spec, real_models.ONE_THREAD)
    with LocalModel.load(spec, replace(real_models.ONE_THREAD, chatml_fallback=True)) as model:
        assert "ChatML" in model.info.notes[0]
        assert list(model.generate([SYSTEM, user("Hi")], max_tokens=3))


def test_a_long_answer_arrives_whole_with_one_probability_for_each_token(built_in, monkeypatch):
    monkeypatch.setattr("mnemon.runtime.worker._FLUSH", 0.002)  # many batches, cut inside of characters too
    said = []
    generation = built_in.generate([SYSTEM, user("Tell me a story about Zoë and a café ☕ in 東京.")], max_tokens=80)
    add = generation.put
    generation.put = lambda batch: said.extend(batch) or add(batch)
    pieces = list(generation)
    assert "".join(piece.text for piece in pieces) == built_in.model.text([token for token, _ in said])
    assert [p for piece in pieces for p in piece.logprobs] == [logprob for _, logprob in said]
    assert len(said) == generation.report.answer_tokens > 20
