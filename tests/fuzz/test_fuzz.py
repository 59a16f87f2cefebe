"""Whatever the document allows, and what it does not: no crash, and every answer as it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gtsd.app import table
from tests.fuzz.conftest import CALLS, SEED, Serve
from tests.fuzz.fuzzer import fuzz
from tests.support.process import Served

TITLES = [f"{route.method} {route.template}" for route in table().routes]
SHARE = -(-CALLS // len(TITLES))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("title", TITLES)
def test_an_operation_answers_as_the_document_says(
    served: Served, title: str, record_property: Callable[[str, object], None]
) -> None:
    """No 5xx, no answer but what is described, no wrong data taken, one shape of refusals."""
    report = fuzz(served, title, SHARE, SEED)
    record_property("statuses", {str(status): n for status, n in report.statuses.items()})
    assert report.findings == {}
    assert report.calls >= SHARE


@pytest.fixture(scope="module")
def broken(serve: Serve) -> Iterator[Served]:
    """The service with a mistake in each of five operations."""
    with serve(broken=True) as process:
        yield process


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("title", "finding"),
    [
        ("GET /v1/streaks/me", "Response violates schema"),
        ("POST /v1/tasks", "Server error"),
        ("GET /auth/sessions", "Undocumented status code"),
        ("PATCH /auth/me", "Schema-violating request accepted"),
        ("POST /v1/streaks/check-compliance", "the header has another id"),
    ],
)
def test_a_broken_operation_is_found(broken: Served, title: str, finding: str) -> None:
    """A field that is missing, a crash, an unknown status, what is not checked, another id."""
    report = fuzz(broken, title, 200, SEED)
    assert finding in str(report.findings), report.findings
