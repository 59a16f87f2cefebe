"""What each fleet has of its own, made once: keys of admin and releases, passwords, an ACME CA."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from tests.fleet.machines.commands import run, write_private
from tests.fleet.machines.places import Places
from tests.fleet.machines.shapes import STORE_NAME
from tests.support.tls import Ca

SECRETS = (
    "pki_ca_passphrase",
    "postgresql_replication_password",
    "postgresql_rewind_password",
    "postgresql_owner_password",
    "postgresql_app_password",
    "postgresql_readonly_password",
    "postgresql_monitor_password",
    "postgresql_backup_password",
    "backup_cipher_passphrase",
    "pgbouncer_admin_password",
    "redis_app_password",
    "redis_replica_password",
    "redis_sentinel_password",
    "redis_monitor_password",
    "redis_haproxy_password",
    "redis_admin_password",
    "gtsd_jwt_secret",
)


def make_key(places: Places) -> str:
    """The key that opens every host of the fleet; its public half."""
    return _public_half(places.key)


def make_release_key(places: Places) -> str:
    """The key that signs what its hosts run; its public half."""
    return _public_half(places.release_key)


def _public_half(key: Path) -> str:
    if not key.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rehearsal", "-f", key)
    return key.with_suffix(".pub").read_text().strip()


def make_secrets(places: Places) -> dict[str, str]:
    """Fresh random ones under the names of a vault file, and the key that signs releases."""
    if not places.secrets.exists():
        make_release_key(places)
        fresh = {name: secrets.token_urlsafe(36) for name in SECRETS}
        fresh["gtsd_release_key"] = places.release_key.read_text()
        write_private(places.secrets, json.dumps(fresh, indent=1))
    found: dict[str, str] = json.loads(places.secrets.read_text())
    return found


def make_customer(places: Places) -> dict[str, str]:
    """How a customer is known to an authority that wants to know, by the roles' names."""
    if not places.customer.exists():
        fresh = {"acme_eab_kid": "rehearsal", "acme_eab_hmac_key": secrets.token_urlsafe(32)}
        write_private(places.customer, json.dumps(fresh))
    found: dict[str, str] = json.loads(places.customer.read_text())
    return found


def make_acme_server_certificate(places: Places, gateway: str) -> str:
    """For the HTTPS of Pebble, and of a test's object store; what clients trust, in PEM."""
    folder = places.state / "acme"
    folder.mkdir()
    ca = Ca(folder, "rehearsal ACME server")
    leaf = ca.issue(names=["acme.rehearsal.test", STORE_NAME], ips=[gateway])
    leaf.certificate.rename(folder / "server.crt")
    leaf.key.rename(folder / "server.key")
    return ca.certificate.read_text()


def acme_server_ca(places: Places) -> str:
    """What the clients of a fleet that is up trust."""
    return (places.state / "acme" / "ca.crt").read_text()
