"""A new key for the memory, or a new lock on the same key. Whatever happens on the way, one of the two opens it.

1. The new key is kept beside the old one (``memory.key.new``), on disk before anything else happens.
2. A copy of the file is encrypted anew, checked, and renamed into its place.
3. The new key takes the place of the old one.

Cut short after 1, the memory opens with the old key and the new one is dropped; after 2, it opens with the new one,
which then takes its place. A new lock on the same key leaves step 2 out.
"""

from __future__ import annotations

import shutil

from mnemon.memory import keys
from mnemon.memory.sqlcipher import opens
from mnemon.memory.store import Store
from mnemon.paths import Home


def rekey(home: Home, store: Store, how: str, *, passphrase: keys.Passphrase | None = None) -> None:
    """Encrypt the memory with a new key.

    Args:
        home: Where memory and key lie.
        store: The memory, open.
        how: Where the new key shall live: ``auto``, ``keyring``, ``file`` or ``passphrase``.
        passphrase: Asked when the new key shall be behind one.

    Raises:
        StoreBusyError: Another Mnemon has the memory open; nothing was changed.
        StoreError: The new key cannot be kept; nothing was changed.
        DiskError: The disk refuses; the memory still opens with the old key.
    """
    old = store.key
    with keys.changing(home, how, passphrase=passphrase) as new:
        try:
            store.rekey(new)
        except BaseException:
            if opens(home.store, old):  # not by what was done, but by what is on disk
                keys.drop(home)
            raise
    keys.settle(home)
    shutil.rmtree(home.sessions, ignore_errors=True)  # sealed with a key that came from the old one


def rewrap(home: Home, store: Store, how: str, *, passphrase: keys.Passphrase | None = None) -> None:
    """Keep the key, but put it behind another passphrase or in another place. The memory itself is not touched.

    Whoever had the key before still has it: against a key that became known, use :func:`rekey`.

    Raises:
        StoreError: The key cannot be kept there; nothing was changed.
        DiskError: The disk refuses; nothing was changed.
    """
    with keys.changing(home, how, key=store.key, passphrase=passphrase):
        try:
            keys.settle(home)
        except BaseException:
            keys.drop(home)  # it is the same key: the old lock is still on it
            raise
