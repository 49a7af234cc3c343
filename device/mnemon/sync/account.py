"""At which server this device is enrolled: its address, what proves that it is the one, and this device's own key.

All of it lies in the encrypted memory. The key is written before the server hears of it, so that an enrolment whose
reply was lost is simply done again: the same invite with the same key gives the same device.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mnemon.errors import CloudError, InputError, NotEnrolledError
from mnemon.memory.records import from_ms, to_ms
from mnemon.memory.store import Store
from mnemon.sync.outbox import Outbox

if TYPE_CHECKING:
    from mnemon.sync.client import CloudClient


_ADDRESS: Final = re.compile(
    r"(?:(?P<plain>[A-Za-z0-9._-]{1,253})|\[(?P<six>[0-9A-Fa-f:.]{2,45})\]):(?P<port>[0-9]{1,5})"
)
"""Nothing but this is shown to the owner as the place where words go: an invite is written by somebody else."""


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """This device at one server.

    Attributes:
        address: Host and port.
        tls_name: The name the server's certificate must have.
        authority: The certificate to trust, X.509 in DER; empty means those the system trusts.
        server_key: Ed25519, 32 bytes: the server's identity, which signs what questions are sealed to.
        private_key: Ed25519, 32 bytes: this device's.
        device_id: 16 bytes; empty until the server has taken the invite.
        secret: The invite's 32 bytes until then.
        insecure: Without TLS, for a test on one machine.
        enrolled_at: None until then.
    """

    address: str
    tls_name: str
    authority: bytes
    server_key: bytes
    private_key: bytes
    device_id: bytes = b""
    secret: bytes = b""
    insecure: bool = False
    enrolled_at: datetime | None = None

    @property
    def device(self) -> str:
        """The device's id as people and the server's operator name it."""
        return self.device_id.hex()


class Accounts:
    """The one account of this device.

    Args:
        store: The encrypted memory.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self) -> Account:
        """The account.

        Raises:
            NotEnrolledError: There is none, or the server has not taken the invite yet.
        """
        account = self._saved()
        if account is None or not account.device_id:
            raise NotEnrolledError(
                "This device is enrolled at no cloud.",
                hint="Ask whoever runs one for an invite, then: mnemon cloud enroll INVITE",
            )
        return account

    @property
    def enrolled(self) -> bool:
        """Whether there is an account that can be used. One look into the memory."""
        return bool(self._store.tuples("SELECT 1 FROM cloud_account WHERE device_id IS NOT NULL"))

    def prepare(self, invite_text: str, *, server: str = "") -> Account:
        """Make a key for an invite and keep both: the first half of :func:`enroll`.

        Args:
            invite_text: As the operator gave it.
            server: Host and port to use instead of the invite's; the certificate must still have the invite's name.

        Raises:
            InputError: It is no invite, ``server`` is no address, or the device is enrolled already.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        from mnemon_protos.encoding import WireError
        from mnemon_protos.invites import read_invite

        try:
            invite = read_invite(invite_text)
        except WireError as error:
            raise InputError(
                f"That is no whole invite: {error}.", hint="Copy it again, from the first letter to the last."
            ) from error
        for address in filter(None, (server, invite.address)):
            _host_of(address)
        before = self._saved()
        if before is not None and before.device_id:
            raise InputError(
                f"This device is enrolled at {before.address} already.", hint="`mnemon cloud leave` ends that first."
            )
        again = before is not None and before.secret == invite.secret
        private_key = before.private_key if before and again else Ed25519PrivateKey.generate().private_bytes_raw()
        account = Account(
            address=server or invite.address,
            tls_name=_host_of(invite.address),
            authority=invite.authority,
            server_key=invite.server_key,
            private_key=private_key,
            secret=invite.secret,
            insecure=invite.insecure,
        )
        self._save(account)
        return account

    def enrolled_as(self, device_id: bytes) -> Account:
        """The server took the invite: note under which id, and let the invite go."""
        with self._store.transaction():
            self._store.execute(
                "UPDATE cloud_account SET device_id = ?, enrolled_at = ?, secret = NULL",
                (device_id, to_ms(datetime.now(UTC))),
            )
        return self.get()

    def forget(self) -> None:
        """Let go of the account and its key. What waits was allowed to leave for this server and no other."""
        with self._store.transaction():
            self._store.execute("DELETE FROM cloud_account")
            Outbox(self._store).give_up("This device left the server it was for.")

    def _saved(self) -> Account | None:
        rows = self._store.rows("SELECT * FROM cloud_account")
        if not rows:
            return None
        row = rows[0]
        return Account(
            address=row["address"],
            tls_name=row["tls_name"],
            authority=bytes(row["authority"]),
            server_key=bytes(row["server_key"]),
            private_key=bytes(row["private_key"]),
            device_id=bytes(row["device_id"] or b""),
            secret=bytes(row["secret"] or b""),
            insecure=bool(row["insecure"]),
            enrolled_at=None if row["enrolled_at"] is None else from_ms(row["enrolled_at"]),
        )

    def _save(self, account: Account) -> None:
        with self._store.transaction():
            self._store.execute(
                "INSERT OR REPLACE INTO cloud_account (id, address, tls_name, authority, server_key, private_key,"
                " secret, insecure) VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
                (
                    account.address,
                    account.tls_name,
                    account.authority,
                    account.server_key,
                    account.private_key,
                    account.secret,
                    account.insecure,
                ),
            )


def enroll(accounts: Accounts, invite: str, *, server: str = "") -> Account:
    """Trade an invite for an account. Interrupted anywhere, it can be done again with the same invite.

    Args:
        accounts: Where the account is kept.
        invite: As the operator gave it.
        server: Host and port to use instead of the invite's.

    Raises:
        InputError: It is no invite, ``server`` is no address, or the device is enrolled already.
        CloudError: The server cannot be reached, does not take the invite, or is another one.
    """
    client = connect(accounts.prepare(invite, server=server))
    try:
        device_id = client.enroll()
    finally:
        client.close()
    return accounts.enrolled_as(device_id)


def connect(account: Account) -> CloudClient:
    """A client for an account; nothing is connected before the first call.

    Raises:
        CloudError: gRPC is not installed.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else lines of its own get between ours; read when it is loaded
    try:
        from mnemon.sync.client import CloudClient
    except ImportError as error:
        raise CloudError(
            f"What speaks to the cloud is not installed ({error.name}).", hint="pip install 'mnemon[cloud]'"
        ) from error
    return CloudClient(account)


def _host_of(address: str) -> str:
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise InputError(f"{address!r} is no host:port.", hint="Write it like cloud.example:8443.")
    return found["plain"] or found["six"]
