"""Every step of learning, so that an adapter can be made again from what was written down.

A record is some fifty bytes: the seed of a step, the slopes that were measured along its directions, the step size,
eps, and which examples were used. The adapter *is* its journal: theta starts at zero and :meth:`State.apply`, which
the lesson itself goes through, turns records into theta. Both therefore agree to the last bit.

Written rule of arithmetic, so that every machine gets the same bytes: theta and the momentum are IEEE double
precision; one record is applied after the other, one direction after the other, element by element, each
multiplication and each addition rounded by itself; every number of a record is used in the precision it is
written in (single), widened. Nothing is summed across elements.

Each record ends with eight bytes that depend on it and on all before it, the header (which names the SHA-256 of the
base model) included. A tail that was cut off or damaged is recognised and left out.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from mnemon.errors import JournalError
from mnemon.learning.generator import direction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Theta = NDArray[np.float64]

MAGIC = b"MNEMON-J1\n"
CHECK_BYTES = 8

_LENGTH = struct.Struct("<I")
_FIXED = struct.Struct("<BQffH")  # kind, seed, step size, eps, how many numbers follow
_STEP, _MOVE, _SCALE = range(3)


@dataclass(frozen=True, slots=True)
class Step:
    """A step along random directions (MeZO).

    Attributes:
        seed: Of its directions, in [0, 2**64).
        slopes: What was measured along each direction, in nats per unit of theta, single precision.
        rate: The step size.
        eps: How far apart the two points of a slope were from theta.
        examples: Positions in the header's list of examples of those that the slopes rest on.
    """

    seed: int
    slopes: tuple[float, ...]
    rate: float
    eps: float
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """A change of theta written out in full: at most a few hundred numbers (CMA-ES, a line search).

    Attributes:
        change: Added to theta; shorter than theta means that the rest stays. Single precision.
        examples: As in :class:`Step`.
    """

    change: tuple[float, ...]
    examples: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """Theta times a factor: what an adapter is weakened by until it harms nothing else.

    Attributes:
        factor: Single precision.
        examples: As in :class:`Step`; empty, since the general set decides.
    """

    factor: float
    examples: tuple[int, ...] = ()


Record = Step | Move | Scale


def single(value: float) -> float:
    """``value`` as a record keeps it: rounded to single precision."""
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded


@dataclass(frozen=True, slots=True)
class Header:
    """What a journal is about.

    Attributes:
        base: SHA-256 of the base model's file, in hexadecimal.
        space: The name of the space, and what is needed to make it again, as JSON values.
        size: Numbers in theta.
        momentum: In [0, 1); single precision.
        examples: Ids of the examples that steps may name.
    """

    base: str
    space: str
    size: int
    momentum: float
    examples: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The header as bytes: JSON with sorted keys, its length before it."""
        values = {
            "base": self.base,
            "space": self.space,
            "size": self.size,
            "momentum": single(self.momentum),
            "examples": list(self.examples),
            "parameters": self.parameters,
        }
        text = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        return MAGIC + _LENGTH.pack(len(text)) + text

    @classmethod
    def decoded(cls, data: bytes) -> tuple[Self, int]:
        """A header, and how many bytes it takes.

        Raises:
            JournalError: That is no header.
        """
        start = len(MAGIC) + _LENGTH.size
        try:
            if data[: len(MAGIC)] != MAGIC:
                raise ValueError("no journal")
            end = start + _LENGTH.unpack_from(data, len(MAGIC))[0]
            values = json.loads(data[start:end].decode())
            values["examples"] = tuple(values["examples"])
            return cls(**values), end
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise JournalError(
                "The journal of a lesson cannot be read.", hint="The adapter before it is used."
            ) from error


class Codec:
    """Records to bytes and back, in order: each is sealed together with all before it."""

    def __init__(self, header: Header) -> None:
        self._pool = len(header.examples)
        self.check = hashlib.blake2b(header.encoded(), digest_size=CHECK_BYTES).digest()

    def encode(self, record: Record) -> bytes:
        """The next record."""
        body = _body(record, self._pool)
        self.check = self._next(body)
        return body + self.check

    def decode(self, data: bytes) -> Record:
        """The next record.

        Raises:
            JournalError: It is damaged, or does not follow the one before.
        """
        body, check = data[:-CHECK_BYTES], data[-CHECK_BYTES:]
        if self._next(body) != check:
            raise JournalError("A step of a lesson is damaged.", hint="What came before it still holds.")
        self.check = check
        return _record(body, self._pool)

    def _next(self, body: bytes) -> bytes:
        return hashlib.blake2b(body, digest_size=CHECK_BYTES, key=self.check).digest()


@dataclass(slots=True)
class Journal:
    """A header and its records.

    Attributes:
        damaged: Records that were there but could not be used, with those behind them.
    """

    header: Header
    records: list[Record] = field(default_factory=list)
    damaged: int = 0

    @classmethod
    def read(cls, header: bytes, records: Iterable[bytes]) -> Self:
        """What was stored; from the first damaged record on nothing is taken.

        Raises:
            JournalError: The header cannot be read.
        """
        known = Header.decoded(header)[0]
        codec, stored, good = Codec(known), list(records), []
        for data in stored:
            try:
                good.append(codec.decode(data))
            except JournalError:
                break
        return cls(known, good, len(stored) - len(good))

    def encoded(self) -> bytes:
        """All of it as one piece, to be replayed elsewhere: every record with its length before it."""
        codec = Codec(self.header)
        parts = [self.header.encoded()]
        for record in self.records:
            data = codec.encode(record)
            parts += [_LENGTH.pack(len(data)), data]
        return b"".join(parts)

    @classmethod
    def decoded(cls, data: bytes) -> Self:
        """What :meth:`encoded` gave; a tail that is cut off or damaged counts as ``damaged``.

        Raises:
            JournalError: The header cannot be read.
        """
        _, at = Header.decoded(data)
        head, parts = data[:at], []
        while at < len(data):
            length = _LENGTH.unpack_from(data, at)[0] if at + _LENGTH.size <= len(data) else 0
            parts.append(data[at + _LENGTH.size : at + _LENGTH.size + length])
            at += _LENGTH.size + length
        return cls.read(head, parts)

    def without(self, examples: Collection[str]) -> Journal:
        """The journal of a run that never had the steps that rest on these examples."""
        gone = {i for i, id in enumerate(self.header.examples) if id in examples}
        return replace(self, records=[r for r in self.records if gone.isdisjoint(r.examples)])

    def replay(self) -> Theta:
        """Theta after the last record."""
        state = State(self.header)
        for record in self.records:
            state.apply(record)
        return state.theta


class State:
    """Theta and the momentum while records are applied; see the rule of arithmetic above.

    Args:
        header: Says how many numbers there are.
        start: Theta to begin with, of an earlier journal; zero when left out.
    """

    def __init__(self, header: Header, start: Theta | None = None) -> None:
        import numpy as np

        self._size = header.size
        self._momentum = single(header.momentum)
        self.theta: Theta = np.zeros(header.size) if start is None else start.astype(np.float64)
        self.velocity: Theta = np.zeros(header.size)

    def apply(self, record: Record) -> None:
        """Go on by one record."""
        import numpy as np

        if isinstance(record, Scale):
            self.theta = self.theta * record.factor
            self.velocity = self.velocity * record.factor
        elif isinstance(record, Move):
            self.theta = self.theta.copy()
            self.theta[: len(record.change)] += np.asarray(record.change, np.float64)
        else:
            velocity = self.velocity * self._momentum
            for number, slope in enumerate(record.slopes):
                velocity = velocity + (slope / len(record.slopes)) * direction(record.seed, number, self._size)
            self.velocity = velocity
            self.theta = self.theta - record.rate * velocity

    def copy(self) -> State:
        """Another one at the same point."""
        other = object.__new__(State)
        other._size, other._momentum = self._size, self._momentum
        other.theta, other.velocity = self.theta, self.velocity  # replaced by apply(), never changed in place
        return other


def _body(record: Record, pool: int) -> bytes:
    if isinstance(record, Step):
        kind, seed, rate, eps, numbers = _STEP, record.seed, record.rate, record.eps, record.slopes
    elif isinstance(record, Move):
        kind, seed, rate, eps, numbers = _MOVE, 0, 0.0, 0.0, record.change
    else:
        kind, seed, rate, eps, numbers = _SCALE, 0, record.factor, 0.0, ()
    used = sum(1 << i for i in record.examples).to_bytes(-(-pool // 8), "little")
    return _FIXED.pack(kind, seed, rate, eps, len(numbers)) + struct.pack(f"<{len(numbers)}f", *numbers) + used


def _record(body: bytes, pool: int) -> Record:
    try:
        kind, seed, rate, eps, count = _FIXED.unpack_from(body)
        end = _FIXED.size + 4 * count
        numbers = struct.unpack(f"<{count}f", body[_FIXED.size : end])
        bits = int.from_bytes(body[end:], "little")
        examples = tuple(i for i in range(pool) if bits >> i & 1)
    except struct.error as error:
        raise JournalError("A step of a lesson is cut off.", hint="What came before it still holds.") from error
    if kind == _STEP:
        return Step(seed, numbers, rate, eps, examples)
    return Move(numbers, examples) if kind == _MOVE else Scale(rate, examples)


def replay(journals: Sequence[Journal]) -> Theta:
    """Theta after several journals, each going on where the one before ended; momentum begins anew with each."""
    theta: Theta | None = None
    for journal in journals:
        state = State(journal.header, theta)
        for record in journal.records:
            state.apply(record)
        theta = state.theta
    if theta is None:
        raise JournalError("There is no journal to replay.", hint="Run a lesson first.")
    return theta
