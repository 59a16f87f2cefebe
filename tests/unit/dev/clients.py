"""How the tests of this folder talk to the servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import boto3
import psycopg2
import redis
from botocore.config import Config

from gtsd.dev.object_store import EmbeddedObjectStore
from gtsd.dev.postgres import EmbeddedPostgres
from gtsd.dev.redis import EmbeddedRedis
from gtsd.dev.server import EmbeddedServer


def s3(store: EmbeddedObjectStore, secret: str | None = None) -> Any:
    """A client as the service makes it."""
    return boto3.client(
        "s3",
        endpoint_url=store.url,
        region_name=store.region,
        aws_access_key_id=store.access_key_id,
        aws_secret_access_key=secret or store.secret_access_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"max_attempts": 0},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


class Note(NamedTuple):
    """How to leave something in a server and find it again."""

    write: Callable[[Any], None]
    read: Callable[[Any], str]


def _write_sql(server: EmbeddedPostgres) -> None:
    server.ensure_database("notes")
    with psycopg2.connect(server.dsn("notes")) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE notes AS SELECT 'kept' AS note")
    connection.close()


def _read_sql(server: EmbeddedPostgres) -> str:
    connection = psycopg2.connect(server.dsn("notes"))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT note FROM notes")
            return str(cursor.fetchall()[0][0])
    finally:
        connection.close()


def _with_redis(work: Callable[[Any], Any]) -> Callable[[EmbeddedRedis], Any]:
    def run(server: EmbeddedRedis) -> Any:
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            return work(client)

    return run


def _write_object(server: EmbeddedObjectStore) -> None:
    s3(server).put_object(Bucket=server.bucket, Key="a/b.txt", Body=b"kept")


def _read_object(server: EmbeddedObjectStore) -> str:
    body: bytes = s3(server).get_object(Bucket=server.bucket, Key="a/b.txt")["Body"].read()
    return body.decode()


NOTES: dict[type[EmbeddedServer], Note] = {
    EmbeddedPostgres: Note(_write_sql, _read_sql),
    EmbeddedRedis: Note(
        _with_redis(lambda c: c.set("note", "kept")), _with_redis(lambda c: c.get("note"))
    ),
    EmbeddedObjectStore: Note(_write_object, _read_object),
}
