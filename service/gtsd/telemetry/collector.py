"""The collector of traces: spans are sent to it from the start of a process to its stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from gtsd.telemetry import tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from gtsd.settings import Settings

STOP_BOUND_S: Final = 2.0


class Tracing:
    """What is to be stopped in the end; holds nothing while tracing is off."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider

    @property
    def on(self) -> bool:
        """Whether spans are made and sent."""
        return self._provider is not None

    def shutdown(self, bound_s: float = STOP_BOUND_S) -> bool:
        """Send what is queued, for at most so long; False when that was given up.

        The provider's own shutdown waits for the exporter's retries: 5 s with a collector that is
        away, 9 s with one that is silent. Its thread is left behind and dies with the process.
        """
        provider, self._provider = self._provider, None
        if provider is None:
            return True
        tracing.use(None)
        stopping = threading.Thread(target=provider.shutdown, name="gtsd-traces-stop", daemon=True)
        stopping.start()
        stopping.join(bound_s)
        return not stopping.is_alive()


def configure(settings: Settings) -> Tracing:
    """Start tracing where a collector is given. Call it before the tasks that are to be traced."""
    if settings.otel_disabled or settings.otel_endpoint is None:
        tracing.use(None)
        return Tracing(None)
    # Only here: a service without a collector need not pay the 0.14 s and 8 MB of the SDK.
    from gtsd.telemetry.export import provider_for

    provider = provider_for(settings, settings.otel_endpoint)
    tracer = provider.get_tracer("gtsd", settings.app_version)
    tracing.use(tracer, settings.otel_sample_ratio)
    return Tracing(provider)
