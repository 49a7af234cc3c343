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

MAX_VALUE_CHARACTERS = 16 * 1024 * 1024
"""One conversation of more than 16 million characters is not one."""
MAX_UNPACKED_BYTES = 8 * 1024**3
MAX_RATIO = 200
"""Text compresses ten- to twentyfold; a member that unpacks two hundredfold is a bomb."""
_READ_BYTES = 256 * 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Broken:
    """Stands where a value cannot be read; those after it can."""

    why: str


@dataclass(slots=True)
class Source:
    """An opened import file.

    Attributes:
        values: Its JSON values, one at a time: the elements of a top-level array, or the lines; :class:`Broken`
            where one cannot be read, also at the end of a file that is cut off.
        sealed: It was sealed with a passphrase.
        at: Which line or element the last value was, from 1.
    """

    values: Iterator[Any]
    sealed: bool
    at: int = 0


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
            source = Source(iter(()), sealed)
            source.values = _going_on(_values(_counted(chunks, file, size, progress), path, source), path)
            yield source
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


def _going_on(values: Iterator[Any], path: Path) -> Iterator[Any]:
    """Once something was read, an end that cannot be is one more value that is broken."""
    read = False
    try:
        for value in values:
            read = True
            yield value
    except TransferError as error:
        if not read:
            raise
        yield Broken(str(error).removeprefix(f"{path} ").removesuffix("."))


def _values(chunks: Iterator[bytes], path: Path, source: Source) -> Iterator[Any]:
    text = _decoded(chunks)
    first = ""
    for first in text:
        if first.strip("\ufeff \t\r\n"):
            break
    start = first.lstrip("\ufeff \t\r\n")
    if start.startswith("["):
        yield from _elements(start[1:], text, path, source)
    elif start.startswith("{"):
        yield from _lines(start, text, path, source)
    elif "\udc80" <= start[:1] <= "\udcff":
        raise TransferError(f"{path} is not UTF-8 text.", hint="Export again as JSON.")
    else:
        raise _not_json(path)


def _decoded(chunks: Iterator[bytes]) -> Iterator[str]:
    """As text; bytes that are no UTF-8 become lone surrogates, by which :func:`_parsed` knows them."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


_MARK = re.compile(r'["\\{}\[\],]')


def _elements(rest: str, text: Iterator[str], path: Path, source: Source) -> Iterator[Any]:
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
                if length <= MAX_VALUE_CHARACTERS:
                    piece.write(buffer[begin : match.start()])
                begin = position
                element = piece.getvalue().strip()
                source.at += 1
                if length > MAX_VALUE_CHARACTERS:
                    yield _TOO_LONG
                elif element:
                    yield _parsed(element)
                elif mark == ",":
                    yield _NOT_JSON
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
        length += len(buffer) - begin
        if length <= MAX_VALUE_CHARACTERS:
            piece.write(buffer[begin:])
        else:
            piece = io.StringIO()  # read over, not kept
        following = next(text, None)
        if following is None:
            raise _cut_off(path)
        buffer = following


def _lines(start: str, text: Iterator[str], path: Path, source: Source) -> Iterator[Any]:
    """One value a line; a single value spread over lines is taken too."""
    pieces, length = [start], len(start)  # of the line that has not ended yet
    first = True
    for chunk in _and_end(text):
        if chunk is not None and "\n" not in chunk and "\n" not in pieces[0]:
            length += len(chunk)
            if length <= MAX_VALUE_CHARACTERS:
                pieces.append(chunk)
            else:
                pieces = [""]  # read over, not kept
            continue
        lines = ("".join(pieces) + (chunk or "")).split("\n")
        if length > MAX_VALUE_CHARACTERS:
            lines[0] = ""
            yield _TOO_LONG
        pieces = [lines.pop() if chunk is not None else ""]
        length = len(pieces[0])
        for number, line in enumerate(lines):
            source.at += 1
            if not line.strip():
                continue
            value = _parsed(line)
            if first and isinstance(value, Broken):  # perhaps one object over several lines, and nothing else
                yield _whole("\n".join([*lines[number:], *pieces]), text, path)
                return
            first = False
            last = chunk is None and number == len(lines) - 1
            if value is _NOT_JSON or value is _CUT_OFF:
                value = _CUT_OFF if last else _NOT_JSON
            yield value


def _whole(begun: str, text: Iterator[str], path: Path) -> Any:
    pieces, length = [begun], len(begun)
    for chunk in text:
        length += len(chunk)
        if length > MAX_VALUE_CHARACTERS:
            raise _not_json(path)
        pieces.append(chunk)
    value = _parsed("".join(pieces))
    if isinstance(value, Broken):
        raise (_cut_off if value is _CUT_OFF else _not_json)(path)
    return value


def _and_end(text: Iterator[str]) -> Iterator[str | None]:
    yield from text
    yield None


def _parsed(text: str) -> Any:
    """The value, or :class:`Broken`."""
    try:
        value = json.loads(text)
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        return Broken("is not UTF-8 text")
    except RecursionError:
        return Broken("is nested too deeply")
    except ValueError as error:
        at_the_end = isinstance(error, json.JSONDecodeError) and error.pos >= len(text.rstrip()) - 1
        return _CUT_OFF if at_the_end else _NOT_JSON
    return value


_NOT_JSON = Broken("is not JSON that Mnemon can read")
_CUT_OFF = Broken("is cut off in the middle")
_TOO_LONG = Broken("is longer than 16 million characters")


def _not_json(path: Path) -> TransferError:
    return TransferError(f"{path} is not JSON that Mnemon can read.", hint="Export again, and import that file.")


def _cut_off(path: Path) -> TransferError:
    return TransferError(f"{path} is cut off in the middle.", hint="Copy or download it again.")
