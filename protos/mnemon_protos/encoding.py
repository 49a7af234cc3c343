"""How statements that are signed or authenticated are spelt: the same bytes on both ends, and no two alike."""

from __future__ import annotations


class WireError(ValueError):
    """Bytes that claim to be something of this wire are not."""


def statement(purpose: str, *parts: bytes) -> bytes:
    """The bytes to sign for ``purpose``: every part with its length before it, so that no two lists collide.

    Args:
        purpose: What the signature is good for; a signature for one purpose is worth nothing for another.
        parts: Each up to 4 GiB.
    """
    spelt = [b"mnemon.v1 ", purpose.encode("ascii"), b"\0"]
    for part in parts:
        spelt += [len(part).to_bytes(4, "big"), part]
    return b"".join(spelt)


def number(value: int) -> bytes:
    """A signed 64-bit integer as 8 bytes."""
    return value.to_bytes(8, "big", signed=True)
