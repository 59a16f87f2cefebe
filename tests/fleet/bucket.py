"""A bucket in the world outside of a fleet: S3 over TLS, with versions, and a key for each side.

Moto judges each call by the policy of its key, as RUNBOOK tells an operator to write them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.fleet.machines.commands import wait, write_private
from tests.fleet.machines.host import ACME_CA
from tests.fleet.machines.places import PROJECT
from tests.fleet.machines.shapes import STORE_NAME
from tests.fleet.machines.tested import TestedFleet

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "gtsd-backups"
PHOTOS = "gtsd-photos"
REGION = "eu-central-1"
PORT = 9443
_LOOK = ["s3:ListBucket"]
_ADD = ["s3:GetObject", "s3:PutObject"]
# Each key by the bucket that it is for, and what it may do to objects there and to the bucket.
_KEYS = {
    "database": (NAME, _ADD, _LOOK),
    "keeper": (NAME, [*_ADD, "s3:DeleteObject", "s3:GetObjectVersion"], _LOOK),
    "admin": (PHOTOS, ["s3:*"], ["s3:*"]),
}
# What is called before policies are in force: bucket, versions, and for each key a user, a policy
# and the key itself.
_SETUP_CALLS = 2 + 3 * len(_KEYS)


@dataclass(frozen=True)
class Bucket:
    """A bucket that is served, and what a play has to know of it."""

    endpoint: str
    authority: Path
    database: tuple[str, str]
    keeper: tuple[str, str]
    admin: tuple[str, str]

    def client(self, key: tuple[str, str]) -> S3Client:
        """For whoever has this key."""
        made: S3Client = _client("s3", self.endpoint, self.authority, key)
        return made

    def objects(self, prefix: str) -> list[str]:
        """What lies there now."""
        pages = self.client(self.keeper).get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=NAME, Prefix=prefix)
        return [one["Key"] for page in found for one in page.get("Contents", [])]

    def settings(self) -> dict[str, object]:
        """The variables of role backup, and the firewall's row for a port that is not 443."""
        return {
            "backup_s3_endpoint": STORE_NAME,
            "backup_s3_port": PORT,
            "backup_s3_bucket": NAME,
            "backup_s3_region": REGION,
            "backup_s3_uri_style": "path",
            "backup_s3_ca_file": f"/{ACME_CA}",
            "backup_s3_key_id": self.keeper[0],
            "backup_s3_key_secret": self.keeper[1],
            "backup_s3_database_key_id": self.database[0],
            "backup_s3_database_key_secret": self.database[1],
            "base_egress": [
                {"name": "dns", "protocol": "udp", "ports": [53], "to": ["any"]},
                {"name": "dns", "ports": [53], "to": ["any"]},
                {"name": "web", "ports": [80, 443, PORT], "to": ["any"]},
            ],
        }


def _client(kind: Any, endpoint: str, authority: Path, key: tuple[str, str]) -> Any:
    return boto3.client(
        kind,
        endpoint_url=endpoint,
        region_name=REGION,
        verify=str(authority),
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        # Other stores than Amazon's do not know the checksums that are sent otherwise, in pieces.
        config=Config(request_checksum_calculation="when_required"),
    )


def _policy(name: str, on_objects: list[str], on_bucket: list[str]) -> str:
    bucket = f"arn:aws:s3:::{name}"
    rows = [(on_bucket, bucket), (on_objects, f"{bucket}/*")]
    statements = [{"Effect": "Allow", "Action": do, "Resource": to} for do, to in rows]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _listens(address: str) -> bool:
    with suppress(OSError), socket.create_connection((address, PORT), 1):
        return True
    return False


@contextmanager
def served(fleet: TestedFleet) -> Iterator[Bucket]:
    """While the block runs: an empty bucket that keeps versions."""
    folder = fleet.state / "acme"
    command = [sys.executable, "-m", "tests.support.s3_server", fleet.gateway, str(PORT)]
    command += [str(folder / "server.crt"), str(folder / "server.key")]
    # The name of the server begins with no bucket's.
    environment = {**os.environ, "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true"}
    environment["INITIAL_NO_AUTH_ACTION_COUNT"] = str(_SETUP_CALLS)
    with (fleet.state / "bucket.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
    try:
        yield _made(fleet, folder / "ca.crt")
    finally:
        server.terminate()
        server.wait(timeout=20)


def _made(fleet: TestedFleet, authority: Path) -> Bucket:
    # This machine has no name for it; its address stands in the certificate, too.
    endpoint = f"https://{fleet.gateway}:{PORT}"
    # Not by a call: the first ones are those that no policy judges.
    up = wait(partial(_listens, fleet.gateway), 30)
    assert up, (fleet.state / "bucket.log").read_text()[-2000:]
    anybody = ("setup", "setup")
    store = _client("s3", endpoint, authority, anybody)
    people = _client("iam", endpoint, authority, anybody)
    place = {"LocationConstraint": REGION}
    store.create_bucket(Bucket=NAME, CreateBucketConfiguration=place)
    store.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"})
    keys = {}
    for name, rights in _KEYS.items():
        people.create_user(UserName=name)
        people.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=_policy(*rights))
        made = people.create_access_key(UserName=name)["AccessKey"]
        keys[name] = (made["AccessKeyId"], made["SecretAccessKey"])
    return Bucket(endpoint, authority, **keys)


def page(fleet: TestedFleet, bucket: Bucket) -> str:
    """Its settings as an argument of ansible-playbook; the keys stand in no process list."""
    path = fleet.state / "bucket.json"
    write_private(path, json.dumps(bucket.settings()))
    return f"@{path}"
