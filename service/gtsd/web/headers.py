"""Headers of every answer, and what a request's headers say of where it comes from."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Sequence
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")

# An API answers with data: nothing in an answer may be run, framed, sniffed or embedded elsewhere.
SECURITY: Final = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "accelerometer=(), camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Resource-Policy": "same-site",
    "X-Frame-Options": "DENY",
}

_EXPOSED: Final = (
    "ETag, Idempotency-Replayed, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
    "Retry-After, X-Request-ID"
)
_ALLOWED_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-ID"
)


def request_id(given: str | None) -> str:
    """The client's own where it is fit to be logged, else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return secrets.token_hex(16)


def etag(body: bytes) -> str:
    """A strong validator: equal only for equal bytes."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def matches(condition: str | None, tag: str) -> bool:
    """Whether If-None-Match names the tag (RFC 9110 §13.1.2, weak comparison)."""
    if condition is None:
        return False
    names = [name.strip().removeprefix("W/") for name in condition.split(",")]
    return "*" in names or tag in names


def client_address(peer: str, forwarded: str | None, trusted: Sequence[Network]) -> str:
    """The nearest address that is not one of our proxies.

    X-Forwarded-For is believed only as far as trusted proxies wrote it: read from the right.
    """
    address = peer
    hops = [hop.strip() for hop in forwarded.split(",")] if forwarded else []
    while hops and _is_trusted(address, trusted):
        try:
            address = str(ipaddress.ip_address(hops.pop()))
        except ValueError:
            break
    return address


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in trusted)


def cors(origin: str | None, allowed: Sequence[str]) -> dict[str, str]:
    """Headers for a browser on a listed origin; tokens are sent by hand, so no credentials."""
    if origin is None or not allowed:
        return {}
    if origin not in allowed:
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": _EXPOSED,
        "Vary": "Origin",
    }


def preflight(methods: Sequence[str]) -> dict[str, str]:
    """What a browser asks before it sends the real request."""
    return {
        "Access-Control-Allow-Methods": ", ".join(methods),
        "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
        "Access-Control-Max-Age": "600",
    }
