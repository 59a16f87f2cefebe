"""Every failure of the driver has one meaning, and tells no value of a row."""

from __future__ import annotations

import socket

import psycopg2
import pytest

from gtsd.errors import DeadlineExceeded, DependencyUnavailable
from gtsd.stores.postgres_errors import (
    QueryFailed,
    Retryable,
    leads_astray,
    log_failure,
    loggable,
    translated,
)
from gtsd.stores.postgres_link import limit, timeout_ms
from gtsd.telemetry.metrics import QueryError
from tests.support.database import log_lines


def _error(
    sqlstate: str | None, base: type[psycopg2.Error] = psycopg2.OperationalError
) -> Exception:
    """As psycopg2 raises it; it does not let the code be set."""
    error: Exception = type("Raised", (base,), {"pgcode": sqlstate})("canary")
    return error


@pytest.mark.parametrize(
    ("error", "kind", "meaning"),
    [
        (_error("57014"), QueryError.TIMEOUT, DeadlineExceeded),
        (TimeoutError(), QueryError.TIMEOUT, DeadlineExceeded),
        (_error("40001"), QueryError.CONFLICT, Retryable),
        (_error("40P01"), QueryError.CONFLICT, Retryable),
        (_error("55P03"), QueryError.CONFLICT, Retryable),
        (_error("57P01"), QueryError.UNAVAILABLE, DependencyUnavailable),
        (_error("57P03"), QueryError.UNAVAILABLE, DependencyUnavailable),
        (_error("53300"), QueryError.UNAVAILABLE, DependencyUnavailable),
        (_error("08006"), QueryError.UNAVAILABLE, DependencyUnavailable),
        (_error("58030"), QueryError.UNAVAILABLE, DependencyUnavailable),
        (_error("25006", psycopg2.InternalError), QueryError.UNAVAILABLE, DependencyUnavailable),
        (_error(None), QueryError.UNAVAILABLE, DependencyUnavailable),
        (_error(None, psycopg2.InterfaceError), QueryError.UNAVAILABLE, DependencyUnavailable),
        (socket.gaierror("unknown"), QueryError.UNAVAILABLE, DependencyUnavailable),
        (_error("42601", psycopg2.ProgrammingError), QueryError.OTHER, QueryFailed),
        (_error("22012", psycopg2.DataError), QueryError.OTHER, QueryFailed),
        (_error(None, psycopg2.ProgrammingError), QueryError.OTHER, QueryFailed),
    ],
)
def test_a_failure_has_one_meaning(
    error: Exception, kind: QueryError, meaning: type[Exception]
) -> None:
    """By its SQLSTATE, or where there is none by its class; no message is handed on."""
    found, raised = translated(error, "some.operation", lost=False)
    assert (found, type(raised)) == (kind, meaning)
    assert "canary" not in str(raised)


def test_whatever_ends_the_connection_is_the_servers_fault() -> None:
    """Even if the driver calls it something else."""
    error = _error("XX000", psycopg2.InternalError)
    assert translated(error, "x", lost=True)[0] is QueryError.UNAVAILABLE
    assert translated(error, "x", lost=False)[0] is QueryError.OTHER


def test_only_a_read_only_server_leads_astray() -> None:
    """Other failures say nothing against the connection."""
    assert leads_astray(_error("25006"))
    assert not leads_astray(_error("57014"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (_error(None), "canary"),  # about the server: it helps the operator
        (_error("57P03"), "canary"),
        (_error("22P02"), "Raised (SQLSTATE 22P02)"),  # about a value: it stays secret
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_log_holds_messages_of_servers_only(error: Exception, told: str) -> None:
    """A message about a statement quotes the user's data."""
    assert loggable(error) == told


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (QueryError.UNAVAILABLE, "WARNING"),
        (QueryError.TIMEOUT, "WARNING"),
        (QueryError.OTHER, "ERROR"),
        (QueryError.CONSTRAINT, "DEBUG"),
        (QueryError.CONFLICT, "DEBUG"),
    ],
)
def test_the_level_of_a_line_fits_its_news(kind: QueryError, level: str) -> None:
    """A rule that holds is no news; a fault of ours is an error."""
    with log_lines() as lines:
        log_failure("some.operation", kind, _error(None))
    assert len(lines) == 1
    assert level in lines[0]
    assert "some.operation" in lines[0]


@pytest.mark.parametrize(
    ("left", "milliseconds"),
    [
        (0.0001, 1),
        (0.0129, 12),
        (0.0999, 99),
        (0.3, 300),
        (0.999, 990),
        (1.09, 1_000),
        (9.999, 9_900),
        (10.0, 10_000),
        (59.9, 59_000),
    ],
)
def test_a_timeout_is_rounded_down_to_few_values(left: float, milliseconds: int) -> None:
    """Never longer than what is left, never 0, which would mean no limit."""
    assert timeout_ms(left) == milliseconds


def test_there_are_few_timeouts() -> None:
    """Each is a statement of its own in the server's statistics."""
    assert len({timeout_ms(n / 1000) for n in range(1, 60_000)}) < 400


def test_the_limit_goes_before_a_statement() -> None:
    """It ends like a statement, and holds only as long as the transaction."""
    text = limit(300)
    assert text.endswith("; ")
    assert text.count("SET LOCAL") == 2
    assert "statement_timeout = 300;" in text
