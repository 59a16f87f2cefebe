"""Nothing is left but inventory, vault, CA and a bucket: one run of site.yml brings all back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fleet import bucket
from tests.fleet.bucket import Bucket
from tests.fleet.machines.commands import say, write_private
from tests.fleet.machines.host import ACME_CA
from tests.fleet.machines.places import ANSIBLE
from tests.fleet.machines.plays import Play, run_child
from tests.fleet.machines.shapes import STORE_NAME
from tests.fleet.machines.tested import TestedFleet
from tests.fleet.releasing import opened_accounts
from tests.fleet.test_backup import keeper, mark
from tests.fleet.test_postgresql import is_whole, sql, wait

# By hand: after it the fleet has backups in a bucket that is gone.
pytestmark = [
    pytest.mark.shape("small", "full"),
    pytest.mark.both_releases,
    pytest.mark.by_hand,
    pytest.mark.timeout(2400),
]


@pytest.fixture(scope="module")
def store(fleet: TestedFleet) -> Iterator[Bucket]:
    """A bucket that outlives all hosts."""
    with bucket.served(fleet) as found:
        yield found


def _play(fleet: TestedFleet, store: Bucket, name: str, *arguments: str) -> Play:
    """As an operator whose page has these settings."""
    play = fleet.play(name, "-e", bucket.page(fleet, store), *arguments)
    assert play.rc == 0, play.stdout[-4000:]
    return play


def _signs_in(fleet: TestedFleet, account: dict[str, Any]) -> bool:
    body = json.dumps({key: account[key] for key in ("email", "password")})
    arguments = ["-d", body, "-H", "Content-Type: application/json", "-o", "/dev/null"]
    return fleet.outside_curl("/auth/login", *arguments, "-w", "%{http_code}").stdout == "200"


def test_backups_go_to_a_bucket_as_well(fleet: TestedFleet, store: Bucket) -> None:
    """By the same playbooks; what arrives is encrypted, and the second run changes nothing."""
    _play(fleet, store, "site.yml")
    _play(fleet, store, "backup.yml", "-e", "type=full")
    assert _play(fleet, store, "site.yml").changes == []
    client = store.client(store.keeper)
    for part in ("backup", "archive"):
        kept = store.objects(f"gtsd/{part}/gtsd/")
        assert kept, part
        first = client.get_object(Bucket=bucket.NAME, Key=kept[0])["Body"].read(8)
        assert first == b"Salted__", kept[0]


def test_the_database_hosts_key_takes_nothing_back(fleet: TestedFleet, store: Bucket) -> None:
    """It may not delete; what it writes over is still there; the backup host's key may expire."""
    path = store.objects("gtsd/archive/gtsd/")[0]
    database, owner = store.client(store.database), store.client(store.keeper)
    before = database.get_object(Bucket=bucket.NAME, Key=path)
    content = before["Body"].read()
    with pytest.raises(ClientError, match="AccessDenied"):
        database.delete_object(Bucket=bucket.NAME, Key=path)
    with pytest.raises(ClientError, match="AccessDenied"):
        database.delete_object(Bucket=bucket.NAME, Key=path, VersionId=before["VersionId"])
    with pytest.raises(ClientError, match="AccessDenied"):
        database.put_bucket_versioning(
            Bucket=bucket.NAME, VersioningConfiguration={"Status": "Suspended"}
        )
    database.put_object(Bucket=bucket.NAME, Key=path, Body=b"of a thief")
    old = owner.get_object(Bucket=bucket.NAME, Key=path, VersionId=before["VersionId"])
    assert old["Body"].read() == content
    owner.put_object(Bucket=bucket.NAME, Key=path, Body=content)
    owner.put_object(Bucket=bucket.NAME, Key="gtsd/of-a-test", Body=b"x")
    owner.delete_object(Bucket=bucket.NAME, Key="gtsd/of-a-test")
    assert store.objects("gtsd/of-a-test") == []


def test_a_site_of_which_no_host_is_left_comes_back(fleet: TestedFleet, store: Bucket) -> None:
    """Bare hosts, site.yml, and people sign in with the passwords that they had."""
    sql(fleet, "CREATE TABLE of_a_backup (n int PRIMARY KEY, at timestamptz)")
    mark(fleet, 1)
    [account] = opened_accounts(fleet, 1)
    assert _signs_in(fleet, account)
    segment = sql(fleet, "SELECT pg_walfile_name(pg_switch_wal())", "postgres").strip()
    wait(lambda: any(segment in path for path in store.objects("gtsd/archive/gtsd/")))
    fleet.renew()
    started = time.monotonic()
    assert fleet.outside_curl("/ready").returncode != 0
    _play(fleet, store, "site.yml", "-e", "restore=latest")
    assert _signs_in(fleet, account)
    say(f"rebuilt in {time.monotonic() - started:.0f} s, from bare hosts to a signed-in user")
    assert sql(fleet, "SELECT string_agg(n::text, ',') FROM of_a_backup").strip() == "1"
    assert is_whole(fleet, fleet.names("database")[0])
    assert _play(fleet, store, "site.yml").changes == []
    # Proved from the bucket, where the old backups are; the backup host's own folder is new.
    drill = fleet.host(keeper(fleet)).run("gtsd drill --repo 2")
    assert drill.rc == 0, drill.stdout[-3000:] + drill.stderr[-3000:]


def test_photos_that_were_deleted_can_be_had_back(fleet: TestedFleet, store: Bucket) -> None:
    """The play makes their bucket and sets its rules, once; a key without the right is told so."""
    host = fleet.host(fleet.names("app")[0])
    authority = "/usr/local/share/ca-certificates/of-a-test.crt"
    host.check_output(f"cp /{ACME_CA} {authority} && update-ca-certificates")
    try:
        assert " | CHANGED => " in _bucket(fleet, store.admin)
        assert " | CHANGED => " not in _bucket(fleet, store.admin)
        refused = _bucket(fleet, store.database)
    finally:
        host.check_output(f"rm {authority} && update-ca-certificates --fresh")
    assert "does not let gtsd_s3_admin_key_* change gtsd-photos" in refused
    assert store.database[1] not in refused
    client = store.client(store.admin)
    photo: dict[str, Any] = {"Bucket": bucket.PHOTOS, "Key": "photos/1"}
    version = client.put_object(**photo, Body=b"a photo")["VersionId"]
    client.delete_object(**photo)
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(**photo)
    assert client.get_object(**photo, VersionId=version)["Body"].read() == b"a photo"
    rules = client.get_bucket_lifecycle_configuration(Bucket=bucket.PHOTOS)["Rules"]
    assert {rule["ID"] for rule in rules} == {"gtsd-uploads", "gtsd-versions"}


def _bucket(fleet: TestedFleet, key: tuple[str, str]) -> str:
    """This part of role gtsd alone, as an operator may call it."""
    settings = {
        "gtsd_s3_endpoint": f"https://{STORE_NAME}:{bucket.PORT}",
        "gtsd_s3_bucket": bucket.PHOTOS,
        "gtsd_s3_region": bucket.REGION,
        "gtsd_s3_admin_key_id": key[0],
        "gtsd_s3_admin_key_secret": key[1],
    }
    path = fleet.state / "photos.json"
    write_private(path, json.dumps(settings))
    said: list[str] = []
    words = ["-i", "inventories/rehearsal", "--playbook-dir", "playbooks", "-e", f"@{path}"]
    include = ["-m", "ansible.builtin.include_role", "-a", "name=gtsd tasks_from=bucket"]
    command = [str(ANSIBLE / "ansible"), fleet.names("app")[0], *words, *include, "-v"]
    run_child(command, {**os.environ, "GTSD_REHEARSAL": fleet.name}, said.append)
    return "".join(said)
