"""A throwaway certificate authority, strict enough for Python 3.13 and for libpq's verify-full."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Leaf:
    """Files of one certificate (followed by its chain) and its key, in PEM."""

    certificate: Path
    key: Path


class Ca:
    """Signs certificates; ``certificate`` is the file that clients are told to trust."""

    def __init__(self, folder: Path, name: str = "throwaway test CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        public = self._key.public_key()
        signed = (
            _builder(self._name, self._name, public, -_DAY, 30 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = _write(folder / "ca.crt", signed.public_bytes(_PEM))

    def issue(
        self,
        names: Sequence[str] = (),
        ips: Sequence[str] = (),
        expired: bool = False,
        client: bool = False,
    ) -> Leaf:
        """A certificate for these host names and addresses (or, for a client, a common name)."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key()
        subject = (*names, *ips)[0]
        start, end = (-2 * _DAY, -_DAY) if expired else (-_DAY, 7 * _DAY)
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        signed = (
            _builder(_name(subject), self._name, public, start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = f"{subject}-{signed.serial_number:x}"
        return Leaf(
            _write(self._folder / f"{stem}.crt", signed.public_bytes(_PEM)),
            _write(
                self._folder / f"{stem}.key",
                key.private_bytes(
                    _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                ),
            ),
        )


def make_ca(folder: Path) -> Ca:
    """A new authority whose files, and those of all it issues, lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    return Ca(folder)


_PEM = serialization.Encoding.PEM


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    start: timedelta,
    end: timedelta,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
    )


def key_usage(sign_certificates: bool) -> x509.KeyUsage:
    """Signing certificates, or signing alone."""
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    # PostgreSQL refuses a key that others may read.
    path.chmod(0o600 if path.suffix == ".key" else 0o644)
    return path
