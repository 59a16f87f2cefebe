"""What a failed statement means to its caller.

::

    ConstraintViolated      a rule of the schema; the caller knows which and answers for it
    Retryable               lost against a concurrent transaction; the same again may succeed
    QueryFailed             a fault of ours: wrong SQL, a value of a wrong type
    DependencyUnavailable   the server is away, full, starting, or read-only
    DeadlineExceeded        stopped by the server, or by us, because time was up

None carries a message of the server: those quote values of rows.
"""

from __future__ import annotations

from typing import Final

import psycopg2
from loguru import logger
from psycopg2 import errorcodes

from gtsd.errors import DeadlineExceeded, DependencyUnavailable, Unavailable
from gtsd.telemetry.metrics import QueryError


class ConstraintViolated(Exception):
    """A unique, check, not-null, foreign-key or exclusion constraint forbids it.

    ``constraint`` is its name, empty for not-null.
    """

    def __init__(self, constraint: str) -> None:
        self.constraint = constraint
        super().__init__(constraint)


class Retryable(Unavailable):
    """A deadlock, a lock that was not had, or a serialization failure; nothing was changed."""


class QueryFailed(Exception):
    """The statement can never succeed; ``sqlstate`` says why."""

    def __init__(self, operation: str, sqlstate: str) -> None:
        self.operation = operation
        self.sqlstate = sqlstate
        super().__init__(f"{operation}: SQLSTATE {sqlstate}")


class NotPrepared(Exception):
    """The session does not know a prepared statement; nothing was done. Never leaves the store."""


_RETRYABLE: Final = frozenset(
    {
        errorcodes.SERIALIZATION_FAILURE,
        errorcodes.DEADLOCK_DETECTED,
        errorcodes.LOCK_NOT_AVAILABLE,
    }
)
# Such a session is of no more use: after a switch-over it may still lead to the old primary.
_WRONG_SERVER: Final = frozenset({errorcodes.READ_ONLY_SQL_TRANSACTION})
_UNAVAILABLE_CLASSES: Final = frozenset(
    {
        errorcodes.CLASS_CONNECTION_EXCEPTION,
        errorcodes.CLASS_INSUFFICIENT_RESOURCES,
        errorcodes.CLASS_OPERATOR_INTERVENTION,
        errorcodes.CLASS_SYSTEM_ERROR,
    }
)
_EVERYDAY: Final = frozenset({QueryError.CONSTRAINT, QueryError.CONFLICT})


def translated(error: Exception, operation: str, lost: bool) -> tuple[QueryError, Exception]:
    """The kind to count and the exception to raise in place of a failure of psycopg2 or a socket.

    ``lost`` tells that the connection did not survive it.
    """
    sqlstate = getattr(error, "pgcode", None) or ""
    if sqlstate == errorcodes.QUERY_CANCELED or isinstance(error, TimeoutError):
        return QueryError.TIMEOUT, DeadlineExceeded()
    if isinstance(error, psycopg2.IntegrityError):
        name = error.diag.constraint_name or error.diag.column_name or ""
        return QueryError.CONSTRAINT, ConstraintViolated(name)
    if sqlstate in _RETRYABLE:
        return QueryError.CONFLICT, Retryable()
    if lost or is_unavailable(error):
        return QueryError.UNAVAILABLE, DependencyUnavailable("database")
    return QueryError.OTHER, QueryFailed(operation, sqlstate)


def is_unavailable(error: Exception) -> bool:
    """Whether the server, not the statement, is the reason."""
    sqlstate = getattr(error, "pgcode", None)
    if sqlstate is not None:
        return sqlstate[:2] in _UNAVAILABLE_CLASSES or sqlstate in _WRONG_SERVER
    return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError | OSError)


def leads_astray(error: Exception) -> bool:
    """Whether no further statement should go to the same server, though it still answers."""
    return getattr(error, "pgcode", None) in _WRONG_SERVER


def loggable(error: Exception) -> str:
    """What a log may hold: a message about a server, but never one about a statement."""
    sqlstate = getattr(error, "pgcode", None)
    if sqlstate is None or sqlstate[:2] in _UNAVAILABLE_CLASSES:
        return " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__} (SQLSTATE {sqlstate})"


def log_failure(operation: str, kind: QueryError, error: Exception) -> None:
    """One line for what an operator should know; rules that hold and lost races are no news."""
    level = "DEBUG" if kind in _EVERYDAY else "ERROR" if kind is QueryError.OTHER else "WARNING"
    logger.bind(operation=operation, kind=kind.value).log(
        level, "database: {} failed: {}", operation, loggable(error)
    )
