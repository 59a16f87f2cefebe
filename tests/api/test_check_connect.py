"""`gtsd check --connect` against real servers."""

from __future__ import annotations

import pytest

from gtsd.check_connect import connect
from tests.support.environments import development
from tests.support.mail_server import MailServer


def test_servers_that_are_there_are_connected(
    servers: dict[str, str], mail_server: MailServer
) -> None:
    """All four, with address, login and bucket."""
    outcome = connect(
        development(**servers, SMTP_URL=mail_server.url, GTSD_MAIL_FROM="a@b.example")
    )
    assert [(reached.server, reached.problem) for reached in outcome] == [
        ("PostgreSQL", None),
        ("Redis", None),
        ("object store", None),
        ("mail server", None),
    ]


@pytest.mark.parametrize(
    ("change", "server", "problem"),
    [
        ({"SMTP_URL": "smtp://gtsd:wrong@127.0.0.1:{SMTP_PORT}"}, "mail server", "535"),
        ({"DATABASE_URL": "{DATABASE_URL}-not-there"}, "PostgreSQL", "does not exist"),
        ({"REDIS_URL": "redis://nobody:wrong@{REDIS_URL}"}, "Redis", "invalid username-password"),
        ({"S3_SECRET_ACCESS_KEY": "wrong"}, "object store", "403"),
        ({"S3_BUCKET": "not-there"}, "object store", "404"),
    ],
)
def test_a_wrong_name_or_login_is_found(
    servers: dict[str, str],
    mail_server: MailServer,
    change: dict[str, str],
    server: str,
    problem: str,
) -> None:
    """The server is up, so that only a real login can tell; the other two are not blamed."""
    bare = {
        **servers,
        "SMTP_PORT": str(mail_server.port),
        "REDIS_URL": servers["REDIS_URL"].removeprefix("redis://"),
    }
    changed = {name: text.format(**bare) for name, text in change.items()}
    outcome = connect(development(**{**servers, **changed, "GTSD_MAIL_FROM": "a@b.example"}))
    failed = {reached.server: reached.problem for reached in outcome if reached.problem}
    assert failed.keys() == {server}
    assert problem in (failed[server] or "")
