"""`gtsd check --connect` against real servers."""

from __future__ import annotations

import pytest

from gtsd.check_connect import connect
from tests.support.environments import development


def test_servers_that_are_there_are_connected(servers: dict[str, str]) -> None:
    """All three, with address, login and bucket."""
    outcome = connect(development(**servers))
    assert [(reached.server, reached.problem) for reached in outcome] == [
        ("PostgreSQL", None),
        ("Redis", None),
        ("object store", None),
    ]


@pytest.mark.parametrize(
    ("change", "server", "problem"),
    [
        ({"DATABASE_URL": "{DATABASE_URL}-not-there"}, "PostgreSQL", "does not exist"),
        ({"REDIS_URL": "redis://nobody:wrong@{REDIS_URL}"}, "Redis", "invalid username-password"),
        ({"S3_SECRET_ACCESS_KEY": "wrong"}, "object store", "403"),
        ({"S3_BUCKET": "not-there"}, "object store", "404"),
    ],
)
def test_a_wrong_name_or_login_is_found(
    servers: dict[str, str], change: dict[str, str], server: str, problem: str
) -> None:
    """The server is up, so that only a real login can tell; the other two are not blamed."""
    bare = {**servers, "REDIS_URL": servers["REDIS_URL"].removeprefix("redis://")}
    changed = {name: text.format(**bare) for name, text in change.items()}
    outcome = connect(development(**{**servers, **changed}))
    failed = {reached.server: reached.problem for reached in outcome if reached.problem}
    assert failed.keys() == {server}
    assert problem in (failed[server] or "")
