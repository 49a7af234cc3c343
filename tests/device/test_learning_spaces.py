"""What is tuned: each space is linear, begins with the base, and is made again from what a journal keeps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from learning_model import INNER, LAYERS, MATRIX, WIDTH, log_probabilities, taste

from mnemon.errors import JournalError, LearningError
from mnemon.learning.journal import Header
from mnemon.learning.spaces.making import BANKED, NAMES, again, described, make
from mnemon.learning.spaces.space import Shape, Space
from mnemon.learning.spaces.steering_basis import SteeringBasis, Trace, _eigen

BANK = [taste(1), taste(2)]
SHAPE = Shape("ab" * 32, LAYERS, WIDTH, {MATRIX: (INNER, WIDTH), "blk.0.ffn_down.weight": (INNER, WIDTH)})


def traces(count: int = 9) -> list[Trace]:
    chance = np.random.default_rng(5)
    return [Trace.of(chance.normal(size=(LAYERS, WIDTH)).astype(np.float32)) for _ in range(count)]


def space(name: str) -> Space:
    return make(name, SHAPE, traces(), BANK)


@pytest.mark.parametrize("name", NAMES)
def test_a_space_is_linear_and_zero_is_the_base(name: str) -> None:
    made = space(name)
    theta, direction = np.random.default_rng(1).normal(size=(2, made.size))
    base = log_probabilities([0, 3], ())
    assert np.allclose(log_probabilities([0, 3], made.apply(np.zeros(made.size))), base)
    line = made.along(theta, direction)
    for t in (0.25, -0.25):
        there = log_probabilities([0, 3], made.apply(theta + t * direction))
        assert np.allclose(log_probabilities([0, 3], line(t)), there, atol=1e-5)
        assert not np.allclose(there, base, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_space_is_made_again_from_what_its_journal_keeps(name: str) -> None:
    made = space(name)
    header = Header(SHAPE.base, made.name, made.size, 0.0, (), json.loads(json.dumps(described(made, SHAPE))))
    theta = np.random.default_rng(1).normal(size=made.size)
    once_more = again(header, traces(), [taste(3), *reversed(BANK)])
    assert once_more.size == made.size
    here, there = (log_probabilities([1, 2], one.apply(theta)) for one in (made, once_more))
    assert here.tobytes() == there.tobytes()
    if name != BANKED:
        exported = [(made.export(theta), 1.0)]
        assert np.allclose(log_probabilities([1, 2], exported), here, atol=1e-6)


def test_a_mixture_is_made_again_of_the_very_adapters_and_of_no_others() -> None:
    made = space(BANKED)
    header = Header(SHAPE.base, made.name, made.size, 0.0, (), described(made, SHAPE))
    for bank in ([], BANK[:1], [taste(1), taste(3)]):
        with pytest.raises(JournalError, match="not there any more"):
            again(header, (), bank)


def test_what_cannot_be_made_says_so() -> None:
    with pytest.raises(LearningError, match="nothing of the kind"):
        make("nothing of the kind", SHAPE)
    with pytest.raises(LearningError, match="traces"):
        make("steering basis", SHAPE)
    with pytest.raises(LearningError, match="bank of adapters"):
        make(BANKED, SHAPE)
    with pytest.raises(LearningError, match="has nothing"):
        make("lora", Shape("ab" * 32, LAYERS, WIDTH))
    with pytest.raises(LearningError, match="no single adapter"):
        space(BANKED).export(np.ones(2))
    with pytest.raises(JournalError):
        again(Header(SHAPE.base, "vector", 3, 0.0, (), {}))
    with pytest.raises(JournalError):
        again(Header(SHAPE.base, "gone", 3, 0.0, (), described(space("vector"), SHAPE)))


def test_a_basis_begins_with_the_mean_and_goes_on_with_the_singular_vectors() -> None:
    found = traces(7)
    basis = SteeringBasis.made(SHAPE, found, 3).basis
    rows = np.stack([np.ldexp(trace.data.astype(np.float64), trace.exponent) for trace in found])
    for layer in range(LAYERS):
        mean = rows[:, layer].mean(axis=0)
        assert np.allclose(basis[layer, 0], mean, atol=1e-3)
        directions = np.linalg.svd(rows[:, layer] - mean)[2]
        for k in (1, 2):
            length = np.linalg.norm(basis[layer, k])
            assert abs(length - np.linalg.norm(mean)) < 1e-3
            assert abs(abs(basis[layer, k] @ directions[k - 1]) / length - 1) < 1e-4


@given(arrays(np.float32, (2, 3), elements=st.floats(-1e4, 1e4, width=32)))
def test_a_trace_keeps_sixteen_bits(difference: np.ndarray) -> None:
    trace = Trace.of(difference)
    back = np.ldexp(trace.data.astype(np.float64), trace.exponent)
    assert np.abs(back - difference).max() <= np.abs(difference).max() * 2.0**-14


def test_a_trace_that_is_no_number_counts_for_nothing() -> None:
    assert not Trace.of(np.full((1, 2), np.nan, np.float32)).data.any()
    assert SteeringBasis.made(Shape("ab", 1, 2), [Trace.of(np.zeros((1, 2), np.float32))], 4).size == 1


@given(st.integers(1, 8), st.integers(0, 99))
def test_jacobi_finds_the_eigenvectors(size: int, seed: int) -> None:
    square = np.random.default_rng(seed).normal(size=(size, size + 1))
    matrix = square @ square.T
    values, vectors = _eigen(matrix)
    assert np.allclose(vectors @ np.diag(values) @ vectors.T, matrix, atol=1e-8)
    assert np.allclose(vectors.T @ vectors, np.eye(size), atol=1e-10)
