"""Reading what a person typed or piped in, and refusing what cannot be words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import BinaryIO

from mnemon.errors import InputError

MAX_BYTES = 200_000
"""About eighty pages. More is a document, and no window of a model on a device holds it."""


def checked(data: bytes) -> str:
    """``data`` as text, without the spaces around it.

    Raises:
        InputError: It is too long, not UTF-8, holds NUL bytes, or is empty.
    """
    if len(data) > MAX_BYTES:
        raise InputError(
            f"That is over {MAX_BYTES:,} bytes long.", hint="Say it in pieces; `mnemon memory import` takes files."
        )
    if b"\0" in data:
        raise InputError("That is binary data, not text.", hint="Pipe in plain text.")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(
            f"That is not UTF-8 (byte {error.start + 1}).", hint="Convert it, for instance with iconv -t utf-8."
        ) from error
    if not text:
        raise InputError("There is nothing to read.", hint="Say something in the argument or on standard input.")
    return text


def given(argument: str | None) -> str:
    """The words of an argument, or those on standard input when it is ``-`` or left out.

    Raises:
        InputError: See :func:`checked`; also when there is no argument and standard input is a terminal.
    """
    if argument is not None and argument != "-":
        # An argument that was not UTF-8 arrives with surrogates in it: as bytes it fails the check as it should.
        return checked(argument.encode("utf-8", "surrogateescape"))
    if argument is None and sys.stdin.isatty():
        raise InputError("There are no words.", hint='Say them in quotes, as in: mnemon ask "What is my dog called?"')
    return checked(sys.stdin.buffer.read(MAX_BYTES + 1))


def lines(stream: BinaryIO) -> Iterator[str | InputError]:
    """The lines of ``stream`` as they come, empty ones left out; one that cannot be used comes as its error."""
    longest = MAX_BYTES + len(b"\r\n")
    while line := stream.readline(longest):
        rest = line
        while len(rest) == longest and not rest.endswith(b"\n"):  # too long anyway: only its end is of interest
            rest = stream.readline(longest)
        if not line.strip():
            continue
        try:
            yield checked(line.rstrip(b"\r\n"))
        except InputError as error:
            yield error
