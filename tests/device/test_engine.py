"""The engine on the built-in model: what is cached is never decoded again, and gives the same numbers."""

from __future__ import annotations

import struct
import threading
import time

import numpy as np
import pytest
import real_models
from hypothesis import given, settings
from hypothesis import strategies as st

from mnemon.errors import ModelCorruptError, ModelError, ModelMissingError, ModelUnsupportedError
from mnemon.runtime import gguf_file
from mnemon.runtime.engine import CacheFull, DecodeAborted, Engine
from mnemon.runtime.vocabulary import Model

BUILT_IN = real_models.built_in().path
CLOSE = 0.25  # Q8_0 weights: one token and a batch of them take different kernels


@pytest.fixture(scope="module")
def model():
    with Model(BUILT_IN) as loaded:
        yield loaded


@pytest.fixture
def engine(model):
    with Engine(model, cells=1024, sequences=3, threads=1, batch=64) as made:
        yield made


def words(count: int, seed: int = 1) -> list[int]:
    return [int(t) for t in np.random.default_rng(seed).integers(300, 8000, count)]


def decode_for_long(engine: Engine) -> None:
    for seed in range(200):
        engine.truncate(0, 10)
        engine.decode(0, words(4000, seed))


# -- files that are not models ------------------------------------------------------------------------------------


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelMissingError) as caught:
            Model(path)
        assert "\n" not in caught.value.one_line()
        assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"GG", b"hello", b"\x00" * 100, b"PK\x03\x04" + b"x" * 100])
def test_a_file_that_is_no_gguf(tmp_path, content):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelCorruptError):
        Model(path)


@pytest.mark.parametrize("share", [0.00001, 0.001, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_off(tmp_path, share):
    data = BUILT_IN.read_bytes()
    path = tmp_path / "model.gguf"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelCorruptError, match=r"cut off|not a GGUF"):
        Model(path)


def test_a_version_from_the_future(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 0, 0))
    with pytest.raises(ModelUnsupportedError, match="version 9"):
        Model(path)


def test_an_architecture_nobody_knows(tmp_path, capfd):
    data = BUILT_IN.read_bytes()
    path = tmp_path / "model.gguf"
    path.write_bytes(
        data.replace(b"\x05\x00\x00\x00\x00\x00\x00\x00llama", b"\x05\x00\x00\x00\x00\x00\x00\x00xxama", 1)
    )
    with pytest.raises(ModelUnsupportedError, match="xxama"):
        Model(path)
    assert capfd.readouterr() == ("", ""), "llama.cpp must not write to the terminal"


@given(st.data())
@settings(max_examples=60)
def test_a_damaged_header_is_told_not_crashed_on(tmp_path_factory, data):
    good = BUILT_IN.read_bytes()[:4096]
    at = data.draw(st.integers(0, 4000))
    path = tmp_path_factory.mktemp("damaged") / "model.gguf"
    path.write_bytes(good[:at] + data.draw(st.binary(min_size=1, max_size=64)) + good[at + 1 :])
    with pytest.raises((ModelCorruptError, ModelUnsupportedError)):
        gguf_file.check(path)


def test_the_header_of_a_whole_file():
    header = gguf_file.check(BUILT_IN)
    assert header.architecture == "llama"
    assert header.data_end == BUILT_IN.stat().st_size


# -- decoding -----------------------------------------------------------------------------------------------------


def test_nothing_is_printed_while_loading(model, capfd):
    with Engine(model, cells=4096, threads=1) as engine:  # longer than it was trained on: llama.cpp warns
        engine.prefill(0, words(5))
    assert capfd.readouterr() == ("", "")


def test_only_what_is_new_is_decoded(engine):
    prompt = words(100)
    assert engine.prefill(0, prompt).decoded == 100
    again = engine.prefill(0, [*prompt, *words(10, seed=2)])
    assert (again.cached, again.decoded) == (100, 10)
    other_branch = engine.prefill(0, [*prompt[:60], *words(5, seed=3)])
    assert (other_branch.cached, other_branch.decoded) == (60, 5)
    assert engine.tokens(0) == [*prompt[:60], *words(5, seed=3)]


def test_a_reused_prefix_gives_the_same_logits(engine):
    prompt = words(90)
    engine.prefill(0, prompt)
    whole = engine.logits().copy()
    engine.prefill(1, prompt[:50])
    engine.prefill(1, [*prompt[:50], *words(20, seed=4)])
    engine.prefill(1, prompt)
    assert np.abs(engine.logits() - whole).max() < CLOSE
    engine.prefill(1, prompt)
    assert np.abs(engine.logits() - whole).max() < CLOSE


def test_scores_agree_with_the_logits_one_by_one(engine):
    prompt, answer = words(20), words(150, seed=5)
    engine.prefill(0, prompt)
    one_by_one = []
    for token in answer:
        logits = engine.logits().astype(np.float64)
        one_by_one.append(logits[token] - np.log(np.exp(logits).sum()))
        engine.step(0, token)
    engine.prefill(1, prompt)
    assert np.allclose(engine.scores(1, answer), one_by_one, atol=CLOSE)
    assert list(engine.tokens(1)) == [*prompt, *answer[:-1]]


def test_dropped_turns_are_moved_not_decoded(engine):
    head, first, second, rest = words(30), words(200, seed=6), words(100, seed=7), words(100, seed=8)
    engine.prefill(0, [*head, *first, *second, *rest])
    shifted = engine.prefill(0, [*head, *second, *rest, *words(8, seed=9)], shift=True)
    assert (shifted.cached, shifted.shifted, shifted.decoded) == (30, 200, 8)
    assert len(engine.tokens(0)) == 238
    engine.step(0, 400)
    without = engine.prefill(0, [*head, *rest], shift=False)
    assert without.shifted == 0


def test_sequences_do_not_disturb_each_other(engine):
    a, b = words(60, seed=10), words(60, seed=11)
    engine.prefill(0, a)
    alone = engine.logits().copy()
    engine.drop(0)
    engine.prefill(1, b)
    engine.prefill(0, a)
    assert np.abs(engine.logits() - alone).max() < CLOSE
    assert list(engine.tokens(0)) == a


def test_a_full_cache_is_said_and_keeps_the_rest(engine):
    engine.prefill(0, words(900))
    with pytest.raises(CacheFull):
        engine.prefill(1, words(200, seed=12))
    assert list(engine.tokens(0)) == words(900)
    engine.drop(0)
    assert engine.prefill(1, words(200, seed=12)).decoded <= 200


def test_abort_ends_a_decode_and_keeps_what_was_done(model):
    with Engine(model, cells=8192, threads=1, batch=4096) as engine:
        engine.prefill(0, words(10))
        timer = threading.Timer(0.05, engine.abort)
        timer.start()
        started = time.perf_counter()
        with pytest.raises(DecodeAborted):
            decode_for_long(engine)
        assert time.perf_counter() - started < 2
        assert list(engine.tokens(0)) == words(10)
        engine.resume()
        engine.step(0, 400)
        timer.join()


def test_state_is_put_back_exactly(engine):
    prompt = words(120)
    engine.prefill(0, [*prompt, 700])
    before = engine.logits().copy()
    engine.truncate(0, 120)
    state = engine.save(0)
    engine.drop(0)
    assert engine.restore(1, bytes(state), prompt)
    assert engine.prefill(1, [*prompt, 700]).decoded == 1
    assert np.abs(engine.logits() - before).max() < CLOSE
    assert not engine.restore(2, bytes(state), prompt[:-1])
    assert not engine.restore(2, bytes(state[: len(state) // 2]), prompt)
    assert len(engine.tokens(2)) == 0


def test_closing_twice_and_using_a_closed_model():
    model = Model(BUILT_IN, vocabulary_only=True)
    model.close()
    model.close()
    for use in (lambda: model.handle, lambda: model.plain("x"), lambda: model.piece(5), lambda: model.ends(5)):
        with pytest.raises(ModelError, match="closed"):
            use()
