"""Random numbers that are the same everywhere, and journals that make an adapter again to the last bit."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnemon.errors import JournalError
from mnemon.learning.generator import BATCH, DIRECTION, Stream, direction
from mnemon.learning.journal import (
    CHECK_BYTES,
    Codec,
    Header,
    Journal,
    Move,
    Record,
    Scale,
    State,
    Step,
    replay,
    single,
)

POOL = 12
SIZE = 9
NAMES = tuple(str(i) for i in range(1, POOL + 1))

singles = st.floats(-1e6, 1e6, width=32)
pools = st.sets(st.integers(0, POOL - 1)).map(lambda found: tuple(sorted(found)))
steps = st.builds(
    Step, st.integers(0, 2**64 - 1), st.lists(singles, min_size=1, max_size=6).map(tuple), singles, singles, pools
)
moves = st.builds(Move, st.lists(singles, max_size=SIZE).map(tuple), pools)
records = st.lists(st.one_of(steps, moves, st.builds(Scale, singles)), max_size=12)


def header(momentum: float = 0.5) -> Header:
    return Header("ab" * 32, "vector", SIZE, momentum, NAMES, {"rows": 3})


def test_the_keystream_is_that_of_the_rfc() -> None:
    # the key of 32 zero bytes of RFC 8439, appendix A.1, is not one of ours: this pins the layout of key and nonce
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

    key = (7).to_bytes(8, "little") + b"mnemon learning, form 1\0"
    nonce = bytes(4) + BATCH.to_bytes(4, "little") + (3).to_bytes(8, "little")
    wanted = Cipher(ChaCha20(key, nonce), mode=None).encryptor().update(bytes(100))
    assert Stream(7, BATCH, 3).bytes(100) == wanted
    zero = Cipher(ChaCha20(bytes(32), bytes(16)), mode=None).encryptor().update(bytes(8))
    assert zero.hex() == "76b8e0ada0f13d90"


def test_directions_never_change() -> None:
    """The bytes that journals of released versions rely on."""
    signs = np.concatenate([direction(seed, 1, 100) for seed in (0, 1, 2**64 - 1)])
    found = hashlib.sha256(signs.astype("<f8").tobytes()).hexdigest()
    assert found == "f85b45aaf6822697117db77326c016233fc466594cb0c98f811819eaec1a57ca"
    assert Stream(5, BATCH).sample(10, 4) == [0, 4, 6, 7]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 300))
def test_a_direction_is_signs_and_a_longer_one_goes_on(seed: int, number: int, size: int) -> None:
    signs = direction(seed, number, size)
    assert set(signs) <= {-1.0, 1.0}
    assert (direction(seed, number, size + 9)[:size] == signs).all()


@given(st.integers(0, 2**64 - 1), st.integers(0, 40), st.integers(0, 50))
def test_a_sample_is_different_numbers_in_order(seed: int, size: int, count: int) -> None:
    sample = Stream(seed, BATCH).sample(size, count)
    assert sample == sorted(set(sample))
    assert len(sample) == min(size, count)
    assert all(0 <= i < size for i in sample)


def test_signs_are_even_and_streams_are_strangers() -> None:
    one, other = Stream(9, DIRECTION).signs(20_000), Stream(9, BATCH).signs(20_000)
    assert abs(one.mean()) < 0.03
    assert abs((one * other).mean()) < 0.03
    drawn = [Stream(seed, BATCH).below(5) for seed in range(2_000)]
    assert min(np.bincount(drawn, minlength=5)) > 320


@given(records, st.floats(0, 0.875, width=32))
def test_a_journal_is_read_back_and_replayed_to_the_same_bytes(found: list[Record], momentum: float) -> None:
    journal = Journal(header(momentum), found)
    state = State(journal.header)
    with np.errstate(all="ignore"):
        for record in found:
            state.apply(record)
        again = Journal.decoded(journal.encoded())
        assert again == journal
        assert again.replay().tobytes() == state.theta.tobytes()


@given(records.filter(bool), st.data())
def test_a_damaged_record_ends_the_journal_there(found: list[Record], data: st.DataObject) -> None:
    codec = Codec(header())
    stored = [codec.encode(record) for record in found]
    number = data.draw(st.integers(0, len(stored) - 1))
    bit = data.draw(st.integers(0, 8 * len(stored[number]) - 1))
    changed = bytearray(stored[number])
    changed[bit // 8] ^= 1 << bit % 8
    read = Journal.read(header().encoded(), [*stored[:number], bytes(changed), *stored[number + 1 :]])
    assert (read.records, read.damaged) == (found[:number], len(found) - number)


@given(records.filter(bool), st.data())
def test_a_journal_that_was_cut_off_keeps_its_whole_records(found: list[Record], data: st.DataObject) -> None:
    whole = Journal(header(), found).encoded()
    start = len(header().encoded())
    cut = data.draw(st.integers(start, len(whole)))
    read = Journal.decoded(whole[:cut])
    assert read.records == found[: len(read.records)]
    assert len(read.records) == len(found) or len(Journal(header(), read.records).encoded()) <= cut


def test_records_of_one_journal_do_not_follow_in_another() -> None:
    data = Codec(header()).encode(Scale(2.0))
    other = Header("cd" * 32, "vector", SIZE, 0.5, NAMES, {"rows": 3})
    with pytest.raises(JournalError):
        Codec(other).decode(data)
    with pytest.raises(JournalError):
        Journal.decoded(b"nothing of the kind")
    with pytest.raises(JournalError):
        Journal.decoded(header().encoded()[:-3])


@given(records, st.sets(st.sampled_from(NAMES)))
def test_without_some_examples_it_is_a_run_that_never_had_those_steps(found: list[Record], gone: set[str]) -> None:
    journal = Journal(header(), found).without(gone)
    kept = [r for r in found if not {NAMES[i] for i in r.examples} & gone]
    with np.errstate(all="ignore"):
        assert journal.replay().tobytes() == Journal(header(), kept).replay().tobytes()


@given(records, records)
def test_a_second_journal_goes_on_where_the_first_ended(first: list[Record], second: list[Record]) -> None:
    with np.errstate(all="ignore"):
        state = State(header(), Journal(header(), first).replay())
        for record in second:
            state.apply(record)
        found = replay([Journal(header(), first), Journal(header(), second)])
        assert found.tobytes() == state.theta.tobytes()


def test_a_record_is_some_fifty_bytes() -> None:
    slopes = tuple(single(x) for x in (0.1, -0.2, 0.3, 0.4))
    size = len(Codec(header()).encode(Step(2**63, slopes, single(0.05), single(0.1), (0, 5))))
    assert size == 19 + 16 + 2 + CHECK_BYTES


def test_five_hundred_steps_are_the_same_bytes_in_another_process() -> None:
    chance = np.random.default_rng(1)
    known = Header("ab" * 32, "vector", 2240, single(0.9), NAMES)
    found: list[Record] = [
        Step(int(chance.integers(2**63)), tuple(map(single, chance.normal(size=4))), single(0.1), single(0.05), (1,))
        for _ in range(500)
    ]
    journal = Journal(known, found)
    program = (
        "import hashlib, sys; from mnemon.learning.journal import Journal;"
        "print(hashlib.sha256(Journal.decoded(sys.stdin.buffer.read()).replay().tobytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=journal.encoded(), capture_output=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.decode().strip() == hashlib.sha256(journal.replay().tobytes()).hexdigest()
