"""The server's identity: an Ed25519 key that devices remember, and the certificates of its TLS.

TLS uses P-256: it is what every TLS library takes; Ed25519 certificates are refused by the one inside gRPC.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mnemon_cloud.errors import IdentityError, UsageError
from mnemon_cloud.home import Home, write_file
from mnemon_protos.encoding import statement

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397
"""The longest that public authorities and the stricter TLS clients accept (398 days)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the server needs of its keys while it runs.

    Attributes:
        key: The server's identity.
        tls_key: The TLS key, PEM.
        tls_chain: The server certificate, PEM.
        authority: The certificate devices trust, DER; empty when they trust the system's.
    """

    key: Ed25519PrivateKey
    tls_key: bytes
    tls_chain: bytes
    authority: bytes

    @property
    def public_key(self) -> bytes:
        """The identity as devices know it, 32 bytes."""
        return self.key.public_key().public_bytes_raw()

    @property
    def tls_authority(self) -> bytes:
        """The certificate devices trust, PEM; the server's own where they trust the system's."""
        if not self.authority:
            return self.tls_chain
        return x509.load_der_x509_certificate(self.authority).public_bytes(serialization.Encoding.PEM)

    def tenant(self, device_id: bytes) -> bytes:
        """What a model server knows a device by: the same in every process of this server, and no way back to it."""
        key = HKDF(hashes.SHA256(), 32, salt=None, info=statement("tenant")).derive(self.key.private_bytes_raw())
        return hmac.digest(key, device_id, "sha256")[:16]

    @property
    def certificate(self) -> x509.Certificate:
        """The server certificate."""
        return x509.load_pem_x509_certificates(self.tls_chain)[0]


def create(home: Home, host: str) -> None:
    """Make the identity, an authority and a server certificate for ``host`` and this machine's loopback names.

    Raises:
        UsageError: There is an identity already; it is left alone.
        IdentityError: Files cannot be written.
    """
    if home.identity_key.exists():
        raise UsageError(
            f"{home.root} has an identity already.", hint="Use it, or set MNEMON_CLOUD_HOME to another folder."
        )
    home.create()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mnemon cloud authority")])
    now = datetime.now(UTC)
    authority = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_file(home.authority_key, _pem(key), secret=True)
    write_file(home.authority, authority.public_bytes(serialization.Encoding.PEM), secret=False)
    renew(home, host)
    # Written last: an interrupted start has no identity, and the next one begins again.
    write_file(home.identity_key, _pem(Ed25519PrivateKey.generate()), secret=True)


def renew(home: Home, host: str) -> None:
    """Make a new server certificate and key; devices notice nothing.

    Raises:
        IdentityError: The authority's key is not here, or files cannot be written.
    """
    try:
        signer = serialization.load_pem_private_key(home.authority_key.read_bytes(), None)
        authority = x509.load_pem_x509_certificate(home.authority.read_bytes())
    except (OSError, ValueError) as error:
        raise IdentityError(
            f"The authority in {home.root} cannot be read.", hint="Put authority.key and authority.pem back."
        ) from error
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise IdentityError(f"{home.authority_key} is not a P-256 key.", hint="Put the one back that init made.")
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    write_file(home.tls_key, _pem(key), secret=True)
    write_file(home.tls_certificate, certificate.public_bytes(serialization.Encoding.PEM), secret=False)


def load(home: Home) -> Identity:
    """The identity that :func:`create` made.

    Raises:
        IdentityError: It is missing, damaged or does not fit together.
    """
    try:
        key = serialization.load_pem_private_key(home.identity_key.read_bytes(), None)
        tls_key, chain = home.tls_key.read_bytes(), home.tls_certificate.read_bytes()
        certificate = x509.load_pem_x509_certificates(chain)[0]
        matching = serialization.load_pem_private_key(tls_key, None).public_key() == certificate.public_key()
        authority = b""
        if home.authority.exists():
            authority = x509.load_pem_x509_certificate(home.authority.read_bytes()).public_bytes(
                serialization.Encoding.DER
            )
    except FileNotFoundError as error:
        raise IdentityError(f"There is no {error.filename}.", hint="Run mnemon-cloud init first.") from error
    except (OSError, ValueError) as error:
        raise IdentityError(
            f"A key or certificate in {home.root} cannot be read.", hint="Run mnemon-cloud doctor."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{home.identity_key} is not an Ed25519 key.", hint="Put the one back that init made.")
    if not matching:
        raise IdentityError(
            f"{home.tls_key} does not belong to {home.tls_certificate}.", hint="Run mnemon-cloud init --renew."
        )
    return Identity(key, tls_key, chain, authority)


def host_of(address: str) -> str:
    """The host in ``host:port`` or ``[v6]:port``.

    Raises:
        UsageError: It is neither.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{address!r} is not host:port.", hint="Write it like cloud.example:8443.")
    return host


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for name in dict.fromkeys([host, "localhost", "127.0.0.1", "::1"]):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            names.append(x509.DNSName(name))
    return names


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
