"""Where the memory's key lives: the system's keyring, a file only its owner can read, or behind a passphrase.

The key file (``memory.key``) is text, one line::

    mnemon-key 1 <64 hex digits>
    mnemon-key 1 keyring
    mnemon-key 1 argon2id <iterations> <lanes> <KiB> <salt hex> <nonce hex> <wrapped key hex>

A wrapped key is sealed with ChaCha20-Poly1305 under a key Argon2id makes from the passphrase; the header is
authenticated with it, so nobody can weaken the parameters unseen. A ``.new`` beside it is the key of a change
under way: :func:`candidates` offers both until the change is done or undone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, cast

from mnemon.errors import (
    DiskFullError,
    InputError,
    KeyLostError,
    ReadOnlyError,
    SettingsError,
    StoreBusyError,
    StoreError,
    WrongKeyError,
)
from mnemon.memory.files import sync_folder
from mnemon.memory.locks import abandoned, exclusive, held
from mnemon.paths import Home

KeyKind = Literal["keyring", "file", "passphrase"]
Passphrase = Callable[[], str]

_BYTES = 32
_MAGIC = "mnemon-key 1 "
_SERVICE = "mnemon"
# RFC 9106's second recommendation (64 MiB, 3 passes, 4 lanes): 0.1-0.3 s on a laptop, and a phone has the memory.
_ITERATIONS, _LANES, _KIB = 3, 4, 64 * 1024
_MOST_KIB = 1024 * 1024  # a damaged header must not ask for all the memory there is


def obtain(home: Home, how: str, *, create: bool, passphrase: Passphrase | None = None) -> bytes:
    """The 32-byte key of the memory in ``home``; made on the first day.

    Args:
        home: Where the memory lies.
        how: ``auto`` (keyring, else file), ``keyring``, ``file`` or ``passphrase``. Only decides where a new key
            goes: an existing one is found wherever it is.
        create: Make a key when there is neither a key nor a memory.
        passphrase: Asked when the key is, or shall be, behind a passphrase.

    Raises:
        KeyLostError: There is a memory but no key. No new key is made: it would shut the memory for good.
        WrongKeyError: The passphrase does not open the key, or none was given.
        StoreError: The wished-for keyring is not there, or the key file is damaged.
        DiskError: The key file cannot be written.
    """
    wanted = _wanted_kind(how)
    there = home.store.exists()  # asked before the key: another process may be making both, the key first
    key = _find(home, home.key, passphrase)
    if key is not None:
        return key
    if there:
        raise KeyLostError(
            f"{home.store} is there but its key is not.",
            hint=f"Put back {home.key}, or unlock the keyring that held the key. Nothing was changed.",
        )
    if not create:
        raise KeyLostError(f"There is no memory in {home.root} yet.", hint="Tell Mnemon something first.")
    home.create()
    with exclusive(home.root):
        key = _find(home, home.key, passphrase)  # another process may have been first
        if key is None:
            home.store_new.touch(0o600)  # cut short from here on, the missing memory is a young one, not a lost one
            key = secrets.token_bytes(_BYTES)
            _keep(home, home.key, key, wanted, passphrase)
    return key


def there(home: Home) -> bool:
    """Whether a key, or a note of one, lies in ``home``: then there was a memory."""
    return home.key.exists() or _pending(home).exists()


def candidates(
    home: Home, how: str, *, create: bool, passphrase: Passphrase | None = None
) -> Iterator[tuple[bytes, bool]]:
    """The keys to try, and whether each is that of a change that was interrupted; then it comes second.

    After the memory opened with that one, call :func:`settle`; with the other, :func:`drop_abandoned`.
    """
    pending = _pending(home)
    if not pending.exists() or home.key.exists() or _from_keyring(home, home.key) is not None:
        try:
            key = obtain(home, how, create=create, passphrase=passphrase)
        except WrongKeyError:
            if not pending.exists():
                raise  # otherwise it may be the passphrase of the new key
        else:
            yield key, False
    if pending.exists():
        new = _find(home, pending, passphrase)
        if new is not None:
            yield new, True


@contextlib.contextmanager
def changing(
    home: Home, how: str, *, key: bytes | None = None, passphrase: Passphrase | None = None
) -> Iterator[bytes]:
    """First half of a change of key: the new key, kept beside the old one until :func:`settle` or :func:`drop`.

    Inside, no other process takes the change for one that was cut short.

    Args:
        home: Where the memory lies.
        how: Where the new key shall live, as for :func:`obtain`.
        key: The key to keep, when only its place or passphrase changes; a fresh one by default.
        passphrase: Asked when the key shall be behind one.
    """
    wanted, key = _wanted_kind(how), key or secrets.token_bytes(_BYTES)
    with contextlib.ExitStack() as stack:
        with exclusive(home.root):
            if _pending(home).exists() and not abandoned(_pending(home)):
                raise StoreBusyError("Another Mnemon is changing the key.", hint="Try again in a moment.")
            _keep(home, _pending(home), key, wanted, passphrase)
            stack.enter_context(held(_pending(home)))
        yield key


def drop(home: Home) -> None:
    """Undo the first half of a change. Only when the file still has the old key."""
    _pending(home).unlink(missing_ok=True)
    _drop_from_keyring(home, _pending(home))


def drop_abandoned(home: Home) -> None:
    """Undo the first half of a change that another process began and did not live to finish.

    Only while the memory is open with the old key: nobody can give it the new one meanwhile.
    """
    if _pending(home).exists():
        with exclusive(home.root):
            if abandoned(_pending(home)):
                drop(home)


def settle(home: Home) -> None:
    """Second half of a change of key: the new one takes the place of the old one, wherever that was."""
    pending = _pending(home)
    with exclusive(home.root):
        text = _read(pending)
        if text is None:
            return
        in_keyring = text == _MAGIC + "keyring"
        if in_keyring:
            key = _from_keyring(home, pending)
            if key is None:
                raise KeyLostError("The keyring has lost the new key.", hint="Unlock it and try again.")
            _to_keyring(home, home.key, key)
        try:
            pending.replace(home.key)
            sync_folder(home.root)
        except OSError as error:
            raise _not_written(home.key, error) from error
        _drop_from_keyring(home, pending if in_keyring else home.key)


def kind(home: Home) -> KeyKind | None:
    """Where the key lives now; None when there is none."""
    text = _read(home.key)
    if text is None:
        return None
    rest = text.removeprefix(_MAGIC)
    if rest == "keyring":
        return "keyring"
    return "passphrase" if rest.startswith("argon2id ") else "file"


def keyring_available() -> bool:
    """Is there a keyring that really protects what it holds? Fast where there cannot be one."""
    return _keyring() is not None


def _wanted_kind(how: str) -> KeyKind:
    if how == "auto":
        return "keyring" if keyring_available() else "file"
    if how not in ("keyring", "file", "passphrase"):
        raise SettingsError(
            f"memory.key = {how!r} is not a place for a key.", hint="Use auto, keyring, file or passphrase."
        )
    return cast(KeyKind, how)


def _find(home: Home, path: Path, passphrase: Passphrase | None) -> bytes | None:
    text = _read(path)
    if text is None:
        return _from_keyring(home, path)  # the file only says so; without it the keyring may still hold the key
    parts = text.removeprefix(_MAGIC).split(" ")
    try:
        if not text.startswith(_MAGIC):
            raise ValueError("no header")
        if parts == ["keyring"]:
            return _from_keyring(home, path)
        if parts[0] == "argon2id":
            return _unwrap(text, passphrase)
        key = bytes.fromhex(parts[0])
        if len(key) != _BYTES or len(parts) != 1:
            raise ValueError("wrong length")
    except (ValueError, IndexError) as error:
        raise KeyLostError(f"{path} is damaged.", hint="Restore it from a copy; nothing was changed.") from error
    return key


def _keep(home: Home, path: Path, key: bytes, wanted: KeyKind, passphrase: Passphrase | None) -> None:
    if wanted == "keyring":
        _to_keyring(home, path, key)
        _write(path, _MAGIC + "keyring")
    elif wanted == "passphrase":
        _write(path, _wrap(key, passphrase))
    else:
        _write(path, _MAGIC + key.hex())


def _pending(home: Home) -> Path:
    return home.key.with_name(home.key.name + ".new")


def _read(path: Path) -> str | None:
    try:
        status = path.stat()
        if os.name == "posix" and status.st_mode & 0o077:
            path.chmod(0o600)  # a copy or a careless restore opened it to others; close it before using it
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise KeyLostError(f"{path} is damaged.", hint="Restore it from a copy; nothing was changed.") from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read, or not closed to others: {error.strerror}.",
            hint="Make it yours: chown it and chmod 600.",
        ) from error


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> DiskFullError | ReadOnlyError:
    if error.errno in (28, 122):
        return DiskFullError(f"No space is left for {path}.", hint="Free some space and try again.")
    return ReadOnlyError(
        f"{path} cannot be written: {error.strerror}.", hint="Make its folder writable, or set MNEMON_HOME."
    )


def _wrap(key: bytes, passphrase: Passphrase | None) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    header = f"{_MAGIC}argon2id {_ITERATIONS} {_LANES} {_KIB} {salt.hex()} {nonce.hex()}"
    words = _asked(passphrase)
    if len(words) < 8:
        raise InputError("A passphrase needs at least eight characters.", hint="Four or more random words are good.")
    wrapping = _stretched(words, salt, _ITERATIONS, _LANES, _KIB)
    return f"{header} {ChaCha20Poly1305(wrapping).encrypt(nonce, key, header.encode()).hex()}"


def _unwrap(text: str, passphrase: Passphrase | None) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    header, _, sealed = text.rpartition(" ")
    iterations, lanes, kib, salt, nonce = header.removeprefix(_MAGIC).split(" ")[1:]
    numbers = int(iterations), int(lanes), int(kib)
    if not (1 <= numbers[0] <= 100 and 1 <= numbers[1] <= 64 and 8 * numbers[1] <= numbers[2] <= _MOST_KIB):
        raise ValueError("parameters out of range")
    wrapping = _stretched(_asked(passphrase), bytes.fromhex(salt), *numbers)
    try:
        return ChaCha20Poly1305(wrapping).decrypt(bytes.fromhex(nonce), bytes.fromhex(sealed), header.encode())
    except InvalidTag as error:
        raise WrongKeyError("That passphrase does not open the memory.", hint="Try again.") from error


def _stretched(words: str, salt: bytes, iterations: int, lanes: int, kib: int) -> bytes:
    from unicodedata import normalize

    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    argon = Argon2id(salt=salt, length=_BYTES, iterations=iterations, lanes=lanes, memory_cost=kib)
    return argon.derive(normalize("NFC", words).encode())  # the same letters typed on another system are the same


def _asked(passphrase: Passphrase | None) -> str:
    words = passphrase() if passphrase else ""
    if not words:
        raise WrongKeyError(
            "The memory is behind a passphrase and none was given.", hint="Run mnemon in a terminal to type it."
        )
    return words


def _keyring() -> object | None:
    """The keyring's backend, or None when there is none or one that keeps secrets as plain text."""
    if sys.platform.startswith("linux") and not os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        if not (runtime and (Path(runtime) / "bus").exists()) and not os.environ.get("PYTHON_KEYRING_BACKEND"):
            return None  # no session bus, no secret service: importing keyring to learn that costs 0.1 s
    import keyring
    from keyring.backends import fail, null

    try:
        backend = keyring.get_keyring()
        backends = getattr(backend, "backends", None) or [backend]
        if any(_is_unsafe(candidate, (fail.Keyring, null.Keyring)) for candidate in backends):
            return None
        return backend if backend.priority > 0 else None
    except Exception:  # noqa: BLE001 - backends raise whatever their libraries raise
        return None


def _is_unsafe(backend: object, refused: tuple[type, ...]) -> bool:
    name = f"{type(backend).__module__}.{type(backend).__name__}"
    return isinstance(backend, refused) or "plaintext" in name.lower()


def _account(home: Home, path: Path) -> str:
    return str(home.root / path.name)


def _from_keyring(home: Home, path: Path) -> bytes | None:
    if _keyring() is None:
        return None
    import keyring

    try:
        text = keyring.get_password(_SERVICE, _account(home, path))
    except Exception as error:  # a locked keyring or a refused prompt
        raise KeyLostError("The keyring does not give the key.", hint="Unlock it and try again.") from error
    return bytes.fromhex(text) if text else None


def _to_keyring(home: Home, path: Path, key: bytes) -> None:
    if _keyring() is None:
        raise StoreError(
            "This system has no keyring Mnemon can trust.", hint="Use memory.key = file or memory.key = passphrase."
        )
    import keyring

    try:
        keyring.set_password(_SERVICE, _account(home, path), key.hex())
    except Exception as error:
        raise StoreError("The keyring does not take the key.", hint="Unlock it, or use memory.key = file.") from error


def _drop_from_keyring(home: Home, path: Path) -> None:
    if _keyring() is None:
        return
    import keyring

    with contextlib.suppress(Exception):  # it may never have been there
        keyring.delete_password(_SERVICE, _account(home, path))
