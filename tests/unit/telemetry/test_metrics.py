"""Every metric has its bound, whatever clients ask for."""

from __future__ import annotations

import gc
import itertools

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gtsd.telemetry.metrics import (
    METHODS,
    OVERFLOW,
    QUERY_SECONDS,
    REQUEST_SECONDS,
    CacheResult,
    JobOutcome,
    Metrics,
    QueryError,
    series,
)

BUDGET = 2_000
# What the API answers, by api.md §1, and what Tornado itself may say.
STATUSES = (200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503)
ROUTES = [(method, f"/v1/things/{n}/{{id}}") for n in range(15) for method in sorted(METHODS)[:4]]


def _value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    value: float | None = metrics.registry.get_sample_value(sample, labels)
    return value


def test_a_request_is_counted_and_timed() -> None:
    """By method, template and status; the duration without the status."""
    metrics = Metrics()
    for seconds in (0.004, 0.5):
        metrics.observe_request("GET", "/v1/tasks/{id}", 200, seconds)
    of_route = {"method": "GET", "route": "/v1/tasks/{id}"}
    assert _value(metrics, "gtsd_http_requests_total", **of_route, status="200") == 2
    duration = "gtsd_http_request_duration_seconds"
    assert _value(metrics, f"{duration}_sum", **of_route) == pytest.approx(0.504)
    assert _value(metrics, f"{duration}_bucket", **of_route, le="0.005") == 1
    assert _value(metrics, f"{duration}_bucket", **of_route, le="1.0") == 2


def test_a_whole_service_stays_within_the_budget() -> None:
    """Sixty routes with every status, sixty operations with every error, and all the rest."""
    metrics = Metrics("1.0.0", "4f2a9c1")
    metrics.allow_routes(ROUTES)
    for (method, route), status in itertools.product(ROUTES, STATUSES):
        metrics.observe_request(method, route, status, 0.1)
    for n in range(60):
        metrics.query_duration.labels(f"operation_{n}").observe(0.01)
        for kind in QueryError:
            metrics.query_errors.labels(f"operation_{n}", kind).inc()
    for n in range(100):
        for outcome in JobOutcome:
            metrics.jobs.labels(f"job_{n}", outcome).inc()
        for result in CacheResult:
            metrics.cache_requests.labels(f"cache_{n}", result).inc()
        metrics.limited.labels(f"limit_{n}").inc()
    assert 1_500 < series(metrics) <= BUDGET
    assert len(ROUTES) == 60


def test_nothing_that_clients_choose_makes_series() -> None:
    """Thousands of paths, methods and statuses: the count is still under the budget."""
    metrics = Metrics()
    for n in range(20_000):
        method = ("GET", "POST", "BREW", f"M{n:x}")[n % 4]
        metrics.observe_request(method, f"/{n:x}", 100 + n % 900, 0.1)
    assert series(metrics) <= BUDGET


def test_a_pair_that_is_not_in_the_table_is_unmatched() -> None:
    """Another method on a known template is the client's doing as much as an unknown path."""
    metrics = Metrics()
    metrics.allow_routes([("GET", "/v1/tasks")])
    asked = [("GET", "/v1/tasks"), ("DELETE", "/v1/tasks"), ("GET", "/x"), ("BREW", "/v1/tasks")]
    for method, route in asked:
        metrics.observe_request(method, route, 404, 0.1)
    counted = {
        (sample.labels["method"], sample.labels["route"])
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "gtsd_http_requests_total"
    }
    assert counted == {
        ("GET", "/v1/tasks"),
        ("DELETE", "unmatched"),
        ("GET", "unmatched"),
        ("other", "unmatched"),
    }


def test_the_table_applies_to_what_was_counted_before_it() -> None:
    """A child found once is not used past the table."""
    metrics = Metrics()
    metrics.observe_request("GET", "/x", 200, 0.1)
    metrics.allow_routes([])
    metrics.observe_request("GET", "/x", 200, 0.1)
    assert (
        _value(metrics, "gtsd_http_requests_total", method="GET", route="unmatched", status="200")
        == 1
    )


def test_a_full_family_goes_on_counting() -> None:
    """Errors are still told from successes, and no request is lost from the total."""
    metrics = Metrics()
    for n in range(2_000):
        metrics.observe_request("GET", f"/v1/{n}", 200 if n % 2 else 500, 0.1)
    counted = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "gtsd_http_requests_total"
    }
    assert sum(counted.values()) == 2_000
    assert counted[OVERFLOW, "200"] == counted[OVERFLOW, "500"] == 750


def test_an_unknown_status_is_other() -> None:
    """No status that HTTP does not know becomes a series."""
    metrics = Metrics()
    metrics.observe_request("GET", "/v1/x", 299, 0.1)
    assert (
        _value(metrics, "gtsd_http_requests_total", method="GET", route="/v1/x", status="other")
        == 1
    )


def test_the_buckets_serve_the_alerts() -> None:
    """The p95 alert asks for 1 s, so 1 s must be a bound; more buckets than these are refused."""
    assert 1.0 in REQUEST_SECONDS
    assert (REQUEST_SECONDS[0], REQUEST_SECONDS[-1]) == (0.005, 10.0)
    # The library adds +Inf.
    assert len(REQUEST_SECONDS) + 1 <= 9
    assert len(QUERY_SECONDS) + 1 <= 7


def test_the_page_is_what_prometheus_reads() -> None:
    """Plain text that the reference parser takes, with the process and what was built."""
    metrics = Metrics("1.2.3", "4f2a9c1")
    metrics.observe_request("GET", "/v1/x", 200, 0.1)
    page, content_type = metrics.render("*/*")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in text_string_to_metric_families(page.decode())}
    assert names >= {
        "gtsd_http_requests",
        "gtsd_http_request_duration_seconds",
        "gtsd_http_requests_in_flight",
        "gtsd_shed_requests",
        "gtsd_limited_requests",
        "gtsd_db_pool_connections",
        "gtsd_db_pool_waiting",
        "gtsd_db_query_duration_seconds",
        "gtsd_db_query_errors",
        "gtsd_cache_requests",
        "gtsd_redis_up",
        "gtsd_event_loop_lag_seconds",
        "gtsd_event_loop_lag_max_seconds",
        "gtsd_draining",
        "gtsd_jobs",
        "gtsd_build_info",
        "process_resident_memory_bytes",
        "python_gc_collections",
    }
    assert b'gtsd_build_info{git_sha="4f2a9c1",python="3' in page


def test_no_series_tells_when_a_counter_was_made() -> None:
    """They would double the number of series."""
    metrics = Metrics()
    metrics.observe_request("GET", "/v1/x", 200, 0.1)
    for accept in ("", "application/openmetrics-text"):
        assert b"_created" not in metrics.render(accept)[0]


def test_a_trace_id_becomes_an_exemplar() -> None:
    """In OpenMetrics only, the one format that has them."""
    metrics = Metrics()
    metrics.observe_request("GET", "/v1/x", 200, 0.1, "0af7651916cd43dd8448eb211c80319c")
    page, content_type = metrics.render("application/openmetrics-text;version=1.0.0,text/plain")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert b'{trace_id="0af7651916cd43dd8448eb211c80319c"} 0.1' in page
    assert page.endswith(b"# EOF\n")
    assert b"trace_id" not in metrics.render("")[0]


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=x",
        "application/openmetrics-text;version=9.9.9;escaping=?",
        "text/plain;version=",
        ";;,=",
        "\0",
    ],
)
def test_no_accept_header_makes_the_page_fail(accept: str) -> None:
    """The header is the client's to choose."""
    assert Metrics().render(accept)[0]


def test_the_pool_is_read_when_it_is_asked_for() -> None:
    """Gauges of the pool may be functions, so that nothing has to be kept up to date."""
    metrics = Metrics()
    metrics.pool_used.set_function(lambda: 7)
    assert _value(metrics, "gtsd_db_pool_connections", state="used") == 7


def test_two_instances_share_nothing() -> None:
    """Each has its own registry, and so tests do not count each other's requests."""
    one, two = Metrics(), Metrics()
    one.shed.inc()
    assert _value(two, "gtsd_shed_requests_total") == 0


def test_a_request_that_was_seen_before_makes_no_new_objects() -> None:
    """The children are found again: a request costs no labels."""
    metrics = Metrics()
    metrics.observe_request("GET", "/v1/x", 200, 0.1)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(1_000):
        metrics.observe_request("GET", "/v1/x", 200, 0.1)
    assert len(gc.get_objects()) - before < 100


def test_failures_to_reach_the_database_are_counted_from_the_start() -> None:
    """A series that begins with its first failure has no rate for an alert to see."""
    text = Metrics().render()[0].decode()
    assert 'gtsd_db_query_errors_total{kind="unavailable",operation="ping"} 0.0' in text
