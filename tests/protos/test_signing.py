"""A signature proves a key only where the key is one: points of small order take signatures that nobody made."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mnemon_protos.signing import verified

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P

Point = tuple[int, int]


def root(square: int) -> int | None:
    """A square root modulo P, or None."""
    found = pow(square, (P + 3) // 8, P)
    for candidate in (found, found * pow(2, (P - 1) // 4, P) % P):
        if candidate * candidate % P == square % P:
            return candidate
    return None


def points(y: int) -> list[Point]:
    """Those of the curve with this y."""
    x = root((y * y - 1) * pow(D * y * y + 1, -1, P) % P)
    return [] if x is None else [(x, y), (-x % P, y)]


def added(a: Point, b: Point) -> Point:
    """The sum on -x² + y² = 1 + d x² y²."""
    (x, y), (v, w) = a, b
    k = D * x * v * y * w
    return (x * w + y * v) * pow(1 + k, -1, P) % P, (y * w + x * v) * pow(1 - k, -1, P) % P


def small_ones() -> set[int]:
    """The y of every point whose order is a divisor of 8: eight times any point leaves the large part out."""
    order = 2**252 + 27742317777372353535851937790883648493
    found = {0, 1, P - 1}
    for y in range(2, 60):
        for point in points(y):
            total, power, times = (0, 1), point, order
            while times:
                total = added(total, power) if times & 1 else total
                power, times = added(power, power), times >> 1
            found.add(total[1])
    return found


def encodings() -> list[bytes]:
    """All ways to write them: with either sign, and where there is room with P added."""
    whole = [y + over for y in small_ones() for over in (0, P) if y + over < 2**255]
    return [(y | sign << 255).to_bytes(32, "little") for y in whole for sign in (0, 1)]


def test_there_are_eight_points_of_small_order() -> None:
    assert sum(len(set(points(y))) for y in small_ones()) == 8


@pytest.mark.parametrize("key", encodings(), ids=bytes.hex)
def test_no_signature_is_good_for_a_key_of_small_order(key: bytes) -> None:
    for signature in (bytes(64), (1).to_bytes(64, "little"), key + bytes(32)):
        assert not any(verified(key, signature, os.urandom(40)) for _ in range(40))


def test_a_real_one_is_good_for_what_was_signed() -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"this")
    assert verified(public, signature, b"this")
    assert not verified(public, signature, b"that")
    assert not verified(public[:-1], signature, b"this")
