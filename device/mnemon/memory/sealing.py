"""Files sealed with a passphrase: Argon2id makes the key, ChaCha20-Poly1305 seals the file chunk by chunk.

Each chunk's nonce holds its number and whether it is the last, so chunks can be neither swapped, dropped nor cut
off unnoticed; the header is authenticated with every chunk.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from mnemon.errors import TransferError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

MAGIC = b"MNEMON-SEALED\x01\n"
CHUNK_BYTES = 64 * 1024
_TAG_BYTES = 16
_PARAMETERS = struct.Struct(">16s7sIII")  # salt, nonce prefix, passes, lanes, memory in KiB
_PASSES, _LANES, _MEMORY_KIB = 3, 1, 64 * 1024  # RFC 9106's choice for little memory; 64 MiB also fit a phone
_MAX_MEMORY_KIB = 512 * 1024
_MAX_PASSES = 16


class SealingWriter(io.RawIOBase):
    """Write plain bytes; sealed ones go to ``file``. :meth:`close` seals the last chunk, not the file."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        super().__init__()
        if not passphrase:
            raise TransferError("An empty passphrase seals nothing.", hint="Give one, or export without it.")
        self._header = MAGIC + _PARAMETERS.pack(os.urandom(16), os.urandom(7), _PASSES, _LANES, _MEMORY_KIB)
        self._seal, self._prefix = _cipher(self._header, passphrase)
        self._file, self._pending, self._number = file, bytearray(), 0
        file.write(self._header)

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Take ``data``; whole chunks are sealed at once."""
        self._pending += data
        while len(self._pending) > CHUNK_BYTES:
            self._put(bytes(self._pending[:CHUNK_BYTES]), last=False)
            del self._pending[:CHUNK_BYTES]
        return len(data)

    def close(self) -> None:
        """Seal what is left as the last chunk."""
        if not self.closed:
            self._put(bytes(self._pending), last=True)
            super().close()

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._file.write(self._seal.encrypt(_nonce(self._prefix, self._number, last=last), chunk, self._header))
        self._number += 1


def unseal(file: BinaryIO, passphrase: Callable[[], str], *, total: int) -> Iterator[bytes]:
    """The plain chunks of a sealed file of ``total`` bytes, checked one by one.

    Raises:
        TransferError: Wrong passphrase, or a damaged or cut-off file.
    """
    header = file.read(len(MAGIC) + _PARAMETERS.size)
    if len(header) < len(MAGIC) + _PARAMETERS.size or not header.startswith(MAGIC):
        raise TransferError("The sealed file is cut off.", hint="Copy it again.")
    from cryptography.exceptions import InvalidTag

    cipher, prefix = _cipher(header, passphrase())
    number = 0
    while True:
        chunk = file.read(CHUNK_BYTES + _TAG_BYTES)
        last = file.tell() >= total
        try:
            plain = cipher.decrypt(_nonce(prefix, number, last=last), chunk, header)
        except InvalidTag as error:
            if number == 0:
                raise TransferError(
                    "The passphrase does not open this file, or the file is damaged.", hint="Try again."
                ) from error
            raise TransferError("The sealed file is damaged or cut off.", hint="Copy it again.") from error
        yield plain
        number += 1
        if last:
            return


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)


def _cipher(header: bytes, passphrase: str) -> tuple[ChaCha20Poly1305, bytes]:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    salt, prefix, passes, lanes, memory = _PARAMETERS.unpack(header[len(MAGIC) :])
    if not (1 <= passes <= _MAX_PASSES and lanes == 1 and 8 <= memory <= _MAX_MEMORY_KIB):
        raise TransferError("The sealed file's header is damaged.", hint="Copy it again.")
    return ChaCha20Poly1305(stretched(passphrase, salt, passes=passes, lanes=lanes, memory=memory)), prefix


def stretched(
    passphrase: str, salt: bytes, *, passes: int = _PASSES, lanes: int = _LANES, memory: int = _MEMORY_KIB
) -> bytes:
    """32 bytes that Argon2id makes from a passphrase and 16 bytes of salt, in some 0.2 s and ``memory`` KiB."""
    from unicodedata import normalize

    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    argon = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    # Normalised, so that the same letters typed on another system open it.
    return argon.derive(normalize("NFC", passphrase).encode())
