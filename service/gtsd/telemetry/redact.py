"""Keeps secrets and personal data out of what is logged or traced, whoever put them there.

The last line of defence: code should not log them in the first place. It rather hides too much
than too little. Every pattern runs in time linear in the text, because clients choose the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

MASK: Final = "[redacted]"
MAX_TEXT: Final = 16_384
_MAX_ITEMS: Final = 50
_MAX_DEPTH: Final = 6

_KEY: Final = (
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credential|signature|authorization|cookie|jwt|session[_-]?id|otp[_-]?code|email|phone)"
)
_SECRET_KEY: Final = re.compile(_KEY, re.IGNORECASE)

# A text of only these characters, with no long run in it, cannot match any rule below. Most paths
# and request ids are such, and they are what every line carries.
_HARMLESS: Final = re.compile(r"(?!.*(?:[A-Za-z0-9_-]{20}|[A-Za-z0-9/]{40}))[A-Za-z0-9_./-]*\Z")

_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,40}-----)?"
)
_USERINFO: Final = re.compile(r"(://[^\s:/?#@\"'<>]{0,256}:)[^\s\"'<>]{0,512}@")
_QUERY: Final = re.compile(r"([?&;][\w.\[\]%-]{1,64}=)[^&;\s\"'<>)\\]+")
_QUOTED: Final = (
    r"(?:[bru]{0,2}\\+([\"']).*?(?:\\+\NUMBER|\Z)"  # quotes escaped once more: JSON inside JSON
    r"|[bru]{0,2}([\"'])(?:\\.|(?!\NEXT)[^\\])*(?:\NEXT|\Z))"
)


def _quoted(number: int) -> str:
    return _QUOTED.replace("NUMBER", str(number)).replace("NEXT", str(number + 1))


# A header's value goes on to the end of its line or quotes: it may hold spaces and commas.
_HEADER: Final = re.compile(
    r"((?:authorization|cookie)[\"'\\]*\s*[:=,]\s*)(?:\[redacted\]|"
    + _quoted(2)
    + r"|[^\r\n\"'\\]+)",
    re.IGNORECASE | re.DOTALL,
)
_ASSIGNED: Final = re.compile(
    r"("
    + _KEY
    + r"[\w-]{0,64}[\"'\\\])]*\s*(?:=>|[:=]|%3d|(?<=[\"'])\s*,(?=\s*[\\bru]{0,3}[\"']))\s*)"
    r"(?:" + _quoted(2) + r"|\[[^\]]*\]?|\([^)]*\)?|\{[^}]*\}?|[^\s,;&)}\]\"'<>\\]+)",
    re.IGNORECASE | re.DOTALL,
)
_SQL_PASSWORD: Final = re.compile(r"(\bpassword\s+)'[^']*'?", re.IGNORECASE)
# "Basic authentication" is prose: a credential is long, or has a digit or a capital inside a word.
_BEARER: Final = re.compile(
    r"\b((?i:bearer|basic))(\s+|%20)"
    r"(?=[\w.~+/=-]{16}|[A-Za-z.~+/=_-]{0,15}?(?:\d|=|[a-z][A-Z]))[\w.~+/=-]{8,}"
)
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}")
_ARGON: Final = re.compile(r"\$(?:argon2[a-z]{0,2}|2[aby]|scrypt|6)\$[\w$=,./+-]+")
_EMAIL: Final = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}?(?:@|%40)\w(?:[\w-]{0,62}\.){1,8}\w{2,24}")
_PHONE: Final = re.compile(r"(?<![\w+.])(?:\+|%2[bB])[1-9]\d{7,14}(?!\d)")
_AWS_KEY: Final = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")
_BASE64: Final = re.compile(r"(?<![\w+/=-])(?=[A-Za-z0-9])[\w+/-]{20,}(?:={1,2}|%3[dD])")
_AWS_SECRET: Final = re.compile(r"(?<![\w+/=-])(?=[A-Za-z0-9])[A-Za-z0-9+/]{40}(?![\w+/=-])")
_RUN: Final = re.compile(r"[A-Za-z0-9_-]{32,}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_LOWER, _UPPER, _DIGIT = re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]")


def _is_random(run: str) -> bool:
    """Whether a long run looks drawn by lot, and not like words joined by ``_`` or ``-``."""
    if _UUID.match(run):
        return False
    if _LOWER.search(run) and _UPPER.search(run):
        return True
    longest = max(re.split("[_-]", run), key=len)
    return len(longest) >= 24 and _DIGIT.search(longest) is not None


def _run(match: re.Match[str]) -> str:
    return MASK if _is_random(match[0]) else match[0]


def _aws_secret(match: re.Match[str]) -> str:
    found = match[0]
    mixed = _LOWER.search(found) and _UPPER.search(found) and _DIGIT.search(found)
    return MASK if mixed else found


def mask(text: str) -> str:
    """The text without tokens, passwords, addresses, keys and the values of query parameters."""
    if _HARMLESS.match(text):
        return text
    text = text[:MAX_TEXT]
    if "://" in text:
        text = _USERINFO.sub(rf"\1{MASK}@", text)
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    text = _HEADER.sub(rf"\1{MASK}", text)
    text = _ASSIGNED.sub(rf"\1{MASK}", text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    text = _SQL_PASSWORD.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1\2{MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _ARGON.sub(MASK, text)
    text = _PHONE.sub(MASK, text)
    if "@" in text or "%40" in text:
        text = _EMAIL.sub(MASK, text)
    text = _AWS_KEY.sub(MASK, text)
    text = _BASE64.sub(MASK, text)
    text = _AWS_SECRET.sub(_aws_secret, text)
    return _RUN.sub(_run, text)


def mask_path(path: str, by: Callable[[str], str] = mask) -> str:
    """The path without secrets; what is percent-encoded in it is looked at decoded."""
    if "%" in path:
        decoded = unquote(path)
        masked = by(decoded)
        if masked != decoded:
            return masked
    return by(path)


class Redactor:
    """Masks by pattern, and the given secrets wherever they stand on their own."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        # Short ones are left to the patterns: hiding every "postgres" would ruin the log.
        secrets = sorted({secret for secret in known if len(secret) >= 12}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, secrets))) if secrets else None

    def text(self, text: str) -> str:
        """The text without secrets, at most 16,384 characters of it."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return mask(text)

    def value(self, value: object, depth: int = 0) -> Any:
        """The same in types that JSON has; what has no such type is shown as its ``repr``."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"  # a body, most likely
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._many(value, depth + 1)
        return self.text(safely(repr, value))

    def _many(self, value: Collection[Any], depth: int) -> Any:
        if depth > _MAX_DEPTH:
            return f"<{type(value).__name__} of {len(value)}>"
        if not isinstance(value, Mapping):
            return [self.value(item, depth) for item in list(value)[:_MAX_ITEMS]]
        return {
            self.text(str(key)): MASK if is_secret(str(key)) else self.value(item, depth)
            for key, item in list(value.items())[:_MAX_ITEMS]
        }


def is_secret(name: str) -> bool:
    """Whether a field of this name is never shown."""
    return _SECRET_KEY.search(name) is not None


def safely(show: Callable[[Any], str], value: object, instead: str | None = None) -> str:
    """What ``show`` makes of the value; where it fails, ``instead`` or the names of the types."""
    try:
        return show(value)
    except Exception as error:  # noqa: BLE001 - anything can be logged, its str() can raise anything
        return instead or f"<{type(value).__name__} cannot be shown: {type(error).__name__}>"
