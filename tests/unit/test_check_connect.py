"""`gtsd check --connect` answers in time, and tells no secret that a driver quotes."""

from __future__ import annotations

import socket
import threading
import time

from gtsd.check_connect import connect
from tests.support.environments import DATABASE_PASSWORD, PRODUCTION, development


def fail(text: str) -> None:
    """What a driver does."""
    raise RuntimeError(text)


def test_each_server_has_its_own_outcome() -> None:
    """In the order of the settings, whichever answers first."""
    first = threading.Event()
    probes = [
        ("slow", lambda: fail(f"late: {first.wait(5)}\nmore")),
        ("quick", first.set),
        ("mute", lambda: fail("")),
    ]
    outcome = connect(development(), probes)
    assert [(reached.server, reached.problem) for reached in outcome] == [
        ("slow", "late: True"),
        ("quick", None),
        ("mute", "RuntimeError"),
    ]


def test_a_server_that_never_answers_is_told_in_time() -> None:
    """And keeps nobody from ending."""
    never = threading.Event()
    began = time.monotonic()
    outcome = connect(
        development(), [("a", lambda: None), ("b", lambda: fail(str(never.wait(30))))], 0.2
    )
    assert time.monotonic() - began < 5
    assert [reached.problem for reached in outcome] == [None, "no answer within 0.2 s"]
    never.set()


def test_secrets_that_a_driver_quotes_are_taken_out() -> None:
    """Whole addresses as well as the passwords in them."""
    settings = development(
        **{name: text for name, text in PRODUCTION.items() if name != "JWT_SECRET"}
    )
    quoted = f"cannot reach {PRODUCTION['DATABASE_URL']} with {DATABASE_PASSWORD}"
    outcome = connect(settings, [("PostgreSQL", lambda: fail(quoted))])
    assert outcome[0].problem == "cannot reach *** with ***"


def test_only_servers_that_are_given_are_tried() -> None:
    """Refused connections, each in one line and with no secret in it."""
    with socket.socket() as bound:  # bound but not listening: nobody else can answer there
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        database = {"DATABASE_URL": f"postgresql://u:hunter22@127.0.0.1:{port}/db"}
        rest = {
            "REDIS_URL": f"redis://u:hunter23@127.0.0.1:{port}",
            "S3_ENDPOINT": f"http://127.0.0.1:{port}",
            "S3_ACCESS_KEY_ID": "hunter24",
            "S3_SECRET_ACCESS_KEY": "hunter25",
            "S3_BUCKET": "photos",
        }
        assert [reached.server for reached in connect(development(**database))] == ["PostgreSQL"]
        outcome = connect(development(**database, **rest))
    assert [reached.server for reached in outcome] == ["PostgreSQL", "Redis", "object store"]
    for reached in outcome:
        assert reached.problem is not None
        assert str(port) in reached.problem
        assert "hunter" not in reached.problem
        assert "\n" not in reached.problem
