"""What load balancers and people on call get."""

from __future__ import annotations

from typing import Literal

from gtsd.web.fields import Output, Timestamp

Status = Literal["healthy", "degraded", "unhealthy"]
Link = Literal["connected", "disconnected"]


class Health(Output):
    """How the service and its servers are; ``uptime`` in seconds."""

    status: Status
    timestamp: Timestamp
    uptime: int
    database: Link
    redis: Link | Literal["disabled"]
    version: str
    git_sha: str


class Liveness(Output):
    """The event loop turns."""

    status: Literal["alive"]


class Readiness(Output):
    """Whether to send requests here."""

    status: Literal["ready", "starting", "draining", "no_database"]
    version: str
