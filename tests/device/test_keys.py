"""The key of the memory: where it lives, and that it is never lost, weakened or made anew over a memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from keyring.backend import KeyringBackend

from mnemon.errors import InputError, KeyLostError, SettingsError, StoreError, WrongKeyError
from mnemon.memory import keys, rotation
from mnemon.memory.memory import Memory
from mnemon.memory.store import Store
from mnemon.paths import Home
from mnemon.settings import MemorySettings

SOURCE = Path(__file__).parents[2] / "device"


class HonestKeyring(KeyringBackend):
    """Keeps secrets for the length of a test."""

    priority = 5  # type: ignore[assignment]
    kept: ClassVar[dict[tuple[str, str], str]] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class PlaintextKeyring(HonestKeyring):
    """Has the name of those that write secrets into an open file."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def keyring_of(monkeypatch: pytest.MonkeyPatch):
    import keyring

    before = keyring.get_keyring()

    def use(backend: KeyringBackend) -> None:
        HonestKeyring.kept.clear()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        keyring.set_keyring(backend)

    yield use
    keyring.set_keyring(before)


def words(text: str = "correct horse battery"):
    return lambda: text


def test_a_memory_without_its_key_is_never_given_a_new_one(home: Home) -> None:
    with Memory.open(home, MemorySettings(key="file")) as memory:
        memory.messages.start("precious")
    home.key.unlink()
    before = home.store.read_bytes()
    for how in ("auto", "file", "keyring", "passphrase"):
        with pytest.raises((KeyLostError, StoreError)):
            keys.obtain(home, how, create=True, passphrase=words())
    assert not home.key.exists()
    assert home.store.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "mnemon-key 1 abcd", "mnemon-key 1 " + "zz" * 32, "mnemon-key 1 argon2id 3 4", "mnemon-key 9 x"],
)
def test_a_damaged_key_file_is_told_and_left_alone(home: Home, text: str) -> None:
    home.create()
    home.key.write_text(text)
    with pytest.raises(KeyLostError, match="damaged"):
        keys.obtain(home, "auto", create=True, passphrase=words())
    assert home.key.read_text() == text


def test_a_header_cannot_ask_for_all_memory(home: Home) -> None:
    home.create()
    home.key.write_text(f"mnemon-key 1 argon2id 3 4 {2**40} {'00' * 16} {'00' * 12} {'00' * 48}")
    with pytest.raises(KeyLostError):
        keys.obtain(home, "auto", create=False, passphrase=words())


def test_unknown_place(home: Home) -> None:
    with pytest.raises(SettingsError, match="cloud"):
        keys.obtain(home, "cloud", create=True)


def test_no_memory_yet_and_none_wanted(home: Home) -> None:
    with pytest.raises(KeyLostError):
        keys.obtain(home, "file", create=False)
    assert not home.root.exists()


def test_the_file_is_its_owners_only_and_mended_when_it_is_not(home: Home) -> None:
    key = keys.obtain(home, "file", create=True)
    assert len(key) == 32
    assert home.key.stat().st_mode & 0o777 == 0o600
    home.key.chmod(0o644)
    assert keys.obtain(home, "auto", create=False) == key
    assert home.key.stat().st_mode & 0o777 == 0o600
    assert keys.kind(home) == "file"
    assert sorted(home.root.iterdir()) == sorted([home.key, home.store_new])  # a memory is about to be made


def test_two_at_once_agree_on_one_key(home: Home) -> None:
    script = (
        "import sys; from pathlib import Path; from mnemon.memory import keys; from mnemon.paths import Home;"
        "print(keys.obtain(Home(Path(sys.argv[1])), 'file', create=True).hex())"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(home.root)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    assert len({process.communicate(timeout=30)[0] for process in started}) == 1


def test_passphrase_wrong_missing_short(home: Home) -> None:
    with pytest.raises(InputError, match="eight"):
        keys.obtain(home, "passphrase", create=True, passphrase=words("short"))
    key = keys.obtain(home, "passphrase", create=True, passphrase=words())
    assert keys.kind(home) == "passphrase"
    assert key.hex() not in home.key.read_text()
    with pytest.raises(WrongKeyError):
        keys.obtain(home, "auto", create=False, passphrase=words("something else"))
    with pytest.raises(WrongKeyError, match="none was given"):
        keys.obtain(home, "auto", create=False)
    assert keys.obtain(home, "auto", create=False, passphrase=words()) == key


def test_weakened_parameters_do_not_open(home: Home) -> None:
    keys.obtain(home, "passphrase", create=True, passphrase=words())
    home.key.write_text(home.key.read_text().replace("argon2id 3 ", "argon2id 1 "))
    with pytest.raises(WrongKeyError):
        keys.obtain(home, "auto", create=False, passphrase=words())


def test_keyring_is_used_when_it_is_honest(home: Home, keyring_of) -> None:
    keyring_of(HonestKeyring())
    key = keys.obtain(home, "auto", create=True)
    assert keys.kind(home) == "keyring"
    assert key.hex() not in home.key.read_text()
    assert keys.obtain(home, "auto", create=False) == key
    home.key.unlink()  # the note is gone; the keyring still has it
    assert keys.obtain(home, "auto", create=False) == key


def test_plaintext_and_missing_keyrings_are_refused(home: Home, keyring_of) -> None:
    keyring_of(PlaintextKeyring())
    assert not keys.keyring_available()
    with pytest.raises(StoreError, match="no keyring"):
        keys.obtain(home, "keyring", create=True)
    keys.obtain(home, "auto", create=True)
    assert keys.kind(home) == "file"
    assert not HonestKeyring.kept


def test_without_a_session_bus_keyring_is_not_even_imported(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from mnemon.memory import keys; from mnemon.paths import Home;"
        "keys.obtain(Home(Path(sys.argv[1])), 'auto', create=True); assert 'keyring' not in sys.modules"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
    if sys.platform.startswith("linux"):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / "h")], env=environment, check=True, timeout=30)


@pytest.mark.parametrize("old", ["file", "keyring", "passphrase"])
@pytest.mark.parametrize("new", ["file", "keyring", "passphrase"])
def test_from_every_kind_to_every_other(home: Home, keyring_of, old: str, new: str) -> None:
    keyring_of(HonestKeyring())
    with Memory.open(home, MemorySettings(key=old), passphrase=words()) as memory:
        memory.messages.start("kept")
        rotation.rekey(home, memory.store, new, passphrase=words("another good one"))
    assert keys.kind(home) == new
    with Memory.open(home, MemorySettings(), passphrase=words("another good one")) as memory:
        assert memory.messages.conversations()[0].title == "kept"
    assert sorted(path.name for path in home.root.iterdir()) == ["memory.db", "memory.key"]
    assert len(HonestKeyring.kept) == (new == "keyring")


@pytest.mark.parametrize("kind", ["file", "keyring"])
@pytest.mark.parametrize("rekeyed", [False, True], ids=["before the file changed", "after the file changed"])
def test_a_change_cut_short_opens_all_the_same(home: Home, keyring_of, kind: str, rekeyed: bool) -> None:
    keyring_of(HonestKeyring())
    with Memory.open(home, MemorySettings(key=kind)) as memory:
        memory.messages.start("kept")
        with keys.changing(home, kind) as new:
            if rekeyed:
                memory.store.rekey(new)
    for _ in range(2):
        with Memory.open(home, MemorySettings(key=kind)) as memory:
            assert memory.messages.conversations()[0].title == "kept"
    assert (keys.obtain(home, "auto", create=False) == new) == rekeyed
    assert sorted(path.name for path in home.root.iterdir()) == ["memory.db", "memory.key"]


def test_somebody_elses_key_is_refused(home: Home) -> None:
    home.create()
    Store.open(home.store, b"x" * 32).close()
    home.key.write_text("mnemon-key 1 " + "ab" * 32)
    with pytest.raises(WrongKeyError, match=r"memory\.db"):
        Memory.open(home, MemorySettings())


@pytest.mark.parametrize("typed", ["the new passphrase", "the old passphrase"])
def test_a_change_of_passphrase_cut_short_opens_with_the_new_one(home: Home, typed: str) -> None:
    with Memory.open(home, MemorySettings(key="passphrase"), passphrase=words("the old passphrase")) as memory:
        memory.messages.start("kept")
        with keys.changing(home, "passphrase", passphrase=words("the new passphrase")) as new:
            memory.store.rekey(new)
    if typed == "the old passphrase":
        with pytest.raises(WrongKeyError):
            Memory.open(home, MemorySettings(), passphrase=words(typed))
    for _ in range(2):
        with Memory.open(home, MemorySettings(), passphrase=words("the new passphrase")) as memory:
            assert memory.messages.conversations()[0].title == "kept"
    assert sorted(path.name for path in home.root.iterdir()) == ["memory.db", "memory.key"]


def test_a_memory_that_another_process_makes_this_moment_is_not_one_without_a_key(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = keys._find

    def slowly(*args: object) -> bytes | None:
        monkeypatch.setattr(keys, "_find", find)
        found = find(*args)
        Memory.open(home, MemorySettings(key="file")).close()
        return found

    monkeypatch.setattr(keys, "_find", slowly)
    key = keys.obtain(home, "file", create=True)
    with Store.open(home.store, key) as store:
        assert store.problems() == []
