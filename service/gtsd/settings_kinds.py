"""Texts of the environment made into values; each reader raises ValueError with what is wanted.

Their sentences follow the name of the variable ("PORT must be …") and never quote the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import parseaddr
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from gtsd import settings_urls

_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_KEY_BYTES: Final = 32
_LABEL: Final = re.compile(r"[!-~]{1,100}")
_SMS_SENDER: Final = re.compile(r"\+[1-9][0-9]{6,14}|MG[0-9a-f]{32}")
_FLAGS: Final = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False,
}  # fmt: skip


def whole(low: int, high: int) -> Callable[[str], int]:
    """An integer within the bounds, both included."""

    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def number(low: float, high: float, unit: str = "") -> Callable[[str], float]:
    """A decimal number within the bounds, both included; ``unit`` is only told, never read."""

    def read(text: str) -> float:
        if not _NUMBER.fullmatch(text) or not low <= float(text) <= high:
            of_what = f" of {unit}, without the unit," if unit else ""
            raise ValueError(f"must be a number{of_what} from {low:g} to {high:g}")
        return float(text)

    return read


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A duration."""
    return number(low, high, "seconds")


def flag(text: str) -> bool:
    """true or false, and the usual other words for them."""
    try:
        return _FLAGS[text.lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def choice(*words: str, also: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """One of the words, in any case; ``also`` maps other spellings to them."""
    spellings = {word: word for word in words} | dict(also or {})

    def read(text: str) -> str:
        try:
            return spellings[text.lower()]
        except KeyError:
            raise ValueError(f"must be one of {', '.join(spellings)}") from None

    return read


def label(text: str) -> str:
    """A short word for logs and metrics."""
    if not _LABEL.fullmatch(text):
        raise ValueError("must be at most 100 visible ASCII characters, without spaces")
    return text


def secret(text: str) -> str:
    """Whatever it is, it must not have been damaged on the way."""
    if text != text.strip():
        raise ValueError("must not begin or end with a space or a line break")
    return text


def hidden(_: str) -> str:
    """A secret as it is shown."""
    return settings_urls.MASK


def masked_postgres(url: str) -> str:
    """The address without its password."""
    try:
        return settings_urls.postgres_address(url).masked()
    except ValueError:
        return hidden(url)


def masked_redis(url: str) -> str:
    """The address without its password."""
    try:
        return settings_urls.redis_address(url).masked()
    except ValueError:
        return hidden(url)


def key(text: str) -> str:
    """A secret that signs: at least 32 bytes (256 bits), as HS256 wants it (RFC 7518, 3.2)."""
    if len(secret(text).encode()) < _KEY_BYTES:
        raise ValueError(f"must have at least {_KEY_BYTES} bytes, made by a random generator")
    return text


def address(text: str) -> str:
    """An IP address to listen on."""
    try:
        return str(ip_address("127.0.0.1" if text == "localhost" else text))
    except ValueError:
        raise ValueError("must be an IP address: 127.0.0.1, ::1, 0.0.0.0") from None


def postgres_url(text: str) -> str:
    """A URL that libpq can read and that names host and database."""
    settings_urls.postgres_address(secret(text))
    return text


def redis_url(text: str) -> str:
    """A URL that redis-py can read."""
    settings_urls.redis_address(secret(text))
    return text


def smtp_url(text: str) -> str:
    """A mail server, or a folder."""
    settings_urls.mail_address(secret(text))
    return text


def masked_smtp(url: str) -> str:
    """The address without its password."""
    try:
        return settings_urls.mail_address(url).masked()
    except ValueError:
        return hidden(url)


def mailbox(text: str) -> str:
    """A sender: an address, with a name in front of it if wanted."""
    wanted = "must be an address, or a name and an address: GTSD <no-reply@example.org>"
    if not text.isprintable():
        raise ValueError(wanted)
    _, address_ = parseaddr(text)
    try:
        parsed = Address(addr_spec=address_)
    except (HeaderParseError, ValueError, IndexError):
        raise ValueError(wanted) from None
    if not parsed.username or "." not in parsed.domain or not address_.isascii():
        raise ValueError(wanted)
    return text


def sms_sender(text: str) -> str:
    """A phone number in E.164 form, or the name that Twilio gives to a messaging service."""
    if not _SMS_SENDER.fullmatch(text):
        raise ValueError("must be a phone number with + and country code, or MG and 32 digits")
    return text


def http_url(text: str) -> str:
    """An ``http(s)://`` URL, without the slash at its end."""
    settings_urls.http_host(text)
    return text.rstrip("/")


def origins(text: str) -> tuple[str, ...]:
    """A comma list of web origins as browsers send them, or ``*``."""
    return tuple(_origin(item) for item in _items(text))


def networks(text: str) -> tuple[str, ...]:
    """A comma list of IP networks, in CIDR form; a bare address is a network of one."""
    try:
        return tuple(str(ip_network(item)) for item in _items(text))
    except ValueError:
        raise ValueError(
            "must be a comma list of networks without host bits: 10.0.0.0/8, fd00::/8"
        ) from None


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _origin(item: str) -> str:
    if item == "*":
        return item
    wanted = "must be a comma list of origins, scheme and host without a path: https://a.example"
    try:
        parts = urlsplit(item)
        port = parts.port
    except ValueError:
        raise ValueError(wanted) from None
    if not parts.scheme or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(wanted)
    if parts.username is not None or parts.query or parts.fragment or "*" in item:
        raise ValueError(wanted)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # A browser leaves the port out of Origin when it is the scheme's own.
    own = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if port in (None, own) else f":{port}")
