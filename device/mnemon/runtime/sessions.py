"""The key-value caches of paused conversations, encrypted on disk, so that one reopens without being decoded again.

They save time, nothing else: a file that is missing, damaged, of another model or of another build counts as absent.
A file's name is a keyed hash of the conversation's name, its content is sealed with ChaCha20-Poly1305 under a key
derived for this purpose alone, and model, context and llama.cpp version are bound to it as associated data.

Content, before encryption: ``u32 n, n bytes of JSON`` (tokens and past answers), then the state llama.cpp gave.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"MNSESS01"
_NONCE = 12
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class SavedSession:
    """What is kept of a conversation.

    Attributes:
        tokens: What the cache holds.
        answers: Past answers by their text, as the tokens they were generated as.
        dropped: Messages that had left the window.
        state: Keys and values, as the engine gave them.
    """

    tokens: list[int]
    answers: Mapping[str, list[int]]
    dropped: int
    state: bytes | bytearray | memoryview


class SessionFiles:
    """A folder of encrypted sessions, the oldest removed when there are too many.

    Args:
        folder: Made when the first one is saved, readable by its owner only.
        key: 32 bytes.
        identity: What a cache belongs to; one saved under another identity is not opened.
        most_files: How many are kept.
        most_bytes: How much they may take together; a larger one is not saved.
    """

    def __init__(
        self, folder: Path, key: bytes, identity: bytes, *, most_files: int = 8, most_bytes: int = 512 << 20
    ) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        self._folder = folder
        self._identity = identity
        self._name_key = hmac.digest(key, b"mnemon session names", "sha256")
        self._cipher = ChaCha20Poly1305(hmac.digest(key, b"mnemon session contents", "sha256"))
        self._most_files = most_files
        self._most_bytes = most_bytes

    def save(self, name: str, session: SavedSession) -> bool:
        """Keep a session; False when it is too large or the disk refuses, which costs nothing but time later."""
        head = json.dumps(
            {"tokens": session.tokens, "answers": dict(session.answers), "dropped": session.dropped}
        ).encode()
        plain = b"".join((_LENGTH.pack(len(head)), head, session.state))
        if len(plain) > self._most_bytes:
            self.forget(name)
            return False
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._cipher.encrypt(nonce, plain, self._bound(name))
        path = self._path(name)
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123  (0600 from its creation on)
                file.write(_MAGIC + nonce)
                file.write(sealed)
            part.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            return False
        self._make_room(path)
        return True

    def load(self, name: str) -> SavedSession | None:
        """The session kept under ``name``, or None."""
        path = self._path(name)
        try:
            data = memoryview(path.read_bytes())
        except OSError:
            return None
        head = len(_MAGIC) + _NONCE
        if data[: len(_MAGIC)] != _MAGIC:
            return None
        from cryptography.exceptions import InvalidTag

        try:
            plain = memoryview(self._cipher.decrypt(bytes(data[len(_MAGIC) : head]), data[head:], self._bound(name)))
            size = _LENGTH.unpack_from(plain)[0]
            said = json.loads(bytes(plain[_LENGTH.size : _LENGTH.size + size]))
            session = SavedSession(said["tokens"], said["answers"], said["dropped"], plain[_LENGTH.size + size :])
        except (InvalidTag, ValueError, KeyError, TypeError, struct.error):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # it was used: others are removed before it
        return session

    def forget(self, name: str) -> None:
        """Remove what is kept under ``name``, if anything is."""
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def forget_all(self) -> None:
        """Remove every session, also those of other models."""
        for path in self._files():
            with contextlib.suppress(OSError):
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{hmac.digest(self._name_key, name.encode(), 'sha256').hex()[:32]}.session"

    def _bound(self, name: str) -> bytes:
        return _MAGIC + hashlib.sha256(self._identity).digest() + name.encode()

    def _files(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return [p for p in self._folder.iterdir() if p.suffix in (".session", ".part")]
        return []

    def _make_room(self, newest: Path) -> None:
        """Remove leftovers of interrupted saves and the files used longest ago, but never ``newest``."""
        kept: list[tuple[float, int, Path]] = []
        for path in self._files():
            with contextlib.suppress(OSError):
                if path.suffix == ".part":
                    path.unlink()
                elif path != newest:
                    status = path.stat()
                    kept.append((status.st_mtime, status.st_size, path))
        with contextlib.suppress(OSError):
            files, size = 1, newest.stat().st_size
            for _, bytes_, path in sorted(kept, reverse=True):
                files, size = files + 1, size + bytes_
                if files > self._most_files or size > self._most_bytes:
                    path.unlink()
