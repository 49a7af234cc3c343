"""What people pipe in: words, nothing, too much, and what is not text at all."""

from __future__ import annotations

import io

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from mnemon.commands.words import MAX_BYTES, checked, lines
from mnemon.errors import InputError


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "nothing to read"),
        (b" \n\t ", "nothing to read"),
        (b"\xef\xbb\xbf", "nothing to read"),
        (b"a\0b", "binary"),
        (b"caf\xe9", "not UTF-8 (byte 4)"),
        (b"x" * (MAX_BYTES + 1), "200,000 bytes"),
    ],
)
def test_what_cannot_be_words_is_refused_with_a_next_step(data: bytes, says: str) -> None:
    with pytest.raises(InputError) as refused:
        checked(data)
    assert says in str(refused.value)
    assert refused.value.hint
    assert "\n" not in refused.value.one_line()


def test_words_keep_their_inside_and_lose_what_surrounds_them() -> None:
    assert checked("\ufeff  Ça va,\n  toi? 🙂\r\n".encode()) == "Ça va,\n  toi? 🙂"


def test_a_line_that_cannot_be_used_costs_only_itself() -> None:
    stream = io.BytesIO(b"first\n\n  \n\xff\xfe\n" + b"y" * 1_000_000 + b"\nbi\0nary\r\nlast, without a line break")
    got = list(lines(stream))
    assert [x if isinstance(x, str) else InputError for x in got] == [
        "first",
        InputError,
        InputError,
        InputError,
        "last, without a line break",
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_longest_line_is_taken_whole(end: bytes) -> None:
    assert list(lines(io.BytesIO(b"z" * MAX_BYTES + end + b"next"))) == ["z" * MAX_BYTES, "next"]
    assert list(lines(io.BytesIO(b"z" * MAX_BYTES))) == ["z" * MAX_BYTES]
    refused, following = lines(io.BytesIO(b"z" * (MAX_BYTES + 1) + end + b"next"))
    assert isinstance(refused, InputError)
    assert following == "next"


@pytest.mark.parametrize("more", [2, 3, MAX_BYTES + 2, 2 * MAX_BYTES + 4])
def test_the_rest_of_a_line_that_is_too_long_is_not_taken_for_another(more: int) -> None:
    got = list(lines(io.BytesIO(b"z" * (MAX_BYTES + more) + b"\nnext\n")))
    assert [type(one) for one in got] == [InputError, str]


@for_all(st.binary(max_size=400))
def test_any_bytes_are_words_or_an_input_error(data: bytes) -> None:
    for line in lines(io.BytesIO(data)):
        assert isinstance(line, InputError) or (line == line.strip() and line and "\0" not in line)
