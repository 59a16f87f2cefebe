"""Four kinds of peer that no link of the fleet may accept, and the right one as their control."""

from __future__ import annotations

import inspect
import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.fleet import tls_probe
from tests.fleet.tls_probe import Attempt
from tests.support.tls import key_usage

RIGHT = "right peer"
WRONG = ("other CA", "wrong name", "expired", "plaintext")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """Whom a certificate is about: its unit (the leaf's name), host, and names or addresses."""

    unit: str
    host: str
    names: Sequence[str] = ()


class Authority:
    """Signs what it is told to, with the fleet's own CA key or as somebody else's CA."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()

    @classmethod
    def of_fleet(cls, folder: Path, passphrase: str) -> Authority:
        """The CA that signs, in the folder of role pki on this machine."""
        signing = folder / "signing"
        number = signing.read_text().strip() if signing.exists() else None
        number = number or min(path.stem.removeprefix("ca-") for path in folder.glob("ca-*.crt"))
        key = serialization.load_pem_private_key(
            (folder / f"ca-{number}.key").read_bytes(), passphrase.encode()
        )
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(x509.load_pem_x509_certificate((folder / f"ca-{number}.crt").read_bytes()), key)

    def impostor(self) -> Authority:
        """Another CA of the same name; only its key differs."""
        key = ec.generate_private_key(ec.SECP256R1())
        now, name = datetime.now(UTC), self._certificate.subject
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(sign_certificates=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        return Authority(certificate, key)

    def issue(self, identity: Identity, expired: bool = False, days: int = 1) -> str:
        """Key and certificate in one PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        start, end = (now - 3 * _DAY, now - _DAY) if expired else (now - _DAY, now + days * _DAY)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        public, ours = key.public_key(), self._key.public_key()
        signed = (
            x509.CertificateBuilder(self._certificate.subject, _subject(identity), public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.SubjectAlternativeName(
                    [_general(name) for name in (identity.host, *identity.names)]
                ),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ours), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return (secret + signed.public_bytes(serialization.Encoding.PEM)).decode()


@dataclass(frozen=True)
class Link:
    """One server of the fleet as a client sees it.

    ``identity`` is whom the right client shows itself as, if the server asks for that at all;
    ``stranger`` is whom it may not be, where the server looks who it is.
    """

    name: str
    protocol: str
    address: str
    port: int
    server_name: str
    identity: Identity | None = None
    stranger: Identity | None = None


def attempts(link: Link, authority: Authority) -> dict[str, Attempt]:
    """The right peer and the wrong ones, each wrong in one way alone."""
    impostor = authority.impostor()
    whom = link.identity or Identity("stranger", "stranger.gtsd.internal")
    shown = authority.issue(whom) if link.identity else ""

    def attempt(trust: str, identity: str, name: str = link.server_name) -> Attempt:
        return Attempt(
            protocol=link.protocol,
            address=link.address,
            port=link.port,
            server_name=name,
            trust=trust,
            identity=identity,
        )

    if link.stranger:
        wrong_name = attempt(authority.pem, authority.issue(link.stranger))
    else:
        wrong_name = attempt(authority.pem, shown, name="somebody.else.internal")
    return {
        RIGHT: attempt(authority.pem, shown),
        "other CA": attempt(authority.pem, impostor.issue(whom)),
        "wrong name": wrong_name,
        "expired": attempt(authority.pem, authority.issue(whom, expired=True)),
        "plaintext": attempt("", ""),
    }


def identities(authority: Authority, whom: Identity) -> dict[str, str]:
    """What an impostor shows as a server, rightly and in four wrong ways; "" is plaintext."""
    stranger = Identity(whom.unit, "somebody.else.internal")
    return {
        RIGHT: authority.issue(whom),
        "other CA": authority.impostor().issue(whom),
        "wrong name": authority.issue(stranger),
        "expired": authority.issue(whom, expired=True),
        "plaintext": "",
    }


def outcomes(tried: Mapping[str, Attempt], run: Callable[[str], str]) -> dict[str, str]:
    """What came of each; ``run`` gives a script to a Python where the client is."""
    script = f"{inspect.getsource(tls_probe)}\nmain({list(tried.values())!r})\n"
    told: list[str] = json.loads(run(script))
    return dict(zip(tried, told, strict=True))


def _subject(identity: Identity) -> x509.Name:
    parts = [
        (NameOID.ORGANIZATION_NAME, "gtsd"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, identity.unit),
        (NameOID.COMMON_NAME, identity.host),
    ]
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
