"""What the pages of an encrypted memory really hold, freed ones and those in the log included."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mnemon.memory.sqlcipher import PAGE_BYTES

_RESERVED = 80  # initialisation vector and HMAC at the end of every page
_LOG_HEADER, _FRAME_HEADER = 32, 24


def plain_pages(path: Path, key: bytes) -> bytes:
    """All pages of the file and of its write-ahead log, decrypted one after the other."""
    data = path.read_bytes()
    pages = [(at == 0, data[at : at + PAGE_BYTES]) for at in range(0, len(data), PAGE_BYTES)]
    log = path.with_name(path.name + "-wal")
    frames = log.read_bytes()[_LOG_HEADER:] if log.exists() else b""
    for at in range(0, len(frames), _FRAME_HEADER + PAGE_BYTES):
        first = int.from_bytes(frames[at : at + 4], "big") == 1
        pages.append((first, frames[at + _FRAME_HEADER : at + _FRAME_HEADER + PAGE_BYTES]))
    return b"".join(_decrypted(page[16:] if first else page, key) for first, page in pages if len(page) == PAGE_BYTES)


def _decrypted(page: bytes, key: bytes) -> bytes:
    vector = page[-_RESERVED : -_RESERVED + 16]
    turned = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    return turned.update(page[:-_RESERVED]) + turned.finalize()
