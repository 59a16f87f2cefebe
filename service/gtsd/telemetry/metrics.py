"""Every metric of the service, with a bound on its series.

Labels come from enums, from the route table and from names written in the code: never from what a
client sent. A family that reaches its limit all the same counts on under ``overflow``, so the sum
of all families stays under 2,000 series whatever happens.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterable, Iterator
from enum import StrEnum
from http import HTTPStatus
from typing import Generic, NamedTuple, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

OVERFLOW = "overflow"
UNMATCHED = "unmatched"
OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Eight and six buckets: with 60 routes and 60 operations each further one costs 60 series.
# 1 s is a bound because the alert on the 95th percentile asks for exactly that value.
REQUEST_SECONDS = (0.005, 0.025, 0.1, 0.3, 1.0, 3.0, 10.0)
QUERY_SECONDS = (0.001, 0.005, 0.025, 0.1, 1.0)
JOB_SECONDS = (0.1, 1.0, 10.0, 60.0)
LAG_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0)

_OPENMETRICS = "application/openmetrics-text"
_STATUSES = {int(status): str(int(status)) for status in HTTPStatus}

M = TypeVar("M", bound=MetricWrapperBase)


class CacheResult(StrEnum):
    """How the cache answered; ``bypass`` is a read that went round it because Redis is away."""

    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"


class QueryError(StrEnum):
    """Why a statement failed."""

    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    CONSTRAINT = "constraint"
    CONFLICT = "conflict"
    OTHER = "other"


class JobOutcome(StrEnum):
    """How one run of a job ended; ``released`` by a worker that had to stop."""

    DONE = "done"
    RETRY = "retry"
    RELEASED = "released"
    DEAD = "dead"


class JobState(StrEnum):
    """Where a job is; ``scheduled`` waits for its time, ``dead`` for an operator."""

    WAITING = "waiting"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    DEAD = "dead"


class MessageOutcome(StrEnum):
    """What became of a mail or a text message; ``failed`` may be tried again."""

    SENT = "sent"
    REFUSED = "refused"
    FAILED = "failed"
    DROPPED = "dropped"
    UNKNOWN = "unknown"


class Family(Generic[M]):
    """A labelled metric of at most ``limit`` children, found again without building labels."""

    def __init__(self, metric: M, limit: int, keep: int | None = None) -> None:
        """``keep`` is the place of the label that overflowing children still tell apart."""
        self._metric = metric
        self._limit = limit
        self._keep = keep
        self._children: dict[tuple[str, ...], M] = {}
        self._lock = threading.Lock()

    def labels(self, *values: str) -> M:
        """The child for these values, in the order in which the label names were declared."""
        child = self._children.get(values)
        return self._add(values) if child is None else child

    def _add(self, values: tuple[str, ...]) -> M:
        with self._lock:
            if len(self._children) >= self._limit and values not in self._children:
                # Not remembered: the dictionary must not grow with what arrives either.
                values = tuple(v if n == self._keep else OVERFLOW for n, v in enumerate(values))
                return self._metric.labels(*values)
            return self._children.setdefault(values, self._metric.labels(*values))


class _Request(NamedTuple):
    answers: Counter
    duration: Histogram


class Metrics:
    """The metrics of one process, in a registry of its own so that tests do not share them."""

    def __init__(self, version: str = "unknown", git_sha: str = "unknown") -> None:
        self.registry = CollectorRegistry()
        self._requests: dict[tuple[str, str, int], _Request] = {}
        self._routes: frozenset[tuple[str, str]] | None = None
        self._declare_http()
        self._declare_stores()
        self._declare_jobs()
        self._declare_process(version, git_sha)

    def allow_routes(self, routes: Iterable[tuple[str, str]]) -> None:
        """Name the (method, template) pairs that exist; any other is counted as ``unmatched``."""
        self._routes = frozenset(routes)
        self._requests.clear()

    def observe_request(
        self, method: str, route: str, status: int, seconds: float, trace_id: str | None = None
    ) -> None:
        """Count one answered request; a trace id becomes the exemplar of its bucket."""
        found = self._requests.get((method, route, status))
        if found is None:
            found = self._find_request(method, route, status)
        found.answers.inc()
        found.duration.observe(seconds, {"trace_id": trace_id} if trace_id else None)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its content type: OpenMetrics where asked for, else plain text."""
        # The library is not shown the header itself: it fails on some that a client can send.
        encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept else "")
        return encode(_WithoutCreated(self.registry)), content_type

    def _find_request(self, method: str, route: str, status: int) -> _Request:
        known = self._routes is None or (method, route) in self._routes
        verb = method if method in METHODS else OTHER
        template = route if known and verb != OTHER else UNMATCHED
        found = _Request(
            self.http_requests.labels(verb, template, _STATUSES.get(status, OTHER)),
            self.http_duration.labels(verb, template),
        )
        # What a client can vary (its method) is not remembered, what we vary is.
        if known and verb != OTHER and len(self._requests) < 1_000:
            self._requests[method, route, status] = found
        return found

    def _counter(self, name: str, help_text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, help_text, labels, namespace="gtsd", registry=self.registry)

    def _gauge(self, name: str, help_text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, help_text, labels, namespace="gtsd", registry=self.registry)

    def _histogram(
        self, name: str, help_text: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> Histogram:
        return Histogram(
            name, help_text, labels, namespace="gtsd", registry=self.registry, buckets=bounds
        )

    def _declare_http(self) -> None:
        self.http_requests = Family(
            self._counter("http_requests", "Answered requests.", ("method", "route", "status")),
            limit=500,
            keep=2,
        )
        self.http_duration = Family(
            self._histogram(
                "http_request_duration_seconds",
                "From the first byte read to the last byte handed to the socket.",
                ("method", "route"),
                REQUEST_SECONDS,
            ),
            limit=70,
        )
        self.in_flight = self._gauge("http_requests_in_flight", "Requests in work now.")
        self.shed = self._counter("shed_requests", "Requests refused because too many are in work.")
        self.limited = Family(
            self._counter("limited_requests", "Requests refused by a rate limit.", ("limit",)),
            limit=10,
        )

    def _declare_stores(self) -> None:
        pool = self._gauge(
            "db_pool_connections", "Connections open, in use and allowed.", ("state",)
        )
        self.pool_size = pool.labels("open")
        self.pool_used = pool.labels("used")
        self.pool_limit = pool.labels("limit")
        self.pool_waiting = self._gauge("db_pool_waiting", "Callers waiting for a connection.")
        self.query_duration = Family(
            self._histogram(
                "db_query_duration_seconds",
                "One statement, from sending it to its last row.",
                ("operation",),
                QUERY_SECONDS,
            ),
            limit=60,
        )
        self.query_errors = Family(
            self._counter("db_query_errors", "Statements that failed.", ("operation", "kind")),
            limit=80,
            keep=1,
        )
        # There from the start: what begins to be counted at its first failure has no rate by then.
        self.query_errors.labels("ping", QueryError.UNAVAILABLE)
        self.cache_requests = Family(
            self._counter("cache_requests", "Reads of the cache.", ("cache", "result")), limit=20
        )
        self.redis_up = self._gauge("redis_up", "1 while Redis answers, 0 while it is away.")

    def _declare_jobs(self) -> None:
        self.jobs = Family(
            self._counter("jobs", "Runs of background jobs.", ("job", "outcome")), limit=80, keep=1
        )
        self.job_duration = Family(
            self._histogram(
                "job_duration_seconds", "One run of a background job.", ("job",), JOB_SECONDS
            ),
            limit=20,
        )
        queued = self._gauge("jobs_queued", "Background jobs in the queue.", ("state",))
        self.jobs_queued = {state: queued.labels(state) for state in JobState}
        self.jobs_oldest = self._gauge(
            "jobs_oldest_waiting_seconds", "How long the oldest due job has waited for a worker."
        )

    def _declare_process(self, version: str, git_sha: str) -> None:
        self.loop_lag = self._histogram(
            "event_loop_lag_seconds", "How late the event loop ran a timer.", (), LAG_SECONDS
        )
        self.loop_lag_max = self._gauge(
            "event_loop_lag_max_seconds", "The worst lag of the last minute."
        )
        self.draining = self._gauge("draining", "1 from the stop signal to the end.")
        self.messages = Family(
            self._counter("messages", "Mails and text messages.", ("kind", "outcome")), limit=30
        )
        self.build_info = self._gauge(
            "build_info", "Always 1; the labels say what runs.", ("version", "git_sha", "python")
        )
        self.build_info.labels(version, git_sha, platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)


class _WithoutCreated(Collector):
    """Leaves out the ``_created`` samples: a second series for every counter that nobody reads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            created = f"{metric.name}_created"
            metric.samples = [s for s in metric.samples if s.name != created]
            yield metric


def series(metrics: Metrics) -> int:
    """How many series a scrape of these metrics stores."""
    return sum(len(metric.samples) for metric in _WithoutCreated(metrics.registry).collect())
