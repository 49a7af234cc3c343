"""An import file as a stream of JSON values: plain, zipped or sealed, an array or one value a line.

Nothing is ever held whole: memory use is bounded by the longest single conversation, whatever the file's size.
"""

from __future__ import annotations

import codecs
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mnemon.errors import TransferError
from mnemon.memory import sealing

MAX_VALUE_CHARACTERS = 64 * 1024 * 1024
"""One conversation of more than 64 million characters is not one."""
MAX_UNPACKED_BYTES = 8 * 1024**3
MAX_RATIO = 200
"""Text compresses ten- to twentyfold; a member that unpacks two hundredfold is a bomb."""
_READ_BYTES = 256 * 1024

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Source:
    """An opened import file.

    Attributes:
        values: Its JSON values, one at a time: the elements of a top-level array, or the lines.
        sealed: It was sealed with a passphrase.
    """

    values: Iterator[Any]
    sealed: bool


@contextmanager
def opened(path: Path, *, passphrase: Callable[[], str] | None, progress: Progress | None) -> Iterator[Source]:
    """Open ``path`` for reading, whatever it is packed in.

    Args:
        passphrase: Asked only when the file is sealed.
        progress: Called with the bytes read so far and those of the file.

    Raises:
        TransferError: It cannot be read; also while iterating over its values.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if not path.is_file() or size == 0:
                raise TransferError(f"{path} is empty.", hint="Export again.")
            head = file.read(len(sealing.MAGIC))
            file.seek(0)
            sealed = head == sealing.MAGIC
            if sealed:
                if passphrase is None:
                    raise TransferError(f"{path} is sealed with a passphrase.", hint="Give the passphrase.")
                chunks = sealing.unseal(file, passphrase, total=size)
            elif head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
                chunks = _unzipped(file, path)
            else:
                chunks = iter(lambda: file.read(_READ_BYTES), b"")
            yield Source(_values(_counted(chunks, file, size, progress), path), sealed)
    except IsADirectoryError as error:
        raise TransferError(f"{path} is a folder.", hint="Name the file in it.") from error
    except OSError as error:
        raise TransferError(f"{path} cannot be read: {error.strerror or error}.", hint="Check the path.") from error


def _counted(chunks: Iterator[bytes], file: BinaryIO, size: int, progress: Progress | None) -> Iterator[bytes]:
    for chunk in chunks:
        if progress:
            progress(min(file.tell(), size), size)
        yield chunk


def _unzipped(file: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(file) as archive:
            member = next(
                (m for m in archive.infolist() if m.filename.rsplit("/", 1)[-1] == "conversations.json"), None
            )
            if member is None:
                raise TransferError(f"{path} holds no conversations.json.", hint="Is it the export's zip file?")
            _refuse_bomb(member, path)
            unpacked = 0
            with archive.open(member) as packed:
                while chunk := packed.read(_READ_BYTES):
                    unpacked += len(chunk)  # the directory's figure may lie
                    if unpacked > MAX_UNPACKED_BYTES or unpacked > member.file_size:
                        raise _bomb(path)
                    yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise TransferError(f"{path} is not a whole zip file.", hint="Download it again.") from error


def _refuse_bomb(member: zipfile.ZipInfo, path: Path) -> None:
    ratio = member.file_size / max(member.compress_size, 1)
    if member.file_size > MAX_UNPACKED_BYTES or (member.file_size > 16 * 1024**2 and ratio > MAX_RATIO):
        raise _bomb(path)


def _bomb(path: Path) -> TransferError:
    return TransferError(f"{path} unpacks to far more than it should.", hint="It is not an export; do not use it.")


def _values(chunks: Iterator[bytes], path: Path) -> Iterator[Any]:
    text = _decoded(chunks, path)
    first = ""
    for first in text:
        if first.strip("\ufeff \t\r\n"):
            break
    start = first.lstrip("\ufeff \t\r\n")
    try:
        if start.startswith("["):
            yield from _elements(start[1:], text, path)
        elif start.startswith("{"):
            yield from _lines(start, text, path)
        else:
            raise _not_json(path)
    except RecursionError as error:
        raise _not_json(path) from error


def _decoded(chunks: Iterator[bytes], path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise TransferError(f"{path} is not UTF-8 text.", hint="Export again as JSON.") from error


_MARK = re.compile(r'["\\{}\[\],]')


def _elements(rest: str, text: Iterator[str], path: Path) -> Iterator[Any]:
    """The elements of an array, found by counting brackets outside strings, so that only one is held at a time."""
    piece = io.StringIO()
    depth, quoted, escaped, length = 0, False, False, 0
    buffer, closed = rest, False
    while True:
        begin = 0
        position = 0
        while position < len(buffer):
            if escaped:
                escaped = False
                position += 1
                continue
            match = _MARK.search(buffer, position)
            if match is None:
                break
            mark, position = match.group(), match.end()
            if quoted:
                escaped = mark == "\\"
                quoted = mark != '"'
            elif mark == '"':
                quoted = True
            elif mark in "{[":
                depth += 1
            elif depth and mark in "}]":
                depth -= 1
            elif not depth and mark in ",]":
                piece.write(buffer[begin : match.start()])
                begin = position
                element = piece.getvalue().strip()
                if element:
                    yield _parsed(element, path)
                elif mark == ",":
                    raise _not_json(path)
                piece, length = io.StringIO(), 0
                if mark == "]":
                    closed = True
                    break
            elif mark in "}\\":
                raise _not_json(path)
        if closed:
            if "".join([buffer[begin:], *text]).strip():
                raise _not_json(path)
            return
        piece.write(buffer[begin:])
        length += len(buffer) - begin
        if length > MAX_VALUE_CHARACTERS:
            raise _too_long(path)
        following = next(text, None)
        if following is None:
            raise _cut_off(path)
        buffer = following


def _lines(start: str, text: Iterator[str], path: Path) -> Iterator[Any]:
    """One value a line; a single value spread over lines is taken too."""
    buffer = start
    whole = True  # nothing has been yielded: the file may still be one pretty-printed object
    for chunk in _and_end(text):
        if chunk is not None:
            buffer += chunk
            if len(buffer) > MAX_VALUE_CHARACTERS:
                raise _too_long(path)
            if "\n" not in chunk:
                continue
        lines = buffer.split("\n")
        buffer = "" if chunk is None else lines.pop()
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError:
                if not whole:
                    raise (_cut_off if chunk is None and number == len(lines) - 1 else _not_json)(path) from None
                buffer = "\n".join([*lines[number:], buffer])
                break
            whole = False
            yield value
        if chunk is None and buffer.strip():
            yield _parsed(buffer, path)


def _and_end(text: Iterator[str]) -> Iterator[str | None]:
    yield from text
    yield None


def _parsed(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        at_the_end = isinstance(error, json.JSONDecodeError) and error.pos >= len(text.rstrip()) - 1
        raise (_cut_off if at_the_end else _not_json)(path) from error


def _not_json(path: Path) -> TransferError:
    return TransferError(f"{path} is not JSON that Mnemon can read.", hint="Export again, and import that file.")


def _cut_off(path: Path) -> TransferError:
    return TransferError(f"{path} is cut off in the middle.", hint="Copy or download it again.")


def _too_long(path: Path) -> TransferError:
    return TransferError(f"{path} holds one value of over 64 million characters.", hint="It is not an export.")
