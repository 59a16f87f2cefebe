"""Sends spans to a collector, by OTLP over HTTP, from a thread with a bounded queue.

Headers, certificates and timeouts of the collector come from OpenTelemetry's own variables
(``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_EXPORTER_OTLP_CERTIFICATE`` …), which the exporter reads.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

if TYPE_CHECKING:
    from gtsd.settings import Settings

QUEUE_SPANS: Final = 2_048
BATCH_SPANS: Final = 512
SCHEDULE_MS: Final = 2_000
TIMEOUT_S: Final = 5.0


class _Process(Resource):
    """What all spans are of. Each is asked for its hash when it is encoded, which the SDK makes of
    JSON every time: a sixth of the work.
    """

    def __init__(self, made: Resource) -> None:
        super().__init__(made.attributes, made.schema_url)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash


class Exporter(OTLPSpanExporter):
    """Sends batches of spans, and keeps none that could not be sent."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Called by the SDK from a thread of its own."""
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            # The error of the connection holds, by its frames, the batch and itself: 2 MB each 5 s
            # while a collector is away, which a process with few other cycles would keep for hours.
            gc.collect()
        return result


def traces_url(endpoint: str) -> str:
    """Where the collector takes traces, given its base URL."""
    return f"{endpoint.rstrip('/')}/v1/traces"


def provider_for(settings: Settings, endpoint: str) -> TracerProvider:
    """A provider of this service's name. What it is asked for was chosen before: ``tracing``."""
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=_Process(
            Resource.create(
                {
                    "service.name": settings.otel_service_name,
                    "service.version": settings.app_version,
                    "deployment.environment": settings.app_env,
                    "host.name": socket.gethostname(),
                    "process.pid": os.getpid(),
                }
            )
        ),
        # Ours is bounded; its own would block the end of the process once more.
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            Exporter(endpoint=traces_url(endpoint), timeout=TIMEOUT_S),
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=SCHEDULE_MS,
            max_export_batch_size=BATCH_SPANS,
        )
    )
    return provider
