"""Where the server keeps what it needs: one folder that only its user may enter."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mnemon_cloud.errors import IdentityError


@dataclass(frozen=True, slots=True)
class Home:
    """The server's folder."""

    root: Path

    @classmethod
    def find(cls, root: str | None = None) -> Home:
        """``root``, else ``MNEMON_CLOUD_HOME``, else ``mnemon-cloud`` in the user's data folder."""
        import platformdirs

        chosen = root or os.environ.get("MNEMON_CLOUD_HOME") or platformdirs.user_data_dir("mnemon-cloud", False)
        return cls(Path(chosen).expanduser())

    @property
    def settings(self) -> Path:
        """The operator's settings."""
        return self.root / "cloud.toml"

    @property
    def database(self) -> Path:
        """Devices, invites, quotas, audit."""
        return self.root / "cloud.db"

    @property
    def identity_key(self) -> Path:
        """The server's Ed25519 key."""
        return self.root / "identity.key"

    @property
    def authority_key(self) -> Path:
        """The key of the certificate authority; needed only to renew, so it may be kept elsewhere."""
        return self.root / "authority.key"

    @property
    def authority(self) -> Path:
        """The certificate that devices trust."""
        return self.root / "authority.pem"

    @property
    def tls_key(self) -> Path:
        """The key of the server certificate."""
        return self.root / "server.key"

    @property
    def tls_certificate(self) -> Path:
        """The server certificate and what it rests on."""
        return self.root / "server.pem"

    def create(self) -> None:
        """Make the folder, closed to others.

        Raises:
            IdentityError: It cannot be made.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o700)
        except OSError as error:
            raise IdentityError(
                f"{self.root} cannot be made: {error.strerror}.", hint="Set MNEMON_CLOUD_HOME."
            ) from error


def write_file(path: Path, content: bytes, *, secret: bool) -> None:
    """Write a file whole or not at all; a secret one is closed to others from its first byte on.

    Raises:
        IdentityError: It cannot be written.
    """
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise IdentityError(f"{path} cannot be written: {error.strerror}.", hint="Check space and rights.") from error
